//! One deploy at a time: `.cutover/lock`.
//!
//! The lock is an `flock` that the agent's process holds, so the kernel lets go of it when the process ends, however it
//! ends. What stands in the file is for people: who, where, since. A holder that leaves clears it, so text in a lock
//! that could be taken is that of one that died.

use std::fs::File;
use std::io::{Seek, Write};

use crate::disk::Dir;
use crate::error::Error;
use crate::report::LockHolder;

use super::layout::to_json;

const LOCK: &[u8] = b"lock";

/// The lock, held. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    /// The holder that died with it, if one did.
    pub(crate) taken_over: Option<LockHolder>,
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn take(private: &Dir, holder: &LockHolder) -> Result<Lock, Error> {
        let mut file = private.append_file(LOCK)?;
        if !try_patiently(private, &file)? {
            let holder = read(private)?.map_or_else(|| "somebody".to_owned(), |holder| describe(&holder));
            return Err(Error::Locked { holder });
        }
        let known = read(private)?;
        let failed = |e: std::io::Error| Error::io("write", private.path_of(LOCK), e);
        file.set_len(0).map_err(failed)?;
        file.write_all(to_json(holder).as_bytes()).map_err(failed)?;
        Ok(Lock { file, taken_over: known })
    }

    /// Says who holds the lock now.
    pub(crate) fn holder(private: &Dir) -> Result<Option<LockHolder>, Error> {
        let Some(file) = private.open_file(LOCK)? else {
            return Ok(None);
        };
        if private.is_locked(LOCK, &file)? { read(private) } else { Ok(None) }
    }
}

/// A look at who holds the lock takes it for a moment, shared, and must not make a deploy fail.
fn try_patiently(private: &Dir, file: &File) -> Result<bool, Error> {
    const LOOKS: usize = 10;
    const A_LOOK: std::time::Duration = std::time::Duration::from_millis(10);
    for _ in 0..LOOKS {
        if private.try_lock(LOCK, file)? {
            return Ok(true);
        }
        std::thread::sleep(A_LOOK);
    }
    Ok(false)
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock that still has text only makes the next deploy say that it took it over.
        drop(self.file.rewind().and_then(|()| self.file.set_len(0)));
    }
}

fn read(private: &Dir) -> Result<Option<LockHolder>, Error> {
    Ok(private.read(LOCK)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Says who holds a lock, for people.
pub(crate) fn describe(holder: &LockHolder) -> String {
    let LockHolder { who, from, since, pid, verb } = holder;
    let since = jiff::Timestamp::from_second(*since as i64).map_or_else(|_| since.to_string(), |at| at.to_string());
    format!("{who} on {from}, `{verb}`, since {since} (process {pid} on the server)")
}
