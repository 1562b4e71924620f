//! Names in a held directory: creates, links, renames and removes them.
//!
//! A name that was created, linked or renamed is durable once its directory was synced ([`Dir::sync`]).

use std::io;

use rustix::io::Errno;

use crate::error::Error;

use super::call;
use super::dir::{Dir, os};
use super::stat::SETGID;

impl Dir {
    /// Creates a directory with exactly this mode, whatever the umask, and opens it. If this directory passes its
    /// group on (setgid), the new one gets that group and passes it on too.
    pub(crate) fn create_dir(&self, name: &[u8], mode: u32) -> Result<Dir, Error> {
        // Created with its final mode, so that a crash before the next line can only leave it too strict by the
        // umask.
        call::make_dir(&self.fd, os(name), mode).map_err(|e| self.error("create the directory", name, e))?;
        let dir = self.open_dir(name)?;
        let made = dir.own_stat()?.mode;
        if made & !SETGID != mode {
            dir.set_mode(mode | made & SETGID)?;
        }
        Ok(dir)
    }

    /// Opens a directory, and creates it with exactly this mode if it does not exist. Returns whether it was created.
    pub(crate) fn ensure_dir(&self, name: &[u8], mode: u32) -> Result<(Dir, bool), Error> {
        if self.stat(name)?.is_some() {
            return Ok((self.open_dir(name)?, false));
        }
        match self.create_dir(name, mode) {
            Ok(dir) => Ok((dir, true)),
            // Another process created it at the same moment.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                Ok((self.open_dir(name)?, false))
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a symlink.
    pub(crate) fn symlink(&self, target: &[u8], name: &[u8]) -> Result<(), Error> {
        call::make_symlink(os(target), &self.fd, os(name)).map_err(|e| self.error("create the symlink", name, e))
    }

    /// Links a file of this directory to a path below another one. Returns the errno, because callers can go on after
    /// a refused link.
    pub(crate) fn link(&self, name: &[u8], to: &Dir, path: &[u8]) -> Result<(), Errno> {
        call::link(&self.fd, os(name), &to.fd, os(path))
    }

    /// Renames a name into another directory, and replaces an existing target.
    pub(crate) fn rename(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> Result<(), Error> {
        call::rename(&self.fd, os(name), &to.fd, os(new_name)).map_err(|e| to.error("rename to", new_name, e))
    }

    /// Renames a name into another directory. Returns false if the target exists.
    pub(crate) fn rename_new(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> Result<bool, Error> {
        match call::rename_new(&self.fd, os(name), &to.fd, os(new_name)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // Some network and FUSE filesystems know no flags. Under the lock nobody else creates names here.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if to.stat(new_name)?.is_some() {
                    return Ok(false);
                }
                self.rename(name, to, new_name).map(|()| true)
            }
            Err(errno) => Err(to.error("rename to", new_name, errno)),
        }
    }

    /// Exchanges a name with one of another directory in one step: whoever resolves a path through either finds the old
    /// or the new, and never nothing. Returns false if the filesystem cannot do that.
    pub(crate) fn exchange(&self, name: &[u8], to: &Dir, other: &[u8]) -> Result<bool, Error> {
        match call::exchange(&self.fd, os(name), &to.fd, os(other)) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(self.error("exchange", name, errno)),
        }
    }

    /// Removes a file or symlink. Returns whether it existed.
    pub(crate) fn remove_file(&self, name: &[u8]) -> Result<bool, Error> {
        match call::remove(&self.fd, os(name)) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Removes a directory if it exists and is empty.
    pub(crate) fn remove_empty_dir(&self, name: &[u8]) -> Result<(), Error> {
        match call::remove_dir(&self.fd, os(name)) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Makes the directory's names durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        call::sync(&self.fd).map_err(|e| Error::io("sync the directory", &self.path, e))
    }
}
