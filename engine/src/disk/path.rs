//! Paths that the user gave, and the files of this machine's state: the only ones that are reached by a whole path, through
//! the symlinks on the way.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Error;

use super::dangling::refuse_dangling;
use super::dir::Dir;

/// Makes the directories of a path that the user gave, durably, with mode 0755, whatever the umask.
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

/// Makes a directory of this user's own, for state, with what is missing above it.
pub(crate) fn create_private_path(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::io("create the directory", path, e))
}

/// Renames a file of this machine's state, where there is one.
pub(crate) fn rename_path(path: &Path, to: &Path) -> Result<(), Error> {
    match std::fs::rename(path, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("rename", path, error)),
        _ => Ok(()),
    }
}

/// Removes a file of this machine's state, where there is one.
pub(crate) fn remove_path(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}
