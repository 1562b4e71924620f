//! The parts of a deploy path: their names and modes, and how each is opened.
//!
//! Everything inside is opened relative to a held directory, never through a symlink and never where something is mounted.

use std::io::ErrorKind;

use crate::access;
use crate::disk::{Dir, Kind};
use crate::error::{Error, SiteError};
use crate::path::Shown;

/// The private part.
pub(super) const PRIVATE: &[u8] = b".cutover";
/// The releases.
pub(super) const RELEASES: &[u8] = b"releases";
/// Files that outlive releases.
pub(super) const SHARED: &[u8] = b"shared";
/// Anyone may read releases and shared files; what is in them has modes of its own.
pub(super) const PUBLIC_MODE: u32 = 0o755;
/// The private part is for this user alone.
pub(super) const PRIVATE_MODE: u32 = 0o700;

/// What may stand in a deploy path before the first deploy.
const ALLOWED_BEFORE: [&[u8]; 4] = [b".cutover", b"shared", b"cache", b"lost+found"];

/// Refuses a deploy path that others than this user and root could change, and a `.cutover` of another user.
pub(super) fn check_owner(root: &Dir) -> Result<(), Error> {
    access::check(root)?;
    // A symlink is refused where it would be opened.
    if let Some(stat) = root.stat(RELEASES)?.filter(|stat| stat.kind == Kind::Directory) {
        access::check_inner(&root.path_of(RELEASES), &stat)?;
    }
    let Some(stat) = root.stat(PRIVATE)? else { return Ok(()) };
    if stat.kind == Kind::Symlink {
        return Err(Error::Site(SiteError::SymlinkInside(root.path_of(PRIVATE).display().to_string())));
    }
    access::check_private(&root.path_of(PRIVATE), &stat)
}

/// Refuses a directory in which something else stands.
pub(super) fn check_empty(root: &Dir) -> Result<(), Error> {
    // A real directory in the place of the link deserves its own advice.
    if root.stat(b"current")?.is_some_and(|stat| stat.kind != Kind::Symlink) {
        return Err(Error::Site(SiteError::CurrentNotSymlink(root.path_of(b"current").display().to_string())));
    }
    // A setup that was cut short left no store file, and nothing but empty directories.
    let is_cut_short = root.stat(PRIVATE)?.is_some();
    for name in root.names()? {
        if ALLOWED_BEFORE.contains(&name.as_slice()) {
            continue;
        }
        if is_cut_short && name == b"releases" && root.open_dir(&name)?.names()?.is_empty() {
            continue;
        }
        let path = root.path().display().to_string();
        return Err(Error::Site(SiteError::NotOurs { path, found: Shown(&name).to_string() }));
    }
    Ok(())
}

/// Opens a part of the deploy path, making it where it is missing. It must be where files can be linked and renamed to from
/// the others.
pub(super) fn open_part(above: &Dir, name: &[u8], mode: u32) -> Result<Dir, Error> {
    let elsewhere = |path: String| {
        Error::Site(SiteError::OtherFilesystem { path, deploy_path: above.path().display().to_string() })
    };
    let dir = match above.open_own_dir(name) {
        Err(Error::Site(SiteError::MountedInside(path))) => return Err(elsewhere(path)),
        // Where mounts cannot be told apart, filesystems can.
        Err(Error::Site(SiteError::MountsUnknown(_))) => above.open_dir(name)?,
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => above.ensure_dir(name, mode)?.0,
        other => other?,
    };
    if dir.own_stat()?.device == above.own_stat()?.device {
        Ok(dir)
    } else {
        Err(elsewhere(dir.path().display().to_string()))
    }
}

/// Tells whether releases or their content stand in a deploy path, whatever became of its store file.
pub(super) fn holds_releases(root: &Dir) -> Result<bool, Error> {
    if root.stat(PRIVATE)?.is_none() {
        return Ok(false);
    }
    let private = root.open_dir(PRIVATE)?;
    for name in ["objects", "releases"] {
        if private.stat(name.as_bytes())?.is_some() && !private.open_dir(name.as_bytes())?.names()?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
