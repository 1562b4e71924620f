//! Removes the directory that was adopted, once nobody wants to go back to it.
//!
//! First the record of the adoption says so, durably: then nothing undoes the adoption, so a removal that was killed never leads
//! back to half a directory. The next one removes the rest.

use std::os::unix::ffi::OsStrExt;

use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::disk::{OwnBlocks, Removal};
use crate::error::{AdoptError, Error};
use crate::path::{Shown, shown_path};
use crate::report::CleanupReport;
use crate::shell::quoted;

use super::adoption::{Adoption, ORIGINAL, Subject};
use super::linking;
use super::standing::is_directory;

/// Removes the adopted directory. Without the lock, counts what that would free. None: there is none.
pub(crate) fn remove_original(lock: Option<&Lock>, layout: &Layout) -> Result<Option<Removal>, Error> {
    let known = Adoption::read(layout)?;
    match known.as_ref().map(|adoption| &adoption.subject) {
        Some(Subject::Tool(_)) => return Ok(None),
        Some(Subject::Directory(adopted)) if adopted.is_unfinished()? => {
            return Err(AdoptError::Unfinished(shown_path(&adopted.site)).into());
        }
        Some(Subject::Directory(_)) | None => {}
    }
    if !is_directory(&layout.private, ORIGINAL)? {
        return Ok(None);
    }
    let Some(lock) = lock else {
        let freed = layout.private.own_usage_of(ORIGINAL, OwnBlocks::All)?;
        return Ok(Some(Removal { freed, ..Removal::default() }));
    };
    if let Some(mut adoption) = known
        && let Subject::Directory(adopted) = &mut adoption.subject
    {
        adopted.is_original_removed = true;
        adoption.write(lock, layout)?;
        linking::forget_modes(lock, layout)?;
    }
    layout.private.remove_tree_in_part(ORIGINAL, OwnBlocks::All).map(Some)
}

/// Adds the removal of the adopted directory to a report.
pub(crate) fn note_original(layout: &Layout, removal: &Removal, report: &mut CleanupReport) {
    report.note_freed(removal.freed);
    report.left_names += removal.left_names;
    report.original = Some(removal.freed.into());
    report.warnings.extend(left_warning(layout, removal));
}

/// Returns the warning for what this user may not remove.
fn left_warning(layout: &Layout, removal: &Removal) -> Option<String> {
    let first = removal.left.first()?;
    let original = layout.private.path_of(ORIGINAL);
    Some(format!(
        "{} names in the adopted directory cannot be removed by this user, the first is `{}`. Remove them on the server \
         with `sudo rm -rf --one-file-system {}`",
        removal.left_names,
        Shown(first.path.as_os_str().as_bytes()),
        quoted(&original.to_string_lossy())
    ))
}
