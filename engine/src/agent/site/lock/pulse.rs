//! The signs of a holder: its beat, the hook that it runs, the switch that it has begun. They are in the text of the
//! lock, for a run that finds the lock held. The holder's threads share them.
//!
//! A sign that cannot be written is left out: the lock is held all the same, and a holder without a text is never
//! taken for dead.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::disk::{self, Dir, LockFile, Stat};
use crate::error::Error;

use super::interrupt::{self, Interrupt};
use super::text::{self, BEAT_AT, LockText};
use crate::process::ProcessIdentity;

/// The time between two signs of life.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(5);

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Pulse {
    private: Dir,
    fence: u64,
    /// Whether a child gives the signs now. A parent that went on would hide that the child is stopped.
    is_lent: AtomicBool,
    /// None once the lock was released, or if a full disk had no space for the file.
    signs: Mutex<Option<Signs>>,
}

#[derive(Debug)]
struct Signs {
    file: LockFile,
    text: LockText,
}

impl Pulse {
    /// Begins, and writes the text.
    pub(super) fn begin(private: &Dir, file: Option<LockFile>, text: LockText) -> Result<Pulse, Error> {
        let fence = text.fence;
        let signs = Mutex::new(file.map(|file| Signs { file, text }));
        let pulse = Pulse { private: private.duplicate()?, fence, is_lent: AtomicBool::new(false), signs };
        pulse.change(|_| {});
        Ok(pulse)
    }

    /// Shows that the holder is alive, unless a child does.
    pub(crate) fn beat(&self) {
        if self.is_lent() {
            return;
        }
        if let Some(signs) = &*self.signs() {
            signs.file.overwrite(&text::beat(), BEAT_AT).ok();
        }
    }

    /// Tells whether a child gives the signs now.
    pub(crate) fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::Relaxed)
    }

    /// Returns the request of another run to interrupt this one, if there is one.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        let is_held = self.signs().is_some();
        interrupt::read(&self.private).filter(|interrupt| is_held && interrupt.fence == self.fence)
    }

    /// Changes the text.
    pub(super) fn change(&self, change: impl FnOnce(&mut LockText)) {
        if let Some(Signs { file, text }) = &mut *self.signs() {
            change(text);
            file.rewrite(&text.to_text()).ok();
        }
    }

    /// Leaves the signs to a child.
    pub(super) fn lend(&self) {
        self.is_lent.store(true, Ordering::Relaxed);
    }

    /// Names this process as the holder again. A switch that the child began stays noted, and so does a hook of a child
    /// that was killed.
    pub(super) fn resume(&self) {
        self.change_from_file(|text| {
            if text.running_hook().is_none() {
                text.note_hook(None);
            }
            text.move_to_this_process();
        });
        self.is_lent.store(false, Ordering::Relaxed);
    }

    /// Returns the hook that runs without its runner, and its process.
    pub(super) fn running_hook(&self) -> Option<(String, ProcessIdentity)> {
        let signs = self.signs();
        let text = &signs.as_ref()?.text;
        Some((text.holder.hook.clone()?, text.running_hook()?.clone()))
    }

    /// Changes the text that is in the file.
    fn change_from_file(&self, change: impl FnOnce(&mut LockText)) {
        if let Some(Signs { file, text }) = &mut *self.signs() {
            if let Some(found) = file.text().ok().and_then(|found| LockText::parse(found.as_bytes())) {
                *text = found;
            }
            change(text);
            file.rewrite(&text.to_text()).ok();
        }
    }

    /// Returns a further descriptor of the file.
    pub(super) fn file(&self) -> io::Result<Option<LockFile>> {
        self.signs().as_ref().map(|signs| signs.file.try_clone()).transpose()
    }

    /// Returns the stat of the file.
    pub(super) fn stat(&self) -> Option<Stat> {
        self.signs().as_ref().and_then(|signs| disk::file_stat(&signs.file).ok())
    }

    /// Ends the signs, and clears the text unless another process goes on with them.
    pub(super) fn end(&self, keep_text: bool) {
        if let Some(signs) = self.signs().take()
            && !keep_text
        {
            // If the text stays, the next run only reports that it took the lock over.
            signs.file.rewrite("").ok();
        }
    }

    fn signs(&self) -> MutexGuard<'_, Option<Signs>> {
        self.signs.lock().expect("no holder panics")
    }
}
