//! Uses what an interrupted run has received.
//!
//! Its content was written by a process that died, perhaps in another boot, or whose sync failed. So the filesystem is
//! synced, and every file is hashed again, from the disk, before it counts: what a failed sync left in the cache need not
//! be on the disk. Where the sync fails here, everything is sent again. A large file that is shorter than it should be, or has a hole, is kept as a beginning, whatever its mode: the
//! rest is asked for, and the whole is verified as ever.

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

/// Beginnings shorter than this are sent again: that costs less than to speak of them.
pub(crate) const PARTIAL_BYTES_MIN: u64 = 1 << 20;

/// The mode of a large file until all of it is there: whoever goes on with it must be able to write to it.
pub(crate) const UNFINISHED_MODE: u32 = 0o600;

/// So much before a hole is sent again: a filesystem knows holes by its blocks only, which are no larger.
const HOLE_EDGE_BYTES: u64 = 1 << 20;

/// Moves what is wanted into this run's staging, where it counts as arrived. Returns the entries of which a beginning
/// is there, with its length in bytes.
pub(crate) fn adopt(
    lock: &Lock,
    layout: &Layout,
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
) -> Result<Vec<(u32, u64)>, Error> {
    let mut partial = Vec::new();
    if assembly.staging.stands_alone(layout)? {
        return Ok(partial);
    }
    if assembly.staging.dir.sync_filesystem().is_err() {
        // What stays is read from the disk by whoever finds it.
        staging::clear_others(lock, layout, assembly.staging, true).ok();
        return Ok(partial);
    }
    assembly.staging.take_from_others(layout, |left| {
        let taken: Result<Vec<_>, Error> =
            left.all(|_| true)?.into_par_iter().map(|name| take(assembly, wanted, left, name)).collect();
        partial.extend(taken?.into_iter().flatten());
        Ok(())
    })?;
    partial.sort_unstable();
    partial.dedup_by_key(|(entry, _)| *entry);
    Ok(partial)
}

/// Forgets the beginnings in whose place something else was made since, or tried.
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

/// Returns the entries of which this run has received a beginning and then no more, with its length in bytes.
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

fn take(
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
    left: &Store,
    name: ObjectName,
) -> Result<Option<(u32, u64)>, Error> {
    let staged = &assembly.staging.objects;
    let Some(at) = wanted.find(name.key).filter(|_| name.copy == 0) else {
        return Ok(None);
    };
    let Some(stat) = left.stat(name)? else {
        return Ok(None);
    };
    if stat.size < PARTIAL_BYTES_MIN && stat.size < wanted.size(at) {
        return Ok(None);
    }
    let Some(file) = open_readable(left, name)? else {
        return Ok(None);
    };
    if forget_cached(&file).is_err() {
        return Ok(None);
    }
    let whole = beginning(&file, stat.size);
    let set_mode = |mode: u32| {
        set_mode_and_mtime(&file, mode, assembly.second)
            .map_err(|e| Error::io("set the mode of", left.path_of(name), e))
    };
    if whole < wanted.size(at) {
        if whole < PARTIAL_BYTES_MIN {
            return Ok(None);
        }
        // A file that was whole before a power cut, and is not now, has its last mode.
        set_mode(UNFINISHED_MODE)?;
        return Ok(left.hand_over(name, staged)?.then_some((wanted.entries(at)[0], whole)));
    }
    // What the disk does not give back any more is as good as none.
    if !has_hash(&file, name.key.hash) {
        return Ok(None);
    }
    set_mode(u32::from(name.key.mode))?;
    if left.hand_over(name, staged)? {
        wanted.arrive(at);
    }
    Ok(None)
}

/// Returns how much of a file was written without a gap. Where the filesystem does not know, what is wrong is found by
/// its hash.
fn beginning(file: &std::fs::File, size: u64) -> u64 {
    match rustix::fs::seek(file, SeekFrom::Hole(0)) {
        Ok(hole) if hole < size => hole.saturating_sub(HOLE_EDGE_BYTES),
        _ => size,
    }
}

/// A mode that forbids its owner to read only costs that the content is sent again.
fn open_readable(left: &Store, name: ObjectName) -> Result<Option<std::fs::File>, Error> {
    match left.open(name) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    use crate::agent::staging::Staging;
    use crate::agent::tell::Silent;
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
        // As many MiB as each has, and those of them that came.
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
        let assembly = Assembly::new(&manifest, &expected, &copies, 1_700_000_000, &store, &staging);
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
