//! Examines the deploy path, the directories above it and those in it: whether the user can use them, and who else could
//! change them. Says what is in the deploy path.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::access::{Exposure, exposures, inner_exposure};
use crate::accounts::ROOT;
use crate::agent::mounts::Mounts;
use crate::agent::site::parts::{check_empty, holds_releases};
use crate::agent::site::setup::check_not_within;
use crate::agent::site::store_file::StoreFile;
use crate::agent::writable::group_of;
use crate::disk::{Dir, is_immutable, may_write, refuse_dangling};
use crate::error::{DamageError, Error, SiteError};
use crate::path::shown_path;
use crate::report::Finding;

use super::look::Look;
use super::place::Place;

/// The content of the deploy path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It does not exist.
    Missing,
    /// It has nothing that a deploy would refuse.
    Empty,
    /// It is ours.
    Ours,
    /// It is ours, and a directory is missing, which the next run makes.
    Incomplete,
    /// A deploy would refuse it, or it cannot be read.
    Unusable,
}

/// The directories of a deploy path.
const PARTS: [&str; 7] =
    [".cutover", ".cutover/objects", ".cutover/releases", ".cutover/staging", ".cutover/trash", "releases", "shared"];

pub(super) fn look(place: &Place<'_>) -> Result<(Look, Content), Error> {
    let mut look = Look::default();
    if let Err(error) = group_of(&place.hello.policy.writable) {
        look.find(Finding::Refused { refusal: error.to_refusal() });
    }
    let existing = match find_existing(place.path) {
        Ok(existing) => existing,
        Err(Obstacle::NotEnterable(path)) => {
            look.find(Finding::PathNotEnterable { path: shown_path(&path), user: place.user.clone() });
            return Ok((look, Content::Unusable));
        }
        Err(Obstacle::Other(error)) => {
            look.find(Finding::Refused { refusal: error.to_refusal() });
            return Ok((look, Content::Unusable));
        }
    };
    let is_empty = existing == place.path && is_empty(existing);
    for Exposure { path, to } in exposures(existing).map_err(|error| Error::io("look at", existing, error))? {
        let is_itself = std::fs::canonicalize(place.path).is_ok_and(|real| real == path);
        look.find(place.exposed(&path, to, is_empty && is_itself));
    }
    // The owner is the reason then.
    let has_other_owner = look.findings.iter().any(|found| matches!(found, Finding::OtherOwner { .. }));
    if existing != place.path {
        if !has_other_owner && let Err(errno) = may_write(existing) {
            look.find(not_creatable(place, existing, errno));
        }
        return Ok((look, Content::Missing));
    }
    if !has_other_owner && let Err(errno) = may_write(existing) {
        look.find(not_writable(place, existing, errno, is_empty));
    }
    let content = look_inside(place, &mut look);
    Ok((look, content))
}

/// A reason why a path leads nowhere.
enum Obstacle {
    /// The user cannot enter this directory.
    NotEnterable(PathBuf),
    /// Something else.
    Other(Error),
}

