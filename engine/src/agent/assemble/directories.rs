//! The directories of a release that is being assembled: their changes and their stamps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::agent::stamp::Stamp;
use crate::disk::{Dir, Stat};
use crate::error::Error;
use crate::manifest::Manifest;

/// The most directories of the tree that are held open. Content arrives directory by directory, in a few threads.
const HELD_DIRECTORIES: usize = 16;

/// A directory of the tree with its number, held open for the next file in it.
type HeldDirectory = Mutex<Option<(u32, Arc<Dir>)>>;

/// The directories, by number.
pub(super) struct Directories {
    /// The directories that were made or changed. They get mode and mtime at the end.
    touched: Vec<AtomicBool>,
    /// The last stamp of each directory.
    stamps: Vec<Mutex<Stamp>>,
    /// The directories with links into `shared/`, which the manifest does not have.
    with_links: Mutex<Vec<u32>>,
    held: [HeldDirectory; HELD_DIRECTORIES],
}

impl Directories {
    /// Begins with no changes.
    pub(super) fn new(directories: usize) -> Directories {
        Directories {
            touched: (0..directories).map(|_| AtomicBool::new(false)).collect(),
            stamps: (0..directories).map(|_| Mutex::default()).collect(),
            with_links: Mutex::default(),
            held: Default::default(),
        }
    }

    /// Marks a directory as changed.
    pub(super) fn touch(&self, number: u32) {
        self.touched[number as usize].store(true, Ordering::Relaxed);
    }

    /// Tells whether a directory, or anything in it, was changed.
    pub(super) fn is_touched(&self, number: u32) -> bool {
        self.touched[number as usize].load(Ordering::Relaxed)
    }

    /// Returns, for each directory, whether it or one below it was changed.
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

    /// Remembers the stamp of a directory.
    pub(super) fn note_stamp(&self, number: u32, stat: &Stat) {
        *self.stamps[number as usize].lock().expect("no assembler panics") = Stamp::of(stat);
    }

    /// Marks a directory that has a link into `shared/`.
    pub(super) fn note_link(&self, number: u32) {
        self.touch(number);
        self.with_links.lock().expect("no assembler panics").push(number);
    }

    /// Returns a directory, and holds it open for the next call.
    pub(super) fn hold(&self, number: u32, open: impl FnOnce() -> Result<Dir, Error>) -> Result<Arc<Dir>, Error> {
        let mut held = self.held[number as usize % HELD_DIRECTORIES].lock().expect("no assembler panics");
        if let Some((_, dir)) = held.as_ref().filter(|(known, _)| *known == number) {
            return Ok(dir.clone());
        }
        let dir = Arc::new(open()?);
        *held = Some((number, dir.clone()));
        Ok(dir)
    }

    /// Forgets all changes.
    pub(super) fn forget(&self) {
        self.touched.iter().for_each(|touched| touched.store(false, Ordering::Relaxed));
    }

    /// Returns their memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.stamps) + size_of_val(&*self.touched)
    }

    /// Returns the last stamps. A directory with a link into `shared/` has none, as its names are not those of the
    /// manifest.
    pub(super) fn into_stamps(self) -> Vec<Stamp> {
        let stamp = |stamp: Mutex<Stamp>| stamp.into_inner().expect("no assembler panics");
        let mut stamps: Vec<Stamp> = self.stamps.into_iter().map(stamp).collect();
        for number in self.with_links.into_inner().expect("no assembler panics") {
            stamps[number as usize] = Stamp::default();
        }
        stamps
    }
}
