//! A held directory: a descriptor, and the path by which messages name it.
//!
//! Names in it are looked at and opened relative to the descriptor and through no symlink, so a directory that is replaced
//! by a symlink while Cutover works leads nowhere. A path of several names is opened without a symlink and without a mount
//! on the way. What changes names, modes and files stands in the files beside.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{DamageError, Error, SiteError};

use super::dangling::refuse_dangling;
use super::mount::mount;
use super::stat::{Kind, Stat};

/// What is read of a file of ours at most, in bytes: the longest manifest that the wire carries, and its placements. A
/// larger one is damage.
const OWN_FILE_BYTES_MAX: u64 = 5 << 28;

/// A held directory.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(super) fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens a directory by a path that the user gave; symlinks on the way are followed.
    pub(crate) fn open(path: &Path) -> Result<Dir, Error> {
        match fs::open(path, OPEN_DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: path.to_owned() }),
            Err(Errno::NOTDIR) => Err(Error::Site(SiteError::NotDirectory(path.display().to_string()))),
            Err(errno) => Err(Error::io("open the directory", path, errno)),
        }
    }

    /// Holds the same directory once more.
    pub(crate) fn again(&self) -> Result<Dir, Error> {
        let fd = self.fd.try_clone().map_err(|e| Error::io("hold", &self.path, e))?;
        Ok(Dir { fd, path: self.path.clone() })
    }

    /// Opens the same directory once more, with locks of its own.
    pub(crate) fn reopen(&self) -> Result<Dir, Error> {
        let fd =
            fs::openat(&self.fd, ".", OPEN_DIRECTORY, Mode::empty()).map_err(|e| Error::io("open", &self.path, e))?;
        Ok(Dir { fd, path: self.path.clone() })
    }

    /// Holds the directory above it, whatever path it was reached by; the root's is the root. `path` is for messages.
    pub(crate) fn above(&self, path: &Path) -> Result<Dir, Error> {
        // One above may be such that its names are not for this user to read.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, "..", flags, Mode::empty()).map_err(|e| Error::io("look at", path, e))?;
        Ok(Dir { fd, path: path.to_owned() })
    }

    /// Returns the path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a name in it, for messages.
    pub(crate) fn path_of(&self, name: &[u8]) -> PathBuf {
        self.path.join(os(name))
    }

    pub(super) fn error(&self, action: &'static str, name: &[u8], errno: Errno) -> Error {
        Error::io(action, self.path_of(name), errno)
    }

    /// Opens a directory in it, not through a symlink.
    pub(crate) fn open_dir(&self, name: &[u8]) -> Result<Dir, Error> {
        match fs::openat(&self.fd, os(name), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: self.path_of(name) }),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(match self.stat(name)?.map(|stat| stat.kind) {
                Some(Kind::Symlink) => Error::Site(SiteError::SymlinkInside(self.path_of(name).display().to_string())),
                _ => Error::Site(SiteError::NotDirectory(self.path_of(name).display().to_string())),
            }),
            Err(errno) => Err(self.error("open the directory", name, errno)),
        }
    }

    /// Opens a directory in it, not through a symlink and not where something is mounted.
    pub(crate) fn open_own_dir(&self, name: &[u8]) -> Result<Dir, Error> {
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        match fs::openat2(&self.fd, os(name), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            Ok(fd) => Ok(Dir { fd, path: self.path_of(name) }),
            Err(Errno::XDEV) => Err(self.mounted_inside(name)),
            // Linux before 5.6, or a filter of system calls.
            Err(Errno::NOSYS | Errno::PERM) => {
                let dir = self.open_dir(name)?;
                match (self.mount(), dir.mount()) {
                    (Some(own), Some(other)) if own == other => Ok(dir),
                    (Some(_), Some(_)) => Err(self.mounted_inside(name)),
                    _ => Err(Error::Site(SiteError::MountsUnknown(self.path_of(name).display().to_string()))),
                }
            }
            // It says more of what is wrong.
            Err(Errno::LOOP | Errno::NOTDIR) => self.open_dir(name),
            Err(errno) => Err(self.error("open the directory", name, errno)),
        }
    }

    pub(super) fn mounted_inside(&self, name: &[u8]) -> Error {
        Error::Site(SiteError::MountedInside(self.path_of(name).display().to_string()))
    }

    /// Opens a directory by a path of one or more names below it, with no symlink and no mount on the way.
    pub(crate) fn open_below(&self, path: &[u8]) -> Result<Dir, Error> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        if let Ok(fd) = fs::openat2(&self.fd, os(path), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            return Ok(Dir { fd, path: self.path_of(path) });
        }
        // One name at a time: this works on every kernel, and the error names the directory that is wrong.
        path.split(|&byte| byte == b'/').try_fold(self.again()?, |dir, name| match name {
            b"" | b"." | b".." => Err(Error::Bug(format!("`{}` is no path below a directory", os(path).display()))),
            name => dir.open_own_dir(name),
        })
    }

    /// Opens a directory by a path below it, through symlinks, to look at what is there.
    pub(crate) fn open_through(&self, path: &[u8]) -> Result<Dir, Error> {
        match fs::openat(&self.fd, os(path), OPEN_DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: self.path_of(path) }),
            Err(Errno::NOENT) => {
                refuse_dangling(&self.path_of(path))?;
                Err(Error::Site(SiteError::MissingBehindLink(self.path_of(path).display().to_string())))
            }
            Err(Errno::NOTDIR) => Err(Error::Site(SiteError::NotDirectory(self.path_of(path).display().to_string()))),
            Err(errno) => Err(self.error("open the directory", path, errno)),
        }
    }

    /// Returns what tells its mount from others; nothing where the system does not say.
    pub(crate) fn mount(&self) -> Option<u64> {
        mount(&self.fd)
    }

    /// Says what a name is; nothing where there is none.
    pub(crate) fn stat(&self, name: &[u8]) -> Result<Option<Stat>, Error> {
        match fs::statat(&self.fd, os(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("look at", name, errno)),
        }
    }

    /// Says what it is itself.
    pub(crate) fn own_stat(&self) -> Result<Stat, Error> {
        fs::fstat(&self.fd).map(Stat::from).map_err(|e| Error::io("look at", &self.path, e))
    }

    /// Tells whether it has extended attributes, as access control lists are.
    pub(crate) fn has_attributes(&self) -> Result<bool, Error> {
        match fs::flistxattr_query(&self.fd) {
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Ok(_) => Ok(true),
            Err(errno) => Err(Error::io("look at the attributes of", &self.path, errno)),
        }
    }

    /// Returns the names in it, sorted.
    pub(crate) fn names(&self) -> Result<Vec<Vec<u8>>, Error> {
        let failed = |errno: Errno| Error::io("list the directory", &self.path, errno);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the names in it, each with the inode that the directory has for it.
    pub(crate) fn names_and_inodes(&self) -> Result<Vec<(Vec<u8>, u64)>, Error> {
        let failed = |errno: Errno| Error::io("list the directory", &self.path, errno);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((name.to_vec(), entry.ino()));
            }
        }
        Ok(names)
    }

    /// Reads a file of ours; nothing where there is none.
    pub(crate) fn read(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_file(name)? else {
            return Ok(None);
        };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let mut content = Vec::with_capacity(size.min(OWN_FILE_BYTES_MAX) as usize + 1);
        file.take(OWN_FILE_BYTES_MAX + 1)
            .read_to_end(&mut content)
            .map_err(|e| Error::io("read", self.path_of(name), e))?;
        if content.len() as u64 > OWN_FILE_BYTES_MAX {
            let path = self.path_of(name).display().to_string();
            return Err(Error::Damage(DamageError::File { path, reason: "it is too large".into() }));
        }
        Ok(Some(content))
    }

    /// Opens a file for reading, not through a symlink; nothing where there is none.
    pub(crate) fn open_file(&self, name: &[u8]) -> Result<Option<File>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match fs::openat(&self.fd, os(name), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Returns the target of a symlink; nothing where there is none, or something else.
    pub(crate) fn read_link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match fs::readlinkat(&self.fd, os(name), Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(self.error("read the symlink", name, errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_the_one_above_it() {
        let root = Dir::open(Path::new("/")).unwrap();
        let proc = Dir::open(Path::new("/proc")).unwrap();
        assert_eq!(root.mount().unwrap(), Dir::open(Path::new("/")).unwrap().mount().unwrap());
        assert_ne!(root.mount().unwrap(), proc.mount().unwrap());
        assert!(matches!(root.open_own_dir(b"proc"), Err(Error::Site(SiteError::MountedInside(_)))));
    }
}
