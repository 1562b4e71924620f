//! Removes a tree: never through a symlink, never where something is mounted, of any depth.
//!
//! A removal stops at its first error, or goes on and notes what it had to leave: names that another user may not let go.
//! The second kind also counts the space that it frees. It looks at each name before it removes it, which the first kind
//! does not.

use std::io::ErrorKind;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::error::Error;

use super::call;
use super::dir::{Dir, os};
use super::stat::{Kind, Stat};
use super::usage::{OwnBlocks, Usage};

/// The most nested directories that a removal holds open. Deeper ones are moved to the top first: a tree of any depth
/// takes a bounded stack and a bounded number of descriptors.
const REMOVAL_DEPTH: usize = 64;

/// The names that a removal lists of those that it leaves.
const LEFT_LISTED_MAX: usize = 20;

/// The result of a removal that goes on after a refusal.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// The space on the disk that was freed. A file with further names frees none.
    pub(crate) freed: Usage,
    /// The first names that this user may not remove.
    pub(crate) left: Vec<LeftName>,
    /// The number of all of them.
    pub(crate) left_names: u64,
}

/// A name that could not be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftName {
    /// The path.
    pub(crate) path: PathBuf,
    /// Its owner.
    pub(crate) owner: u32,
}

impl Removal {
    fn free(&mut self, stat: &Stat, blocks: OwnBlocks) {
        if stat.links <= 1 || stat.kind == Kind::Directory {
            self.freed += Usage { bytes: blocks.bytes(stat), inodes: 1 };
        }
    }

    fn leave(&mut self, path: PathBuf, stat: &Stat) {
        self.left_names += 1;
        if self.left.len() < LEFT_LISTED_MAX {
            self.left.push(LeftName { path, owner: stat.uid });
        }
    }
}

impl Dir {
    /// Removes a name and all below it, but for what this user may not remove.
    pub(crate) fn remove_tree_in_part(&self, name: &[u8], blocks: OwnBlocks) -> Result<Removal, Error> {
        let mut removal = Removal::default();
        self.remove_in_part(name, (blocks, 0), &mut removal)?;
        Ok(removal)
    }

    /// Removes a name and all below it. Returns whether nothing of it is left.
    fn remove_in_part(&self, name: &[u8], how: (OwnBlocks, usize), removal: &mut Removal) -> Result<bool, Error> {
        let Some(stat) = self.stat(name)? else { return Ok(true) };
        let (blocks, depth) = how;
        let removed = match stat.kind {
            // What is so deep is removed without a look.
            Kind::Directory if depth == REMOVAL_DEPTH => self.remove_tree(name).map(|()| true),
            Kind::Directory => self.empty_in_part(name, (blocks, depth + 1), removal),
            _ => call::remove(&self.fd, os(name)).map(|()| true).map_err(|e| self.error("remove", name, e)),
        };
        match removed {
            Ok(true) => removal.free(&stat, blocks),
            Ok(false) => return Ok(false),
            Err(error) if is_of_kind(&error, ErrorKind::NotFound) => {}
            Err(error) if is_of_kind(&error, ErrorKind::PermissionDenied) => {
                removal.leave(self.path_of(name), &stat);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Empties a directory and removes it. Returns whether nothing of it is left.
    fn empty_in_part(&self, name: &[u8], how: (OwnBlocks, usize), removal: &mut Removal) -> Result<bool, Error> {
        let dir = self.open_to_change(name)?;
        let mut is_empty = true;
        for inside in dir.names()? {
            is_empty &= dir.remove_in_part(&inside, how, removal)?;
        }
        drop(dir);
        if is_empty {
            call::remove_dir(&self.fd, os(name)).map_err(|e| self.error("remove", name, e))?;
        }
        Ok(is_empty)
    }

    /// Removes a name and all below it: never through a symlink, never where something is mounted.
    pub(crate) fn remove_tree(&self, name: &[u8]) -> Result<(), Error> {
        if !self.is_directory_after_unlink(name)? {
            return Ok(());
        }
        let top = self.open_to_change(name)?;
        let mut moved_up = 0;
        loop {
            let before = moved_up;
            top.empty(&top, 0, &mut moved_up)?;
            if moved_up == before {
                break;
            }
        }
        drop(top);
        call::remove_dir(&self.fd, os(name)).map_err(|e| self.error("remove", name, e))
    }

    /// Removes a name, unless it is a directory. Says whether it is one.
    fn is_directory_after_unlink(&self, name: &[u8]) -> Result<bool, Error> {
        match call::remove(&self.fd, os(name)) {
            Ok(()) | Err(Errno::NOENT) => Ok(false),
            Err(Errno::ISDIR) => Ok(true),
            // POSIX's errno for a directory. The kernel also returns it for a file that nobody may change.
            Err(Errno::PERM) if self.stat(name)?.is_some_and(|stat| stat.kind == Kind::Directory) => Ok(true),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Removes all names in the directory. Directories too deep below `top` are moved there, and counted.
    fn empty(&self, top: &Dir, depth: usize, moved_up: &mut u64) -> Result<(), Error> {
        for name in self.names()? {
            if !self.is_directory_after_unlink(&name)? {
                continue;
            }
            // Moving a directory to another parent needs write permission on the directory itself.
            let child = self.open_to_change(&name)?;
            if depth < REMOVAL_DEPTH {
                child.empty(top, depth + 1, moved_up)?;
                drop(child);
                call::remove_dir(&self.fd, os(&name)).map_err(|e| self.error("remove", &name, e))?;
            } else {
                drop(child);
                while !self.rename_new(&name, top, format!("deep-{moved_up}").as_bytes())? {
                    *moved_up += 1;
                }
                *moved_up += 1;
            }
        }
        Ok(())
    }
}

fn is_of_kind(error: &Error, kind: ErrorKind) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_any_depth_is_removed() {
        const DEPTH: usize = 3_000;
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let mut dir = root.create_dir(b"deep", 0o755).unwrap();
        for level in 0..DEPTH {
            // A name that a removal gives to a directory that it moves up.
            let name = format!("deep-{}", level % 7);
            dir.create_file(b"file").unwrap();
            dir = dir.create_dir(name.as_bytes(), if level % 3 == 0 { 0o500 } else { 0o755 }).unwrap_or_else(|_| {
                dir.set_mode(0o755).unwrap();
                dir.create_dir(name.as_bytes(), 0o755).unwrap()
            });
        }
        drop(dir);
        root.remove_tree(b"deep").unwrap();
        assert_eq!(root.names().unwrap(), Vec::<Vec<u8>>::new());
    }
}
