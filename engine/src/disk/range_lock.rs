//! Locks on ranges of bytes of an open file, as databases take them on theirs.
//!
//! The locks belong to the open file and not to the process (fcntl(2), "Open file description locks"): closing another
//! descriptor of the same file does not end them. They meet the traditional locks of other processes.

use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// The kind of a lock on a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeLock {
    /// Others may read, and nobody may write. The file must be open for reading.
    Read,
    /// Nobody else may have a lock. The file must be open for writing.
    Write,
    /// None.
    Free,
}

/// Takes a lock on a range until the file is closed, in the place of the one that this file has there. Returns false if another
/// one has a lock that does not allow it.
#[expect(unsafe_code, reason = "no safe function knows locks of an open file on ranges")]
pub(crate) fn try_lock_range(file: impl AsFd, range: Range<i64>, kind: RangeLock) -> Result<bool, Errno> {
    let kind = match kind {
        RangeLock::Read => libc::F_RDLCK,
        RangeLock::Write => libc::F_WRLCK,
        RangeLock::Free => libc::F_UNLCK,
    };
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.start,
        l_len: range.end - range.start,
        // The kernel wants no process here.
        l_pid: 0,
    };
    // SAFETY: the descriptor is open for as long as `file` is, and the command takes a pointer to a `flock`.
    let result = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    match result {
        0 => Ok(true),
        _ => match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Ok(false),
            errno => Err(Errno::from_raw_os_error(errno.unwrap_or(libc::EIO))),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_range_that_a_writer_locked_is_not_locked_and_other_readers_do_not_matter() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, "").unwrap();
        // The traditional lock of another process.
        let script = "import fcntl, struct, sys, time\nfile = open(sys.argv[1], 'r+')\n\
                      fcntl.lockf(file, fcntl.LOCK_EX, 1, 15)\nprint('locked', flush=True)\nsys.stdin.read()\n";
        let mut writer = Command::new("/usr/bin/python3");
        writer.args(["-c", script]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        let mut said = [0; 7];
        writer.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        let (one, other) = (File::open(&path).unwrap(), File::open(&path).unwrap());
        assert!(!try_lock_range(&one, 10..20, RangeLock::Read).unwrap());
        assert!(try_lock_range(&one, 16..20, RangeLock::Read).unwrap());
        assert!(try_lock_range(&other, 16..20, RangeLock::Read).unwrap());
        drop(writer.stdin.take());
        writer.wait().unwrap();
        assert!(try_lock_range(&one, 10..20, RangeLock::Read).unwrap());
    }
}
