//! A read lease: the kernel's word that nobody has a file open for writing.
//!
//! The kernel gives it only while no descriptor and no mapping can write to the file, and only to the file's owner or
//! root. Whoever opens the file for writing later waits until the lease is given back, at most for
//! `/proc/sys/fs/lease-break-time` (45 seconds). The waiting shows in [`Lease::holds`]. See fcntl(2), "Leases".

use std::fs::File;
use std::os::fd::AsRawFd;

/// Chooses the signal of a lease (`asm-generic/fcntl.h`; `libc` lacks it).
const F_SETSIG: libc::c_int = 10;

/// A lease on an open file. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Lease<'f>(&'f File);

impl<'f> Lease<'f> {
    /// Takes a lease on a file that is open for reading only. Returns nothing if somebody may write to it, or if this user or
    /// the filesystem cannot have one.
    pub(crate) fn take(file: &'f File) -> Option<Lease<'f>> {
        // The usual signal of a waiting writer, SIGIO, would end this process; SIGURG is ignored by default.
        let is_quiet = fcntl(file, F_SETSIG, libc::SIGURG) == 0;
        (is_quiet && fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) == 0).then_some(Lease(file))
    }

    /// Returns whether nobody has tried to write to the file since.
    pub(crate) fn holds(&self) -> bool {
        fcntl(self.0, libc::F_GETLEASE, 0) == libc::F_RDLCK
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        fcntl(self.0, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

#[expect(unsafe_code, reason = "no safe function knows leases")]
fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> libc::c_int {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and these commands take a number.
    unsafe { libc::fcntl(file.as_raw_fd(), command, argument) }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    #[test]
    fn a_lease_is_refused_while_somebody_can_write_and_tells_of_a_later_writer() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let mut writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert!(Lease::take(&file).is_none());
        writer.write_all(b"content").unwrap();
        drop(writer);
        let lease = Lease::take(&file).unwrap();
        assert!(lease.holds());
        // A writer that does not wait is refused, and shows all the same.
        let late = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        assert_eq!(late.unwrap_err().raw_os_error(), Some(libc::EWOULDBLOCK));
        assert!(!lease.holds());
        drop(lease);
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    }
}
