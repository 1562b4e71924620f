//! The comparison after the hooks of a new release, before it is live.
//!
//! A hook may add, replace and remove names, and change directories: only the new release has them, and they become
//! its own (`own`). A hook that changes a linked file in place (`chmod`, `touch`, `>>`) changes an object, and with
//! it every release that links to it, the live one included. That is damage, and the configuration decides: the file
//! is repaired, the deploy is refused, or the edit stays. A refused deploy repairs too, as far as it can, because the
//! live release was hit.

use crate::agent::site::Site;
use crate::agent::site::own::Own;
use crate::agent::site::records::{ManifestView, read_manifest};
use crate::agent::store::{ObjectName, Store};
use crate::error::{DamageError, Error, NamedDifferences, ReleaseError};
use crate::link::Link;
use crate::manifest::File;
use crate::manifest::placement::Placement;
use crate::release::{Record, ReleaseId};
use crate::report::{Difference, DifferenceKind, Differences};
use crate::target::HookEdits;
use crate::threads;

use super::found::{FoundDifference, Place};
use super::repair::{EditedObject, repair};
use super::walk::{Comparer, Depth, ReadHashes, Stop};

/// The edits that a message names.
const NAMED_MAX: usize = 20;

/// The effects of hooks on a new release.
#[derive(Debug, Default)]
pub(crate) struct HookEffects {
    /// The warnings for the user.
    pub(crate) warnings: Vec<String>,
}

/// Compares a release with its manifest after its hooks, and keeps the names that are its own. Call it only if it did
/// not differ before the hooks. Fails if a hook changed objects of the store and they may not or cannot be repaired.
pub(crate) fn after_hooks(site: &Site, id: &ReleaseId, policy: HookEdits) -> Result<HookEffects, Error> {
    threads::start_pool()?;
    let record = site.releases.find(id).ok_or_else(|| Error::from(ReleaseError::Unknown(id.clone())))?;
    let stored = read_manifest(&site.layout, id, &record.root)?;
    let store = Store::new(site.layout.objects.duplicate()?);
    let (hashes, stop) = (ReadHashes::default(), Stop::default());
    let comparer = Comparer { layout: &site.layout, store: &store, depth: Depth::Stat, hashes: &hashes, stop: &stop };
    let beside = site.layout.records.open_dir(id.as_str().as_bytes())?;
    let mut own = Own::read(&beside)?;
    let found = comparer.compare(record, stored.view(), &own)?;
    let mut edited = Vec::new();
    let is_changed = !found.is_empty();
    for difference in found {
        match edited_object(&store, record, stored.view(), &difference)? {
            Some(object) => edited.push((difference, object)),
            None => add_own(&mut own, stored.view(), &difference),
        }
    }
    let mut effects = HookEffects::default();
    if !edited.is_empty() {
        let named = named(id, stored.view(), &edited);
        let objects: Vec<EditedObject> = edited.iter().map(|(_, object)| *object).collect();
        let are_repaired = policy != HookEdits::Allow && repair(site, &store, &objects)?;
        match policy {
            HookEdits::Allow => {
                edited.iter().for_each(|(difference, _)| add_own(&mut own, stored.view(), difference));
                effects.warnings.push(format!("{}, and the edits stay: {named}", edits(named.total)));
            }
            HookEdits::Repair if are_repaired => {
                effects.warnings.push(format!("{}, and they were repaired: {named}", edits(named.total)));
            }
            HookEdits::Repair | HookEdits::Refuse => {
                let source = NamedDifferences(named.to_string());
                return Err(DamageError::EditedByHook { total: named.total, source }.into());
            }
        }
    }
    if is_changed {
        own.write(&beside)?;
    }
    Ok(effects)
}

fn edits(total: u64) -> String {
    let files = if total == 1 { "1 file".to_owned() } else { format!("{total} files") };
    format!("A hook changed {files} in place that other releases share")
}

/// Returns the object behind a difference, if a hook changed the object itself.
fn edited_object(
    store: &Store,
    record: &Record,
    view: ManifestView<'_>,
    difference: &FoundDifference,
) -> Result<Option<EditedObject>, Error> {
    let is_edit = matches!(difference.kind, DifferenceKind::Content | DifferenceKind::Mode | DifferenceKind::Owner);
    let (Place::Entry(entry), Some(stat)) = (&difference.place, &difference.stat) else { return Ok(None) };
    let Some(file) = view.manifest.file(*entry).filter(|file: &File| file.size > 0) else { return Ok(None) };
    if !is_edit || record.link == Link::Reflink {
        return Ok(None);
    }
    let placement: Placement = view.placements[*entry as usize];
    let object = store.stat(ObjectName { key: file.key, copy: placement.copy })?;
    let is_object = object.is_some_and(|object| (object.inode, object.device) == (stat.inode, stat.device));
    Ok(is_object.then_some(EditedObject { file, placement, inode: stat.inode }))
}

fn add_own(own: &mut Own, view: ManifestView<'_>, difference: &FoundDifference) {
    let path = difference.path(view.manifest);
    own.add(&path, difference.stat.as_ref(), difference.kind == DifferenceKind::Added);
}

fn named(id: &ReleaseId, view: ManifestView<'_>, edited: &[(FoundDifference, EditedObject)]) -> Differences {
    let total = edited.len() as u64;
    let mut paths: Vec<Difference> = edited.iter().map(|(difference, _)| difference.to_report(view.manifest)).collect();
    paths.sort_unstable();
    paths.truncate(NAMED_MAX);
    Differences { releases: vec![id.clone()], paths, total }
}
