//! Existing text files to which lines are added: the log, `known_hosts`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

use crate::error::Error;

use super::call;
use super::dir::{Dir, os};

/// A text file, open for writing at its end. A line that a full disk cut off stays as it is, and the next one begins on
/// a line of its own.
#[derive(Debug)]
pub(crate) struct TextFile {
    file: File,
    /// Whether the last line may be cut off: somebody else wrote it, or its write failed.
    may_be_cut: AtomicBool,
}

impl TextFile {
    fn new(file: File) -> TextFile {
        TextFile { file, may_be_cut: AtomicBool::new(true) }
    }

    /// Opens the text file at a path from the user, and creates it for this user alone if it does not exist.
    pub(crate) fn open(path: &Path) -> Result<TextFile, Error> {
        let fd = call::open_to_add(CWD, path, OFlags::empty()).map_err(|e| Error::io("open", path, e))?;
        Ok(TextFile::new(fd.into()))
    }

    /// Appends lines, in one write if the system allows it: lines of two processes do not mix.
    pub(crate) fn add(&self, lines: &str) -> io::Result<()> {
        let is_cut = self.may_be_cut.swap(true, Ordering::Relaxed) && !self.ends_in_newline()?;
        if is_cut {
            call::write_all(&self.file, format!("\n{lines}").as_bytes())?;
        } else {
            call::write_all(&self.file, lines.as_bytes())?;
        }
        self.may_be_cut.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Returns whether the last line is complete: it ends in a newline, or the file is empty.
    fn ends_in_newline(&self) -> io::Result<bool> {
        let Some(last) = self.file.metadata()?.len().checked_sub(1) else { return Ok(true) };
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, last)?;
        Ok(byte == *b"\n")
    }
}

impl Dir {
    /// Opens a text file, and creates it for this user alone if it does not exist.
    pub(crate) fn open_text(&self, name: &[u8]) -> Result<TextFile, Error> {
        let fd = call::open_to_add(&self.fd, os(name), OFlags::NOFOLLOW).map_err(|e| self.error("open", name, e))?;
        Ok(TextFile::new(fd.into()))
    }

    /// Creates a text file for this user alone. None if there is one of the name.
    pub(crate) fn create_text(&self, name: &[u8]) -> Result<Option<TextFile>, Error> {
        match call::open_to_add(&self.fd, os(name), OFlags::NOFOLLOW | OFlags::EXCL) {
            Ok(fd) => Ok(Some(TextFile::new(fd.into()))),
            Err(Errno::EXIST) => Ok(None),
            Err(errno) => Err(self.error("create", name, errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_at_the_end_whoever_wrote_before() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let (one, other) = (dir.open_text(b"text").unwrap(), TextFile::open(&place.path().join("text")).unwrap());
        let read = || dir.read(b"text").unwrap().unwrap();
        one.add("first\n").unwrap();
        other.add("second\n").unwrap();
        one.add("third\n").unwrap();
        assert_eq!(read(), b"first\nsecond\nthird\n");
    }

    #[test]
    fn a_line_that_was_cut_off_is_not_continued() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("text");
        // Another process left half a line.
        std::fs::write(&path, "one\nha").unwrap();
        let file = TextFile::open(&path).unwrap();
        file.add("two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nha\ntwo\n");
        // A write of this one failed after some bytes.
        file.may_be_cut.store(true, Ordering::Relaxed);
        std::fs::write(&path, "one\nha\ntwo\nth").unwrap();
        file.add("four\n").unwrap();
        file.add("five\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nha\ntwo\nth\nfour\nfive\n");
    }

    #[test]
    fn a_write_that_fails_lets_the_next_one_look_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("text");
        let file = TextFile::open(&path).unwrap();
        file.add("one\n").unwrap();
        let fault = crate::disk::fault::Fault::arm(place.path(), 1, rustix::io::Errno::NOSPC);
        file.add("two\n").unwrap_err();
        drop(fault);
        assert!(file.may_be_cut.load(Ordering::Relaxed));
        file.add("three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nthree\n");
    }
}
