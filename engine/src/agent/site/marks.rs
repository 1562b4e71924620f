//! The marks of releases: bad, pinned, and the migrations that ran. Each is noted in the record, durably.

use crate::error::Error;
use crate::pin::Pin;
use crate::release::{Bad, NOTED_BYTES_MAX, Provenance, ReleaseId};
use crate::wire::bounds::cut_off;

use super::layout::Layout;
use super::lock::Lock;
use super::records::{self, Releases};
use crate::agent::clock::now;

/// Makes the mark of a bad release.
pub(super) fn bad(reason: &str, at: u64, provenance: &Provenance) -> Bad {
    let reason = cut_off(reason.to_owned(), NOTED_BYTES_MAX);
    Bad { reason, at, by: provenance.person(), left_for: None }
}

/// Marks a release as bad: no rollback goes to it any more unless it is named. If it is marked already, its first
/// reason stays.
pub(crate) fn mark_bad(
    lock: &Lock,
    layout: &Layout,
    releases: &mut Releases,
    id: &ReleaseId,
    reason: &str,
    provenance: &Provenance,
) -> Result<(), Error> {
    let record = releases.find_mut(id)?;
    if record.is_bad() {
        return Ok(());
    }
    record.marks.bad = Some(bad(reason, now(), provenance));
    records::replace(lock, layout, record)
}

/// Notes that a migration ran for a release, once for each. Call it before the migration: a rollback asks about it.
pub(crate) fn note_migration(
    lock: &Lock,
    layout: &Layout,
    releases: &mut Releases,
    id: &ReleaseId,
    hook: &str,
) -> Result<(), Error> {
    let record = releases.find_mut(id)?;
    if record.marks.migrations.iter().any(|noted| noted == hook) {
        return Ok(());
    }
    record.marks.migrations.push(hook.to_owned());
    records::replace(lock, layout, record)
}

/// Pins a release, or unpins it.
pub(crate) fn pin(
    lock: &Lock,
    layout: &Layout,
    releases: &mut Releases,
    id: &ReleaseId,
    pin: Option<Pin>,
) -> Result<(), Error> {
    let record = releases.find_mut(id)?;
    record.marks.pinned = pin;
    records::replace(lock, layout, record)
}
