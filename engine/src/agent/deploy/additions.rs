//! The last part of the first step: adds the names that the manifest does not have: files that are carried over, directories
//! that the application writes to, and the links into `shared/`.

use std::borrow::Cow;

use crate::disk::Kind;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::pattern::Patterns;

use crate::agent::adopt::Adoption;
use crate::agent::assemble::Assembly;
use crate::agent::carry_over::CarryOver;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::own::{Addition, Own};
use crate::agent::site::records::read_manifest;

use super::plan::Plan;
use super::task::Task;

/// The most carried files that are named.
const NAMED_MAX: usize = 5;

/// Makes the additions, and notes them in the record in staging. Returns the first of the carried files.
pub(super) fn make_additions(
    reporter: &dyn Reporter,
    site: &Site,
    plan: &Plan<'_>,
    assembly: &Assembly<'_>,
) -> Result<Vec<String>, Error> {
    let Plan { task, staging, .. } = *plan;
    let decision = task.decision;
    let mut made = carry_over(reporter, site, task, assembly)?;
    let files = made.iter().filter(|addition| addition.stat.kind != Kind::Directory);
    let carried = files.take(NAMED_MAX).map(|addition| addition.path.to_string()).collect();
    made.extend(decision.writable.make_missing(&staging.tree)?);
    decision.writable.missing().iter().for_each(|path| assembly.note_link(path));
    if !made.is_empty() {
        let mut own = Own::default();
        own.extend(&made);
        own.write(&staging.record)?;
    }
    let shared = &site.layout.shared;
    decision.shared.carry_out(&staging.tree, shared, assembly.manifest, decision.second)?;
    if let Some(warning) = decision.writable.give_shared(shared)? {
        reporter.warn(warning);
    }
    decision.shared.links.iter().for_each(|path| assembly.note_link(path));
    Ok(carried)
}

/// Carries over what the configuration asks for, from the live release.
fn carry_over(
    reporter: &dyn Reporter,
    site: &Site,
    task: Task<'_>,
    assembly: &Assembly<'_>,
) -> Result<Vec<Addition>, Error> {
    let patterns = &task.order.policy().carry_over;
    let live = task.decision.live.as_ref().filter(|_| !patterns.is_empty());
    let Some(record) = live.and_then(|live| site.releases.find(live)) else { return Ok(Vec::new()) };
    let patterns = Patterns::parse(patterns.iter().map(String::as_str), "`carry_over`")?;
    let old: Cow<'_, Manifest> = match task.base.filter(|base| base.name.release == record.id) {
        Some(base) => Cow::Borrowed(&base.stored.manifest),
        None => match read_manifest(&site.layout, &record.id, &record.root) {
            Ok(stored) => Cow::Owned(stored.manifest),
            Err(error) => {
                reporter.warn(format!("Nothing was carried over from the live release: {}", error.with_cause()));
                return Ok(Vec::new());
            }
        },
    };
    let from = site.layout.releases.open_own_dir(record.id.as_str().as_bytes())?;
    let links = record.shared.iter().chain(&task.decision.shared.links).collect();
    let source = Adoption::source_of(&site.layout, &record.id)?;
    CarryOver { from: &from, old: &old, source: source.as_ref(), assembly, patterns: &patterns, links }.run()
}
