//! The directory `shared/` of a deploy path, and the state of the paths in it.
//!
//! A user may put a symlink into `shared/`, for example to another disk. What lies behind it is linked and read, and
//! never written.

use std::path::{Path, PathBuf};

use crate::disk::{Dir, Kind, Stat};
use crate::error::Error;
use crate::path::RelativePath;

/// `shared/`. A dry run may find that it does not exist yet.
pub(crate) struct SharedRoot {
    dir: Option<Dir>,
    path: PathBuf,
}

/// The state of a path in `shared/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathState {
    /// It does not exist.
    Missing,
    /// It does not exist, and lies behind a symlink.
    MissingBehindLink,
    /// It exists, without a symlink on the way.
    Inside(Kind),
    /// A symlink of the user is on the way, or the path itself is one.
    Symlink,
}

impl SharedRoot {
    /// Takes an open `shared/`.
    pub(crate) fn open(dir: &Dir) -> Result<SharedRoot, Error> {
        Ok(SharedRoot { path: dir.path().to_owned(), dir: Some(dir.duplicate()?) })
    }

    /// Takes the path of a `shared/` that does not exist.
    pub(crate) fn missing(path: PathBuf) -> SharedRoot {
        SharedRoot { dir: None, path }
    }

    /// Returns the directory, if it exists.
    pub(super) fn dir(&self) -> Option<&Dir> {
        self.dir.as_ref()
    }

    /// Returns a path in it, for messages.
    pub(super) fn shown(&self, path: &RelativePath) -> String {
        self.path.join(path.as_path()).display().to_string()
    }

    /// Returns a path in it.
    pub(super) fn shown_path(&self, path: &Path) -> PathBuf {
        self.path.join(path)
    }

    /// Returns the state of a path.
    pub(super) fn state(&self, path: &RelativePath) -> Result<PathState, Error> {
        let Some(root) = &self.dir else { return Ok(PathState::Missing) };
        let mut dir = root.duplicate()?;
        let mut names = path.names().peekable();
        let mut kind = Kind::Directory;
        while let Some(name) = names.next() {
            kind = match dir.stat(name)?.map(|stat| stat.kind) {
                None => return Ok(PathState::Missing),
                Some(Kind::Symlink) => return self.behind_link(path),
                Some(kind) => kind,
            };
            if names.peek().is_some() {
                dir = dir.open_dir(name)?;
            }
        }
        Ok(PathState::Inside(kind))
    }

    /// Returns the state of a path with a symlink on the way.
    fn behind_link(&self, path: &RelativePath) -> Result<PathState, Error> {
        Ok(if self.stat(path)?.is_some() { PathState::Symlink } else { PathState::MissingBehindLink })
    }

    /// Returns the stat of a path. The last name may be a symlink, and is not followed.
    pub(super) fn stat(&self, path: &RelativePath) -> Result<Option<Stat>, Error> {
        let Some(root) = &self.dir else { return Ok(None) };
        let names: Vec<&[u8]> = path.names().collect();
        let Some((last, above)) = names.split_last() else { return Ok(None) };
        let mut dir = root.duplicate()?;
        for name in above {
            dir = match dir.stat(name)?.map(|stat| stat.kind) {
                None => return Ok(None),
                Some(Kind::Symlink) => dir.open_through(name)?,
                Some(_) => dir.open_dir(name)?,
            };
        }
        dir.stat(last)
    }

    /// Opens a directory at a path, through symlinks of the user.
    pub(super) fn open_directory(&self, path: &RelativePath, state: PathState) -> Result<Option<Dir>, Error> {
        match (state, &self.dir) {
            (PathState::Missing | PathState::MissingBehindLink, _) | (_, None) => Ok(None),
            (PathState::Inside(_), Some(root)) => root.open_below(path.as_bytes()).map(Some),
            (PathState::Symlink, Some(root)) => root.open_through(path.as_bytes()).map(Some),
        }
    }
}
