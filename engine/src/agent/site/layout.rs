//! The deploy path: its parts, and whether it is ours.
//!
//! ```text
//! <deploy path>/
//! ├── current -> releases/<id>    see `current`
//! ├── releases/<id>/              hardlinks into the store
//! ├── shared/                     files that outlive releases
//! └── .cutover/                   0700
//!     ├── objects/ab/cdef…-444    see `store`
//!     ├── releases/<id>/          see `records`
//!     ├── staging/                see `staging`
//!     ├── trash/                  see `trash`
//!     ├── removed/<id>/           see `removed`
//!     ├── bin/                    the agent
//!     ├── store                   see `store_file`
//!     ├── reserve                 see `reserve`
//!     ├── lock                    see `lock`
//!     ├── fence                   see `fence`
//!     └── log                     see `log`
//! ```
//!
//! Everything inside is opened relative to a held directory, and never through a symlink. The user decides which path
//! leads to the deploy path, but not what is inside. The file `.cutover/store` marks a deploy path as ours. The first
//! verb that misses a directory makes it, because backups into git or object storage keep no empty ones.
//!
//! Everything but `shared/` is on one filesystem and one mount, because files are linked and renamed between the
//! parts. If the deploy path has the setgid bit, everything in it gets its group, as with `cp`, `tar` and `git`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::disk::{self, Dir, OwnBlocks};
use crate::error::Error;
use crate::link::Link;
use crate::target::Policy;

use super::current::{CurrentLink, choose_current, open_current};
use super::lock::Lock;
use super::parts::{
    PRIVATE, PRIVATE_MODE, PUBLIC_MODE, RELEASES, SHARED, check_empty, check_owner, holds_releases, open_part,
};
use super::store_file::{StoreFile, store_damaged};

/// A deploy path that is ours, with its parts held open.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The deploy path itself.
    pub(crate) root: Dir,
    /// `releases/`.
    pub(crate) releases: Dir,
    /// `shared/`.
    pub(crate) shared: Dir,
    /// `.cutover/`.
    pub(crate) private: Dir,
    /// `.cutover/objects/`.
    pub(crate) objects: Dir,
    /// `.cutover/releases/`.
    pub(crate) records: Dir,
    /// `.cutover/staging/`.
    pub(crate) staging: Dir,
    /// `.cutover/trash/`.
    pub(crate) trash: Dir,
    /// The link to the live release.
    pub(crate) current: CurrentLink,
    /// The identity and epoch of the store. They are current only under the lock.
    pub(crate) store: StoreFile,
}

