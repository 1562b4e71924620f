//! The directories of a release being assembled: which were touched, and how each looked last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::agent::stamp::Stamp;
use crate::disk::{Dir, Stat};
use crate::error::Error;
use crate::manifest::Manifest;

/// Directories of the tree that are held open at once: content arrives directory by directory, in a few threads.
const HELD_DIRECTORIES: usize = 16;

/// A directory of the tree with its number, held for the next file in it.
type HeldDirectory = Mutex<Option<(u32, Arc<Dir>)>>;

/// The directories, by number.
pub(super) struct Directories {
    /// Those that were made, or in which something was: they get mode and mtime in the end.
    touched: Vec<AtomicBool>,
    /// As they were looked at last.
    stamps: Vec<Mutex<Stamp>>,
    /// Those that have other names than the manifest says: links into `shared/`.
    with_links: Mutex<Vec<u32>>,
    held: [HeldDirectory; HELD_DIRECTORIES],
}

impl Directories {
    /// Begins with nothing touched.
    pub(super) fn new(directories: usize) -> Directories {
        Directories {
            touched: (0..directories).map(|_| AtomicBool::new(false)).collect(),
            stamps: (0..directories).map(|_| Mutex::default()).collect(),
            with_links: Mutex::default(),
            held: Default::default(),
        }
    }

    /// Notes that something in a directory was changed, or the directory itself.
    pub(super) fn touch(&self, number: u32) {
        self.touched[number as usize].store(true, Ordering::Relaxed);
    }

    /// Tells whether anything in a directory was changed, or the directory itself.
    pub(super) fn is_touched(&self, number: u32) -> bool {
        self.touched[number as usize].load(Ordering::Relaxed)
    }

    /// Returns, for each directory, whether it or one below it was touched.
    pub(super) fn touched_below(&self, manifest: &Manifest) -> Vec<bool> {
        let directories = manifest.directories();
        let mut below: Vec<bool> = (0..directories.len() as u32).map(|number| self.is_touched(number)).collect();
        // Directories have greater numbers than those that name them.
        for number in (1..directories.len()).rev() {
            if below[number] {
                below[directories[number].parent as usize] = true;
            }
        }
        below
    }

    /// Notes what a look at a directory said.
    pub(super) fn look(&self, number: u32, stat: &Stat) {
        *self.stamps[number as usize].lock().expect("no assembler panics") = Stamp::of(stat);
    }

    /// Notes that a directory has a link into `shared/`.
    pub(super) fn note_link(&self, number: u32) {
        self.touch(number);
        self.with_links.lock().expect("no assembler panics").push(number);
    }

    /// Opens a directory, or takes the one that is held.
    pub(super) fn hold(&self, number: u32, open: impl FnOnce() -> Result<Dir, Error>) -> Result<Arc<Dir>, Error> {
        let mut held = self.held[number as usize % HELD_DIRECTORIES].lock().expect("no assembler panics");
        if let Some((_, dir)) = held.as_ref().filter(|(known, _)| *known == number) {
            return Ok(dir.clone());
        }
        let dir = Arc::new(open()?);
        *held = Some((number, dir.clone()));
        Ok(dir)
    }

    /// Forgets what was touched.
    pub(super) fn forget(&self) {
        self.touched.iter().for_each(|touched| touched.store(false, Ordering::Relaxed));
    }

    /// Returns how much memory they take.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.stamps) + size_of_val(&*self.touched)
    }

    /// Returns how they looked last. One with a link into `shared/` is never as it was seen.
    pub(super) fn into_stamps(self) -> Vec<Stamp> {
        let stamp = |stamp: Mutex<Stamp>| stamp.into_inner().expect("no assembler panics");
        let mut stamps: Vec<Stamp> = self.stamps.into_iter().map(stamp).collect();
        for number in self.with_links.into_inner().expect("no assembler panics") {
            stamps[number as usize] = Stamp::default();
        }
        stamps
    }
}
