//! Uses the content that an interrupted run received.
//!
//! That run died, perhaps in another boot, or its sync failed. So the filesystem is synced first, and each file is
//! hashed again from the disk before it counts: after a failed sync, the cache may hold content that the disk lacks.
//! If this sync fails, everything is sent again.
//!
//! A large file that is too short or has a hole is kept as a beginning, whatever its mode. The agent asks for the
//! rest, and verifies the whole file as always.

use rayon::prelude::*;
use rustix::fs::SeekFrom;

use crate::agent::assemble::Assembly;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::staging;
use crate::agent::store::{ObjectName, Store, has_hash};
use crate::chunk::LARGE_FILE_BYTES;
use crate::disk::{forget_cached, set_mode_and_mtime};
use crate::error::Error;

use super::wanted::WantedObjects;

/// The shortest beginning that is kept, in bytes. Sending less again costs less than negotiating it.
pub(crate) const PARTIAL_BYTES_MIN: u64 = 1 << 20;

/// The mode of an unfinished large file: the run that continues it must be able to write to it.
pub(crate) const UNFINISHED_MODE: u32 = 0o600;

/// How much before a hole is sent again. A filesystem knows holes only by its blocks, which are no larger.
const HOLE_EDGE_BYTES: u64 = 1 << 20;

/// Moves wanted objects into this run's staging, where they count as arrived. Returns the entries of which a
/// beginning is there, with its length in bytes.
pub(crate) fn adopt(
    lock: &Lock,
    layout: &Layout,
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
) -> Result<Vec<(u32, u64)>, Error> {
    let mut partial = Vec::new();
    if assembly.staging.is_alone(layout)? {
        return Ok(partial);
    }
    if assembly.staging.dir.sync_filesystem().is_err() {
        // If some of it stays, the next run reads it from the disk.
        staging::clear_others(lock, layout, assembly.staging, true).ok();
        return Ok(partial);
    }
    assembly.staging.take_from_others(layout, |source| {
        let adopted: Result<Vec<_>, Error> =
            source.all(|_| true)?.into_par_iter().map(|name| adopt_object(assembly, wanted, source, name)).collect();
        partial.extend(adopted?.into_iter().flatten());
        Ok(())
    })?;
    partial.sort_unstable();
    partial.dedup_by_key(|(entry, _)| *entry);
    Ok(partial)
}

/// Drops the beginnings whose object was since made in another way, or failed to be.
pub(crate) fn retain_begun(
    begun: &mut Vec<(u32, u64)>,
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
) -> Result<(), Error> {
    let mut kept = Vec::with_capacity(begun.len());
    for &(entry, whole) in begun.iter() {
        if let Some(at) = wanted.of_entry(entry).filter(|&at| !wanted.has_arrived(at))
            && assembly.staging.objects.stat(ObjectName { key: wanted.key(at), copy: 0 })?.is_some()
        {
            kept.push((entry, whole));
        }
    }
    *begun = kept;
    Ok(())
}

/// Returns the entries of which this run received only a beginning, with its length in bytes.
pub(crate) fn begun(assembly: &Assembly<'_>, wanted: &WantedObjects) -> Result<Vec<(u32, u64)>, Error> {
    let staged = &assembly.staging.objects;
    let mut begun = Vec::new();
    for at in wanted.missing().filter(|&at| wanted.size(at) >= LARGE_FILE_BYTES) {
        let Some(file) = open_readable(staged, ObjectName { key: wanted.key(at), copy: 0 })? else { continue };
        let whole = file.metadata().map_or(0, |metadata| beginning(&file, metadata.len()));
        if (PARTIAL_BYTES_MIN..wanted.size(at)).contains(&whole) {
            begun.push((wanted.entries(at)[0], whole));
        }
    }
    begun.sort_unstable();
    Ok(begun)
}

