//! A filesystem of its own for runs whose use of the disk is measured: nobody else writes to it, so its used bytes are
//! exact. An ext4 image in a sparse file, mounted through a loop device; only root may do that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result};
use crate::lab;
use crate::process::Invocation;

/// A mounted image; unmounted and removed when dropped.
#[derive(Debug)]
pub(crate) struct Image {
    file: PathBuf,
    mount: PathBuf,
}

impl Image {
    /// Makes and mounts an image of the given size in `directory`.
    pub(crate) fn mount(directory: &Path, bytes: u64) -> Result<Image> {
        let image = Image { file: directory.join("image"), mount: directory.join("mount") };
        // A run that was killed leaves its mount.
        drop(image.unmount());
        lab::set_aside(&image.mount)?;
        fs::create_dir_all(&image.mount).context(|| format!("Could not create `{}`", image.mount.display()))?;
        let file = File::create(&image.file).context(|| format!("Could not create `{}`", image.file.display()))?;
        file.set_len(bytes).context(|| format!("Could not grow `{}`", image.file.display()))?;
        Invocation::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image.file).output()?;
        let mount = Invocation::new("mount").args(["-o", "loop"]);
        mount.args([&image.file, &image.mount]).output()?;
        Ok(image)
    }

    /// Returns where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    fn unmount(&self) -> Result<()> {
        Invocation::new("umount").arg(&self.mount).output().map(drop)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // The next run unmounts what this one could not.
        if self.unmount().is_ok() {
            drop(fs::remove_file(&self.file));
            drop(fs::remove_dir(&self.mount));
        }
    }
}
