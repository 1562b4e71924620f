//! Links the files of a site into the store, where there is no space for copies.
//!
//! An object must never change, so a file is linked only if nobody can write to it: the write bits are dropped first, so
//! that nobody opens it for writing any more. Then a lease shows that nobody has it open. The file is hashed and linked
//! under the lease; if somebody tried to write to it meanwhile, the link and the mode are taken back, and the file is
//! copied. Root, and owners that change the mode, can still write later, as to any file of a release.
//!
//! A file with several names is copied: its other names may be outside the site.
//!
//! The old modes and times are in `.cutover/adoption-modes`, durable before the first file is changed. A file that took the
//! name of another one since is copied. Undoing puts modes and times back. The files can change
//! then, and an object must never change. So they leave the store first, and the releases are no releases any more.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;

use serde::{Deserialize, Serialize};

use crate::agent::assemble::Assembly;
use crate::agent::json::{read_json, to_json};
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::staging;
use crate::agent::store::{ObjectName, Store, has_hash};
use crate::agent::trash;
use crate::disk::{Dir, Kind, Lease, Stat, file_stat, set_mode, set_mode_and_mtime, set_mode_and_times};
use crate::error::Error;
use crate::path::RelativePath;
use crate::scan::content::has_capabilities;
use crate::scan::snapshot::Snapshot;

/// The name of the list of old modes in `.cutover/`.
const MODES: &[u8] = b"adoption-modes";

/// The permission bits of a mode.
const PERMISSIONS: u32 = 0o7777;

const NANOS: i64 = 1_000_000_000;

/// Links a file into staging as an object. `noted` is the inode whose mode was kept. Returns false if the file must be copied,
/// and leaves it as it was then.
pub(super) fn stage_link(
    assembly: &Assembly<'_>,
    dir: &Dir,
    name: &[u8],
    file: &File,
    noted: u64,
    object: ObjectName,
) -> Result<bool, Error> {
    let failed = |errno: rustix::io::Errno| Error::io("set the mode of", dir.path_of(name), errno);
    let before = file_stat(file).map_err(failed)?;
    let staged = &assembly.staging.objects;
    let is_own = before.kind == Kind::File && before.inode == noted && before.uid == staged.owner();
    // Other files with this content get no capabilities from it.
    if !is_own || before.links > 1 || has_capabilities(file) {
        return Ok(false);
    }
    set_mode(file, u32::from(object.key.mode)).map_err(failed)?;
    let is_linked = link_under_lease(assembly, dir, name, file, object);
    if !matches!(is_linked, Ok(true)) {
        restore(file, &before).map_err(failed)?;
    }
    is_linked
}

fn link_under_lease(
    assembly: &Assembly<'_>,
    dir: &Dir,
    name: &[u8],
    file: &File,
    object: ObjectName,
) -> Result<bool, Error> {
    let staged = &assembly.staging.objects;
    let Some(lease) = Lease::take(file) else { return Ok(false) };
    if !has_hash(file, object.key.hash) || !staged.take_link(dir, name, object)? {
        return Ok(false);
    }
    set_mode_and_mtime(file, u32::from(object.key.mode), assembly.second)
        .map_err(|errno| Error::io("set the mtime of", dir.path_of(name), errno))?;
    // The name may lead to another file by now.
    let is_same = staged.stat(object)?.zip(file_stat(file).ok()).is_some_and(|(one, other)| one.inode == other.inode);
    if is_same && lease.holds() {
        return Ok(true);
    }
    staged.remove(object)?;
    Ok(false)
}

fn restore(file: &File, stat: &Stat) -> Result<(), rustix::io::Errno> {
    set_mode_and_times(file, stat.mode, stat.mtime, stat.mtime_nanos)
}

/// The mode and the mtime of a file before it was linked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct OldStat {
    inode: u64,
    mode: u32,
    mtime: i64,
    mtime_nanos: u32,
}

type OldStats = BTreeMap<RelativePath, OldStat>;

/// Keeps the modes and times of all files, durably. Those that an earlier run kept stay: it may have changed the files.
pub(super) fn keep_modes(_lock: &Lock, layout: &Layout, snapshot: &Snapshot) -> Result<(), Error> {
    let mut known = read(layout)?.unwrap_or_default();
    let mut is_new = known.is_empty();
    for (entry, _) in snapshot.manifest.all_files() {
        let stat = &snapshot.stats[entry as usize];
        let Ok(path) = RelativePath::parse(&snapshot.manifest.path(entry)) else { continue };
        let old = OldStat {
            inode: stat.inode,
            mode: stat.mode & PERMISSIONS,
            mtime: stat.mtime.div_euclid(NANOS),
            mtime_nanos: stat.mtime.rem_euclid(NANOS) as u32,
        };
        if known.get(&path).is_none_or(|known| known.inode != old.inode) {
            known.insert(path, old);
            is_new = true;
        }
    }
    if is_new { layout.private.replace(MODES, to_json(&known).as_bytes()) } else { Ok(()) }
}

/// Gives the files of a site their old modes and times back, and forgets them. Returns the number of files that could not
/// be changed.
pub(super) fn restore_modes(_lock: &Lock, layout: &Layout, site: &Dir) -> Result<u64, Error> {
    let Some(known) = read(layout)? else { return Ok(0) };
    let mut failed = 0;
    for (path, old) in &known {
        let Ok((dir, name)) = site.open_above(path.as_bytes()) else { continue };
        // Files that are gone, or others by now, have no old mode.
        let Some(stat) = dir.stat(name)?.filter(|stat| stat.inode == old.inode) else { continue };
        let restored = dir.open_file(name).ok().flatten().is_some_and(|file| {
            file_stat(&file).is_ok_and(|open| open.inode == stat.inode)
                && set_mode_and_times(&file, old.mode, old.mtime, old.mtime_nanos).is_ok()
        });
        failed += u64::from(!restored);
    }
    site.sync_filesystem()?;
    layout.private.remove_file(MODES)?;
    Ok(failed)
}

/// Takes the linked files of a site out of the store and out of staging, and forgets the releases.
pub(super) fn leave_store(lock: &Lock, layout: &mut Layout) -> Result<(), Error> {
    let Some(known) = read(layout)? else { return Ok(()) };
    for name in layout.records.names()? {
        trash::discard_record(lock, layout, &layout.records, &name)?;
    }
    // A client may rely on objects that it knows of.
    layout.grow_epoch(lock)?;
    let linked: HashSet<u64> = known.values().map(|old| old.inode).collect();
    let store = Store::new(layout.objects.duplicate()?);
    store.for_each(|name| {
        if store.stat(name)?.is_some_and(|stat| linked.contains(&stat.inode)) {
            store.remove(name)?;
        }
        Ok(())
    })?;
    staging::clear(lock, layout)?;
    layout.private.sync_filesystem()
}

/// Forgets the old modes and times.
pub(super) fn forget_modes(_lock: &Lock, layout: &Layout) -> Result<(), Error> {
    layout.private.remove_file(MODES).map(drop)
}

fn read(layout: &Layout) -> Result<Option<OldStats>, Error> {
    read_json(&layout.private, MODES)
}
