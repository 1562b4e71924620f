//! Examines `shared/`: the declared paths that a deploy needs, the links of the live release, and databases.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::agent::shared::lies_beside;
use crate::disk::may_write;
use crate::path::shown_path;
use crate::report::Finding;
use crate::shared_path::{Missing, SharedPath};

use super::databases;
use super::look::Look;
use super::person::Person;
use super::place::{Ours, Place, nearest};

pub(super) fn look(place: &Place<'_>, ours: Option<&Ours>, people: &[Person]) -> Look {
    let mut look = Look::default();
    let shared = place.path.join("shared");
    let policy = &place.hello.policy;
    let files = policy.shared_files.iter().map(|file| (file, false));
    for (declared, is_directory) in policy.shared_dirs.iter().map(|directory| (directory, true)).chain(files) {
        let whole = shared.join(declared.path.as_path());
        if is_lacking(declared, &whole) {
            let (path, whole) = (declared.path.to_string(), shown_path(&whole));
            look.find(Finding::SharedMissing { path, whole, is_directory });
        } else if declared.missing == Missing::Create && !exists(&whole) {
            look.findings.extend(not_creatable(place, &shared, &whole));
        }
    }
    if let Some(record) = ours.and_then(|ours| ours.releases.find(&ours.layout.current.live().ok()??)) {
        for path in &record.shared {
            let whole = shared.join(path.as_path());
            let is_declared = policy.shared_dirs.iter().chain(&policy.shared_files).any(|other| other.path == *path);
            if !exists(&whole) && !is_declared && !lies_beside(path, &record.shared) {
                look.find(Finding::SharedLinkBroken { release: record.id.clone(), whole: shown_path(&whole) });
            }
        }
    }
    databases::find(place, people, &mut look);
    look
}

/// Tells whether a deploy would refuse a declared path because it is missing. One that is made lies behind no symlink.
fn is_lacking(declared: &SharedPath, whole: &Path) -> bool {
    match declared.missing {
        Missing::Required => !exists(whole),
        Missing::Create => !exists(whole) && has_dangling_link(whole),
        Missing::Optional => false,
    }
}

/// Returns the finding for a path that a deploy makes, if the user may not make it. Above `shared/`, the deploy path tells.
fn not_creatable(place: &Place<'_>, shared: &Path, whole: &Path) -> Option<Finding> {
    let above = nearest(whole);
    if !above.starts_with(shared) || may_write(above).is_ok() {
        return None;
    }
    let owner = fs::metadata(above).ok()?.uid();
    Some(Finding::PathNotWritable {
        path: shown_path(above),
        user: place.user.clone(),
        owner: (owner != place.uid).then(|| place.name_of(owner)),
        is_to_give: fs::read_dir(above).is_ok_and(|mut names| names.next().is_none()),
    })
}

/// Tells whether a path exists, through symlinks. One that cannot be looked at may exist.
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

fn has_dangling_link(path: &Path) -> bool {
    path.ancestors().any(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) && !exists(path))
}
