//! `du`: the space that each part of a deploy path takes. It changes nothing.
//!
//! What releases name is read from their manifests, and files that are links to objects are not looked at: a release of a
//! million files costs a look at its directories ([`tree`]). The objects are looked at once, for the space that they
//! take. `shared/` and `cache/` have no manifest, so each file there is looked at.
//!
//! A run at the same time may move names from one part to another, which then count twice or not at all.

mod objects;
mod tree;

use crate::agent::query::{describe_state, live};
use crate::agent::removed;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Releases, read_manifest};
use crate::agent::staging;
use crate::agent::store::Store;
use crate::agent::trash::{Spare, own_blocks};
use crate::disk::{Dir, OwnBlocks, Usage};
use crate::error::Error;
use crate::release::{Record, ReleaseId};
use crate::report::{DiskUseReport, ReleaseUseReport};

use objects::{Holders, ObjectUse};

/// The parts of the deploy path that are counted apart.
const APART: [&[u8]; 4] = [b"releases", b"shared", b"cache", b".cutover"];
/// The parts of `.cutover/` that are counted apart.
const PRIVATE_APART: [&[u8]; 6] = [b"objects", b"staging", b"trash", b"releases", b"removed", b"original"];

/// Reports the space.
pub(crate) fn disk_use(layout: &Layout) -> Result<DiskUseReport, Error> {
    let releases = Releases::read(layout)?;
    let mut warnings = Vec::new();
    let live = live(layout, &mut warnings)?;
    let free = layout.root.free()?;
    let spare = Spare::find(layout)?;
    let holders = Holders::read(layout, &releases, spare.as_ref())?;
    let mut trees = own(&layout.releases)? + usage_of_damaged(layout, &releases)?;
    let mut of_releases = Vec::new();
    for record in &releases.records {
        let (tree, objects) = usage_of(layout, record, &holders, free.costs.block_bytes).or_else(|error| {
            warnings.push(error.with_cause());
            // Without its manifest, the release is looked at in full.
            let name = record.id.as_str().as_bytes();
            let tree = layout.releases.own_usage_of(name, layout.own_blocks(record.link)?)?;
            Ok::<_, Error>((tree, ObjectUse::default()))
        })?;
        trees += tree;
        of_releases.push(ReleaseUseReport {
            id: record.id.clone(),
            state: describe_state(record, live.as_ref()),
            files: record.files,
            bytes: record.bytes,
            own: (tree + objects.own).into(),
            shared: objects.shared.into(),
        });
    }
    of_releases.sort_by(|one, other| (other.own.bytes, &other.id).cmp(&(one.own.bytes, &one.id)));
    let foreign = releases.foreign.iter().map(|name| layout.releases.usage_of(name)).sum::<Result<Usage, Error>>()?;
    let removed = removed::find_all(layout, &releases)?.into_iter().map(|removed| removed.record.id).collect();
    let store = Store::new(layout.objects.duplicate()?);
    let (of_objects, of_shards) = (store.usage()?, store.directories()?);
    let staging = staging::usage(layout)? + own(&layout.staging)?;
    let trash = trash(layout)?;
    let (shared, cache) = (layout.root.usage_of(b"shared")?, layout.root.usage_of(b"cache")?);
    let records = layout.private.usage_of(b"releases")? + layout.private.usage_of(b"removed")?;
    // Files that were linked into the store count there.
    let original = layout.private.own_usage_of(b"original", OwnBlocks::All)?;
    let other = beside(&layout.root, &APART)? + beside(&layout.private, &PRIVATE_APART)?;
    let store = of_objects + of_shards;
    let total =
        [store, trees, shared, cache, staging, trash, records, foreign, original, other].into_iter().sum::<Usage>();
    Ok(DiskUseReport {
        deploy_path: layout.root.path().display().to_string(),
        releases: of_releases,
        store: store.into(),
        objects: of_objects.inodes,
        trees: trees.into(),
        shared: shared.into(),
        cache: cache.into(),
        staging: staging.into(),
        trash: trash.into(),
        spare: spare.map(|spare| spare.id),
        records: records.into(),
        removed,
        foreign: foreign.into(),
        original: original.into(),
        other: other.into(),
        total: total.into(),
        free_bytes: free.bytes,
        free_inodes: free.inodes,
        warnings,
    })
}

/// Returns the space of a release without its objects, and its objects.
fn usage_of(
    layout: &Layout,
    record: &Record,
    holders: &Holders,
    block_bytes: u64,
) -> Result<(Usage, ObjectUse), Error> {
    let stored = read_manifest(layout, &record.id, &record.root)?;
    Ok((tree::usage(layout, record, &stored.manifest)?, holders.usage(stored.view(), block_bytes)))
}

/// Returns the space of the releases without a record or a manifest. Their files may be links to objects.
fn usage_of_damaged(layout: &Layout, releases: &Releases) -> Result<Usage, Error> {
    let usage = |id: &ReleaseId| layout.releases.own_usage_of(id.as_str().as_bytes(), OwnBlocks::All);
    releases.damaged.iter().map(|(id, _)| usage(id)).sum()
}

/// Returns the space of a directory itself.
fn own(dir: &Dir) -> Result<Usage, Error> {
    dir.own_stat().map(|stat| Usage { bytes: stat.disk_bytes, inodes: 1 })
}

/// Returns the space of trash. Files of its trees with further names are objects.
fn trash(layout: &Layout) -> Result<Usage, Error> {
    let mut sum = own(&layout.trash)?;
    for name in layout.trash.names()? {
        sum += layout.trash.own_usage_of(&name, own_blocks(layout, &name)?)?;
    }
    Ok(sum)
}

/// Returns the space of a directory itself, and of its names but for some.
fn beside(dir: &Dir, apart: &[&[u8]]) -> Result<Usage, Error> {
    let mut sum = own(dir)?;
    for name in dir.names()?.iter().filter(|name| !apart.contains(&name.as_slice())) {
        sum += dir.usage_of(name)?;
    }
    Ok(sum)
}
