//! The records of releases: `.cutover/releases/<id>/record` and `manifest`.
//!
//! A record is JSON, for people to read. The file `manifest` is the blake3 of the rest, then the manifest (see
//! [`crate::manifest::encode`], without a base), then the placements of its entries. With the hash in front, a reader
//! that only needs the objects can trust the list without proving the root. Both files are outside the web root.
//!
//! `current` decides what is live, and the records follow it. Before a switch, the record says where a rollback would
//! go; after the switch, when the release went live. If a crash prevents that, the next run mends it, see `mend`.

use std::fs::File as DiskFile;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use crate::bytes::{ByteReader, Malformed, put_bytes, put_number};
use crate::disk::{Dir, Kind, NewFile};
use crate::error::{DamageError, Error, ReleaseError};
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

/// A manifest and the placements of its files on the server.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// A placement for each entry.
    pub(crate) placements: Placements,
}

impl StoredManifest {
    /// Returns a borrowed view of it.
    pub(crate) fn view(&self) -> ManifestView<'_> {
        ManifestView { manifest: &self.manifest, placements: &self.placements }
    }
}

/// A borrowed manifest with its placements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ManifestView<'a> {
    /// The manifest.
    pub(crate) manifest: &'a Manifest,
    /// A placement for each entry.
    pub(crate) placements: &'a [Placement],
}

impl<'a> ManifestView<'a> {
    /// Returns the objects that the manifest names, with their sizes in bytes.
    pub(crate) fn objects(self) -> impl Iterator<Item = (ObjectName, u64)> + 'a {
        let with_size = move |(index, file): (u32, File)| {
            (ObjectName { key: file.key, copy: self.placements[index as usize].copy }, file.size)
        };
        self.manifest.all_files().filter(|(_, file)| file.size > 0).map(with_size)
    }
}

/// The existing releases, in order.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    /// The records, by sequence.
    pub(crate) records: Vec<Record>,
    /// Releases whose record or tree is missing or damaged, and why.
    pub(crate) damaged: Vec<(ReleaseId, String)>,
    /// Damaged releases whose record was removed, because nothing else was left of them. Nobody was told of them yet.
    pub(crate) dropped: Vec<ReleaseId>,
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

    /// Finds a release, or says why it cannot be used.
    pub(crate) fn known(&self, id: &ReleaseId) -> Result<&Record, Error> {
        self.find(id).ok_or_else(|| match self.damaged.iter().find(|(damaged, _)| damaged == id) {
            Some((id, reason)) => Error::from(DamageError::Release { id: id.clone(), reason: reason.clone() }),
            None => Error::from(ReleaseError::Unknown(id.clone())),
        })
    }

    /// Finds a release, to change its record.
    pub(crate) fn find_mut(&mut self, id: &ReleaseId) -> Result<&mut Record, Error> {
        let found = self.records.iter_mut().find(|record| record.id == *id);
        found.ok_or_else(|| Error::from(ReleaseError::Unknown(id.clone())))
    }

    /// Returns the number of the next switch.
    pub(crate) fn next_turn(&self) -> u64 {
        self.records.iter().map(|record| record.live_turn).max().unwrap_or(0) + 1
    }

    /// Returns the ids.
    pub(crate) fn ids(&self) -> Vec<ReleaseId> {
        self.records.iter().map(|record| record.id.clone()).collect()
    }
}

/// Reads a record. A record that cannot be read damages only its own release.
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

/// Endings of "its manifest …" in errors.
const ANOTHER: &str = "is another one";
const MISSING: &str = "is missing";

/// Makes the error for a release with a damaged manifest.
fn damaged(id: &ReleaseId, what: impl std::fmt::Display) -> Error {
    Error::from(DamageError::Release { id: id.clone(), reason: format!("its manifest {what}") })
}

fn manifest_bytes(layout: &Layout, id: &ReleaseId) -> Result<Vec<u8>, Error> {
    let dir = layout.records.open_dir(id.as_str().as_bytes())?;
    dir.read(MANIFEST)?.ok_or_else(|| damaged(id, MISSING))
}

