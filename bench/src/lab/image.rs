//! The server's filesystem: fresh for each scenario, the same kind on every machine, and nobody else's.
//!
//! An ext4 with a journal in a sparse file, mounted through a loop device that bypasses the page cache of the filesystem
//! below. So neither traces of earlier runs, nor a full disk, nor the strengths of the machine's own filesystem give anybody an
//! advantage, and its used bytes are exact. Only root may mount it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Result};
use crate::invocation::Invocation;

/// How long it may be in use after a scenario.
const PATIENCE: Duration = Duration::from_secs(60);

/// As `mkfs.ext4` has it by itself; trees of small files need more.
const BYTES_PER_INODE: u64 = 16_384;

/// A mounted image; unmounted and removed when dropped, if not before.
#[derive(Debug)]
pub(crate) struct Image {
    file: PathBuf,
    mount: PathBuf,
}

impl Image {
    /// Makes an image of the given size, for at least so many files, and mounts it.
    pub(crate) fn mount(file: PathBuf, mount: PathBuf, bytes: u64, files: u64) -> Result<Image> {
        let image = Image { file, mount };
        fs::create_dir_all(&image.mount).context(|| format!("Could not create `{}`", image.mount.display()))?;
        let file = File::create(&image.file).context(|| format!("Could not create `{}`", image.file.display()))?;
        file.set_len(bytes).context(|| format!("Could not grow `{}`", image.file.display()))?;
        // Made lazily, tables would be made while something is timed.
        let now = "lazy_itable_init=0,lazy_journal_init=0";
        let inodes = files.max(bytes / BYTES_PER_INODE).to_string();
        let mkfs = Invocation::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", now, "-N", &inodes]);
        mkfs.arg(&image.file).output()?;
        let mounted = Invocation::new("mount").args(["-o", "loop"]);
        mounted.args([&image.file, &image.mount]).output()?;
        let device = Invocation::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&image.mount).text()?;
        Invocation::new("losetup").args(["--direct-io=on", device.trim()]).output()?;
        Ok(image)
    }

    /// Unmounts and removes it, once nobody uses it any more: a process on the server may end
    /// a little after its client.
    pub(crate) fn remove(self) -> Result<()> {
        let start = Instant::now();
        while let Err(failure) = Invocation::new("umount").arg(&self.mount).output() {
            if start.elapsed() > PATIENCE {
                return Err(failure);
            }
            thread::sleep(Duration::from_millis(100));
        }
        drop(fs::remove_file(&self.file));
        Ok(())
    }

    /// Unmounts the image of a run that was killed, if there is one.
    pub(crate) fn unmount_left(mount: &Path) {
        if mount.exists() {
            drop(Invocation::new("umount").args(["-q"]).arg(mount).output());
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // The next run unmounts it where this one could not.
        if Invocation::new("umount").arg(&self.mount).output().is_ok() {
            drop(fs::remove_file(&self.file));
        }
    }
}
