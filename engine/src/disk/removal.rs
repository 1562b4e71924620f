//! Removes a tree: never through a symlink, never where something is mounted, of any depth.

use rustix::io::Errno;

use crate::error::Error;

use super::call;
use super::dir::{Dir, os};
use super::stat::Kind;

/// The most nested directories that a removal holds open. Deeper ones are moved to the top first: a tree of any depth
/// takes a bounded stack and a bounded number of descriptors.
const REMOVAL_DEPTH: usize = 64;

impl Dir {
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
