//! Directories that are moved out of the way before a run, and removed between runs.
//!
//! ```text
//! .aside-N     beside the directory that it was
//! ```
//! A directory goes with its filesystem: files that are made soon after a deletion may be made slower, by as much as
//! chance will have it. So a run never follows a removal, and nothing is removed where the filesystem is not the bench's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::{Context, Result};
use crate::invocation::{Invocation, quoted};

/// The beginning of the names.
const PREFIX: &str = ".aside-";

/// Moves a directory out of the way, if it stands.
pub(crate) fn set_aside(directory: &Path) -> Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    if !directory.exists() {
        return Ok(());
    }
    let aside = directory.with_file_name(format!("{PREFIX}{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::rename(directory, aside).context(|| format!("Could not move `{}` aside", directory.display()))
}

/// Removes the directories that were moved aside within a directory.
pub(crate) fn remove_aside(directory: &Path) -> Result<()> {
    Invocation::script(&format!("rm -rf {}/{PREFIX}*", word(directory))).output().map(drop)
}

/// Reads all files of a directory, if it stands: then they are in the caches.
pub(crate) fn read_files(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    // With the point a symlink to a directory is followed.
    let script = format!("find {} -type f -exec cat {{}} + > /dev/null", word(&directory.join(".")));
    Invocation::script(&script).output().map(drop)
}

/// Returns an empty directory of that path.
pub(crate) fn empty(directory: &Path) -> Result<PathBuf> {
    remove(directory)?;
    fs::create_dir_all(directory).context(|| format!("Could not create `{}`", directory.display()))?;
    Ok(directory.to_path_buf())
}

/// Removes a directory, if it stands.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).context(|| format!("Could not remove `{}`", directory.display()))?;
    }
    Ok(())
}

fn word(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_aside_and_is_removed_later() {
        let root = empty(&std::env::temp_dir().join(format!("bench-aside-{}", std::process::id()))).unwrap();
        let directory = empty(&root.join("a b")).unwrap();
        set_aside(&directory).unwrap();
        set_aside(&directory).unwrap();
        assert!(!directory.exists());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        remove_aside(&root).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        remove(&root).unwrap();
    }
}
