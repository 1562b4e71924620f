//! Reads the files of the source again, to send them.
//!
//! The stat of a file is checked before and after it is read. If it differs from that of the scan, the deploy stops and
//! names the file, as the manifest that was sent describes another content. Content that the agent asks for again is
//! hashed as well: the file may have an equal stat and other content. Hashing all content would take a twentieth of the
//! client's processor time.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::client::scan::Scan;
use crate::error::{Error, SourceError};
use crate::hash::Hash;
use crate::manifest::Manifest;
use crate::path::Shown;
use crate::scan::content;

use super::Source;

/// A reader of a source's content.
#[derive(Clone, Copy)]
pub(crate) struct SourceReader<'a> {
    source: &'a Source<'a>,
    cancel: &'a Cancel,
    is_suspect: bool,
}

/// An open file of a source.
pub(crate) struct SourceFile<'a> {
    scan: &'a Scan,
    entry: u32,
    file: File,
    path: Vec<u8>,
}

impl Source<'_> {
    /// Returns a reader of the content, which `cancel` stops. Content `is_suspect` if it was sent before and did not
    /// arrive as it should.
    pub(crate) fn reader<'a>(&'a self, cancel: &'a Cancel, is_suspect: bool) -> SourceReader<'a> {
        SourceReader { source: self, cancel, is_suspect }
    }
}

impl<'a> SourceReader<'a> {
    /// Appends the content of an entry.
    pub(crate) fn read(self, entry: u32, content: &mut Vec<u8>) -> Result<(), Error> {
        self.check()?;
        if let Some((generated, own)) = &self.source.scan.generated
            && *generated == entry
        {
            content.extend_from_slice(own);
            return Ok(());
        }
        let file = self.open(entry)?;
        let before = content.len();
        read_whole(&file.file, file.size() as usize, content).map_err(|source| unreadable(&file.path, source))?;
        if (content.len() - before) as u64 != file.size() {
            content.truncate(before);
            return Err(file.changing());
        }
        file.check()?;
        if self.is_suspect { file.check_hash(Hash::of(&content[before..])) } else { Ok(()) }
    }

    /// Opens the file of an entry. Its stat must equal that of the scan.
    pub(crate) fn open(self, entry: u32) -> Result<SourceFile<'a>, Error> {
        let scan = &self.source.scan;
        let path = scan.found.manifest.path(entry);
        let file = content::open(&scan.source, OsStr::from_bytes(&path)).map_err(|errno| match errno {
            Errno::NOENT | Errno::LOOP | Errno::NOTDIR => {
                Error::Source(SourceError::FileChanging(Shown(&path).to_string()))
            }
            errno => unreadable(&path, errno.into()),
        })?;
        let file = SourceFile { scan, entry, file, path };
        file.check()?;
        Ok(file)
    }

    /// Returns the manifest.
    pub(crate) fn manifest(self) -> &'a Manifest {
        self.source.manifest()
    }

    /// Fails once the reading was cancelled.
    pub(crate) fn check(self) -> Result<(), Error> {
        self.cancel.check()
    }

    /// Tells whether the content was sent before and did not arrive as it should.
    pub(crate) fn is_suspect(self) -> bool {
        self.is_suspect
    }
}

impl SourceFile<'_> {
    /// Returns the size in the scan, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.scan.found.stats[self.entry as usize].size
    }

    /// Appends a range of the file.
    pub(crate) fn read_range(&mut self, offset: u64, len: u64, content: &mut Vec<u8>) -> Result<(), Error> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| (&self.file).take(len).read_to_end(content));
        match read {
            Ok(read) if read as u64 == len => Ok(()),
            Ok(_) => Err(self.changing()),
            Err(source) => Err(unreadable(&self.path, source)),
        }
    }

    /// Fails if the stat differs from that of the scan.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let stat = content::stat(&self.file).map_err(|source| unreadable(&self.path, source))?;
        if stat == self.scan.found.stats[self.entry as usize] { Ok(()) } else { Err(self.changing()) }
    }

    /// Fails if the hash differs from that of the scan, though the stat is equal: the stored earlier scan was wrong, or
    /// a change did not show.
    pub(crate) fn check_hash(&self, hash: Hash) -> Result<(), Error> {
        match self.scan.found.manifest.file(self.entry) {
            Some(file) if file.key.hash != hash => {
                Err(Error::Source(SourceError::FileChangedUnseen(Shown(&self.path).to_string())))
            }
            _ => Ok(()),
        }
    }

    fn changing(&self) -> Error {
        Error::from(SourceError::FileChanging(Shown(&self.path).to_string()))
    }
}

fn unreadable(path: &[u8], source: io::Error) -> Error {
    Error::from(SourceError::Unreadable { path: Shown(path).to_string(), source })
}

/// Appends a file of this size, mostly in one read. If it has grown, more may be appended.
fn read_whole(file: &File, size: usize, content: &mut Vec<u8>) -> io::Result<()> {
    let end = content.len() + size;
    content.reserve(size);
    while content.len() < end {
        match rustix::io::read(file, rustix::buffer::spare_capacity(content)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
