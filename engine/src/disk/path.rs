//! Paths from the user, and the state files of this machine: the only files that are reached by a whole path, through
//! symlinks.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;

use crate::error::Error;

use super::call;
use super::dangling::refuse_dangling;
use super::dir::Dir;

/// Creates the directories of a path from the user, durably, with mode 0755, whatever the umask.
pub(crate) fn create_path(path: &Path) -> Result<Dir, Error> {
    match Dir::open(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => refuse_dangling(path)?,
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Dir::open(path);
    };
    let parent = create_path(parent)?;
    let dir = parent.create_dir(name.as_bytes(), 0o755)?;
    parent.sync()?;
    Ok(dir)
}

/// Creates a state directory for this user alone, and missing directories above it.
pub(crate) fn create_private_path(path: &Path) -> Result<(), Error> {
    make_private(path).map_err(|e| Error::io("create the directory", path, e))
}

fn make_private(path: &Path) -> Result<(), Errno> {
    let make = || call::make_dir(CWD, path, 0o700).or_else(|errno| unless_there(path, errno));
    match (make(), path.parent()) {
        (Err(Errno::NOENT), Some(parent)) => {
            make_private(parent)?;
            make()
        }
        // The parent of a relative path of one name is the working directory.
        (Err(Errno::NOENT), None) => Ok(()),
        (made, _) => made,
    }
}

/// Ignores the error if the directory exists: it existed before, or another process created it at the same moment.
fn unless_there(path: &Path, errno: Errno) -> Result<(), Errno> {
    if path.is_dir() { Ok(()) } else { Err(errno) }
}

/// Renames a state file of this machine, if it exists.
pub(crate) fn rename_path(path: &Path, to: &Path) -> Result<(), Error> {
    match call::rename(CWD, path, CWD, to) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("rename", path, errno)),
    }
}

/// Removes a state file of this machine, if it exists.
pub(crate) fn remove_path(path: &Path) -> Result<(), Error> {
    match call::remove(CWD, path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("remove", path, errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_path_is_made_for_this_user_alone_and_what_stands_stays_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        std::fs::create_dir(place.path().join("stands")).unwrap();
        std::fs::set_permissions(place.path().join("stands"), PermissionsExt::from_mode(0o755)).unwrap();
        let path = place.path().join("stands/above/below");
        create_private_path(&path).unwrap();
        create_private_path(&path).unwrap();
        create_private_path(Path::new("")).unwrap();
        let modes = [&path, path.parent().unwrap(), &place.path().join("stands")].map(mode);
        assert_eq!(modes, [0o700, 0o700, 0o755]);
        std::fs::write(place.path().join("file"), "").unwrap();
        assert!(create_private_path(&place.path().join("file")).is_err());
        assert!(create_private_path(&place.path().join("file/below")).is_err());
    }
}
