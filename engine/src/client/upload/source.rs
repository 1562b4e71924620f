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

use crate::client::scan::Scan;
use crate::client::talk::Talk;
use crate::error::{Error, SourceError};
use crate::hash::Hash;
use crate::path::Shown;
use crate::scan::content;

/// The source, as it was scanned.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// Who hears of an interruption, and knows whether anything is asked for again.
    pub(super) talk: &'a Talk,
    pub(super) scan: &'a Scan,
}

/// An open file of it.
pub(super) struct SourceFile<'a> {
    source: Source<'a>,
    entry: u32,
    file: File,
    path: Vec<u8>,
}

impl<'a> Source<'a> {
    /// Appends the content of an entry.
    pub(super) fn read(self, entry: u32, content: &mut Vec<u8>) -> Result<(), Error> {
        self.talk.check()?;
        if let Some((generated, own)) = &self.scan.generated
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
        if self.is_suspect() { file.check_hash(Hash::of(&content[before..])) } else { Ok(()) }
    }

    /// Opens the file of an entry, which must look as it did.
    pub(super) fn open(self, entry: u32) -> Result<SourceFile<'a>, Error> {
        let path = self.scan.found.manifest.path(entry);
        let file = content::open(&self.scan.source, OsStr::from_bytes(&path)).map_err(|errno| match errno {
            Errno::NOENT | Errno::LOOP | Errno::NOTDIR => {
                Error::from(SourceError::FileChanging(Shown(&path).to_string()))
            }
            errno => unreadable(&path, errno.into()),
        })?;
        let file = SourceFile { source: self, entry, file, path };
        file.check()?;
        Ok(file)
    }

    /// Tells whether content that was sent did not come as it should.
    pub(super) fn is_suspect(self) -> bool {
        self.talk.has_committed()
    }
}

impl SourceFile<'_> {
    /// Returns how long it was, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.source.scan.found.stats[self.entry as usize].size
    }

    /// Appends a range of it.
    pub(super) fn read_range(&mut self, offset: u64, len: u64, content: &mut Vec<u8>) -> Result<(), Error> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| (&self.file).take(len).read_to_end(content));
        match read {
            Ok(read) if read as u64 == len => Ok(()),
            Ok(_) => Err(self.changing()),
            Err(source) => Err(unreadable(&self.path, source)),
        }
    }

    /// Fails where it does not look as it did when it was scanned.
    pub(super) fn check(&self) -> Result<(), Error> {
        let stat = content::look(&self.file).map_err(|source| unreadable(&self.path, source))?;
        if stat == self.source.scan.found.stats[self.entry as usize] { Ok(()) } else { Err(self.changing()) }
    }

    /// Fails where the scan says of it, though it looks as it did then, that it had other content: what was kept of an
    /// earlier scan is wrong, or a change did not show.
    pub(super) fn check_hash(&self, hash: Hash) -> Result<(), Error> {
        match self.source.scan.found.manifest.file(self.entry) {
            Some(file) if file.key.hash != hash => {
                Err(SourceError::FileChangedUnseen(Shown(&self.path).to_string()).into())
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
