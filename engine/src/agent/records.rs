//! What is recorded of each release: `.cutover/releases/<id>/record` and `manifest`.
//!
//! A record is JSON, for people to read. A manifest is as [`crate::manifest::encode`] has it, from no base, followed by
//! the placements of its entries. Both stand outside the web root.
//!
//! `current` is the truth of what is live. A record follows it: before a switch it says where a rollback would go,
//! after the switch when it was. What a crash kept from being written is mended at the next start, from the link and
//! its own mtime.

use crate::bytes::{ByteReader, put_bytes};
use crate::disk::{Dir, Kind};
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::Manifest;
use crate::manifest::encode::{decode, decompress, encode};
use crate::manifest::placement::{Placement, Placements, put_placements, read_placements};
use crate::release::{Record, ReleaseId};

use super::layout::{Layout, to_json};
use super::trash;

const RECORD: &[u8] = b"record";
/// The name of a manifest, beside its record.
pub(crate) const MANIFEST: &[u8] = b"manifest";

/// A manifest with where the server keeps its files.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// A placement for each entry.
    pub(crate) placements: Placements,
}

/// All releases that stand, in their order.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    /// The records, by sequence.
    pub(crate) records: Vec<Record>,
    /// Releases whose record or tree is missing or damaged, and why.
    pub(crate) damaged: Vec<(ReleaseId, String)>,
    /// Names in `releases/` that Cutover did not make.
    pub(crate) foreign: Vec<Vec<u8>>,
}

impl Releases {
    /// Reads all records.
    pub(crate) fn read(layout: &Layout) -> Result<Releases, Error> {
        let mut releases = Releases::default();
        let trees = layout.release_names()?;
        for name in layout.records.names()? {
            let Some(id) = std::str::from_utf8(&name).ok().and_then(|name| name.parse::<ReleaseId>().ok()) else {
                continue;
            };
            let has_tree =
                trees.contains(&name) && layout.releases.stat(&name)?.is_some_and(|stat| stat.kind == Kind::Directory);
            match read_record(layout, &id)? {
                Ok(_) if !has_tree => releases.damaged.push((id, "its directory is missing".into())),
                Ok(record) => releases.records.push(record),
                Err(reason) => releases.damaged.push((id, reason)),
            }
        }
        releases.records.sort_by_key(|record| record.sequence);
        let is_ours = |name: &Vec<u8>| layout.records.stat(name).is_ok_and(|stat| stat.is_some());
        releases.foreign = trees.into_iter().filter(|name| !is_ours(name)).collect();
        Ok(releases)
    }

    /// Finds a release.
    pub(crate) fn find(&self, id: &ReleaseId) -> Option<&Record> {
        self.records.iter().find(|record| record.id == *id)
    }

    /// Returns the release that a rollback goes to: what was live before what is, and if that is gone, the newest
    /// earlier release that was ever live; where nothing is live, or what should be is gone, what was live last.
    pub(crate) fn rollback_from(&self, live: Option<&ReleaseId>) -> Option<&Record> {
        let Some(live) = live.and_then(|live| self.find(live)) else {
            return self.records.iter().filter(|record| record.was_live()).max_by_key(|record| record.went_live.last());
        };
        let previous = live.previous.as_ref().and_then(|id| self.find(id)).filter(|record| record.was_live());
        let is_earlier = |record: &&Record| record.sequence < live.sequence && record.was_live();
        previous.or_else(|| self.records.iter().rev().find(is_earlier))
    }

    /// Returns the names.
    pub(crate) fn ids(&self) -> Vec<ReleaseId> {
        self.records.iter().map(|record| record.id.clone()).collect()
    }
}

fn read_record(layout: &Layout, id: &ReleaseId) -> Result<Result<Record, String>, Error> {
    let dir = layout.records.open_dir(id.as_str().as_bytes())?;
    let Some(bytes) = dir.read(RECORD)? else {
        return Ok(Err("its record is missing".into()));
    };
    Ok(match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) if record.id == *id => Ok(record),
        Ok(_) => Err("its record is that of another release".into()),
        Err(error) => Err(format!("its record cannot be read ({error})")),
    })
}

/// Reads a release's manifest and verifies it against the root in its record.
pub(crate) fn read_manifest(layout: &Layout, id: &ReleaseId, root: &Hash) -> Result<Kept, Error> {
    let damaged = |reason: String| Error::ReleaseDamaged { id: id.clone(), reason };
    let dir = layout.records.open_dir(id.as_str().as_bytes())?;
    let bytes = dir.read(MANIFEST)?.ok_or_else(|| damaged("its manifest is missing".into()))?;
    let kept = manifest_from_bytes(&bytes).map_err(|reason| damaged(format!("its manifest {reason}")))?;
    if kept.manifest.root() != *root {
        return Err(damaged("its manifest is another one".into()));
    }
    Ok(kept)
}

