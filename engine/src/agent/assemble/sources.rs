//! The sources of objects: the store, and this run's staging. Links and copies objects into the tree.
//!
//! If an inode has no links left, a further copy of the object is made in staging.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Mutex;

use rustix::io::Errno;

use crate::disk::{Dir, NewFile};
use crate::error::{DamageError, Error};
use crate::file_range::FileRange;
use crate::manifest::ObjectKey;

use crate::agent::store::{ObjectName, Store};

/// The place of an object.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// In the store.
    Store,
    /// In staging.
    Staged,
}

/// A copy of an object.
#[derive(Clone, Copy)]
pub(super) struct Object {
    /// Its name.
    pub(super) name: ObjectName,
    /// Its mtime.
    pub(super) second: u32,
    /// Its place.
    pub(super) origin: Origin,
    /// Its inode; 0 if it is not known.
    pub(super) inode: u64,
}

/// A name in a directory of the tree.
pub(super) struct Destination<'a> {
    /// The directory.
    pub(super) dir: &'a Dir,
    /// The name in it.
    pub(super) name: &'a [u8],
}

/// The result of copying an object's content.
pub(super) enum CopyOutcome {
    /// The copy has the right hash.
    Right(NewFile),
    /// It has not, and was removed.
    Wrong,
}

/// The store and staging, and the further copies that were made.
pub(crate) struct Sources<'a> {
    store: &'a Store,
    staged: &'a Store,
    /// The further copies that this run made.
    further: Mutex<Vec<ObjectName>>,
    /// By object and second, the further copy that has links left.
    with_links_left: Mutex<HashMap<(ObjectKey, u32), u16>>,
}

