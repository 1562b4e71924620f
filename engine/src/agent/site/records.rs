//! What is recorded of each release: `.cutover/releases/<id>/record` and `manifest`.
//!
//! A record is JSON, for people to read. A manifest is as [`crate::manifest::encode`] has it, from no base, followed by
//! the placements of its entries, behind the blake3 of both: what only wants to know which objects are named can believe
//! them then, and need not prove the root. Both stand outside the web root.
//!
//! `current` is the truth of what is live. A record follows it: before a switch it says where a rollback would go,
//! after the switch when it was. What a crash kept from being written is mended at the next start, see `mend`.

use std::fs::File as DiskFile;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use crate::bytes::{ByteReader, Malformed, put_bytes, put_number};
use crate::disk::{Dir, Kind, NewFile};
use crate::error::{DamageError, Error};
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::hasher::Hasher;
use crate::manifest::decode::{DecodedManifest, Parts, Section, StreamEntry, StreamEntryKind, decode, decompress};
use crate::manifest::encode::{BadEncoding, encode, encode_to_keep};
use crate::manifest::placement::{Placement, Placements, put_placements, read_placements};
use crate::manifest::{File, Manifest};
use crate::release::{Record, ReleaseId};

use super::layout::Layout;
use super::lock::Lock;
use crate::agent::json::to_json;
use crate::agent::store::ObjectName;

/// The name of a record in its directory.
pub(crate) const RECORD: &[u8] = b"record";
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

impl Kept {
    /// Returns a look at it.
    pub(crate) fn placed(&self) -> Placed<'_> {
        Placed { manifest: &self.manifest, placements: &self.placements }
    }
}

/// A look at a manifest with where the server keeps its files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    /// The manifest.
    pub(crate) manifest: &'a Manifest,
    /// A placement for each entry.
    pub(crate) placements: &'a [Placement],
}

impl<'a> Placed<'a> {
    /// Returns the objects that it names, with their sizes in bytes.
    pub(crate) fn objects(self) -> impl Iterator<Item = (ObjectName, u64)> + 'a {
        let with_size = move |(index, file): (u32, File)| {
            (ObjectName { key: file.key, copy: self.placements[index as usize].copy }, file.size)
        };
        self.manifest.all_files().filter(|(_, file)| file.size > 0).map(with_size)
    }
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
            match read_record(layout, &id) {
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
    /// earlier release that was ever live; where nothing is live, or what should be is gone, what was live last. No clock
    /// decides any of that.
    pub(crate) fn rollback_from(&self, live: Option<&ReleaseId>) -> Option<&Record> {
        let Some(live) = live.and_then(|live| self.find(live)) else {
            return self.records.iter().filter(|record| record.was_live()).max_by_key(|record| record.live_turn);
        };
        let previous = live.previous.as_ref().and_then(|id| self.find(id)).filter(|record| record.was_live());
        let is_earlier = |record: &&Record| record.sequence < live.sequence && record.was_live();
        previous.or_else(|| self.records.iter().rev().find(is_earlier))
    }

    /// Returns the number of the next switch.
    pub(crate) fn next_turn(&self) -> u64 {
        self.records.iter().map(|record| record.live_turn).max().unwrap_or(0) + 1
    }

    /// Returns the names.
    pub(crate) fn ids(&self) -> Vec<ReleaseId> {
        self.records.iter().map(|record| record.id.clone()).collect()
    }
}

/// Reads a record. One that cannot be read is the damage of that release, and keeps no other from being used.
pub(crate) fn read_record(layout: &Layout, id: &ReleaseId) -> Result<Record, String> {
    let unreadable = |error: Error| format!("its record cannot be read ({})", error.with_cause());
    let dir = layout.records.open_dir(id.as_str().as_bytes()).map_err(unreadable)?;
    let bytes = dir.read(RECORD).map_err(unreadable)?.ok_or_else(|| "its record is missing".to_owned())?;
    match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) if record.id == *id => Ok(record),
        Ok(_) => Err("its record is that of another release".into()),
        Err(error) => Err(format!("its record cannot be read ({error})")),
    }
}

