//! Staging: content and releases that are not published yet.
//!
//! ```text
//! .cutover/staging/<boot id>-<token>/
//! ├── objects/ab/cdef…-444    received content, as in the store
//! ├── tree/                   the release
//! └── record/                 its record and manifest
//! .cutover/staging/trial-<token>/    a trial of the filesystem (`doctor`), gone when it ends
//! ```
//!
//! Content arrives under its final name, so that a listing shows which objects are there. Until the content is
//! hashed, the name is only a claim. A run that finds the staging of another run, dead or from another boot, hashes
//! the content before it uses it.

use crate::boot;
use crate::disk::{Dir, OwnBlocks, SETGID, Usage};
use crate::error::Error;

use super::clock::now;
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::store::Store;
use super::token::{is_random, random_name};
use super::trash;

const PRIVATE_MODE: u32 = 0o700;
const OBJECTS: &[u8] = b"objects";
const BOOT_DIGITS: usize = 8;
const TOKEN_DIGITS: usize = 16;
const TRIAL: &str = "trial-";
const TRIAL_SECONDS_MAX: i64 = 3600;

/// The staging of this run.
pub(crate) struct Staging {
    name: Vec<u8>,
    /// Its directory.
    pub(crate) dir: Dir,
    /// The release being assembled.
    pub(crate) tree: Dir,
    /// The setgid bit, if the deploy path passes its group on.
    pub(crate) setgid: u32,
    /// The directory for record and manifest.
    pub(crate) record: Dir,
    /// The received content.
    pub(crate) objects: Store,
}

impl Staging {
    /// Makes the staging of this run.
    pub(crate) fn create(_lock: &Lock, layout: &Layout) -> Result<Staging, Error> {
        let name = format!("{}-{}", &boot_id()[..BOOT_DIGITS], &random_name()?[..TOKEN_DIGITS]).into_bytes();
        let dir = layout.staging.create_dir(&name, PRIVATE_MODE)?;
        let tree = dir.create_dir(b"tree", PRIVATE_MODE)?;
        let record = dir.create_dir(b"record", PRIVATE_MODE)?;
        let objects = Store::new(dir.create_dir(OBJECTS, PRIVATE_MODE)?);
        let setgid = tree.own_stat()?.mode & SETGID;
        Ok(Staging { name, dir, tree, setgid, record, objects })
    }

    /// Tells whether no other run has left staging.
    pub(crate) fn is_alone(&self, layout: &Layout) -> Result<bool, Error> {
        Ok(runs(layout)?.iter().all(|name| *name == self.name))
    }

    /// Calls `take` with the received content of each other run, and removes the directories that are empty
    /// afterwards.
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

    /// Removes tree and record after a failure. Received content stays for the next run.
    pub(crate) fn abandon(self, lock: &Lock, layout: &Layout) -> Result<(), Error> {
        self.dir.remove_tree(b"tree")?;
        trash::discard_record(lock, layout, &self.dir, b"record")?;
        self.objects.remove_empty(&self.dir, OBJECTS)?;
        layout.staging.remove_empty_dir(&self.name)
    }
}

/// Removes the staging of all runs. Call it when none is needed any more. Returns the freed disk space.
/// Makes a directory in staging for a trial of the filesystem, which needs no lock. Returns its name too.
pub(crate) fn create_trial(staging: &Dir) -> Result<(Vec<u8>, Dir), Error> {
    let name = format!("{TRIAL}{}", &random_name()?[..TOKEN_DIGITS]).into_bytes();
    let dir = staging.create_dir(&name, PRIVATE_MODE)?;
    Ok((name, dir))
}

