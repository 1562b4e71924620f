//! The parts of a deploy path: their names, their modes, and how each is opened.
//!
//! Everything inside is opened relative to a held directory, never through a symlink, and never across a mount point.

use std::io::ErrorKind;

use crate::access;
use crate::disk::{Dir, Kind};
use crate::error::{Error, SiteError};
use crate::path::Shown;

/// The directory for this program alone.
pub(super) const PRIVATE: &[u8] = b".cutover";
/// The directory of releases.
pub(super) const RELEASES: &[u8] = b"releases";
/// The directory of files that outlive releases.
pub(super) const SHARED: &[u8] = b"shared";
/// The mode of `releases/` and `shared/`: anyone may read them. Their content has its own modes.
pub(super) const PUBLIC_MODE: u32 = 0o755;
/// The mode of directories for this user alone.
pub(super) const PRIVATE_MODE: u32 = 0o700;

/// The names that may exist in a deploy path before the first deploy.
const ALLOWED_BEFORE: [&[u8]; 4] = [b".cutover", b"shared", b"cache", b"lost+found"];

/// Refuses a deploy path that users other than this one and root could change, and a `.cutover` of another user.
pub(super) fn check_owner(root: &Dir) -> Result<(), Error> {
    access::check(root)?;
    // A symlink is refused later, when it would be opened.
    if let Some(stat) = root.stat(RELEASES)?.filter(|stat| stat.kind == Kind::Directory) {
        access::check_inner(&root.path_of(RELEASES), &stat)?;
    }
    let Some(stat) = root.stat(PRIVATE)? else { return Ok(()) };
    if stat.kind == Kind::Symlink {
        return Err(Error::Site(SiteError::SymlinkInside(root.path_of(PRIVATE).display().to_string())));
    }
    access::check_private(&root.path_of(PRIVATE), &stat)
}

/// Refuses a directory that has other content.
pub(crate) fn check_empty(root: &Dir) -> Result<(), Error> {
    // A directory in the place of the link gets its own error.
    if root.stat(b"current")?.is_some_and(|stat| stat.kind != Kind::Symlink) {
        return Err(Error::Site(SiteError::CurrentNotSymlink(root.path_of(b"current").display().to_string())));
    }
    // An interrupted setup leaves no store file, and nothing but empty directories.
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

/// Opens a part of the deploy path, or makes it if it is missing. Files must be linked and renamed between the parts,
/// so it must be on the same mount.
pub(super) fn open_part(above: &Dir, name: &[u8], mode: u32) -> Result<Dir, Error> {
    let elsewhere = |path: String| {
        Error::Site(SiteError::OtherFilesystem { path, deploy_path: above.path().display().to_string() })
    };
    let dir = match above.open_own_dir(name) {
        Err(Error::Site(SiteError::MountedInside(path))) => return Err(elsewhere(path)),
        // If mounts cannot be told apart, the device is compared.
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

/// Tells whether the deploy path has releases or objects, with or without a store file.
pub(crate) fn holds_releases(root: &Dir) -> Result<bool, Error> {
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
