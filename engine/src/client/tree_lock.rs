//! The lock of a directory in which builds run: one deploy at a time changes and reads it.
//!
//! The kernel releases the lock when its process ends. A hook lives on if its deploy was killed, and would write beside
//! the next build. It does not inherit the lock, because a daemon that it started may live for ever. So the file of the
//! lock names the hook that runs, and the next deploy ends it.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::disk::{self, Dir, LockFile};
use crate::error::{Error, ReleaseError};
use crate::event::{Event, Observer};
use crate::process::{NotEnded, ProcessIdentity, end_group};

/// The time between two attempts to take the lock.
const LOCK_EVERY: Duration = Duration::from_millis(50);

/// The time between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// See the module's description.
#[derive(Debug)]
pub(crate) struct TreeLock(LockFile);

/// A hook that runs.
#[derive(Serialize, Deserialize)]
struct RunningHook {
    name: String,
    /// Its process, which leads a group.
    process: ProcessIdentity,
}

impl TreeLock {
    /// Takes the lock `name` in `dir`. Waits while another deploy has it, and ends the hook of one that was killed. `tree`
    /// names the directory that is locked.
    pub(crate) fn take(
        dir: &Dir,
        name: &[u8],
        tree: &str,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<TreeLock, Error> {
        let mut is_told = false;
        loop {
            cancel.check()?;
            if let Some(lock) = TreeLock::try_take(dir, name)? {
                lock.end_hook(observer, cancel)?;
                return Ok(lock);
            }
            if let Some(hook) =
                dir.read(name)?.and_then(|text| running(&text)).filter(|hook| hook.process.is_ancestor())
            {
                return Err(ReleaseError::InsideHook { hook: hook.name }.into());
            }
            if !is_told {
                let text = format!("Another deploy uses {tree}: waiting until it ends");
                observer.observe(Event::Warning(text));
                is_told = true;
            }
            thread::sleep(LOCK_EVERY);
        }
    }

    /// Takes the lock unless another process has it.
    pub(crate) fn try_take(dir: &Dir, name: &[u8]) -> Result<Option<TreeLock>, Error> {
        let failed = |errno| Error::io("lock", dir.path_of(name), errno);
        loop {
            let file = dir.open_lock(name)?;
            if !disk::try_lock(&file).map_err(failed)? {
                return Ok(None);
            }
            // Somebody may have removed the file meanwhile.
            let own = disk::file_stat(&file).map_err(failed)?;
            if dir.stat(name)?.is_some_and(|stat| stat.inode == own.inode) {
                return Ok(Some(TreeLock(file)));
            }
        }
    }

    /// Returns the lock for a program that is to hold it too, as its input.
    pub(crate) fn for_child(&self) -> std::io::Result<Stdio> {
        Ok(Stdio::from(OwnedFd::from(self.0.try_clone()?)))
    }

    /// Notes that a hook runs, in the process `pid`.
    pub(crate) fn note_hook(&self, name: &str, pid: u32) {
        let hook = ProcessIdentity::of(pid).map(|process| RunningHook { name: name.to_owned(), process });
        let text = hook.and_then(|hook| serde_json::to_string(&hook).ok()).unwrap_or_default();
        // Without the note, the hook runs all the same.
        self.0.rewrite(&text).ok();
    }

    /// Notes that no hook runs.
    pub(crate) fn forget_hook(&self) {
        self.0.rewrite("").ok();
    }

    /// Ends the hook of a deploy that was killed, with its group. If it cannot be ended, waits for its end.
    fn end_hook(&self, observer: &dyn Observer, cancel: &Cancel) -> Result<(), Error> {
        let Some(RunningHook { name, process }) = self.0.text().ok().and_then(|text| running(text.as_bytes())) else {
            return Ok(());
        };
        let tell = |end: String| {
            let of = format!("The hook `{name}` of a deploy that was killed still ran (process {})", process.pid);
            observer.observe(Event::Warning(format!("{of}: {end}")));
        };
        match end_group(&process, KILL_AFTER) {
            Ok(()) => tell("it was ended".to_owned()),
            Err(NotEnded::Gone | NotEnded::AnotherMachine) => {}
            Err(reason) => {
                tell(format!("it cannot be ended, because {reason}; waiting until it ends"));
                while process.is_running() {
                    cancel.check()?;
                    thread::sleep(LOCK_EVERY);
                }
            }
        }
        self.forget_hook();
        Ok(())
    }
}

fn running(text: &[u8]) -> Option<RunningHook> {
    serde_json::from_slice(text).ok()
}
