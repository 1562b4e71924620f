//! The entries of a directory, and the disk that it takes: allocated blocks, as `du` counts them.

use std::fs::{self, Metadata};
use std::path::Path;

use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;

/// Something found by [`walk`].
pub(crate) struct Entry<'a> {
    /// Where it stands.
    pub(crate) path: &'a Path,
    /// Its metadata; symlinks are not followed.
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

/// Returns the bytes that `du -s` counts.
pub(crate) fn du_bytes(path: &Path) -> Result<u64> {
    let du = Invocation::new("du").args(["-s", "-B1"]).args([path]);
    let text = du.text()?;
    let bytes = text.split_whitespace().next().and_then(|word| word.parse().ok());
    bytes.ok_or_else(|| Failure::new(format!("`{du}` printed no number")))
}
