//! The rights of this user on names, as the kernel decides them: modes, groups, access lists, read-only mounts.

use rustix::fs::{self, Access, AtFlags};
use rustix::io::Errno;

use crate::error::Error;

use super::dir::{Dir, os};

impl Dir {
    /// Returns whether this user may add, rename and remove names in the directory.
    pub(crate) fn is_writable(&self) -> Result<bool, Error> {
        self.allows(b".", Access::WRITE_OK | Access::EXEC_OK)
    }

    /// Returns whether this user may read a file.
    pub(crate) fn is_readable(&self, name: &[u8]) -> Result<bool, Error> {
        self.allows(name, Access::READ_OK)
    }

    /// Returns whether this user may move a directory to another parent, which changes its `..`.
    pub(crate) fn may_move(&self, name: &[u8]) -> Result<bool, Error> {
        self.allows(name, Access::WRITE_OK)
    }

    fn allows(&self, name: &[u8], access: Access) -> Result<bool, Error> {
        match fs::accessat(&self.fd, os(name), access, AtFlags::EACCESS) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(false),
            Err(errno) => Err(self.error("look at", name, errno)),
        }
    }
}
