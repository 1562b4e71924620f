//! The trees of releases: deletes those in trash, or counts what that would free.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::site::records::Releases;
use crate::agent::trash::{self, Spare};
use crate::disk::Usage;
use crate::error::Error;
use crate::release::ReleaseId;
use crate::report::CleanupReport;

use super::left::left_warning;

/// Deletes the trees in trash, but for the spare and those in `stay`, and reports what this user may not remove. Without
/// the lock, counts the space that this would free.
pub(super) fn delete_trees(
    lock: Option<&Lock>,
    layout: &Layout,
    spare: Option<&Spare>,
    stay: &HashSet<Vec<u8>>,
    report: &mut CleanupReport,
) -> Result<(), Error> {
    let Some(lock) = lock else {
        report.note_freed(trash::usage_of_trees(layout, spare, stay)?);
        return Ok(());
    };
    let (mut failed, mut left) = (None, Vec::new());
    for removed in trash::delete_trees(lock, layout, spare, stay) {
        match removed {
            Ok(removal) => {
                report.note_freed(removal.freed);
                report.left_names += removal.left_names;
                left.extend(removal.left);
            }
            // The first error is reported, not one for each tree.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    report.warnings.extend(failed.map(|error| error.with_cause()));
    report.warnings.extend(left_warning(layout, &left, report.left_names));
    Ok(())
}

/// Returns the space that removing a release would free, without its objects.
pub(super) fn usage_of(layout: &Layout, releases: &Releases, id: &ReleaseId) -> Result<Usage, Error> {
    let link = releases.find(id).map(|record| record.link).unwrap_or_default();
    layout.releases.own_usage_of(id.as_str().as_bytes(), layout.own_blocks(link)?)
}

/// Returns the path of `releases/` without symlinks.
pub(super) fn releases_path(layout: &Layout) -> Result<PathBuf, Error> {
    std::fs::canonicalize(layout.releases.path()).map_err(|e| Error::io("resolve", layout.releases.path(), e))
}
