//! Modes, groups and mtimes of held directories, of names in them, and of open files.
//!
//! A mode is set through a descriptor, so that it never hits another file. A value that is already right is not set
//! again: a check costs a tenth of a change.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{self, AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::error::{Error, SiteError};

use super::call;
use super::dir::{Dir, os};
use super::mount::mount;
use super::stat::{SETGID, Stat};

/// The permission bits, and those of the group and of others.
const PERMISSIONS: u32 = 0o777;
const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;

/// The owner's rights on a directory while Cutover changes names in it.
pub(crate) const OWNER_ALL: u32 = 0o700;

/// The rights that let others exchange the names in a directory.
const OTHERS_WRITE: u32 = 0o022;

impl Dir {
    /// Opens a directory in which names are about to change: its owner gets all rights, and others lose the right to
    /// exchange names. The mode of another user's directory cannot be changed; it is opened as it is.
    pub(crate) fn open_to_change(&self, name: &[u8]) -> Result<Dir, Error> {
        let dir = match self.open_own_dir(name) {
            // Applications may leave directories that their owner may not read.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                self.let_owner_in(name)?;
                self.open_own_dir(name)?
            }
            other => other?,
        };
        let mode = dir.own_stat()?.mode;
        if needs_mode_change(mode) {
            match call::set_mode(&dir.fd, (mode | OWNER_ALL) & !OTHERS_WRITE) {
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(self.error("set the mode of", name, errno)),
            }
        }
        Ok(dir)
    }

    /// Gives the owner all rights on a directory that cannot be opened. The directory is held by a descriptor that
    /// follows no link, and its mode is set through that descriptor. Without `/proc` the mode is set by name, if
    /// nobody else can exchange the name.
    fn let_owner_in(&self, name: &[u8]) -> Result<(), Error> {
        let failed = |errno: Errno| self.error("set the mode of", name, errno);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = fs::openat(&self.fd, os(name), flags, Mode::empty()).map_err(failed)?;
        match (self.mount(), mount(&held)) {
            (Some(own), Some(other)) if own == other => {}
            (Some(_), Some(_)) => return Err(self.mounted_inside(name)),
            _ => return Err(Error::Site(SiteError::MountsUnknown(self.path_of(name).display().to_string()))),
        }
        match call::set_mode_of(fs::CWD, fd_path(&held), OWNER_ALL) {
            Err(Errno::NOENT) => {
                let own = self.own_stat()?;
                if own.mode & OTHERS_WRITE != 0 || own.uid != rustix::process::geteuid().as_raw() {
                    return Err(Error::Site(SiteError::MountsUnknown(self.path_of(name).display().to_string())));
                }
                call::set_mode_of(&self.fd, os(name), OWNER_ALL).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    /// Sets the group and the setgid bit, if this user may do that.
    pub(crate) fn set_group_to_pass_on(&self, group: u32) {
        let changed = call::set_group(&self.fd, group);
        if let (Ok(()), Ok(stat)) = (changed, self.own_stat()) {
            call::set_mode(&self.fd, stat.mode | SETGID).ok();
        }
    }

    /// Takes the group of another directory, if this user may give it, and the rights from everybody who does not have them on
    /// the other one.
    pub(crate) fn hide_as(&self, other: &Stat) -> Result<(), Error> {
        call::set_group(&self.fd, other.gid).ok();
        let own = self.own_stat()?;
        let group = if own.gid == other.gid { other.mode & GROUP } else { (other.mode & OTHERS) << 3 };
        let mode = own.mode & !(GROUP | OTHERS) | own.mode & GROUP & group | own.mode & OTHERS & other.mode;
        self.set_mode(mode)
    }

    /// Gives the directory owner, group and mode of another one, as far as this user may. A group that it cannot give gets the
    /// rights of others.
    pub(crate) fn take_rights_of(&self, other: &Stat) -> Result<(), Error> {
        let own = self.own_stat()?;
        let has_group = own.gid == other.gid || call::set_group(&self.fd, other.gid).is_ok();
        let has_owner = own.uid == other.uid || call::set_owner(&self.fd, other.uid).is_ok();
        let mut mode = other.mode & PERMISSIONS | own.mode & SETGID;
        if !has_group {
            mode = mode & !GROUP | (mode & OTHERS) << 3;
        }
        // This user must be able to make names in it.
        if !has_owner {
            mode |= OWNER_ALL;
        }
        self.set_mode(mode)
    }

    /// Sets the directory's own group, if it differs.
    pub(crate) fn set_group(&self, group: u32) -> Result<(), Error> {
        if self.own_stat()?.gid == group {
            return Ok(());
        }
        call::set_group(&self.fd, group).map_err(|e| Error::io("set the group of", &self.path, e))
    }

    /// Sets the directory's own mode.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Error> {
        set_mode(&self.fd, mode).map_err(|e| Error::io("set the mode of", &self.path, e))
    }

    /// Sets the mode of a file, through a descriptor that follows no link.
    pub(crate) fn set_mode_of(&self, name: &[u8], mode: u32) -> Result<(), Error> {
        let failed = |errno: Errno| self.error("set the mode of", name, errno);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = fs::openat(&self.fd, os(name), flags, Mode::empty()).map_err(failed)?;
        call::set_mode_of(fs::CWD, fd_path(&held), mode).map_err(failed)
    }

    /// Sets the directory's own mtime if it differs.
    pub(crate) fn set_mtime(&self, second: u32) -> Result<(), Error> {
        let stat = self.own_stat()?;
        if stat.has_mtime(second) {
            return Ok(());
        }
        call::set_times(&self.fd, &times(second)).map_err(|e| Error::io("set the mtime of", &self.path, e))
    }

    /// Sets the mtime of a name, not of its target, through a descriptor that follows no link. A kernel that cannot
    /// do this through such a descriptor (before 5.8) sets it by name.
    pub(crate) fn set_mtime_of(&self, name: &[u8], second: u32) -> Result<(), Error> {
        let failed = |errno: Errno| self.error("set the mtime of", name, errno);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = fs::openat(&self.fd, os(name), flags, Mode::empty()).map_err(failed)?;
        match call::set_times_of(&held, "", &times(second), AtFlags::EMPTY_PATH) {
            Err(Errno::INVAL) => call::set_times_of(&self.fd, os(name), &times(second), AtFlags::SYMLINK_NOFOLLOW),
            other => other,
        }
        .map_err(failed)
    }
}

/// Returns whether [`Dir::open_to_change`] changes the mode of a directory with this mode.
pub(crate) fn needs_mode_change(mode: u32) -> bool {
    mode & OWNER_ALL != OWNER_ALL || mode & OTHERS_WRITE != 0
}

/// Returns the kernel's path to an open file, whatever its name is now.
fn fd_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Sets the group of an open file if it differs.
pub(crate) fn set_group(file: &File, group: u32) -> Result<(), Errno> {
    if fs::fstat(file)?.st_gid == group {
        return Ok(());
    }
    call::set_group(file, group)
}

/// Sets a mode if it differs: a check costs a tenth of a change, which goes through the filesystem's journal.
pub(crate) fn set_mode(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    if fs::fstat(&file)?.st_mode & 0o7777 == mode {
        return Ok(());
    }
    call::set_mode(&file, mode)
}

/// Sets the final mode and mtime of an open file.
pub(crate) fn set_mode_and_mtime(file: &File, mode: u32, second: u32) -> Result<(), Errno> {
    set_mode(file, mode)?;
    call::set_times(file, &times(second))
}

/// Sets the mode and the exact mtime of an open file.
pub(crate) fn set_mode_and_times(file: &File, mode: u32, mtime: i64, nanos: u32) -> Result<(), Errno> {
    let at = Timespec { tv_sec: mtime, tv_nsec: i64::from(nanos) };
    call::set_times(file, &Timestamps { last_access: at, last_modification: at })?;
    set_mode(file, mode)
}

fn times(second: u32) -> Timestamps {
    let at = Timespec { tv_sec: i64::from(second), tv_nsec: 0 };
    Timestamps { last_access: at, last_modification: at }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_directory_that_is_changed_is_its_owners_alone() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        for (mode, expected) in [(0o777, 0o755), (0o775, 0o755), (0o755, 0o755), (0o1777, 0o1755), (0o000, 0o700)] {
            std::fs::create_dir(place.path().join("directory")).unwrap();
            std::fs::set_permissions(place.path().join("directory"), PermissionsExt::from_mode(mode)).unwrap();
            root.open_to_change(b"directory").unwrap();
            // Root may open a directory of any mode; the owner's rights are added all the same.
            assert_eq!(mode_of(&place.path().join("directory")) & !0o1000, expected & !0o1000, "{mode:o}");
            root.remove_tree(b"directory").unwrap();
        }
    }

    #[test]
    fn nothing_is_opened_or_changed_through_a_symlink() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("outside/below")).unwrap();
        std::fs::set_permissions(place.path().join("outside"), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::create_dir(place.path().join("inside")).unwrap();
        let inside = Dir::open(&place.path().join("inside")).unwrap();
        symlink("../outside", place.path().join("inside/link")).unwrap();
        inside.create_dir(b"real", 0o755).unwrap().create_dir(b"below", 0o755).unwrap();
        assert!(inside.open_below(b"real/below").is_ok());
        for path in [&b"link"[..], b"link/below", b"real/../link/below", b"../outside"] {
            assert!(inside.open_below(path).is_err(), "{path:?}");
        }
        assert!(inside.open_to_change(b"link").is_err());
        assert!(inside.let_owner_in(b"link").is_err());
        inside.set_mtime_of(b"link", 7).unwrap();
        assert!(inside.stat(b"link").unwrap().unwrap().has_mtime(7));
        let outside = Dir::open(&place.path().join("outside")).unwrap();
        assert!(!outside.own_stat().unwrap().has_mtime(7));
        inside.remove_tree(b"link").unwrap();
        assert_eq!(
            (mode_of(&place.path().join("outside")), outside.names().unwrap()),
            (0o777, vec![b"below".to_vec()])
        );
    }
}