impl Layout {
    /// Opens a deploy path. Returns nothing if nothing was deployed to it yet.
    pub(crate) fn open(path: &Path, policy: &Policy) -> Result<Option<Layout>, Error> {
        let root = match Dir::open(path) {
            Ok(root) => root,
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return disk::refuse_dangling(path).map(|()| None);
            }
            Err(error) => return Err(error),
        };
        check_owner(&root)?;
        match StoreFile::read(&root)? {
            Some(store) => Layout::hold(root, store, policy).map(Some),
            None if holds_releases(&root)? => Err(store_damaged(&root, "it is missing")),
            None => check_empty(&root).map(|()| None),
        }
    }

    /// Opens a deploy path that is ours, to examine it: also if others may write to it.
    pub(crate) fn open_to_examine(path: &Path, policy: &Policy) -> Result<Layout, Error> {
        let root = Dir::open(path)?;
        let store = StoreFile::read_own(&root)?;
        Layout::hold(root, store, policy)
    }

    /// Opens all parts of a deploy path with this store file.
    pub(super) fn hold(root: Dir, store: StoreFile, policy: &Policy) -> Result<Layout, Error> {
        let private = open_part(&root, PRIVATE, PRIVATE_MODE)?;
        let current = open_current(&root, choose(&root, &store, policy)?.as_deref())?;
        Ok(Layout {
            releases: open_part(&root, RELEASES, PUBLIC_MODE)?,
            // It may be a mount of its own, because releases link to it only by symlinks.
            shared: root.ensure_dir(SHARED, PUBLIC_MODE)?.0,
            objects: open_part(&private, b"objects", PRIVATE_MODE)?,
            records: open_part(&private, b"releases", PRIVATE_MODE)?,
            staging: open_part(&private, b"staging", PRIVATE_MODE)?,
            trash: open_part(&private, b"trash", PRIVATE_MODE)?,
            current,
            private,
            root,
            store,
        })
    }

    /// Reads the store file again, because another run may have changed it before this run got the lock. Writes the
    /// path of the link if it is new. Call it as soon as the lock is held.
    pub(crate) fn refresh(&mut self, _lock: &Lock, policy: &Policy) -> Result<(), Error> {
        self.store = StoreFile::read_own(&self.root)?;
        let current_path = choose(&self.root, &self.store, policy)?;
        self.current = open_current(&self.root, current_path.as_deref())?;
        if self.store.current_path != current_path {
            self.store.current_path = current_path;
            self.store.write(&self.private)?;
        }
        Ok(())
    }

    /// Writes the path of the link into the store file: for a site that is being adopted, or given back. While the site is
    /// a directory, no link is at that path.
    pub(crate) fn put_current(&mut self, _lock: &Lock, current_path: Option<PathBuf>) -> Result<(), Error> {
        if self.store.current_path != current_path {
            self.store.current_path = current_path;
            self.store.write(&self.private)?;
        }
        self.current = open_current(&self.root, self.store.current_path.as_deref())?;
        Ok(())
    }

    /// Tells whether [`Layout::refresh`] would write another path of the link.
    pub(crate) fn moves_current(&self, policy: &Policy) -> Result<bool, Error> {
        Ok(choose(&self.root, &self.store, policy)? != self.store.current_path)
    }

    /// Increments the epoch durably. Call it before an object is removed.
    pub(crate) fn grow_epoch(&mut self, _lock: &Lock) -> Result<(), Error> {
        self.store = StoreFile::read_own(&self.root)?;
        self.store.epoch += 1;
        self.store.write(&self.private)
    }

    /// Keeps the second of a release durably. Call it before the last record with that second is removed.
    pub(crate) fn keep_second(&mut self, _lock: &Lock, second: u32) -> Result<(), Error> {
        self.store = StoreFile::read_own(&self.root)?;
        self.store.second = self.store.second.max(second);
        self.store.write(&self.private)
    }

    /// Returns the directories in `releases/`, by name.
    pub(crate) fn release_names(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.releases.names()
    }

    /// Tells whether the filesystem keeps only whole seconds, as ext4 does with inodes of 128 bytes.
    pub(crate) fn keeps_whole_seconds(&self) -> Result<bool, Error> {
        self.staging.keeps_whole_seconds()
    }

    /// Returns the files of a release whose blocks are their own, by its links.
    pub(crate) fn own_blocks(&self, link: Link) -> Result<OwnBlocks, Error> {
        self.root.free().map(|free| OwnBlocks::of(link, free.costs))
    }

    /// Tells whether there is no content at all, neither of releases nor of an interrupted deploy.
    pub(crate) fn stores_nothing(&self) -> Result<bool, Error> {
        Ok(self.objects.names()?.is_empty() && self.staging.names()?.is_empty())
    }
}

fn choose(root: &Dir, store: &StoreFile, policy: &Policy) -> Result<Option<PathBuf>, Error> {
    choose_current(root, store.current_path.as_deref(), policy.current_path.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::agent::reporter::Silent;

    fn open(path: &Path, policy: &Policy) -> Layout {
        Layout::open(path, policy).unwrap().unwrap()
    }

    #[test]
    fn what_another_run_wrote_before_the_lock_was_taken_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/target");
        let plain = Policy::default();
        let (mut one, _) = Layout::set_up(&path, &plain, &Silent).unwrap();
        let moved = Policy { current_path: Some(place.path().join("www")), ..Policy::default() };
        let mut other = open(&path, &moved);
        let lock = Lock::for_test(&one.private);
        one.grow_epoch(&lock).unwrap();
        assert!(other.moves_current(&moved).unwrap());
        other.refresh(&lock, &moved).unwrap();
        assert_eq!((other.store.epoch, &other.store.current_path), (1, &moved.current_path));
        one.grow_epoch(&lock).unwrap();
        let now = open(&path, &plain);
        assert_eq!((now.store.epoch, &now.store.current_path), (2, &moved.current_path));
        assert_eq!(now.current.path(), place.path().join("www"));
    }
}
