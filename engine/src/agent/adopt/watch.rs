//! Watches the old names of databases that moved, until they are closed.
//!
//! A program that opened a database by its old path may be killed in a transaction. Its `-journal` is at the old name then,
//! and programs that open the database by the new path do not find it: they would write to what the transaction left. So a
//! thread looks at the old names all the time, and moves such a `-journal` at once.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::disk::Dir;
use crate::error::Error;
use crate::threads;

use super::database::{self, LOCK_PAUSE, changes};

/// The name in `.cutover/` of a link that is about to take the old name of a `-journal`.
const LINK: &[u8] = b"adoption-journal";

/// A database that moved.
struct Moved {
    from: Dir,
    to: Dir,
    name: Vec<u8>,
    file: File,
    /// The number of its changes at the last look.
    changes: u32,
}

/// A thread that watches, until this is dropped.
pub(super) struct Watch {
    moved: Arc<Mutex<Vec<Moved>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Watch {
    /// Begins to watch. `private` is the `.cutover/` of the deploy path.
    pub(super) fn begin(private: &Dir) -> Result<Watch, Error> {
        let (moved, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (watched, end, private) = (Arc::clone(&moved), Arc::clone(&is_over), private.duplicate()?);
        let thread = threads::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                // While a transaction is open, no moment may be missed.
                if look(&mut lock(&watched), &private)? { thread::yield_now() } else { thread::sleep(LOCK_PAUSE) }
            }
            Ok(())
        })?;
        Ok(Watch { moved, is_over, thread: Some(thread) })
    }

    /// Watches the old names of a database, from before the first program can write to it again.
    pub(super) fn add(&self, from: &Dir, to: &Dir, name: &[u8]) -> Result<(), Error> {
        if let Some(file) = to.open_file(name)? {
            let (from, to, changes) = (from.duplicate()?, to.duplicate()?, changes(&file));
            lock(&self.moved).push(Moved { from, to, name: name.to_vec(), file, changes });
        }
        Ok(())
    }

    /// Returns whether the old names of a database are watched.
    pub(super) fn has(&self, from: &Dir, name: &[u8]) -> bool {
        lock(&self.moved).iter().any(|moved| moved.from.path() == from.path() && moved.name == name)
    }

    /// Ends the watch. Returns the error that ended it before.
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.is_over.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn lock(moved: &Mutex<Vec<Moved>>) -> MutexGuard<'_, Vec<Moved>> {
    moved.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at all old names. Returns whether a program is in a transaction by one.
fn look(moved: &mut [Moved], private: &Dir) -> Result<bool, Error> {
    let put = |target: &[u8], dir: &Dir, name: &[u8]| {
        private.remove_file(LINK)?;
        private.symlink(target, LINK)?;
        private.rename(LINK, dir, name)
    };
    let mut is_open = false;
    for Moved { from, to, name, file, changes: known } in moved {
        is_open |= database::settle_journal(name, from, to, Some(*known), &put)?;
        *known = changes(file);
    }
    Ok(is_open)
}
