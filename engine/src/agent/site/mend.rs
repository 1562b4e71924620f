//! Mends what a crash left of the records: brings them in line with `current`, and moves into trash what an interrupted
//! publication or removal left.
//!
//! `current` is the truth of what is live. What a crash between a switch and its record kept from being written is taken
//! from the link and its own mtime.

use crate::error::Error;
use crate::release::BootSpan;

use super::layout::Layout;
use super::lock::Lock;
use super::records::{Releases, read_record, replace};
use super::reserve::unless_full;
use crate::agent::trash;
use crate::agent::uptime::Uptime;

/// Brings the records in line with `current` after a crash between a switch and its record, and moves what an interrupted
/// publication or removal left into trash.
pub(crate) fn mend(lock: &Lock, layout: &mut Layout, releases: &mut Releases) -> Result<(), Error> {
    let live = layout.current.live()?;
    let switched = layout.current.dir.stat(&layout.current.name)?.map_or(0, |stat| stat.mtime.max(0) as u64);
    let turn = releases.next_turn();
    for record in &mut releases.records {
        let is_live = live.as_ref() == Some(&record.id);
        let before = record.clone();
        if is_live && (!record.was_live() || record.retired.is_some()) {
            record.go_live(switched, turn);
            record.span = BootSpan::open(record.span.as_ref(), Uptime::now());
        } else if !is_live && record.was_live() && record.retired.is_none() {
            record.retired = Some(switched);
            record.span = BootSpan::close(record.span.as_ref(), Uptime::now());
        }
        if *record != before {
            // A full disk must not keep a rollback or a cleanup from making room: what is not written is found again.
            unless_full(replace(lock, layout, record))?;
        }
    }
    trash::resume_removals(lock, layout, &mut releases.foreign)?;
    // A record without a tree is a publication or a removal that stopped between two renames; never the live one.
    let mut remaining = Vec::new();
    for (id, reason) in std::mem::take(&mut releases.damaged) {
        let name = id.as_str().as_bytes();
        if live.as_ref() != Some(&id) && layout.releases.stat(name)?.is_none() {
            if let Ok(record) = read_record(layout, &id)
                && releases.records.iter().all(|standing| standing.second < record.second)
            {
                layout.keep_second(lock, record.second)?;
            }
            trash::discard_record(lock, layout, &layout.records, name)?;
        } else {
            remaining.push((id, reason));
        }
    }
    releases.damaged = remaining;
    Ok(())
}
