//! Links from a release into `shared/`, where files outlive releases.
//!
//! Declared paths are linked as a whole, even if the release has a directory there: an application that writes to it must
//! write to files that outlive the release. So that nothing of the release is lost, its entries are copied into `shared/`
//! where the rule of the path says so (`shared_path.rs`): all of them if the directory is new, else those that are new.
//! The files that a link hides all the same are named once. Other names in `shared/` are linked too, unless that is
//! switched off (`undeclared`).
//!
//! Planning reads, and refuses what cannot be done, before anything is received. The plan is carried out when the
//! release is complete in staging: first the copies, durably, then the links. What was copied stays if the deploy fails
//! after that; the next one finds it.
//!
//! A declared path may be a symlink in `shared/`, or lie behind one, for example on a mounted disk. It is linked like
//! any other, and Cutover writes nothing there.

mod comparison;
mod copies;
mod databases;
mod declared;
pub(crate) mod files;
mod links;
mod placeholder;
mod plan;
mod shared_root;
mod undeclared;

use crate::disk::Kind;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::path::RelativePath;
use crate::shared_path::{Missing, SharedPath};
use crate::target::Policy;

use self::databases::beside_databases;
use self::declared::Declared;
use self::shared_root::PathState;
use self::undeclared::Undeclared;

pub(crate) use self::comparison::HiddenFiles;
pub(crate) use self::databases::lies_beside;
pub(crate) use self::links::{absolute_target, missing_warning, root, target};
pub(crate) use self::plan::{LiveRelease, SharedPlan};
pub(crate) use self::shared_root::SharedRoot;

/// Plans the links, and refuses conflicts. `apart` are the paths that became shared one by one when a site was adopted: a
/// directory above one of them is not linked as a whole, and a directory among them is linked as a declared one is.
pub(crate) fn plan(
    root: &SharedRoot,
    policy: &Policy,
    manifest: &Manifest,
    live: Option<&LiveRelease<'_>>,
    apart: &[RelativePath],
) -> Result<SharedPlan, Error> {
    let mut declared = Declared { root, manifest, live, plan: SharedPlan::default() };
    policy.shared_dirs.iter().try_for_each(|path| declared.add_directory(path))?;
    policy.shared_files.iter().try_for_each(|path| declared.add_file(path))?;
    let adopted = adopted_directories(root, policy, apart)?;
    adopted.iter().try_for_each(|path| declared.add_directory(path))?;
    let mut plan = declared.plan;
    if let Some(dir) = root.dir().filter(|_| policy.auto_shared) {
        let declared = policy.shared_dirs.iter().chain(&policy.shared_files).chain(&adopted).map(|shared| &shared.path);
        let declared = declared.collect();
        let mut undeclared = Undeclared { manifest, declared, apart, links: Vec::new() };
        undeclared.find(dir, Some(0), &mut Vec::new())?;
        plan.links.extend(undeclared.links);
    }
    // Only where a site was adopted, a program may know a path that became a release.
    plan.is_absolute = !apart.is_empty();
    if plan.is_absolute {
        plan.links.extend(beside_databases(root, manifest, &plan.links)?);
    }
    plan.links.sort_unstable();
    Ok(plan)
}

/// Returns the directories that became shared when a site was adopted, as if they were declared: what the application writes
/// into one belongs in `shared/`, though the source has a placeholder there.
fn adopted_directories(root: &SharedRoot, policy: &Policy, apart: &[RelativePath]) -> Result<Vec<SharedPath>, Error> {
    let declared: Vec<&RelativePath> =
        policy.shared_dirs.iter().chain(&policy.shared_files).map(|shared| &shared.path).collect();
    let mut adopted = Vec::new();
    for path in apart.iter().filter(|_| policy.auto_shared) {
        let is_decided = declared.iter().any(|other| path.is_within(other) || other.is_within(path));
        if !is_decided && root.state(path)? == PathState::Inside(Kind::Directory) {
            adopted.push(SharedPath { missing: Missing::Optional, ..SharedPath::directory(path.clone()) });
        }
    }
    Ok(adopted)
}

#[cfg(test)]
mod tests;