/// Reads the record of a release that does not stand; nothing where it cannot be read.
pub(crate) fn read_owed_record(dir: &Dir) -> Result<Option<Record>, Error> {
    Ok(dir.read(RECORD)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Reads the manifest of a release that does not stand; nothing where it cannot be read.
pub(crate) fn read_owed_manifest(dir: &Dir) -> Result<Option<Kept>, Error> {
    Ok(dir.read(MANIFEST)?.and_then(|bytes| manifest_from_bytes(&bytes).ok()))
}

fn manifest_from_bytes(bytes: &[u8]) -> Result<Kept, crate::manifest::encode::BadEncoding> {
    let (decoded, rest) = decode(bytes, None)?;
    let mut reader = ByteReader::new(rest);
    let length = reader.number()?;
    let raw = decompress(reader.bytes()?, length)?;
    let placements = read_placements(&mut ByteReader::new(&raw), decoded.manifest.len() as usize)?;
    Ok(Kept { manifest: decoded.manifest, placements })
}

/// Returns the manifest part of what [`read_manifest`] reads, for sending.
pub(crate) fn manifest_to_bytes(manifest: &Manifest) -> Vec<u8> {
    encode(manifest, None).bytes
}

fn kept_to_bytes(manifest: &Manifest, placements: &[Placement]) -> Vec<u8> {
    let mut bytes = manifest_to_bytes(manifest);
    let mut raw = Vec::new();
    put_placements(&mut raw, placements);
    crate::bytes::put_number(&mut bytes, raw.len() as u64);
    put_bytes(&mut bytes, &zstd::bulk::compress(&raw, 3).expect("compressing into memory does not fail"));
    bytes
}

/// Writes record and manifest of a new release into a directory of staging, where the one `syncfs` finds them.
pub(crate) fn stage(dir: &Dir, record: &Record, manifest: &Manifest, placements: &[Placement]) -> Result<(), Error> {
    use std::io::Write;
    for (name, content) in [(RECORD, to_json(record).into_bytes()), (MANIFEST, kept_to_bytes(manifest, placements))] {
        let mut file = dir.create_file(name)?;
        file.write_all(&content).map_err(|e| Error::io("write", dir.path_of(name), e))?;
        file.sync_all().map_err(|e| Error::io("sync", dir.path_of(name), e))?;
    }
    dir.sync()
}

/// Replaces a record, durably.
pub(crate) fn replace(layout: &Layout, record: &Record) -> Result<(), Error> {
    let dir = layout.records.open_dir(record.id.as_str().as_bytes())?;
    dir.replace(RECORD, to_json(record).as_bytes())
}

/// Brings the records in line with `current` after a crash between a switch and its record, and moves what an interrupted
/// publication or removal left into trash. To be called under the lock.
pub(crate) fn mend(layout: &mut Layout, releases: &mut Releases) -> Result<(), Error> {
    let live = layout.current.live()?;
    let switched = layout.current.dir.stat(&layout.current.name)?.map_or(0, |stat| stat.mtime.max(0) as u64);
    for record in &mut releases.records {
        let is_live = live.as_ref() == Some(&record.id);
        let last = record.went_live.last().copied();
        let retired = record.retired.filter(|&retired| last.is_some_and(|last| retired >= last));
        if is_live && (last.is_none() || retired.is_some()) {
            record.went_live.push(switched);
            record.retired = None;
        } else if !is_live && last.is_some() && retired.is_none() {
            record.retired = Some(switched);
        } else {
            continue;
        }
        replace(layout, record)?;
    }
    // A record without a tree is a publication or a removal that stopped between two renames; never the live one.
    let mut remaining = Vec::new();
    for (id, reason) in std::mem::take(&mut releases.damaged) {
        let name = id.as_str().as_bytes();
        if live.as_ref() != Some(&id) && layout.releases.stat(name)?.is_none() {
            if let Ok(record) = read_record(layout, &id)?
                && releases.records.iter().all(|standing| standing.second < record.second)
            {
                layout.keep_second(record.second)?;
            }
            trash::take_record(layout, &layout.records, name)?;
        } else {
            remaining.push((id, reason));
        }
    }
    releases.damaged = remaining;
    Ok(())
}
