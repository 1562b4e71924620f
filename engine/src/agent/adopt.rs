//! Uses what an interrupted run has received.
//!
//! Its content was written by a process that died, perhaps in another boot, so every file is hashed again before it
//! counts. A large file that is shorter than it should be, or has a hole, is kept as a beginning: the rest is asked for,
//! and the whole is verified as ever.

use std::io::Seek;

use rayon::prelude::*;
use rustix::fs::SeekFrom;

use crate::disk::set_mode_and_mtime;
use crate::error::Error;
use crate::hash::Hash;

use super::assemble::Assembly;
use super::layout::Layout;
use super::store::{ObjectName, Store};
use super::wanted::WantedObjects;

/// Beginnings shorter than this are sent again: that costs less than to speak of them.
const PARTIAL_BYTES_MIN: u64 = 1 << 20;

/// So much before a hole is sent again: a filesystem knows holes by its blocks only, which are no larger.
const HOLE_EDGE_BYTES: u64 = 1 << 20;

/// Moves what is wanted into this run's staging, where it counts as arrived. Returns the entries of which a beginning
/// is there, with its length in bytes.
pub(crate) fn adopt(
    layout: &Layout,
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
) -> Result<Vec<(u32, u64)>, Error> {
    let mut partial = Vec::new();
    assembly.staging.take_from_others(layout, |left| {
        let taken: Result<Vec<_>, Error> =
            left.all()?.into_par_iter().map(|name| take(assembly, wanted, left, name)).collect();
        partial.extend(taken?.into_iter().flatten());
        Ok(())
    })?;
    partial.sort_unstable();
    partial.dedup_by_key(|(entry, _)| *entry);
    Ok(partial)
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
    let whole = beginning(&file, stat.size);
    if whole < wanted.size(at) {
        let moved = whole >= PARTIAL_BYTES_MIN && left.hand_over(name, staged)?;
        return Ok(moved.then_some((wanted.entries(at)[0], whole)));
    }
    let mut hasher = blake3::Hasher::new();
    (&file).rewind().map_err(|e| Error::io("read", left.path_of(name), e))?;
    std::io::copy(&mut &file, &mut hasher).map_err(|e| Error::io("read", left.path_of(name), e))?;
    if Hash::from(hasher.finalize()) != name.key.hash {
        return Ok(None);
    }
    set_mode_and_mtime(&file, u32::from(name.key.mode), assembly.second)
        .map_err(|e| Error::io("set the mode of", left.path_of(name), e))?;
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

    #[test]
    fn the_beginning_of_a_file_ends_before_its_first_hole() {
        const MIB: u64 = 1 << 20;
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
