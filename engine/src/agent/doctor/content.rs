//! Reads objects and compares them with their names: a sample, or all of them.
//!
//! An object that was changed and shows it, by mode or mtime, is left to the comparison of the trees: a release has it.
//! The sample is another one each time. It begins at a random object and takes every n-th one, so it is spread over all
//! shards.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::agent::conversation::Conversation;
use crate::agent::reporter::Reporter;
use crate::agent::site::records::read_manifest;
use crate::agent::store::{ObjectName, Store};
use crate::agent::token::random_name;
use crate::disk::file_stat;
use crate::error::Error;
use crate::event::Phase;
use crate::file_range::FileRange;
use crate::path::{Shown, shown_path};
use crate::report::Finding;

use super::look::Look;
use super::place::{Ours, Place};

/// The most objects of a sample.
const SAMPLE: usize = 256;

/// The largest object of a sample, in bytes: all of them together are read in a few seconds.
const SAMPLE_BYTES_EACH: u64 = 4 << 20;

/// An object that is not as it should be.
enum Fault {
    Damaged,
    OtherOwner(u32),
}

pub(super) fn look(place: &Place<'_>, ours: &Ours, conversation: &Conversation) -> Result<Look, Error> {
    let store = Store::new(ours.layout.objects.duplicate()?);
    let mut names = Vec::new();
    store.for_each(|name| {
        names.push(name);
        Ok(())
    })?;
    let all = names.len();
    let bytes_max = if place.order.full { u64::MAX } else { SAMPLE_BYTES_EACH };
    let chosen = if place.order.full { names } else { sample(names, &random_name()?) };
    conversation.began(Phase::Check);
    let (done, total) = (AtomicU64::new(0), chosen.len() as u64);
    let faults: Vec<(ObjectName, Fault)> = chosen
        .par_iter()
        .filter_map(|&name| {
            // The next subject notes why the client has gone.
            if conversation.last_word().is_some() {
                return None;
            }
            let fault = fault_of(&store, name, bytes_max, place.uid);
            conversation.progress(Phase::Check, done.fetch_add(1, Ordering::Relaxed) + 1, total);
            fault.map(|fault| (name, fault))
        })
        .collect();
    conversation.ended(Phase::Check);
    let mut look = Look::fact(format!("{total} of {all} objects read"));
    tell(place, ours, &store, &faults, &mut look);
    Ok(look)
}

/// Chooses objects that are spread over all of them.
fn sample(names: Vec<ObjectName>, random: &str) -> Vec<ObjectName> {
    let step = names.len().div_ceil(SAMPLE).max(1);
    let first = u64::from_str_radix(random.get(..15).unwrap_or_default(), 16).unwrap_or_default() as usize % step;
    names.into_iter().skip(first).step_by(step).collect()
}

/// Returns what is wrong with an object. One that is gone was removed meanwhile.
fn fault_of(store: &Store, name: ObjectName, bytes_max: u64, user: u32) -> Option<Fault> {
    let file = match store.open(name) {
        Ok(Some(file)) => file,
        Ok(None) => return None,
        Err(_) => return Some(Fault::Damaged),
    };
    let stat = file_stat(&file).ok()?;
    if stat.uid != user {
        return Some(Fault::OtherOwner(stat.uid));
    }
    let is_as_made = stat.mode == u32::from(name.key.mode) && stat.mtime_nanos == 0;
    if stat.size > bytes_max || !is_as_made {
        return None;
    }
    let is_whole = FileRange::whole(&file).hash().is_ok_and(|(hash, _)| hash == name.key.hash);
    (!is_whole).then_some(Fault::Damaged)
}

/// Tells of the first of each kind, and how many there are.
fn tell(place: &Place<'_>, ours: &Ours, store: &Store, faults: &[(ObjectName, Fault)], look: &mut Look) {
    let mut damaged = faults.iter().filter(|(_, fault)| matches!(fault, Fault::Damaged));
    if let Some((name, _)) = damaged.next() {
        let (file, is_live) = file_with(ours, *name);
        let path = shown_path(&store.path_of(*name));
        look.find(Finding::ObjectDamaged { path, file, is_live, further: damaged.count() as u64 });
    }
    let other_owner = faults.iter().find_map(|(name, fault)| match fault {
        Fault::OtherOwner(owner) => Some((name, *owner)),
        Fault::Damaged => None,
    });
    if let Some((name, owner)) = other_owner {
        look.find(Finding::ObjectOtherOwner {
            path: shown_path(&store.path_of(*name)),
            owner: place.name_of(owner),
            user: place.user.clone(),
            is_protected: std::fs::read("/proc/sys/fs/protected_hardlinks").is_ok_and(|value| value.starts_with(b"1")),
        });
    }
}

/// Finds a file of a release that is linked to an object, in the live release first. Returns whether that one is live.
fn file_with(ours: &Ours, name: ObjectName) -> (Option<String>, bool) {
    let Ours { layout, releases } = ours;
    let live = layout.current.live().unwrap_or_default();
    let mut records: Vec<_> = releases.records.iter().rev().collect();
    records.sort_by_key(|record| live.as_ref() != Some(&record.id));
    for record in records {
        let Ok(stored) = read_manifest(layout, &record.id, &record.root) else { continue };
        let found = stored.manifest.all_files().find(|&(entry, file)| {
            let copy = stored.placements.get(entry as usize).map_or(0, |placement| placement.copy);
            file.size > 0 && ObjectName { key: file.key, copy } == name
        });
        if let Some((entry, _)) = found {
            let path = stored.manifest.path(entry);
            return (Some(format!("releases/{}/{}", record.id, Shown(&path))), live.as_ref() == Some(&record.id));
        }
    }
    (None, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;
    use crate::manifest::ObjectKey;

    #[test]
    fn a_sample_is_spread_over_all_objects_and_begins_anywhere() {
        let names = |count: usize| -> Vec<ObjectName> {
            let name = |number: usize| Hash::of(&number.to_le_bytes());
            (0..count)
                .map(|number| ObjectName { key: ObjectKey { hash: name(number), mode: 0o444 }, copy: 0 })
                .collect()
        };
        assert_eq!(sample(names(0), "f").len(), 0);
        assert_eq!(sample(names(SAMPLE), "0").len(), SAMPLE);
        let all = names(10 * SAMPLE);
        let mut found: Vec<ObjectName> =
            (0..10).flat_map(|first| sample(all.clone(), &format!("{first:015x}"))).collect();
        assert_eq!(found.len(), all.len());
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), all.len());
    }
}
