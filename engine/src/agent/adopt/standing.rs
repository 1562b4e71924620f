//! The directory of a site, as it stands on the server before it is adopted.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::accounts::Accounts;
use crate::disk::{Dir, Kind};
use crate::error::{AdoptError, Error};
use crate::path::{RelativePath, shown_path};

/// A directory, and the one that holds its name.
pub(crate) struct Standing {
    /// Its path, absolute.
    pub(crate) path: PathBuf,
    /// The directory that holds it.
    pub(crate) parent: Dir,
    /// Its name there.
    pub(crate) name: Vec<u8>,
    /// The directory itself.
    pub(crate) dir: Dir,
}

impl Standing {
    /// Opens the directory at a path. A symlink is not followed.
    pub(crate) fn open(path: &Path) -> Result<Standing, Error> {
        let missing = || Error::from(AdoptError::NotFound(shown_path(path)));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(missing()) };
        let (parent, name) = (Dir::open(parent)?, name.as_bytes().to_vec());
        let dir = parent.open_dir(&name)?;
        Ok(Standing { path: path.to_owned(), parent, name, dir })
    }

    /// Returns the kind of what stands at a path. None: nothing.
    pub(crate) fn kind_at(path: &Path) -> Result<Option<Kind>, Error> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Some(parent) = if_there(Dir::open(parent))? else { return Ok(None) };
        Ok(parent.stat(name.as_bytes())?.map(|stat| stat.kind))
    }

    /// Returns whether the directory is still the one at its path.
    pub(crate) fn is_in_place(&self) -> Result<bool, Error> {
        let own = self.dir.own_stat()?.id();
        Ok(self.parent.stat(&self.name)?.is_some_and(|stat| stat.id() == own))
    }

    /// Returns whether it is a mount point.
    pub(crate) fn is_mount_point(&self) -> bool {
        matches!((self.parent.mount(), self.dir.mount()), (Some(above), Some(own)) if above != own)
    }

    /// Opens the directory that holds a path of the site, and returns the last name.
    pub(crate) fn holder<'p>(&self, path: &'p RelativePath) -> Result<(Dir, &'p [u8]), Error> {
        self.dir.open_above(path.as_bytes())
    }
}

/// Returns the directory above a path, for messages.
pub(super) fn above(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Returns the nearest directory on a path that exists.
pub(super) fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|above| above.is_dir()).map(Path::to_owned)
}

/// Returns whether two paths are the same name of the same directory, through whatever symlinks.
pub(super) fn is_same_name(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.parent().and_then(|parent| std::fs::canonicalize(parent).ok());
    one == other || (one.file_name() == other.file_name() && real(one).is_some() && real(one) == real(other))
}

/// Turns the error that a path does not exist into nothing.
pub(super) fn if_there<T>(opened: Result<T, Error>) -> Result<Option<T>, Error> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a directory of a deploy path, if both exist.
pub(super) fn open_part(deploy_path: &Path, name: &[u8]) -> Result<Option<Dir>, Error> {
    if_there(Dir::open(deploy_path).and_then(|root| root.open_dir(name)))
}

/// Returns whether a name is a directory.
pub(super) fn is_directory(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    Ok(dir.stat(name)?.is_some_and(|stat| stat.kind == Kind::Directory))
}

/// Returns this user.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the name of a user.
pub(super) fn user_name(user: u32) -> String {
    Accounts::read().user_shown(user)
}
