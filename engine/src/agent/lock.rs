//! One deploy at a time: `.cutover/lock`.
//!
//! The lock is an `flock` that the agent's process holds, so the kernel lets go of it when the process ends, however it
//! ends. It is held on the directory `.cutover` and on the file: removing the file lets nobody in. A network filesystem that
//! locks no directories has the file alone; there a run looks again before it switches whether it still is that file.
//!
//! What stands in the file is for people: who, where, since. A holder that leaves clears it, so text in a lock that could be
//! taken is that of one that died. On a full disk it is left out.

use rustix::io::Errno;

use crate::disk::{self, Dir, TextFile};
use crate::error::Error;
use crate::report::LockHolder;

use super::layout::to_json;

const LOCK: &[u8] = b"lock";

/// The lock, held. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Nothing where the filesystem locks no directories.
    directory: Option<Dir>,
    file: Option<TextFile>,
    /// The holder that died with it, if one did.
    pub(crate) taken_over: Option<LockHolder>,
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn take(private: &Dir, holder: &LockHolder) -> Result<Lock, Error> {
        let directory = private.reopen()?;
        let held_by_another = || {
            let holder = read(private).ok().flatten().map_or_else(|| "somebody".to_owned(), |holder| describe(&holder));
            Err(Error::Locked { holder })
        };
        let directory = match try_patiently(|| disk::try_lock(&directory)) {
            Ok(true) => Some(directory),
            Ok(false) => return held_by_another(),
            Err(errno) if locks_no_directories(errno) => None,
            Err(errno) => return Err(Error::io("lock", private.path(), errno)),
        };
        let file = match private.open_text(LOCK) {
            Err(error) if error.is_full() && directory.is_some() => None,
            file => Some(file?),
        };
        if let Some(file) = &file
            && !try_patiently(|| disk::try_lock(file)).map_err(|e| Error::io("lock", private.path_of(LOCK), e))?
        {
            return held_by_another();
        }
        let taken_over = read(private)?;
        let lock = Lock { directory, file, taken_over };
        lock.write(&to_json(holder));
        Ok(lock)
    }

    /// Fails where this run may not be the only one any more.
    pub(crate) fn check(&self, private: &Dir) -> Result<(), Error> {
        if self.directory.is_some() {
            return Ok(());
        }
        let own = self.file.as_ref().and_then(|file| disk::look(file).ok());
        match (private.stat(LOCK)?, own) {
            (Some(found), Some(own)) if (found.inode, found.device) == (own.inode, own.device) => Ok(()),
            _ => Err(Error::LockLost(private.path_of(LOCK).display().to_string())),
        }
    }

    /// Says who holds the lock now.
    pub(crate) fn holder(private: &Dir) -> Result<Option<LockHolder>, Error> {
        let is_locked = match disk::is_locked(private.reopen()?) {
            Ok(true) => true,
            Err(errno) if !locks_no_directories(errno) => return Err(Error::io("lock", private.path(), errno)),
            _ => match private.open_file(LOCK)? {
                Some(file) => match disk::is_locked(file) {
                    Err(errno) if locks_no_directories(errno) => false,
                    is_locked => is_locked.map_err(|e| Error::io("lock", private.path_of(LOCK), e))?,
                },
                None => false,
            },
        };
        Ok(if is_locked { Some(read(private)?.unwrap_or_else(unknown)) } else { None })
    }

    /// Writes what is for people to read; the lock is held also where that fails.
    fn write(&self, text: &str) {
        if let Some(file) = &self.file {
            drop(file.rewrite(text));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock that still has text only makes the next deploy say that it took it over.
        self.write("");
    }
}

/// Tells whether a filesystem says that it locks no directories, as NFS does, which wants a descriptor to write to.
fn locks_no_directories(errno: Errno) -> bool {
    matches!(errno, Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)
}

/// A look at who holds the lock takes it for a moment, shared, and must not make a deploy fail.
fn try_patiently(try_lock: impl Fn() -> Result<bool, Errno>) -> Result<bool, Errno> {
    const LOOKS: usize = 10;
    const A_LOOK: std::time::Duration = std::time::Duration::from_millis(10);
    for _ in 0..LOOKS {
        if try_lock()? {
            return Ok(true);
        }
        std::thread::sleep(A_LOOK);
    }
    Ok(false)
}

fn read(private: &Dir) -> Result<Option<LockHolder>, Error> {
    Ok(private.read(LOCK)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// A holder of whom nothing could be written down.
fn unknown() -> LockHolder {
    let unknown = || "unknown".to_owned();
    LockHolder { who: unknown(), from: unknown(), since: super::switch::now(), pid: 0, verb: unknown() }
}

/// Says who holds a lock, for people.
pub(crate) fn describe(holder: &LockHolder) -> String {
    let LockHolder { who, from, since, pid, verb } = holder;
    let since = jiff::Timestamp::from_second(*since as i64).map_or_else(|_| since.to_string(), |at| at.to_string());
    format!("{who} on {from}, `{verb}`, since {since} (process {pid} on the server)")
}
