//! The server's filesystem: an image of its own where this is root, else a directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::aside::empty;
use crate::failure::{Context, Result};
use crate::lab::image::Image;
use crate::source::tree::Tree;
use crate::usage;

/// The least size of the filesystem, for small trees.
const LEAST_BYTES: u64 = 2 << 30;

/// The reserve may be filled with files of this size.
const SMALL_FILE: u64 = 8192;

/// The server's filesystem.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    image: Mutex<Option<Image>>,
    /// The room that it has beyond copies of the first tree.
    reserved_bytes: AtomicU64,
}

impl Disk {
    /// Names it, below the directory of everything, and unmounts the one of a bench that was killed.
    pub(crate) fn at(work: &Path) -> Disk {
        let directory = work.join("server");
        Image::unmount_left(&directory);
        Disk { directory, image: Mutex::new(None), reserved_bytes: AtomicU64::new(0) }
    }

    /// Returns where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Tells whether nobody else writes to it.
    pub(crate) fn is_own(&self) -> bool {
        self.image.lock().expect("nothing panics while it is held").is_some()
    }

    /// Gives it more room than copies of the first tree need, from the next [`Disk::renew`] on.
    pub(crate) fn reserve(&self, bytes: u64) {
        self.reserved_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Makes it empty, with room for so many copies of a tree.
    pub(crate) fn renew(&self, tree: &Tree, copies: u64) -> Result<()> {
        let mut image = self.image.lock().expect("nothing panics while it is held");
        if let Some(image) = image.take() {
            image.remove()?;
        }
        empty(&self.directory)?;
        if !rustix::process::getuid().is_root() {
            return Ok(());
        }
        let reserved_bytes = self.reserved_bytes.load(Ordering::Relaxed);
        let bytes = copies * usage::du_bytes(&tree.path)? + reserved_bytes;
        let files = copies * (tree.files + tree.directories + tree.symlinks) + reserved_bytes / SMALL_FILE;
        let file = self.directory.with_file_name("image");
        *image = Some(Image::mount(file, self.directory.clone(), bytes.max(LEAST_BYTES), files)?);
        Ok(())
    }

    /// Writes it out and returns how long that took.
    pub(crate) fn sync(&self) -> Result<f64> {
        let path = &self.directory;
        let directory = File::open(path).context(|| format!("Could not open `{}`", path.display()))?;
        let start = Instant::now();
        rustix::fs::syncfs(&directory).context(|| format!("Could not sync `{}`", path.display()))?;
        Ok(start.elapsed().as_secs_f64())
    }
}