/// Returns the path if it exists, or the nearest directory above it that does.
fn find_existing(path: &Path) -> Result<&Path, Obstacle> {
    let mut existing = Path::new("/");
    let mut down: Vec<&Path> = path.ancestors().collect();
    down.reverse();
    for step in down {
        match std::fs::metadata(step) {
            Ok(metadata) if metadata.is_dir() => existing = step,
            Ok(_) => return Err(Obstacle::Other(SiteError::NotDirectory(step.display().to_string()).into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                refuse_dangling(step).map_err(Obstacle::Other)?;
                return Ok(existing);
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(Obstacle::NotEnterable(existing.to_owned()));
            }
            Err(error) => return Err(Obstacle::Other(Error::io("look at", step, error))),
        }
    }
    Ok(existing)
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn not_creatable(place: &Place<'_>, above: &Path, errno: Errno) -> Finding {
    match unusual(above, errno) {
        Some(finding) => finding,
        None => Finding::DeployPathNotCreatable {
            path: shown_path(place.path),
            above: shown_path(above),
            user: place.user.clone(),
        },
    }
}

fn not_writable(place: &Place<'_>, path: &Path, errno: Errno, is_to_give: bool) -> Finding {
    unusual(path, errno).unwrap_or_else(|| {
        let owner = std::fs::metadata(path).map_or(ROOT, |metadata| metadata.uid());
        Finding::PathNotWritable {
            path: shown_path(path),
            user: place.user.clone(),
            owner: (owner != place.uid).then(|| place.name_of(owner)),
            is_to_give,
        }
    })
}

/// Returns the finding for a directory that nobody could write to.
fn unusual(path: &Path, errno: Errno) -> Option<Finding> {
    if errno == Errno::ROFS {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mounts = Mounts::of(Path::new("/proc/self"));
        let mount = mounts.holder(&real).map_or_else(|| shown_path(&real), |mount| shown_path(&mount.point));
        return Some(Finding::ReadOnly { path: shown_path(path), mount });
    }
    is_immutable(path).then(|| Finding::Immutable { path: shown_path(path) })
}

/// Examines what is in the deploy path.
fn look_inside(place: &Place<'_>, look: &mut Look) -> Content {
    let root = match Dir::open(place.path) {
        Ok(root) => root,
        Err(error) => {
            look.find(Finding::Refused { refusal: error.to_refusal() });
            return Content::Unusable;
        }
    };
    let found = StoreFile::read(&root).and_then(|store| match store {
        Some(_) => Ok(Content::Ours),
        None if holds_releases(&root)? => Ok(Content::Unusable),
        None => check_empty(&root).and_then(|()| check_not_within(&root)).map(|()| Content::Empty),
    });
    match found {
        Ok(Content::Ours) => look_at_parts(place, look),
        Ok(Content::Unusable) => {
            let error = StoreFile::read_own(&root).map(drop).err();
            look.findings.extend(error.map(|error| Finding::StoreDamaged { refusal: error.to_refusal() }));
            Content::Unusable
        }
        Ok(content) => content,
        Err(Error::Site(SiteError::NotOurs { path, found })) => {
            look.find(Finding::DeployPathNotEmpty { path, found });
            Content::Unusable
        }
        // It is examined by itself.
        Err(Error::Site(SiteError::CurrentNotSymlink(_))) => Content::Unusable,
        Err(error @ Error::Damage(DamageError::Store { .. })) => {
            look.find(Finding::StoreDamaged { refusal: error.to_refusal() });
            Content::Unusable
        }
        Err(error) => {
            look.find(Finding::Refused { refusal: error.to_refusal() });
            Content::Unusable
        }
    }
}

/// Examines the directories of a deploy path that is ours.
fn look_at_parts(place: &Place<'_>, look: &mut Look) -> Content {
    let mut missing = Vec::new();
    let mut content = Content::Ours;
    for part in PARTS {
        let path = place.path.join(part);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let error = Error::from(SiteError::SymlinkInside(path.display().to_string()));
                look.find(Finding::Refused { refusal: error.to_refusal() });
                content = Content::Unusable;
            }
            Ok(_) if part == "shared" => {}
            Ok(_) => look_at_part(place, &path, look),
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push(part.to_owned()),
            Err(error) => {
                look.find(Finding::Refused { refusal: Error::io("look at", &path, error).to_refusal() });
                content = Content::Unusable;
            }
        }
    }
    if !missing.is_empty() {
        look.find(Finding::PartsMissing { path: shown_path(place.path), parts: missing });
        content = if content == Content::Ours { Content::Incomplete } else { content };
    }
    content
}

fn look_at_part(place: &Place<'_>, path: &Path, look: &mut Look) {
    match inner_exposure(path) {
        Ok(Some(Exposure { path, to })) => look.find(place.exposed(&path, to, false)),
        _ => {
            if let Err(errno) = may_write(path) {
                // A part of root in a deploy path of the user is the rest of a deploy as root.
                let is_to_give = std::fs::metadata(place.path).is_ok_and(|root| root.uid() == place.uid);
                look.find(not_writable(place, path, errno, is_to_give));
            }
        }
    }
}
