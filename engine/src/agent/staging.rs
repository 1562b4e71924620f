//! Staging: what is received and assembled, and not yet published.
//!
//! ```text
//! .cutover/staging/<boot id>-<token>/
//! ├── objects-<lane>/<hash>-<mode>    received content: one directory for each thread that writes
//! ├── tree/                           the release
//! └── record/                         its record and manifest
//! ```
//!
//! Content arrives under its final name, so that a listing says what is there. That name is a claim until the content
//! was hashed: whoever finds staging of another run, of a process that died or of another boot, hashes what is in it
//! before it uses it.

use crate::disk::Dir;
use crate::error::Error;

use super::layout::{Layout, random_name};
use super::store::ObjectName;
use super::trash;

const PRIVATE_MODE: u32 = 0o700;

/// The staging of this run.
pub(crate) struct Staging {
    name: Vec<u8>,
    /// Its directory.
    pub(crate) dir: Dir,
    /// The release being assembled.
    pub(crate) tree: Dir,
    /// Where record and manifest are written.
    pub(crate) record: Dir,
    /// One directory for each lane.
    pub(crate) lanes: Vec<Dir>,
}

/// A file in the staging of another run.
pub(crate) struct Leftover {
    /// The directory that it is in.
    pub(crate) dir: std::sync::Arc<Dir>,
    /// What it says that it is.
    pub(crate) name: ObjectName,
    /// Its size.
    pub(crate) size: u64,
}

impl Staging {
    /// Makes a directory of this run's own.
    pub(crate) fn create(layout: &Layout, lanes: usize) -> Result<Staging, Error> {
        let name = format!("{}-{}", &boot_id()[..8], &random_name()?[..16]).into_bytes();
        let dir = layout.staging.create_dir(&name, PRIVATE_MODE)?;
        let tree = dir.create_dir(b"tree", PRIVATE_MODE)?;
        let record = dir.create_dir(b"record", PRIVATE_MODE)?;
        let lanes = (0..lanes).map(|lane| dir.create_dir(format!("objects-{lane}").as_bytes(), PRIVATE_MODE));
        Ok(Staging { lanes: lanes.collect::<Result<_, _>>()?, name, dir, tree, record })
    }

    /// Finds what other runs have left. To be called under the lock: nobody else is at work.
    pub(crate) fn leftovers(&self, layout: &Layout) -> Result<Vec<Leftover>, Error> {
        let mut leftovers = Vec::new();
        for run in layout.staging.names()?.into_iter().filter(|name| *name != self.name) {
            let run = layout.staging.open_dir(&run)?;
            for lane in run.names()?.into_iter().filter(|name| name.starts_with(b"objects-")) {
                let lane = std::sync::Arc::new(run.open_dir(&lane)?);
                for flat in lane.names()? {
                    if let (Some(name), Some(stat)) = (ObjectName::parse(&flat), lane.stat(&flat)?) {
                        leftovers.push(Leftover { dir: lane.clone(), name, size: stat.size });
                    }
                }
            }
        }
        Ok(leftovers)
    }

    /// Removes the tree and the record of a run that failed. Received content stays for the next run.
    pub(crate) fn abandon(self, layout: &Layout) -> Result<(), Error> {
        self.dir.remove_tree(b"tree")?;
        trash::take_record(layout, &self.dir, b"record")
    }
}

/// Removes the staging of every run. To be called under the lock, when no run's staging is needed any more. Returns
/// the disk that it freed, in bytes.
pub(crate) fn clear(layout: &Layout, dry_run: bool) -> Result<u64, Error> {
    let freed = staged_bytes(layout)?;
    if !dry_run {
        // One run that cannot be removed keeps no other.
        let removed: Vec<_> = layout.staging.names()?.iter().map(|name| remove_run(layout, name)).collect();
        removed.into_iter().collect::<Result<(), Error>>()?;
    }
    Ok(freed)
}

/// Removes what other runs have assembled, which holds on to what they received; with `all`, also that.
pub(crate) fn clear_others(layout: &Layout, own: &Staging, all: bool) -> Result<(), Error> {
    for name in layout.staging.names()?.into_iter().filter(|name| *name != own.name) {
        if all {
            remove_run(layout, &name)?;
        } else {
            layout.staging.open_dir(&name)?.remove_tree(b"tree")?;
        }
    }
    Ok(())
}

/// A run that was killed while it published leaves its record, as it may have published objects.
fn remove_run(layout: &Layout, name: &[u8]) -> Result<(), Error> {
    trash::take_record(layout, &layout.staging.open_dir(name)?, b"record")?;
    layout.staging.remove_tree(name)
}

/// Sums the disk that received content takes.
pub(crate) fn staged_bytes(layout: &Layout) -> Result<u64, Error> {
    let mut sum = 0;
    for run in layout.staging.names()? {
        let run = layout.staging.open_dir(&run)?;
        for lane in run.names()?.into_iter().filter(|name| name.starts_with(b"objects-")) {
            let lane = run.open_dir(&lane)?;
            for name in lane.names()? {
                sum += lane.stat(&name)?.map_or(0, |stat| stat.disk_bytes);
            }
        }
    }
    Ok(sum)
}

/// Returns the identity of this boot, as hexadecimal digits and dashes.
fn boot_id() -> String {
    std::fs::read("/proc/sys/kernel/random/boot_id")
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|id| id.len() >= 8)
        .unwrap_or_else(|| "00000000".to_owned())
}
