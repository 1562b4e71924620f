//! New files that are complete or missing: a draft is removed, unless it is kept.
//!
//! To replace an existing file, a draft beside it is made durable and renamed over it.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::error::Error;

use super::dir::Dir;
use super::file::NewFile;

/// A new file that is removed when it is dropped before [`Draft::keep`].
#[derive(Debug)]
pub(crate) struct Draft<'d> {
    dir: &'d Dir,
    name: Cow<'d, [u8]>,
    /// The file.
    pub(crate) file: NewFile,
    is_kept: bool,
}

impl Draft<'_> {
    /// Keeps the file, under whatever name it has now.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.dir.remove_file(&self.name).ok();
        }
    }
}

impl Write for Draft<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.file.write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Dir {
    /// Creates a file for this user alone, which must not exist yet.
    pub(crate) fn draft<'d>(&'d self, name: impl Into<Cow<'d, [u8]>>) -> Result<Draft<'d>, Error> {
        let name = name.into();
        let file = self.create_file(&name)?;
        Ok(Draft { dir: self, name, file, is_kept: false })
    }

    /// Creates a file that only reserves space.
    pub(crate) fn create_reserve(&self, name: &[u8], bytes: u64) -> Result<(), Error> {
        let mut draft = self.draft(name)?;
        draft.file.reserve(bytes).map_err(|e| Error::io("write", self.path_of(name), e))?;
        draft.keep();
        Ok(())
    }

    /// Creates a file with this content, durably. Returns false if the name exists.
    pub(crate) fn put_new(&self, name: &[u8], content: &[u8], temporary: &[u8]) -> Result<bool, Error> {
        let draft = self.draft_of(temporary, content, name)?;
        let is_first = self.rename_new(temporary, self, name)?;
        if is_first {
            draft.keep();
        } else {
            drop(draft);
        }
        self.sync()?;
        Ok(is_first)
    }

    /// Works like [`Dir::put_new`], for a file that everybody may read, less the umask.
    pub(crate) fn put_new_public(&self, name: &[u8], content: &[u8]) -> Result<bool, Error> {
        let temporary = [b".", name, b".new"].concat();
        self.remove_file(&temporary)?;
        let file = self.create_file_with(&temporary, 0o644)?;
        let mut draft = Draft { dir: self, name: Cow::Borrowed(&temporary), file, is_kept: false };
        draft.write_all(content).map_err(|e| Error::io("write", self.path_of(name), e))?;
        draft.file.sync().map_err(|e| Error::io("sync", self.path_of(name), e))?;
        let is_first = self.rename_new(&temporary, self, name)?;
        if is_first {
            draft.keep();
            self.sync()?;
        }
        Ok(is_first)
    }

    /// Replaces the content of a file, durably: after a crash the file has the old content or the new.
    pub(crate) fn replace(&self, name: &[u8], content: &[u8]) -> Result<(), Error> {
        let temporary = [b".", name, b".new"].concat();
        self.remove_file(&temporary)?;
        let draft = self.draft_of(&temporary, content, name)?;
        self.rename(&temporary, self, name)?;
        draft.keep();
        self.sync()
    }

    /// Writes the content for `name` to a temporary file, durably.
    fn draft_of<'d>(&'d self, temporary: &'d [u8], content: &[u8], name: &[u8]) -> Result<Draft<'d>, Error> {
        let mut draft = self.draft(temporary)?;
        draft.write_all(content).map_err(|e| Error::io("write", self.path_of(name), e))?;
        draft.file.sync().map_err(|e| Error::io("sync", self.path_of(name), e))?;
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_is_not_kept_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let mut draft = dir.draft(&b"dropped"[..]).unwrap();
        draft.write_all(b"content").unwrap();
        assert_eq!(dir.names().unwrap(), [b"dropped"]);
        drop(draft);
        assert_eq!(dir.names().unwrap(), Vec::<Vec<u8>>::new());
        let mut draft = dir.draft(&b"kept"[..]).unwrap();
        draft.write_all(b"content").unwrap();
        draft.keep();
        assert_eq!(dir.read(b"kept").unwrap().unwrap(), b"content");
    }

    #[test]
    fn what_is_replaced_or_stands_already_leaves_no_draft_behind() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        assert!(dir.put_new(b"name", b"first", b"temporary").unwrap());
        assert!(!dir.put_new(b"name", b"second", b"temporary").unwrap());
        assert_eq!(dir.read(b"name").unwrap().unwrap(), b"first");
        dir.replace(b"name", b"third").unwrap();
        assert_eq!(dir.read(b"name").unwrap().unwrap(), b"third");
        assert_eq!(dir.names().unwrap(), [b"name"]);
    }
}