/// Reads a release's manifest and verifies it against the root in its record.
pub(crate) fn read_manifest(layout: &Layout, id: &ReleaseId, root: &Hash) -> Result<StoredManifest, Error> {
    let stored = manifest_from_bytes(&manifest_bytes(layout, id)?).map_err(|reason| damaged(id, reason))?;
    if stored.manifest.root() == *root { Ok(stored) } else { Err(damaged(id, ANOTHER)) }
}

/// Fails if a release's manifest is missing or belongs to another root. Its content is not read: the tree was proved
/// when it was made, and a rollback must take as long with a million files as with ten.
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

/// Calls `take` with each entry of a release and its placement, in order, without building the manifest.
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

/// Calls `take` with each object that a release names and its size in bytes, without building the manifest.
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

/// Returns the object that an entry links to, with its size in bytes.
pub(crate) fn object_of(passing: &StreamEntry<'_>, placement: Placement) -> Option<(ObjectName, u64)> {
    match passing.kind {
        StreamEntryKind::File(file) if file.size > 0 => {
            Some((ObjectName { key: file.key, copy: placement.copy }, file.size))
        }
        _ => None,
    }
}

/// Reads the record of a removed release, or nothing if it cannot be read.
pub(crate) fn read_removed_record(dir: &Dir) -> Result<Option<Record>, Error> {
    Ok(dir.read(RECORD)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Reads the manifest of a removed release and verifies it against its root. The error is the end of "its manifest …".
pub(crate) fn read_removed_manifest(dir: &Dir, root: &Hash) -> Result<StoredManifest, String> {
    let bytes = dir.read(MANIFEST).map_err(|error| format!("cannot be read ({})", error.with_cause()))?;
    let stored = manifest_from_bytes(&bytes.ok_or(MISSING)?).map_err(|reason| reason.to_string())?;
    if stored.manifest.root() == *root { Ok(stored) } else { Err(ANOTHER.to_owned()) }
}

/// Calls `take` with each entry of a removed release and its placement. Returns whether its manifest could be read:
/// if not, entries may be missing or wrong.
pub(crate) fn read_removed_entries(dir: &Dir, take: impl FnMut(StreamEntry<'_>, Placement)) -> Result<bool, Error> {
    let Some(file) = dir.open_file(MANIFEST)? else { return Ok(false) };
    Ok(entries_of(&file, None, take).is_ok())
}

/// Calls `take` with each object that a removed release names. Returns whether its manifest could be read.
pub(crate) fn read_removed_objects(dir: &Dir, mut take: impl FnMut(ObjectName)) -> Result<bool, Error> {
    read_removed_entries(dir, |passing, placement| {
        if let Some((name, _)) = object_of(&passing, placement) {
            take(name);
        }
    })
}

/// Returns the bytes behind the hash in front, if they match it.
fn verify_hash(bytes: &[u8]) -> Result<&[u8], BadEncoding> {
    let (hash, rest) = bytes.split_first_chunk().ok_or(BadEncoding::Altered)?;
    if Hash::of(rest) == Hash::from_bytes(*hash) { Ok(rest) } else { Err(BadEncoding::Altered) }
}

fn placements_from_bytes(bytes: &[u8], entries: Option<usize>) -> Result<Placements, BadEncoding> {
    let mut reader = ByteReader::new(bytes);
    let length = reader.number()?;
    let raw = decompress(reader.bytes()?, length)?;
    Ok(read_placements(&mut ByteReader::new(&raw), entries)?)
}

fn manifest_from_bytes(bytes: &[u8]) -> Result<StoredManifest, BadEncoding> {
    let (DecodedManifest { manifest, .. }, rest) = decode(verify_hash(bytes)?, None)?;
    let placements = placements_from_bytes(rest, Some(manifest.len() as usize))?;
    Ok(StoredManifest { manifest, placements })
}

/// Calls `take` with each entry of a manifest file. Returns false if the manifest has another root.
fn entries_of(
    file: &DiskFile,
    root: Option<&Hash>,
    mut take: impl FnMut(StreamEntry<'_>, Placement),
) -> Result<bool, BadEncoding> {
    let mut front = [0; size_of::<Hash>()];
    file.read_exact_at(&mut front, 0).map_err(|_| BadEncoding::Altered)?;
    let stored = Section::from(file, front.len() as u64).map_err(BadEncoding::Unreadable)?;
    let (hash, _) = FileRange::new(file, front.len() as u64..u64::MAX).hash().map_err(BadEncoding::Unreadable)?;
    if *hash.as_bytes() != front {
        return Err(BadEncoding::Altered);
    }
    let (parts, mut rest) = Parts::read_from(stored)?;
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

/// Encodes a manifest for sending.
pub(crate) fn manifest_to_bytes(manifest: &Manifest) -> Vec<u8> {
    encode(manifest, None).to_bytes()
}

/// The size of one write, in bytes: long enough for several hashes to be computed at once.
const WRITTEN_BYTES: usize = 128 << 10;

/// A writer that hashes what passes.
struct HashingWriter<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a manifest and its placements, without the hash in front. Returns that hash.
fn write_stored(out: impl Write, manifest: &Manifest, placements: &[Placement]) -> io::Result<Hash> {
    let mut out = BufWriter::with_capacity(WRITTEN_BYTES, HashingWriter { out, hasher: Hasher::new() });
    encode_to_keep(manifest).write_to(&mut out)?;
    let (mut raw, mut packed) = (Vec::new(), Vec::new());
    put_placements(&mut raw, placements);
    put_number(&mut packed, raw.len() as u64);
    put_bytes(&mut packed, &zstd::bulk::compress(&raw, 3)?);
    out.write_all(&packed)?;
    let HashingWriter { hasher, .. } = out.into_inner()?;
    Ok(hasher.finish())
}

/// Writes record and manifest of a new release into a directory of staging, durably.
pub(crate) fn stage(dir: &Dir, record: &Record, manifest: &Manifest, placements: &[Placement]) -> Result<(), Error> {
    sync_staged(dir, RECORD, &dir.create_file_of(RECORD, to_json(record).as_bytes())?)?;
    let file = dir.create_file_of(MANIFEST, &[0; size_of::<Hash>()])?;
    write_stored(&file, manifest, placements)
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

    fn stored() -> StoredManifest {
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
        StoredManifest { manifest: builder.finish().unwrap(), placements: placements.to_vec() }
    }

    fn kept_to_bytes(stored: &StoredManifest) -> Vec<u8> {
        let mut bytes = Vec::new();
        let hash = write_stored(&mut bytes, &stored.manifest, &stored.placements).unwrap();
        [hash.as_bytes(), bytes.as_slice()].concat()
    }

    fn on_disk(bytes: &[u8]) -> DiskFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn what_a_release_names_is_the_same_however_it_is_read() {
        let stored = stored();
        let bytes = kept_to_bytes(&stored);
        let mut named = Vec::new();
        let take = |passing: StreamEntry<'_>, placement| named.extend(object_of(&passing, placement));
        assert!(entries_of(&on_disk(&bytes), Some(&stored.manifest.root()), take).unwrap());
        assert_eq!(named, stored.view().objects().collect::<Vec<_>>());
        assert_eq!(named.iter().map(|(name, _)| name.copy).collect::<Vec<_>>(), [3, 0]);
        assert_eq!(manifest_from_bytes(&bytes).unwrap().placements, stored.placements);
        assert!(!entries_of(&on_disk(&bytes), Some(&Hash::of(b"another")), |_, _| ()).unwrap());
    }

    #[test]
    fn what_is_not_what_was_written_is_not_read() {
        let stored = stored();
        let bytes = kept_to_bytes(&stored);
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
