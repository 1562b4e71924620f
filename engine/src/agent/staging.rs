//! Staging: what is received and assembled, and not yet published.
//!
//! ```text
//! .cutover/staging/<boot id>-<token>/
//! ├── objects/ab/cdef…-444    received content, as in the store
//! ├── tree/                   the release
//! └── record/                 its record and manifest
//! ```
//!
//! Content arrives under its final name, so that a listing says what is there. That name is a claim until the content
//! was hashed: whoever finds staging of another run, of a process that died or of another boot, hashes what is in it
//! before it uses it.

use crate::boot;
use crate::disk::{Dir, SETGID};
use crate::error::Error;

use super::site::layout::Layout;
use super::site::lock::Lock;
use super::store::Store;
use super::token::{is_random, random_name};
use super::trash;

const PRIVATE_MODE: u32 = 0o700;
const OBJECTS: &[u8] = b"objects";
const BOOT_DIGITS: usize = 8;
const TOKEN_DIGITS: usize = 16;

/// The staging of this run.
pub(crate) struct Staging {
    name: Vec<u8>,
    /// Its directory.
    pub(crate) dir: Dir,
    /// The release being assembled.
    pub(crate) tree: Dir,
    /// The setgid bit, where the tree has it: the deploy path passes its group on.
    pub(crate) setgid: u32,
    /// Where record and manifest are written.
    pub(crate) record: Dir,
    /// Received content.
    pub(crate) objects: Store,
}

impl Staging {
    /// Makes a directory of this run's own.
    pub(crate) fn create(_lock: &Lock, layout: &Layout) -> Result<Staging, Error> {
        let name = format!("{}-{}", &boot_id()[..BOOT_DIGITS], &random_name()?[..TOKEN_DIGITS]).into_bytes();
        let dir = layout.staging.create_dir(&name, PRIVATE_MODE)?;
        let tree = dir.create_dir(b"tree", PRIVATE_MODE)?;
        let record = dir.create_dir(b"record", PRIVATE_MODE)?;
        let objects = Store::new(dir.create_dir(OBJECTS, PRIVATE_MODE)?);
        let setgid = tree.own_stat()?.mode & SETGID;
        Ok(Staging { name, dir, tree, setgid, record, objects })
    }

    /// Tells whether no other run has left anything.
    pub(crate) fn is_alone(&self, layout: &Layout) -> Result<bool, Error> {
        Ok(runs(layout)?.iter().all(|name| *name == self.name))
    }

    /// Has something taken out of what other runs have received, and removes what is empty then.
    pub(crate) fn take_from_others(
        &self,
        layout: &Layout,
        mut take: impl FnMut(&Store) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for name in runs(layout)?.into_iter().filter(|name| *name != self.name) {
            if let Some(received) = received(layout, &name)? {
                take(&received)?;
                received.remove_empty(&layout.staging.open_dir(&name)?, OBJECTS)?;
            }
            layout.staging.remove_empty_dir(&name)?;
        }
        Ok(())
    }

    /// Removes the tree and the record of a run that failed. Received content stays for the next run.
    pub(crate) fn abandon(self, lock: &Lock, layout: &Layout) -> Result<(), Error> {
        self.dir.remove_tree(b"tree")?;
        trash::discard_record(lock, layout, &self.dir, b"record")?;
        self.objects.remove_empty(&self.dir, OBJECTS)?;
        layout.staging.remove_empty_dir(&self.name)
    }
}

/// Removes the staging of every run. To be called when no run's staging is needed any more. Returns the disk that it
/// freed, in bytes.
pub(crate) fn clear(lock: &Lock, layout: &Layout) -> Result<u64, Error> {
    let freed = staged_bytes(layout)?;
    // One run that cannot be removed keeps no other.
    let removed: Vec<_> = runs(layout)?.iter().map(|name| remove_run(lock, layout, name)).collect();
    removed.into_iter().collect::<Result<(), Error>>()?;
    Ok(freed)
}

/// Removes what other runs have assembled, which holds on to what they received; with `all`, also that.
pub(crate) fn clear_others(lock: &Lock, layout: &Layout, own: &Staging, all: bool) -> Result<(), Error> {
    // One that cannot be removed keeps no other.
    let others = runs(layout)?.into_iter().filter(|name| *name != own.name);
    let clear = |name: Vec<u8>| match all {
        true => remove_run(lock, layout, &name),
        false => layout.staging.open_dir(&name)?.remove_tree(b"tree"),
    };
    others.map(clear).collect::<Vec<_>>().into_iter().collect()
}

/// Returns the directories of all runs. Other names are not ours: they stay, and are never looked into.
fn runs(layout: &Layout) -> Result<Vec<Vec<u8>>, Error> {
    let is_run = |name: &Vec<u8>| match name.split(|&byte| byte == b'-').collect::<Vec<_>>()[..] {
        [boot, token] => is_random(boot, BOOT_DIGITS) && is_random(token, TOKEN_DIGITS),
        _ => false,
    };
    Ok(layout.staging.names()?.into_iter().filter(is_run).collect())
}

/// A run that was killed while it published leaves its record, as it may have published objects.
fn remove_run(lock: &Lock, layout: &Layout, name: &[u8]) -> Result<(), Error> {
    trash::discard_record(lock, layout, &layout.staging.open_dir(name)?, b"record")?;
    layout.staging.remove_tree(name)
}

/// Returns what a run has received; nothing where it was cut off before.
fn received(layout: &Layout, run: &[u8]) -> Result<Option<Store>, Error> {
    let run = layout.staging.open_dir(run)?;
    Ok(run.stat(OBJECTS)?.map(|_| run.open_dir(OBJECTS)).transpose()?.map(Store::new))
}

/// Sums the disk that received content takes.
pub(crate) fn staged_bytes(layout: &Layout) -> Result<u64, Error> {
    let mut sum = 0;
    for run in runs(layout)? {
        let Some(received) = received(layout, &run)? else { continue };
        sum += received.use_of_disk()?.1;
    }
    Ok(sum)
}

/// Returns the identity of this boot, as hexadecimal digits and dashes.
pub(super) fn boot_id() -> String {
    boot::id().unwrap_or_else(|| "00000000".to_owned())
}
