//! A held directory: a descriptor, and a path for messages.
//!
//! Names in the directory are read and opened relative to the descriptor, through no symlink, so a directory that is
//! replaced by a symlink while Cutover works leads nowhere. A path of several names is opened through no symlink and
//! no mount. The files beside this one change names, modes and files.

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

/// The most bytes that are read of a file of Cutover: the longest manifest that the wire carries, and its placements.
/// A longer file is damaged.
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
    /// Opens a directory by a path from the user, through symlinks.
    pub(crate) fn open(path: &Path) -> Result<Dir, Error> {
        match fs::open(path, OPEN_DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: path.to_owned() }),
            Err(Errno::NOTDIR) => Err(Error::Site(SiteError::NotDirectory(path.display().to_string()))),
            Err(errno) => Err(Error::io("open the directory", path, errno)),
        }
    }

    /// Duplicates the descriptor.
    pub(crate) fn duplicate(&self) -> Result<Dir, Error> {
        let fd = self.fd.try_clone().map_err(|e| Error::io("hold", &self.path, e))?;
        Ok(Dir { fd, path: self.path.clone() })
    }

    /// Opens the directory again, with locks of its own.
    pub(crate) fn reopen(&self) -> Result<Dir, Error> {
        let fd =
            fs::openat(&self.fd, ".", OPEN_DIRECTORY, Mode::empty()).map_err(|e| Error::io("open", &self.path, e))?;
        Ok(Dir { fd, path: self.path.clone() })
    }

    /// Opens the parent directory, by whatever path this one was reached. The parent of the root is the root. `path`
    /// is for messages.
    pub(crate) fn above(&self, path: &Path) -> Result<Dir, Error> {
        // This user may be unable to list the parent.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, "..", flags, Mode::empty()).map_err(|e| Error::io("look at", path, e))?;
        Ok(Dir { fd, path: path.to_owned() })
    }

    /// Returns the path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a name in the directory, for messages.
    pub(crate) fn path_of(&self, name: &[u8]) -> PathBuf {
        self.path.join(os(name))
    }

    pub(super) fn error(&self, action: &'static str, name: &[u8], errno: Errno) -> Error {
        Error::io(action, self.path_of(name), errno)
    }

    /// Opens a directory in it, through no symlink.
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

    /// Opens a directory in it, through no symlink, and refuses a mount point.
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
            // The error of this call is more exact.
            Err(Errno::LOOP | Errno::NOTDIR) => self.open_dir(name),
            Err(errno) => Err(self.error("open the directory", name, errno)),
        }
    }

    pub(super) fn mounted_inside(&self, name: &[u8]) -> Error {
        Error::Site(SiteError::MountedInside(self.path_of(name).display().to_string()))
    }

    /// Opens a directory by a path of one or more names below this one, through no symlink and no mount.
    pub(crate) fn open_below(&self, path: &[u8]) -> Result<Dir, Error> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        if let Ok(fd) = fs::openat2(&self.fd, os(path), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            return Ok(Dir { fd, path: self.path_of(path) });
        }
        // One name at a time: this works on every kernel, and the error names the directory that is wrong.
        path.split(|&byte| byte == b'/').try_fold(self.duplicate()?, |dir, name| match name {
            b"" | b"." | b".." => Err(Error::Bug(format!("`{}` is no path below a directory", os(path).display()))),
            name => dir.open_own_dir(name),
        })
    }

    /// Opens the directory that holds a path below this one, through no symlink and no mount, and returns the last name.
    pub(crate) fn open_above<'p>(&self, path: &'p [u8]) -> Result<(Dir, &'p [u8]), Error> {
        match path.iter().rposition(|&byte| byte == b'/') {
            None => Ok((self.duplicate()?, path)),
            Some(at) => Ok((self.open_below(&path[..at])?, &path[at + 1..])),
        }
    }

    /// Opens a directory by a path below this one, through symlinks, for reading only.
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

    /// Tells whether the kernel has `openat2`, and lets this program call it.
    pub(crate) fn knows_openat2(&self) -> bool {
        fs::openat2(&self.fd, ".", OPEN_DIRECTORY, Mode::empty(), ResolveFlags::NO_XDEV).is_ok()
    }

    /// Returns the id of the directory's mount, if the system knows it.
    pub(crate) fn mount(&self) -> Option<u64> {
        mount(&self.fd)
    }

    /// Returns the stat of a name, if it exists.
    pub(crate) fn stat(&self, name: &[u8]) -> Result<Option<Stat>, Error> {
        match fs::statat(&self.fd, os(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("look at", name, errno)),
        }
    }

    /// Returns the directory's own stat.
    pub(crate) fn own_stat(&self) -> Result<Stat, Error> {
        fs::fstat(&self.fd).map(Stat::from).map_err(|e| Error::io("look at", &self.path, e))
    }

    /// Returns whether the directory has extended attributes, for example access control lists.
    pub(crate) fn has_attributes(&self) -> Result<bool, Error> {
        match fs::flistxattr_query(&self.fd) {
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Ok(_) => Ok(true),
            Err(errno) => Err(Error::io("look at the attributes of", &self.path, errno)),
        }
    }

    /// Returns the names in the directory, sorted.
    pub(crate) fn names(&self) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.names_at_most(usize::MAX)?.0)
    }

    /// Returns names in the directory, sorted, and whether these are all: of a directory with more than `most` names, the
    /// first ones that the filesystem has.
    pub(crate) fn names_at_most(&self, most: usize) -> Result<(Vec<Vec<u8>>, bool), Error> {
        let failed = |errno: Errno| Error::io("list the directory", &self.path, errno);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                names.sort_unstable();
                return Ok((names, false));
            }
            names.push(name);
        }
        names.sort_unstable();
        Ok((names, true))
    }

    /// Returns the names in the directory, with their inodes.
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

    /// Reads a file of Cutover, if it exists.
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

    /// Opens a file for reading, through no symlink, if it exists.
    pub(crate) fn open_file(&self, name: &[u8]) -> Result<Option<File>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match fs::openat(&self.fd, os(name), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Returns the target of a symlink, or nothing if the name is missing or something else.
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
