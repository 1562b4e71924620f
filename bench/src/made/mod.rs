//! Trees that scenarios make for themselves, below `--work`; the same on every machine.
//!
//! ```text
//! made/
//! ├── edited/        a copy of A, which is changed in place and back
//! ├── grown-N/       N small files; made anew each time, and removed
//! └── NAME/          files of random bytes, of zeros, …
//! ```

mod edit;
mod grown;
mod modules;
mod random;

pub(crate) use edit::{Edited, rename_directory};
pub(crate) use grown::Grown;
pub(crate) use modules::modules;
pub(crate) use random::{Content, File, ensure_files};

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result};
use crate::lab::Lab;

/// Returns the path of a tree that is made, and makes the directory above it.
pub(crate) fn path(lab: &Lab, name: &str) -> Result<PathBuf> {
    let directory = lab.settings().work.join("made");
    fs::create_dir_all(&directory).context(|| format!("Could not create `{}`", directory.display()))?;
    Ok(directory.join(name))
}

/// Removes a tree.
pub(crate) fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).context(|| format!("Could not remove `{}`", path.display()))?;
    }
    Ok(())
}
