//! A directory that is made once and kept: it gets its name when it is complete, so that half a tree is never measured.

use std::fs;
use std::path::{Path, PathBuf};

use crate::aside::remove;
use crate::failure::{Context, Result};

/// Returns the path of a tree that is made, and makes the directory above it.
pub(crate) fn path(work: &Path, name: &str) -> Result<PathBuf> {
    let directory = work.join("made");
    fs::create_dir_all(&directory).context(|| format!("Could not create `{}`", directory.display()))?;
    Ok(directory.join(name))
}

/// Makes a directory, unless it stands. `make` is given an empty one, which is renamed when it is done.
pub(crate) fn ensure(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let making = path.with_extension("making");
    remove(&making)?;
    fs::create_dir_all(&making).context(|| format!("Could not create `{}`", making.display()))?;
    make(&making)?;
    fs::rename(&making, path).context(|| format!("Could not rename `{}`", making.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn half_a_directory_does_not_get_its_name() {
        let directory = std::env::temp_dir().join(format!("bench-made-{}", std::process::id()));
        let path = directory.join("tree");
        let half = ensure(&path, |making| {
            fs::write(making.join("half"), "").unwrap();
            Err(Failure::new("Stopped"))
        });
        assert!(half.is_err() && !path.exists());
        ensure(&path, |making| {
            fs::write(making.join("whole"), "").unwrap();
            Ok(())
        })
        .unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
        ensure(&path, |_| Err(Failure::new("It stands already"))).unwrap();
        remove(&directory).unwrap();
    }
}