/// What may be said of a manifest.
const ANOTHER: &str = "is another one";
const MISSING: &str = "is missing";

/// Says of a release what its manifest is or does.
fn damaged(id: &ReleaseId, what: impl std::fmt::Display) -> Error {
    Error::from(DamageError::Release { id: id.clone(), reason: format!("its manifest {what}") })
}

fn manifest_bytes(layout: &Layout, id: &ReleaseId) -> Result<Vec<u8>, Error> {
    let dir = layout.records.open_dir(id.as_str().as_bytes())?;
    dir.read(MANIFEST)?.ok_or_else(|| damaged(id, MISSING))
}

/// Reads a release's manifest and verifies it against the root in its record.
pub(crate) fn read_manifest(layout: &Layout, id: &ReleaseId, root: &Hash) -> Result<Kept, Error> {
    let kept = manifest_from_bytes(&manifest_bytes(layout, id)?).map_err(|reason| damaged(id, reason))?;
    if kept.manifest.root() == *root { Ok(kept) } else { Err(damaged(id, ANOTHER)) }
}

/// Fails where a release's manifest is not there, or is another one's. What is in it is not looked at: its tree was proved
/// when it was made, and a rollback takes as long with a million files as with ten.
pub(crate) fn check_manifest(layout: &Layout, id: &ReleaseId, root: &Hash) -> Result<(), Error> {
    let dir = layout.records.open_dir(id.as_str().as_bytes())?;
    let file = dir.open_file(MANIFEST)?.ok_or_else(|| damaged(id, MISSING))?;
    let mut front = [0; 64];
    match file.read_exact_at(&mut front, 0) {
        Ok(()) if front.ends_with(root.as_bytes()) => Ok(()),
        Ok(()) => Err(damaged(id, ANOTHER)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged(id, "ends too early")),
        Err(error) => Err(Error::io("read", dir.path_of(MANIFEST), error)),
    }
}

