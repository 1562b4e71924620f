//! Existing text files to which lines are added: the log, `known_hosts`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

use crate::error::Error;

use super::call;
use super::dir::{Dir, os};

/// A text file, open for writing at its end.
#[derive(Debug)]
pub(crate) struct TextFile(File);

impl TextFile {
    /// Opens the text file at a path from the user, and creates it for this user alone if it does not exist.
    pub(crate) fn open(path: &Path) -> Result<TextFile, Error> {
        let fd = call::open_to_add(CWD, path, OFlags::empty()).map_err(|e| Error::io("open", path, e))?;
        Ok(TextFile(fd.into()))
    }

    /// Appends lines, in one write if the system allows it: lines of two processes do not mix.
    pub(crate) fn add(&self, lines: &str) -> io::Result<()> {
        call::write_all(&self.0, lines.as_bytes())
    }

    /// Returns whether the last line is complete: it ends in a newline, or the file is empty.
    pub(crate) fn ends_in_newline(&self) -> io::Result<bool> {
        let Some(last) = self.0.metadata()?.len().checked_sub(1) else { return Ok(true) };
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, last)?;
        Ok(byte == *b"\n")
    }
}

impl Dir {
    /// Opens a text file, and creates it for this user alone if it does not exist.
    pub(crate) fn open_text(&self, name: &[u8]) -> Result<TextFile, Error> {
        let fd = call::open_to_add(&self.fd, os(name), OFlags::NOFOLLOW).map_err(|e| self.error("open", name, e))?;
        Ok(TextFile(fd.into()))
    }

    /// Creates a text file for this user alone. None if there is one of the name.
    pub(crate) fn create_text(&self, name: &[u8]) -> Result<Option<TextFile>, Error> {
        match call::open_to_add(&self.fd, os(name), OFlags::NOFOLLOW | OFlags::EXCL) {
            Ok(fd) => Ok(Some(TextFile(fd.into()))),
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
        assert!(one.ends_in_newline().unwrap());
        one.add("first\n").unwrap();
        other.add("second").unwrap();
        assert!(!one.ends_in_newline().unwrap());
        one.add("\n").unwrap();
        assert!(other.ends_in_newline().unwrap());
        assert_eq!(read(), b"first\nsecond\n");
    }
}