fn adopt_object(
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
    source: &Store,
    name: ObjectName,
) -> Result<Option<(u32, u64)>, Error> {
    let staged = &assembly.staging.objects;
    let Some(at) = wanted.find(name.key).filter(|_| name.copy == 0) else {
        return Ok(None);
    };
    let Some(stat) = source.stat(name)? else {
        return Ok(None);
    };
    if stat.size < PARTIAL_BYTES_MIN && stat.size < wanted.size(at) {
        return Ok(None);
    }
    let Some(file) = open_readable(source, name)? else {
        return Ok(None);
    };
    if forget_cached(&file).is_err() {
        return Ok(None);
    }
    let whole = beginning(&file, stat.size);
    let set_mode = |mode: u32| {
        set_mode_and_mtime(&file, mode, assembly.second)
            .map_err(|e| Error::io("set the mode of", source.path_of(name), e))
    };
    if whole < wanted.size(at) {
        if whole < PARTIAL_BYTES_MIN {
            return Ok(None);
        }
        // A file that was complete before a power cut, and is not now, has its final mode.
        set_mode(UNFINISHED_MODE)?;
        return Ok(source.hand_over(name, staged)?.then_some((wanted.entries(at)[0], whole)));
    }
    // Content that the disk does not return counts as missing.
    if !has_hash(&file, name.key.hash) {
        return Ok(None);
    }
    set_mode(u32::from(name.key.mode))?;
    if source.hand_over(name, staged)? {
        wanted.arrive(at);
    }
    Ok(None)
}

/// Returns the length of the gapless beginning of a file. If the filesystem does not know holes, the hash finds the
/// error.
fn beginning(file: &std::fs::File, size: u64) -> u64 {
    match rustix::fs::seek(file, SeekFrom::Hole(0)) {
        Ok(hole) if hole < size => hole.saturating_sub(HOLE_EDGE_BYTES),
        _ => size,
    }
}

/// Opens an object for reading. If its mode forbids that, its content is sent again.
fn open_readable(source: &Store, name: ObjectName) -> Result<Option<std::fs::File>, Error> {
    match source.open(name) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    use crate::agent::reporter::Silent;
    use crate::agent::staging::Staging;
    use crate::hash::Hash;
    use crate::manifest::placement::Placement;
    use crate::manifest::{Builder, File, ObjectKey};
    use crate::pattern::Patterns;
    use crate::target::Policy;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_came_of_a_file_before_a_lane_broke_is_not_asked_for_again() {
        let place = tempfile::tempdir().unwrap();
        let (layout, _) = Layout::set_up(&place.path().join("site"), &Policy::default(), &Silent).unwrap();
        let lock = Lock::for_test(&layout.private);
        let staging = Staging::create(&lock, &layout).unwrap();
        let store = Store::new(layout.objects.duplicate().unwrap());
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        // The size of each file in MiB, and the parts that arrived.
        let files: [(&[u8], u64, &[u64]); 4] =
            [(b"a", 5, &[0, 1, 2, 4]), (b"b", 4, &[1, 2, 3]), (b"c", 3, &[0, 1]), (b"d", 3, &[])];
        for (name, size, parts) in files {
            let key = ObjectKey { hash: Hash::of(name), mode: 0o444 };
            builder.file(name, File { key, size: size * MIB }).unwrap();
            for &part in parts {
                let name = ObjectName { key, copy: 0 };
                let file = staging.objects.open_to_write(name).unwrap();
                let file = file.unwrap_or_else(|| staging.objects.create(name, 0o600).unwrap());
                file.put_at(&[7; MIB as usize], part * MIB).unwrap();
            }
        }
        let manifest = builder.finish().unwrap();
        let (expected, copies) = (vec![Placement::default(); 4], Patterns::parse([], "none").unwrap());
        let writable = crate::agent::writable::WritableDirectories::default();
        let assembly = Assembly::new(&manifest, &expected, &copies, &writable, 1_700_000_000, &store, &staging);
        let entries: Vec<u32> = manifest.all_files().map(|(entry, _)| entry).collect();
        let wanted = WantedObjects::gather(&manifest, entries.iter().copied());
        assert_eq!(begun(&assembly, &wanted).unwrap(), [(entries[0], 2 * MIB), (entries[2], 2 * MIB)]);
    }

    #[test]
    fn the_beginning_of_a_file_ends_before_its_first_hole() {
        let check = |parts: &[u64], expected: u64| {
            let file = tempfile::tempfile().unwrap();
            for &part in parts {
                file.write_all_at(&[7; MIB as usize], part * MIB).unwrap();
            }
            assert_eq!(beginning(&file, file.metadata().unwrap().len()), expected * MIB, "{parts:?}");
        };
        check(&[], 0);
        check(&[0, 1, 2], 3);
        check(&[2, 0, 1], 3);
        check(&[0, 1, 4], 1);
        check(&[0, 2, 4], 0);
        check(&[1], 0);
    }
}
