//! Receives parts of large files, in any order.

use crate::agent::store::ObjectName;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::manifest::ObjectKey;
use crate::wire::block::Range;

use super::large::LargeFile;
use super::receiver::Receiver;
use super::resume::UNFINISHED_MODE;

/// The most unfinished large files of one receiver. A client sends four at a time. A file of which a lane lost a part
/// stays open until its other parts have arrived.
const LARGE_MAX: usize = 256;

/// The most separate ranges that lie ahead in one large file. Each lane that lags behind makes one.
pub(super) const AHEAD_MAX: usize = 1024;

impl Receiver<'_> {
    pub(super) fn part(
        &mut self,
        entry: u32,
        offset: u64,
        old: Option<ObjectKey>,
        ranges: &[Range],
        content: &[u8],
    ) -> Result<(), Error> {
        let file = self.file(entry)?;
        let Some(at) = self.reception.wanted.of_entry(entry).filter(|_| !self.reception.promise.includes(entry)) else {
            return Ok(());
        };
        if offset > file.size {
            return Err(Error::Protocol("a part beyond the end of its file".into()));
        }
        if self.reception.wanted.has_arrived(at) || !self.claim(at) {
            return Ok(());
        }
        let name = ObjectName { key: file.key, copy: 0 };
        let Some(mut large) = self.take_large(at, name, offset)? else {
            // It cannot be continued. If it stayed as a beginning, the client would send its rest again and again.
            return self.drop_large(at, name);
        };
        let failed = |e: std::io::Error| Error::io("write", self.staged().path_of(name), e);
        let len =
            ranges.iter().try_fold(0_u64, |sum, &(Range::Old { len, .. } | Range::Sent { len })| sum.checked_add(len));
        // A part must not make the file longer than the manifest says, or replace bytes that were hashed.
        let Some(end) = len.and_then(|len| large.end_of_part(offset, len, file.size)) else {
            return self.drop_large(at, name);
        };
        let old = match old.map(|key| self.reception.assembly.store.open_any(key)) {
            Some(Ok(Some(file))) => Some(file),
            _ => None,
        };
        if !large.write_ranges(offset, old.as_ref(), ranges, content).map_err(failed)? {
            self.reception.wanted.give_back(at);
            return Ok(());
        }
        self.flush.note(end - offset);
        large.note(offset, end).map_err(failed)?;
        if large.ahead.len() > AHEAD_MAX {
            return Err(Error::Protocol("parts of a large file that are too far apart".into()));
        }
        if large.hashed < file.size {
            self.large.insert(at, large);
        } else if large.hasher.finish() == file.key.hash {
            self.finish(at, large.file, name)?;
        } else {
            // The hash is wrong from some unknown place on: nothing can be kept.
            self.drop_large(at, name)?;
        }
        Ok(())
    }

    /// Returns the file of a part, or opens it. Returns nothing if it cannot be continued.
    fn take_large(&mut self, at: usize, name: ObjectName, offset: u64) -> Result<Option<LargeFile>, Error> {
        match self.large.remove(&at) {
            Some(large) => Ok(Some(large)),
            None if self.large.len() == LARGE_MAX => {
                Err(Error::Protocol("parts of too many large files at once".into()))
            }
            // A client that sends from the beginning replaces all that is there.
            None => self.open_large(name, if offset == 0 { 0 } else { self.reception.begun(at) }),
        }
    }

    /// Drops a file, which stays wanted.
    fn drop_large(&self, at: usize, name: ObjectName) -> Result<(), Error> {
        self.staged().remove(name)?;
        self.reception.wanted.give_back(at);
        Ok(())
    }

    /// Opens the file, anew or with its hashed beginning from an earlier run. Returns nothing if that beginning is
    /// shorter than expected.
    fn open_large(&self, name: ObjectName, begun: u64) -> Result<Option<LargeFile>, Error> {
        if begun == 0 {
            // A later run that continues the file must be able to write to it.
            let file = self.staged().create(name, UNFINISHED_MODE)?;
            return Ok(Some(LargeFile::new(file, Hasher::new(), 0)));
        }
        let failed = |e: std::io::Error| Error::io("read", self.staged().path_of(name), e);
        let Some(file) = self.staged().open_to_write(name)? else { return Ok(None) };
        let mut hasher = Hasher::new();
        if file.range(0..begun).hash_into(&mut hasher).map_err(failed)? != begun {
            return Ok(None);
        }
        file.cut(begun).map_err(failed)?;
        Ok(Some(LargeFile::new(file, hasher, begun)))
    }
}
