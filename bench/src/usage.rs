//! Disk that things take: allocated blocks, as `du` counts them.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::failure::{Context, Failure, Result};
use crate::process::{Invocation, Running};

/// `st_blocks` counts these, whatever the filesystem's own blocks are.
const BLOCK: u64 = 512;

/// Something found by [`walk`].
pub(crate) struct Entry<'a> {
    /// Where it stands.
    pub(crate) path: &'a Path,
    /// What it is; symlinks are not followed.
    pub(crate) metadata: &'a Metadata,
}

/// Visits a directory and everything below it.
pub(crate) fn walk(root: &Path, visit: &mut impl FnMut(&Entry<'_>)) -> Result<()> {
    let failed = || format!("Could not walk `{}`", root.display());
    let metadata = fs::symlink_metadata(root).context(failed)?;
    visit(&Entry { path: root, metadata: &metadata });
    if metadata.is_dir() {
        for entry in fs::read_dir(root).context(failed)? {
            walk(&entry.context(failed)?.path(), visit)?;
        }
    }
    Ok(())
}

/// Returns what `du -s` says of a directory, in bytes.
pub(crate) fn du_bytes(path: &Path) -> Result<u64> {
    let du = Invocation::new("du").args(["-s", "-B1"]).args([path]);
    let text = du.text()?;
    let bytes = text.split_whitespace().next().and_then(|word| word.parse().ok());
    bytes.ok_or_else(|| Failure::new(format!("`{du}` printed no number")))
}

/// What a deploy path takes, by kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Parts {
    /// Files with more than one name: content that releases share with the store.
    pub(crate) linked_bytes: u64,
    /// Files with one name.
    pub(crate) single_bytes: u64,
    /// Directories.
    pub(crate) directory_bytes: u64,
}

impl Parts {
    /// Adds up what stands below a path; a file of many names is counted once.
    pub(crate) fn of(path: &Path) -> Result<Parts> {
        let mut parts = Parts::default();
        let mut seen = HashSet::new();
        walk(path, &mut |entry| {
            let bytes = entry.metadata.blocks() * BLOCK;
            if entry.metadata.is_dir() {
                parts.directory_bytes += bytes;
            } else if entry.metadata.nlink() == 1 {
                parts.single_bytes += bytes;
            } else if seen.insert(entry.metadata.ino()) {
                parts.linked_bytes += bytes;
            }
        })?;
        Ok(parts)
    }
}

/// Returns the least that the trees can take when every file is kept once and every directory once for each tree.
///
/// Two files are one when content and mode agree (write bits left out), as an object's identity has it.
pub(crate) fn floor_bytes(trees: &[&Path]) -> Result<u64> {
    let mut floor = 0;
    let mut seen = HashSet::new();
    for tree in trees {
        walk(tree, &mut |entry| {
            if !entry.metadata.is_file() {
                floor += entry.metadata.blocks() * BLOCK;
            }
        })?;
        hash_files(tree, |hash, path| {
            let metadata = fs::symlink_metadata(path).context(|| format!("Could not stat `{}`", path.display()))?;
            if seen.insert((hash, metadata.mode() & 0o7555)) {
                floor += metadata.blocks() * BLOCK;
            }
            Ok(())
        })?;
    }
    Ok(floor)
}

/// Hands half of each file's SHA-256 to the visitor; half is plenty among thousands of files. The list is streamed.
fn hash_files(tree: &Path, mut visit: impl FnMut(u128, &Path) -> Result<()>) -> Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", r#"find "$1" -type f -print0 | xargs -0 sha256sum -z --"#, "sh"])
        .arg(tree)
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "Could not run `sh`")?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("`sh` has no stdout"))?;
    for record in BufReader::new(stdout).split(0) {
        let record = record.context(|| "Could not read what `sha256sum` prints")?;
        let hash = record.get(..32).and_then(|hex| std::str::from_utf8(hex).ok());
        let hash = hash.and_then(|hex| u128::from_str_radix(hex, 16).ok());
        let (Some(hash), Some(path)) = (hash, record.get(66..)) else {
            return Err(Failure::new("`sha256sum` printed something else than hash and path"));
        };
        visit(hash, Path::new(std::ffi::OsStr::from_bytes(path)))?;
    }
    let status = child.wait().context(|| "Could not wait for `sha256sum`")?;
    if status.success() { Ok(()) } else { Err(Failure::new("`sha256sum` failed")) }
}

/// Returns the used bytes of the filesystem, with what was written and not yet allocated.
pub(crate) fn used_bytes(path: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(path).context(|| format!("Could not ask for the space at `{}`", path.display()))?;
    Ok((stat.f_blocks - stat.f_bfree) * stat.f_frsize)
}

/// Polls the used bytes of a filesystem until the client has ended, and returns the most that was seen.
pub(crate) fn watch_used(running: &Running<'_>, path: &Path) -> Result<u64> {
    let mut most = 0;
    loop {
        let last = running.is_done();
        most = most.max(used_bytes(path)?);
        if last {
            return Ok(most);
        }
        // One system call each time: fine enough to see a staging file that lives for some milliseconds.
        thread::sleep(Duration::from_millis(1));
    }
}