/// Gives every entry of a release with its placement, in order, and makes no manifest of them.
pub(crate) fn read_entries(
    layout: &Layout,
    id: &ReleaseId,
    root: &Hash,
    take: impl FnMut(StreamEntry<'_>, Placement),
) -> Result<(), Error> {
    let dir = layout.records.open_dir(id.as_str().as_bytes())?;
    let file = dir.open_file(MANIFEST)?.ok_or_else(|| damaged(id, MISSING))?;
    match entries_of(&file, Some(root), take) {
        Ok(true) => Ok(()),
        Ok(false) => Err(damaged(id, ANOTHER)),
        Err(reason) => Err(damaged(id, reason)),
    }
}

/// Gives every object that a release names, with its size in bytes, and makes no manifest of them.
pub(crate) fn read_objects(
    layout: &Layout,
    id: &ReleaseId,
    root: &Hash,
    mut take: impl FnMut(ObjectName, u64),
) -> Result<(), Error> {
    read_entries(layout, id, root, |entry, placement| {
        if let Some((name, size)) = object_of(&entry, placement) {
            take(name, size);
        }
    })
}

/// Returns the object that an entry is a link to, with its size in bytes.
pub(crate) fn object_of(entry: &StreamEntry<'_>, placement: Placement) -> Option<(ObjectName, u64)> {
    match entry.kind {
        StreamEntryKind::File(file) if file.size > 0 => {
            Some((ObjectName { key: file.key, copy: placement.copy }, file.size))
        }
        _ => None,
    }
}

/// Reads the record of a release that does not stand; nothing where it cannot be read.
pub(crate) fn read_owed_record(dir: &Dir) -> Result<Option<Record>, Error> {
    Ok(dir.read(RECORD)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Gives every entry of a release that does not stand, with its placement. Tells whether its manifest could be read: otherwise
/// it may have others, or these may be wrong.
pub(crate) fn read_owed_entries(dir: &Dir, take: impl FnMut(StreamEntry<'_>, Placement)) -> Result<bool, Error> {
    let Some(file) = dir.open_file(MANIFEST)? else { return Ok(false) };
    Ok(entries_of(&file, None, take).is_ok())
}

/// Gives every object that such a release names.
pub(crate) fn read_owed_objects(dir: &Dir, mut take: impl FnMut(ObjectName)) -> Result<bool, Error> {
    read_owed_entries(dir, |entry, placement| {
        if let Some((name, _)) = object_of(&entry, placement) {
            take(name);
        }
    })
}

/// Returns what follows the hash in front, where that is the one of it.
fn unaltered(bytes: &[u8]) -> Result<&[u8], BadEncoding> {
    let (hash, rest) = bytes.split_first_chunk().ok_or(BadEncoding::Altered)?;
    if Hash::of(rest) == Hash::from_bytes(*hash) { Ok(rest) } else { Err(BadEncoding::Altered) }
}

fn placements_from_bytes(bytes: &[u8], entries: Option<usize>) -> Result<Placements, BadEncoding> {
    let mut reader = ByteReader::new(bytes);
    let length = reader.number()?;
    let raw = decompress(reader.bytes()?, length)?;
    Ok(read_placements(&mut ByteReader::new(&raw), entries)?)
}

fn manifest_from_bytes(bytes: &[u8]) -> Result<Kept, BadEncoding> {
    let (DecodedManifest { manifest, .. }, rest) = decode(unaltered(bytes)?, None)?;
    let placements = placements_from_bytes(rest, Some(manifest.len() as usize))?;
    Ok(Kept { manifest, placements })
}

/// Says whether the manifest is the one of the root that is given.
fn entries_of(
    file: &DiskFile,
    root: Option<&Hash>,
    mut take: impl FnMut(StreamEntry<'_>, Placement),
) -> Result<bool, BadEncoding> {
    let mut front = [0; size_of::<Hash>()];
    file.read_exact_at(&mut front, 0).map_err(|_| BadEncoding::Altered)?;
    let kept = Section::from(file, front.len() as u64).map_err(BadEncoding::Unreadable)?;
    let (hash, _) = FileRange::new(file, front.len() as u64..u64::MAX).hash().map_err(BadEncoding::Unreadable)?;
    if *hash.as_bytes() != front {
        return Err(BadEncoding::Altered);
    }
    let (parts, mut rest) = Parts::read_from(kept)?;
    if root.is_some_and(|root| parts.root != *root) {
        return Ok(false);
    }
    let mut placements = Vec::new();
    rest.read_to_end(&mut placements).map_err(BadEncoding::Unreadable)?;
    let placements = placements_from_bytes(&placements, None)?;
    let mut is_placed = true;
    parts.for_each_entry(|entry| match placements.get(entry.index as usize) {
        Some(&placement) => take(entry, placement),
        None => is_placed = false,
    })?;
    if is_placed { Ok(true) } else { Err(Malformed.into()) }
}

/// Returns the manifest part of what [`read_manifest`] reads, for sending.
pub(crate) fn manifest_to_bytes(manifest: &Manifest) -> Vec<u8> {
    encode(manifest, None).to_bytes()
}

/// What is written at once, in bytes: many hashes, which are hashed by the dozen.
const WRITTEN_BYTES: usize = 128 << 10;

/// What is written, hashed on the way.
struct Hashing<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes what [`read_manifest`] reads, but for the hash in front, which is returned.
fn write_kept(out: impl Write, manifest: &Manifest, placements: &[Placement]) -> io::Result<Hash> {
    let mut out = BufWriter::with_capacity(WRITTEN_BYTES, Hashing { out, hasher: Hasher::new() });
    encode_to_keep(manifest).write_to(&mut out)?;
    let (mut raw, mut packed) = (Vec::new(), Vec::new());
    put_placements(&mut raw, placements);
    put_number(&mut packed, raw.len() as u64);
    put_bytes(&mut packed, &zstd::bulk::compress(&raw, 3)?);
    out.write_all(&packed)?;
    let Hashing { hasher, .. } = out.into_inner()?;
    Ok(hasher.finish())
}

/// Writes record and manifest of a new release into a directory of staging, where the one `syncfs` finds them.
pub(crate) fn stage(dir: &Dir, record: &Record, manifest: &Manifest, placements: &[Placement]) -> Result<(), Error> {
    sync_staged(dir, RECORD, &dir.create_file_of(RECORD, to_json(record).as_bytes())?)?;
    let file = dir.create_file_of(MANIFEST, &[0; size_of::<Hash>()])?;
    write_kept(&file, manifest, placements)
        .and_then(|hash| file.put_at(hash.as_bytes(), 0))
        .map_err(|e| Error::io("write", dir.path_of(MANIFEST), e))?;
    sync_staged(dir, MANIFEST, &file)?;
    dir.sync()
}

fn sync_staged(dir: &Dir, name: &[u8], file: &NewFile) -> Result<(), Error> {
    file.sync().map_err(|e| Error::io("sync", dir.path_of(name), e))
}

/// Replaces a record, durably.
pub(crate) fn replace(_lock: &Lock, layout: &Layout, record: &Record) -> Result<(), Error> {
    let dir = layout.records.open_dir(record.id.as_str().as_bytes())?;
    dir.replace(RECORD, to_json(record).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::manifest::{Builder, ObjectKey};

    fn kept() -> Kept {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        let file = |content: &[u8]| {
            let key = ObjectKey { hash: Hash::of(content), mode: 0o444 };
            File { key, size: content.len() as u64 }
        };
        builder.directory(b"directory").unwrap();
        builder.file(b"empty", file(b"")).unwrap();
        builder.file(b"file", file(b"content")).unwrap();
        builder.symlink(b"link", b"file").unwrap();
        builder.begin(0o755).unwrap();
        builder.file(b"file", file(b"other")).unwrap();
        let placements = [(7, 0), (7, 0), (8, 3), (7, 0), (9, 0)].map(|(second, copy)| Placement { second, copy });
        Kept { manifest: builder.finish().unwrap(), placements: placements.to_vec() }
    }

    fn kept_to_bytes(kept: &Kept) -> Vec<u8> {
        let mut bytes = Vec::new();
        let hash = write_kept(&mut bytes, &kept.manifest, &kept.placements).unwrap();
        [hash.as_bytes(), bytes.as_slice()].concat()
    }

    fn on_disk(bytes: &[u8]) -> DiskFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn what_a_release_names_is_the_same_however_it_is_read() {
        let kept = kept();
        let bytes = kept_to_bytes(&kept);
        let mut named = Vec::new();
        let take = |entry: StreamEntry<'_>, placement| named.extend(object_of(&entry, placement));
        assert!(entries_of(&on_disk(&bytes), Some(&kept.manifest.root()), take).unwrap());
        assert_eq!(named, kept.placed().objects().collect::<Vec<_>>());
        assert_eq!(named.iter().map(|(name, _)| name.copy).collect::<Vec<_>>(), [3, 0]);
        assert_eq!(manifest_from_bytes(&bytes).unwrap().placements, kept.placements);
        assert!(!entries_of(&on_disk(&bytes), Some(&Hash::of(b"another")), |_, _| ()).unwrap());
    }

    #[test]
    fn what_is_not_what_was_written_is_not_read() {
        let kept = kept();
        let bytes = kept_to_bytes(&kept);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            for bytes in [&damaged, &bytes[..at]] {
                assert!(entries_of(&on_disk(bytes), None, |_, _| ()).is_err(), "{at}");
                assert!(manifest_from_bytes(bytes).is_err(), "{at}");
            }
        }
    }
}