impl<'a> Sources<'a> {
    /// Begins with no further copies.
    pub(super) fn new(store: &'a Store, staged: &'a Store) -> Sources<'a> {
        Sources { store, staged, further: Mutex::default(), with_links_left: Mutex::default() }
    }

    /// Links an object, or a further copy if it has no links left. Returns what was linked. The inner error is a
    /// refused link, which is no failure for the caller.
    pub(super) fn link(&self, object: Object, to: &Destination<'_>) -> Result<Result<Object, Errno>, Error> {
        match self.try_to_link(object, to) {
            Ok(()) => Ok(Ok(object)),
            Err(Errno::MLINK) => self.link_further(object, to).map(Ok),
            Err(errno) => Ok(Err(errno)),
        }
    }

    /// Makes a file that shares the blocks of an object. Returns false if this user may not read the object.
    pub(super) fn share(&self, object: Object, to: &Destination<'_>) -> Result<bool, Error> {
        let from = match self.open(object.name, object.origin) {
            Ok(from) => from,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            Err(error) => return Err(error),
        };
        let file = to.dir.create_file(to.name)?;
        let failed = |verb: &'static str, e: io::Error| Error::io(verb, to.dir.path_of(to.name), e);
        file.share(&from).map_err(|e| failed("share the blocks of an object with", e))?;
        file.finish(u32::from(object.name.key.mode), object.second).map_err(|e| failed("set the mode of", e))?;
        Ok(true)
    }

    fn try_to_link(&self, object: Object, to: &Destination<'_>) -> Result<(), Errno> {
        let source = match object.origin {
            Origin::Store => self.store,
            Origin::Staged => self.staged,
        };
        source.link(object.name, to.dir, to.name)
    }

    /// Links a further copy of an object that has no links left.
    fn link_further(&self, object: Object, to: &Destination<'_>) -> Result<Object, Error> {
        let further =
            |copy| Object { name: ObjectName { copy, ..object.name }, origin: Origin::Staged, inode: 0, ..object };
        let mut with_links_left = self.with_links_left.lock().expect("no assembler panics");
        if let Some(&copy) = with_links_left.get(&(object.name.key, object.second))
            && self.try_to_link(further(copy), to).is_ok()
        {
            return Ok(further(copy));
        }
        let copy = self.make_further(object.name, object.second, object.origin)?;
        with_links_left.insert((object.name.key, object.second), copy);
        self.try_to_link(further(copy), to).map_err(|e| Error::io("link", to.dir.path_of(to.name), e))?;
        Ok(further(copy))
    }

    /// Makes a further copy of an object in staging, with its own mtime, and verifies it. Returns its number.
    pub(crate) fn make_further(&self, name: ObjectName, second: u32, origin: Origin) -> Result<u16, Error> {
        let mut further = self.further.lock().expect("no assembler panics");
        let mut copy = name.copy.max(1);
        while self.store.stat(ObjectName { copy, ..name })?.is_some() || further.contains(&ObjectName { copy, ..name })
        {
            copy = copy.checked_add(1).ok_or_else(|| Error::Bug("an object with 65535 copies".into()))?;
        }
        let made = ObjectName { copy, ..name };
        if !self.stage_copy(&self.open(name, origin)?, made, second)? {
            let path = self.staged.path_of(made).display().to_string();
            return Err(Error::Damage(DamageError::File {
                path,
                reason: "the copy does not have the hash of its object".into(),
            }));
        }
        further.push(made);
        Ok(copy)
    }

    /// Makes an object in staging from the content of a file. Returns false, and leaves nothing, if the file has
    /// another hash or cannot be read, as on a bad sector.
    pub(crate) fn stage_copy(&self, from: &File, name: ObjectName, second: u32) -> Result<bool, Error> {
        let staged = self.staged;
        let mode = u32::from(name.key.mode);
        let failed = |e: io::Error| Error::io("copy", staged.path_of(name), e);
        let file = staged.create(name, mode)?;
        let is_right = match file.fill_from(from).and_then(|()| file.whole().hash()) {
            Ok((hash, _)) => hash == name.key.hash,
            // One call copies the content, so its error does not tell whether reading or writing failed.
            Err(_) if FileRange::whole(from).hash().is_err() => false,
            Err(error) => return Err(failed(error)),
        };
        if !is_right {
            staged.remove(name)?;
            return Ok(false);
        }
        file.finish(mode, second).map_err(failed)?;
        Ok(true)
    }

    fn open(&self, name: ObjectName, origin: Origin) -> Result<File, Error> {
        let file = match origin {
            Origin::Store => self.store.open(name)?,
            Origin::Staged => self.staged.open(name)?,
        };
        let vanished = || {
            let path = self.store.path_of(name).display().to_string();
            Error::Damage(DamageError::File { path, reason: "the object disappeared during the deploy".into() })
        };
        file.ok_or_else(vanished)
    }

    /// Copies an object's content into the tree, and verifies it.
    pub(super) fn copy(&self, object: Object, to: &Destination<'_>) -> Result<CopyOutcome, Error> {
        let file = to.dir.create_file(to.name)?;
        let failed = |verb: &'static str, e: io::Error| Error::io(verb, to.dir.path_of(to.name), e);
        file.fill_from(&self.open(object.name, object.origin)?).map_err(|e| failed("copy", e))?;
        if file.whole().hash().map_err(|e| failed("read", e))?.0 == object.name.key.hash {
            return Ok(CopyOutcome::Right(file));
        }
        to.dir.remove_file(to.name)?;
        match object.origin {
            Origin::Store => Ok(CopyOutcome::Wrong),
            Origin::Staged => Err(Error::Damage(DamageError::File {
                path: self.staged.path_of(object.name).display().to_string(),
                reason: "its content changed during the deploy".into(),
            })),
        }
    }

    /// Returns the further copies that were made.
    pub(super) fn into_further(self) -> Vec<ObjectName> {
        self.further.into_inner().expect("no assembler panics")
    }
}

/// Returns the name of the error for which a refused link becomes a copy.
pub(super) fn refusal(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::XDEV => Some("EXDEV"),
        Errno::PERM => Some("EPERM"),
        Errno::ACCESS => Some("EACCES"),
        Errno::OPNOTSUPP => Some("EOPNOTSUPP"),
        Errno::NOSYS => Some("ENOSYS"),
        _ => None,
    }
}
