//! The filesystem that a directory is on: its kind, the space in it, its sync.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self, StatVfs, Timespec, Timestamps};
use rustix::io::Errno;

use crate::error::Error;
use crate::hash::Hash;

use super::call;
use super::cost::{CostKind, Costs};
use super::dir::Dir;
use super::mount::mount_of_this_boot;

/// An overlay, as `statfs` names it: its files have the times of their upper or lower layer.
const OVERLAY: u32 = 0x794c_7630;
const XFS: u32 = 0x5846_5342;
const BTRFS: u32 = 0x9123_683e;
const TMPFS: u32 = 0x0102_1994;

/// A filesystem that only one machine writes. A directory on any other may be in use on another machine.
struct Local {
    /// Its number in `statfs`.
    number: u32,
    /// Whether it is known to change a directory's mtime and ctime whenever a name is added or removed.
    keeps_times: bool,
}

const LOCAL: [Local; 13] = [
    // ext2 to ext4, XFS, Btrfs, tmpfs.
    Local { number: 0xef53, keeps_times: true },
    Local { number: XFS, keeps_times: true },
    Local { number: BTRFS, keeps_times: true },
    Local { number: TMPFS, keeps_times: true },
    // F2FS, ZFS, bcachefs.
    Local { number: 0xf2f5_2010, keeps_times: true },
    Local { number: 0x2fc1_2fc1, keeps_times: true },
    Local { number: 0xca45_1a4e, keeps_times: true },
    // An overlay shows the times of its uppermost layer alone.
    Local { number: OVERLAY, keeps_times: false },
    // JFS, ReiserFS, NILFS2, UBIFS, ramfs.
    Local { number: 0x3153_464a, keeps_times: false },
    Local { number: 0x5265_4973, keeps_times: false },
    Local { number: 0x3434, keeps_times: false },
    Local { number: 0x2405_1905, keeps_times: false },
    Local { number: 0x8584_58f6, keeps_times: false },
];

fn find(number: u32) -> Option<&'static Local> {
    LOCAL.iter().find(|local| local.number == number)
}

/// Returns whether only this machine writes the filesystem of a path.
pub(crate) fn is_local(path: &Path) -> bool {
    fs::statfs(path).is_ok_and(|statfs| find(statfs.f_type as u32).is_some())
}

/// Tells whether the filesystem of a path is mounted noexec.
pub(crate) fn is_noexec(path: &Path) -> bool {
    fs::statvfs(path).is_ok_and(|vfs| vfs.f_flag.contains(fs::StatVfsMountFlags::NOEXEC))
}

/// Tells whether nobody may change a file or directory, because it has the flag `i` of `chattr`.
pub(crate) fn is_immutable(path: &Path) -> bool {
    let flags = fs::OFlags::RDONLY | fs::OFlags::NONBLOCK | fs::OFlags::CLOEXEC;
    fs::open(path, flags, fs::Mode::empty())
        .and_then(|file| fs::ioctl_getflags(&file))
        .is_ok_and(|flags| flags.contains(fs::IFlags::IMMUTABLE))
}

/// Tells whether this user may write to a directory, and enter it.
pub(crate) fn may_write(path: &Path) -> Result<(), Errno> {
    fs::accessat(fs::CWD, path, fs::Access::WRITE_OK | fs::Access::EXEC_OK, fs::AtFlags::EACCESS)
}

/// The free space of a filesystem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Free {
    /// Bytes free to this user.
    pub(crate) bytes: u64,
    /// Free inodes; none if the filesystem does not count them.
    pub(crate) inodes: Option<u64>,
    /// Bytes in all.
    pub(crate) total_bytes: u64,
    /// Inodes in all.
    pub(crate) total_inodes: u64,
    /// The cost of names.
    pub(crate) costs: Costs,
}

impl Free {
    fn new(vfs: &StatVfs, kind: u32) -> Free {
        let kind = match kind {
            XFS => CostKind::Xfs,
            BTRFS => CostKind::Btrfs,
            TMPFS => CostKind::Memory,
            _ => CostKind::Blocks,
        };
        Free {
            bytes: vfs.f_bavail * vfs.f_frsize,
            inodes: (vfs.f_files > 0).then_some(vfs.f_favail),
            total_bytes: vfs.f_blocks * vfs.f_frsize,
            total_inodes: vfs.f_files,
            costs: Costs { kind, block_bytes: vfs.f_frsize.max(512) },
        }
    }
}

impl Dir {
    /// Syncs the whole filesystem. The kernel reports a failed write to every descriptor that was open before it
    /// (since Linux 5.8), as this one was.
    pub(crate) fn sync_filesystem(&self) -> Result<(), Error> {
        call::sync_filesystem(&self.fd).map_err(|e| Error::io("sync the filesystem of", &self.path, e))
    }

    /// Returns the free space.
    pub(crate) fn free(&self) -> Result<Free, Error> {
        let free = || Ok(Free::new(&fs::fstatvfs(&self.fd)?, fs::fstatfs(&self.fd)?.f_type as u32));
        free().map_err(|e: Errno| Error::io("look at the filesystem of", &self.path, e))
    }

    /// Returns whether the filesystem keeps only whole seconds, by a test on the directory's own mtime.
    pub(crate) fn keeps_whole_seconds(&self) -> Result<bool, Error> {
        let at = Timespec { tv_sec: 1, tv_nsec: 500_000_000 };
        call::set_times(&self.fd, &Timestamps { last_access: at, last_modification: at })
            .map_err(|e| Error::io("set the mtime of", &self.path, e))?;
        Ok(self.own_stat()?.mtime_nanos == 0)
    }

    /// Calls [`keeps_times`] on the directory.
    pub(crate) fn keeps_times(&self) -> Result<bool, Error> {
        keeps_times(&self.fd).map_err(|e| Error::io("look at the filesystem of", &self.path, e))
    }
}

/// Returns whether the filesystem changes a directory's times whenever a name in it is added or removed: if they are
/// unchanged, the directory need not be listed again.
pub(crate) fn keeps_times(dir: impl AsFd) -> Result<bool, Errno> {
    let kind = fs::fstatfs(dir)?.f_type as u32;
    Ok(find(kind).is_some_and(|local| local.keeps_times))
}

/// Returns a name for the mount of an open file, if an equal ctime there means an unchanged file: this kernel must
/// write the changes and set their times. A read-only mount may be an image with arbitrary times, and a filesystem
/// over a network or in user space may show any times.
pub(crate) fn mount_of_own_times(file: impl AsFd + Copy) -> Result<Option<Hash>, Errno> {
    let kind = fs::fstatfs(file)?.f_type as u32;
    let is_read_only = fs::fstatvfs(file)?.f_flag.contains(fs::StatVfsMountFlags::RDONLY);
    if is_read_only || !(kind == OVERLAY || find(kind).is_some_and(|local| local.keeps_times)) {
        return Ok(None);
    }
    Ok(mount_of_this_boot(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_makes_up_is_no_filesystem_of_this_machine_alone() {
        assert!(is_local(&std::env::temp_dir()));
        assert!(!is_local(Path::new("/proc")));
        assert!(!is_local(Path::new("/nothing here")));
    }
}
