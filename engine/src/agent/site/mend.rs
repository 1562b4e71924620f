//! Repairs the records after a crash: brings them in line with `current`, and moves the rest of an interrupted
//! publication or removal into trash.
//!
//! `current` decides what is live. If a crash came between a switch and its record, the record is completed from the
//! link and the link's mtime. If it was a step back, the release that was left is marked bad, as the step would have done.

use crate::error::Error;
use crate::release::{Bad, BootSpan, ReleaseId};

use super::layout::Layout;
use super::lock::Lock;
use super::records::{Releases, read_record, replace};
use super::reserve::unless_full;
use crate::agent::trash;
use crate::agent::uptime::Uptime;

/// The reason of a release that a step back left, if a crash came before the mark.
const LEFT: &str = "it was left, and a crash came before the reason was noted";

/// The person who left it.
const UNKNOWN: &str = "unknown";

/// Brings the records in line with `current`, and moves the rest of an interrupted publication or removal into trash.
pub(crate) fn mend(lock: &Lock, layout: &mut Layout, releases: &mut Releases) -> Result<(), Error> {
    let live = layout.current.live()?;
    let switched = layout.current.dir.stat(&layout.current.name)?.map_or(0, |stat| stat.mtime.max(0) as u64);
    let turn = releases.next_turn();
    let left = releases.left_without_mark(live.as_ref()).map(|record| record.id.clone());
    for record in &mut releases.records {
        let is_live = live.as_ref() == Some(&record.id);
        let before = record.clone();
        if is_live && (!record.was_live() || record.retired.is_some()) {
            record.go_live(switched, turn);
            record.span = BootSpan::open(record.span.as_ref(), Uptime::now());
        } else if !is_live && record.was_live() && record.retired.is_none() {
            record.retired = Some(switched);
            record.span = BootSpan::close(record.span.as_ref(), Uptime::now());
            if left.as_ref() == Some(&record.id) {
                let by = UNKNOWN.to_owned();
                record.leave(Bad { reason: LEFT.to_owned(), at: switched, by, left_for: live.clone() });
            }
        }
        if *record != before {
            // On a full disk a rollback or a cleanup must still work. A record that cannot be written is mended by
            // the next run.
            unless_full(replace(lock, layout, record))?;
        }
    }
    trash::resume_removals(lock, layout, &mut releases.foreign)?;
    let mut remaining = Vec::new();
    for (id, reason) in std::mem::take(&mut releases.damaged) {
        let name = id.as_str().as_bytes();
        if is_remnant(layout, live.as_ref(), &id)? {
            if let Ok(record) = read_record(layout, &id)
                && releases.records.iter().all(|standing| standing.second < record.second)
            {
                layout.keep_second(lock, record.second)?;
            }
            trash::discard_record(lock, layout, &layout.records, name)?;
            releases.dropped.push(id);
        } else {
            remaining.push((id, reason));
        }
    }
    releases.damaged = remaining;
    Ok(())
}

/// Tells whether only the record is left of a damaged release: a publication or removal stopped between two renames, or
/// somebody deleted the tree. It is never the live one.
pub(crate) fn is_remnant(layout: &Layout, live: Option<&ReleaseId>, id: &ReleaseId) -> Result<bool, Error> {
    Ok(live != Some(id) && layout.releases.stat(id.as_str().as_bytes())?.is_none())
}

/// Takes the damaged releases whose record was removed, to report them. For a dry run, also takes those whose record
/// would be.
pub(crate) fn take_dropped(
    layout: &Layout,
    releases: &mut Releases,
    live: Option<&ReleaseId>,
    dry_run: bool,
) -> Result<Vec<ReleaseId>, Error> {
    let mut dropped = std::mem::take(&mut releases.dropped);
    // A release of that name may have been made since.
    dropped.retain(|id| releases.find(id).is_none());
    if dry_run {
        for (id, reason) in std::mem::take(&mut releases.damaged) {
            if is_remnant(layout, live, &id)? {
                dropped.push(id);
            } else {
                releases.damaged.push((id, reason));
            }
        }
    }
    Ok(dropped)
}
