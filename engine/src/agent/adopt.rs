//! Uses what an interrupted run has received.
//!
//! Its content was written by a process that died, perhaps in another boot, so every file is hashed again before it
//! counts. A large file that is shorter than it should be is kept as a beginning: the rest is asked for, and the whole
//! is verified as ever.

use rayon::prelude::*;

use crate::disk::set_mode_and_mtime;
use crate::error::Error;
use crate::hash::Hash;

use super::assemble::Assembly;
use super::layout::Layout;
use super::receive::lane_of;
use super::staging::Leftover;
use super::wanted::WantedObjects;

/// Beginnings shorter than this are sent again: that costs less than to speak of them.
const PARTIAL_BYTES_MIN: u64 = 1 << 20;

/// Moves what is wanted into this run's staging, where it counts as arrived. Returns the entries of which a beginning
/// is there, with its length in bytes.
pub(crate) fn adopt(
    layout: &Layout,
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
) -> Result<Vec<(u32, u64)>, Error> {
    let leftovers = assembly.staging.leftovers(layout)?;
    let partial: Result<Vec<Option<(u32, u64)>>, Error> =
        leftovers.into_par_iter().map(|leftover| take(assembly, wanted, &leftover)).collect();
    let mut partial: Vec<(u32, u64)> = partial?.into_iter().flatten().collect();
    partial.sort_unstable();
    partial.dedup_by_key(|(entry, _)| *entry);
    Ok(partial)
}

fn take(assembly: &Assembly<'_>, wanted: &WantedObjects, leftover: &Leftover) -> Result<Option<(u32, u64)>, Error> {
    let Leftover { dir, name, size } = leftover;
    let Some(at) = wanted.find(name.key).filter(|_| name.copy == 0) else {
        return Ok(None);
    };
    let flat = name.flat();
    let entry = wanted.entries(at)[0];
    let lane = lane_of(entry, assembly.staging.lanes.len());
    if *size < wanted.size(at) {
        let is_worth_it = *size >= PARTIAL_BYTES_MIN;
        let moved = is_worth_it && dir.rename_new(flat.as_bytes(), &assembly.staging.lanes[lane], flat.as_bytes())?;
        return Ok(moved.then_some((entry, *size)));
    }
    let Some(file) = open_readable(leftover, &flat)? else {
        return Ok(None);
    };
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut &file, &mut hasher).map_err(|e| Error::io("read", dir.path_of(flat.as_bytes()), e))?;
    if Hash::from(hasher.finalize()) != name.key.hash {
        return Ok(None);
    }
    set_mode_and_mtime(&file, u32::from(name.key.mode), assembly.second)
        .map_err(|e| Error::io("set the mode of", dir.path_of(flat.as_bytes()), e))?;
    if dir.rename_new(flat.as_bytes(), &assembly.staging.lanes[lane], flat.as_bytes())? {
        wanted.arrive(at, lane);
    }
    Ok(None)
}

/// A mode that forbids its owner to read only costs that the content is sent again.
fn open_readable(leftover: &Leftover, flat: &str) -> Result<Option<std::fs::File>, Error> {
    match leftover.dir.open_file(flat.as_bytes()) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
        other => other,
    }
}