/// Removes the trials that killed runs left. A trial takes a moment, so one that is older than an hour is such a rest.
pub(crate) fn clear_trials(staging: &Dir) -> Result<(), Error> {
    let is_trial =
        |name: &Vec<u8>| name.strip_prefix(TRIAL.as_bytes()).is_some_and(|token| is_random(token, TOKEN_DIGITS));
    for name in staging.names()?.into_iter().filter(is_trial) {
        let made = staging.stat(&name)?.map_or(i64::MAX, |stat| stat.mtime);
        if made.saturating_add(TRIAL_SECONDS_MAX) < now() as i64 {
            staging.remove_tree(&name)?;
        }
    }
    Ok(())
}

/// Removes the staging of all runs. Call it when none is needed any more. Returns the freed disk space, in bytes.
pub(crate) fn clear(lock: &Lock, layout: &Layout) -> Result<Usage, Error> {
    let freed = usage(layout)?;
    clear_trials(&layout.staging)?;
    // A run that cannot be removed must not keep the others.
    let removed: Vec<_> = runs(layout)?.iter().map(|name| remove_run(lock, layout, name)).collect();
    removed.into_iter().collect::<Result<(), Error>>()?;
    Ok(freed)
}

/// Removes the trees of other runs, which hold links to their content; with `all`, also that content.
pub(crate) fn clear_others(lock: &Lock, layout: &Layout, own: &Staging, all: bool) -> Result<(), Error> {
    // A run that cannot be removed must not keep the others.
    let others = runs(layout)?.into_iter().filter(|name| *name != own.name);
    let clear = |name: Vec<u8>| match all {
        true => remove_run(lock, layout, &name),
        false => layout.staging.open_dir(&name)?.remove_tree(b"tree"),
    };
    others.map(clear).collect::<Vec<_>>().into_iter().collect()
}

/// Returns the directories of all runs. Other names are not ours: they stay, and are never entered.
fn runs(layout: &Layout) -> Result<Vec<Vec<u8>>, Error> {
    let is_run = |name: &Vec<u8>| match name.split(|&byte| byte == b'-').collect::<Vec<_>>()[..] {
        [boot, token] => is_random(boot, BOOT_DIGITS) && is_random(token, TOKEN_DIGITS),
        _ => false,
    };
    Ok(layout.staging.names()?.into_iter().filter(is_run).collect())
}

/// Removes the staging of a run, and moves its record to trash: the run may have published objects before it was
/// killed.
fn remove_run(lock: &Lock, layout: &Layout, name: &[u8]) -> Result<(), Error> {
    trash::discard_record(lock, layout, &layout.staging.open_dir(name)?, b"record")?;
    layout.staging.remove_tree(name)
}

/// Returns the received content of a run, or nothing if it has none.
fn received(layout: &Layout, run: &[u8]) -> Result<Option<Store>, Error> {
    let run = layout.staging.open_dir(run)?;
    Ok(run.stat(OBJECTS)?.map(|_| run.open_dir(OBJECTS)).transpose()?.map(Store::new))
}

/// Returns the disk space of all received content.
pub(crate) fn received_usage(layout: &Layout) -> Result<Usage, Error> {
    let mut sum = Usage::default();
    for run in runs(layout)? {
        let Some(received) = received(layout, &run)? else { continue };
        sum += received.usage()?;
    }
    Ok(sum)
}

/// Returns the disk space of all runs. Received content may have a name in a tree too; other files of a tree that have
/// further names are objects.
pub(crate) fn usage(layout: &Layout) -> Result<Usage, Error> {
    let mut sum = Usage::default();
    for run in runs(layout)? {
        let dir = layout.staging.open_dir(&run)?;
        sum += dir.usage_of(OBJECTS)?;
        for name in [&b"tree"[..], b"record"] {
            sum += dir.own_usage_of(name, OwnBlocks::All)?;
        }
        sum += dir.own_stat().map(|stat| Usage { bytes: stat.disk_bytes, inodes: 1 })?;
    }
    Ok(sum)
}

/// Returns the identity of this boot, as hexadecimal digits and dashes.
pub(super) fn boot_id() -> String {
    boot::id().unwrap_or_else(|| "00000000".to_owned())
}
