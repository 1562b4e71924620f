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
mod declared;
pub(crate) mod files;
mod links;
mod placeholder;
mod plan;
mod shared_root;
mod undeclared;

use crate::error::Error;
use crate::manifest::Manifest;
use crate::target::Policy;

use self::declared::Declared;
use self::undeclared::Undeclared;

pub(crate) use self::comparison::HiddenFiles;
pub(crate) use self::links::{missing_warning, target};
pub(crate) use self::plan::{LiveRelease, SharedPlan};
pub(crate) use self::shared_root::SharedRoot;

/// Plans the links, and refuses conflicts.
pub(crate) fn plan(
    root: &SharedRoot,
    policy: &Policy,
    manifest: &Manifest,
    live: Option<&LiveRelease<'_>>,
) -> Result<SharedPlan, Error> {
    let mut declared = Declared { root, manifest, live, plan: SharedPlan::default() };
    policy.shared_dirs.iter().try_for_each(|path| declared.add_directory(path))?;
    policy.shared_files.iter().try_for_each(|path| declared.add_file(path))?;
    let mut plan = declared.plan;
    if let Some(dir) = root.dir().filter(|_| policy.auto_shared) {
        let declared = policy.shared_dirs.iter().chain(&policy.shared_files).map(|shared| &shared.path).collect();
        let mut undeclared = Undeclared { manifest, declared, links: Vec::new() };
        undeclared.find(dir, Some(0), &mut Vec::new())?;
        plan.links.extend(undeclared.links);
    }
    plan.links.sort_unstable();
    Ok(plan)
}

#[cfg(test)]
mod tests;
