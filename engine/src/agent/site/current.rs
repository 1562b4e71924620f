//! The link to the live release: `current`, or the path that the configuration names.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::disk::{Dir, Kind};
use crate::error::{Error, SiteError};
use crate::path::Shown;
use crate::release::ReleaseId;

/// The link to the live release.
#[derive(Debug)]
pub(crate) struct CurrentLink {
    /// The directory that holds the link.
    pub(crate) dir: Dir,
    /// Its name.
    pub(crate) name: Vec<u8>,
    /// The part of its target before `releases/<id>`: nothing, or the deploy path and a slash.
    prefix: Vec<u8>,
}

impl CurrentLink {
    /// Returns the release that the link points at, or nothing if there is no link.
    pub(crate) fn live(&self) -> Result<Option<ReleaseId>, Error> {
        check_current(self)?;
        let Some(target) = self.dir.read_link(&self.name)? else {
            return Ok(None);
        };
        self.release_at(&target).map(Some).ok_or_else(|| {
            Error::Site(SiteError::CurrentForeign {
                path: self.path().display().to_string(),
                target: Shown(&target).to_string(),
            })
        })
    }

    /// Reads a link's target as a release. A user may have written it in another form than this program: absolute, or
    /// with `.` in it.
    fn release_at(&self, target: &[u8]) -> Option<ReleaseId> {
        let target = Path::new(OsStr::from_bytes(target));
        let id = target.file_name()?.to_str()?.parse().ok()?;
        let own = [self.prefix.as_slice(), b"releases"].concat();
        let (own, holder) = (Path::new(OsStr::from_bytes(&own)), target.parent()?);
        let real = |path: &Path| std::fs::canonicalize(self.dir.path().join(path)).ok();
        (holder == own || real(holder).is_some_and(|holder| real(own) == Some(holder))).then_some(id)
    }

    /// Returns the target of a link to a release.
    pub(crate) fn target(&self, id: &ReleaseId) -> Vec<u8> {
        [self.prefix.as_slice(), b"releases/", id.as_str().as_bytes()].concat()
    }

    /// Returns the path of the link, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path_of(&self.name)
    }
}

/// Refuses anything but a link.
pub(super) fn check_current(current: &CurrentLink) -> Result<(), Error> {
    match current.dir.stat(&current.name)? {
        Some(stat) if stat.kind != Kind::Symlink => {
            Err(Error::Site(SiteError::CurrentNotSymlink(current.path().display().to_string())))
        }
        _ => Ok(()),
    }
}

/// Chooses the path of the link: the configured one, or else the known one. While the known link points at a release
/// here, another path is refused: retention would not see which release is live.
pub(super) fn choose_current(
    root: &Dir,
    known: Option<&Path>,
    wanted: Option<&Path>,
) -> Result<Option<PathBuf>, Error> {
    let Some(wanted) = wanted.filter(|&wanted| Some(wanted) != known) else {
        return Ok(known.map(Path::to_owned));
    };
    let place = match open_current(root, known) {
        Ok(place) => place,
        // Even the directory of the old link is gone.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(Some(wanted.to_owned()));
        }
        Err(error) => return Err(error),
    };
    match place.live() {
        Ok(Some(_)) => Err(Error::Site(SiteError::CurrentElsewhere { known: place.path(), wanted: wanted.to_owned() })),
        Ok(None)
        | Err(Error::Site(SiteError::CurrentForeign { .. }) | Error::Site(SiteError::CurrentNotSymlink(_))) => {
            Ok(Some(wanted.to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Opens the link: `current` in the deploy path, or a path of its own.
pub(super) fn open_current(root: &Dir, current_path: Option<&Path>) -> Result<CurrentLink, Error> {
    let Some(path) = current_path else {
        let dir = root.duplicate()?;
        return Ok(CurrentLink { dir, name: b"current".to_vec(), prefix: Vec::new() });
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::Usage(format!("`current_path` cannot be `{}`", path.display())));
    };
    let dir = Dir::open(parent)?;
    let real = std::fs::canonicalize(root.path()).map_err(|e| Error::io("resolve", root.path(), e))?;
    let prefix = [real.as_os_str().as_bytes(), b"/"].concat();
    Ok(CurrentLink { dir, name: name.as_bytes().to_vec(), prefix })
}
