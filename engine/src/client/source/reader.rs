//! The files of the source, read again to be sent.
//!
//! A file is looked at before and after it is read: where it is not what the scan hashed, the deploy stops and names
//! it, as the manifest that was sent describes another content. What the agent asks for again is hashed as well: it may
//! look as it did and be something else. To hash all of it would be a twentieth of the client's processor time.

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

/// Reads content of a source.
#[derive(Clone, Copy)]
pub(crate) struct SourceReader<'a> {
    source: &'a Source<'a>,
    cancel: &'a Cancel,
    is_suspect: bool,
}

/// An open file of it.
pub(crate) struct SourceFile<'a> {
    scan: &'a Scan,
    entry: u32,
    file: File,
    path: Vec<u8>,
}

impl Source<'_> {
    /// Returns what reads its content, until that is cancelled. Content `is_suspect` where it was sent before and did not
    /// come as it should.
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

    /// Opens the file of an entry, which must look as it did.
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

    /// Returns its manifest.
    pub(crate) fn manifest(self) -> &'a Manifest {
        self.source.manifest()
    }

    /// Fails once the reading was cancelled.
    pub(crate) fn check(self) -> Result<(), Error> {
        self.cancel.check()
    }

    /// Tells whether content that was sent did not come as it should.
    pub(crate) fn is_suspect(self) -> bool {
        self.is_suspect
    }
}

impl SourceFile<'_> {
    /// Returns how long it was, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.scan.found.stats[self.entry as usize].size
    }

    /// Appends a range of it.
    pub(crate) fn read_range(&mut self, offset: u64, len: u64, content: &mut Vec<u8>) -> Result<(), Error> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| (&self.file).take(len).read_to_end(content));
        match read {
            Ok(read) if read as u64 == len => Ok(()),
            Ok(_) => Err(self.changing()),
            Err(source) => Err(unreadable(&self.path, source)),
        }
    }

    /// Fails where it does not look as it did when it was scanned.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let stat = content::look(&self.file).map_err(|source| unreadable(&self.path, source))?;
        if stat == self.scan.found.stats[self.entry as usize] { Ok(()) } else { Err(self.changing()) }
    }

    /// Fails where the scan says of it, though it looks as it did then, that it had other content: what was kept of an
    /// earlier scan is wrong, or a change did not show.
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

/// Appends a file of so many bytes, mostly in one read; what has grown since may be more.
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
