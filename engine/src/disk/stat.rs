//! The `stat` of a name or of an open file.

use std::os::fd::AsFd;

use rustix::fs::{self, FileType};
use rustix::io::Errno;

/// The setgid bit: a directory with it passes its group on to new names.
pub(crate) const SETGID: u32 = 0o2000;

/// The kind of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A socket, fifo or device.
    Other,
}

impl From<FileType> for Kind {
    fn from(file_type: FileType) -> Kind {
        match file_type {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Other,
        }
    }
}

/// The `stat` of a name, as far as Cutover needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The kind.
    pub(crate) kind: Kind,
    /// The permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The owner's group.
    pub(crate) gid: u32,
    /// Bytes of content.
    pub(crate) size: u64,
    /// The mtime in seconds.
    pub(crate) mtime: i64,
    /// The nanoseconds of the mtime.
    pub(crate) mtime_nanos: u32,
    /// The ctime in nanoseconds.
    pub(crate) ctime: i64,
    /// The number of links.
    pub(crate) links: u64,
    /// The inode.
    pub(crate) inode: u64,
    /// The filesystem.
    pub(crate) device: u64,
    /// The space on the disk, in bytes.
    pub(crate) disk_bytes: u64,
}

impl Stat {
    /// Returns what tells a file from all others.
    pub(crate) fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Returns whether the mtime is exactly this second.
    pub(crate) fn has_mtime(&self, second: u32) -> bool {
        (self.mtime, self.mtime_nanos) == (i64::from(second), 0)
    }

    /// Returns whether a directory passes this group on to new names.
    pub(crate) fn passes_on(&self, group: u32) -> bool {
        self.gid == group && self.mode & SETGID != 0
    }
}

impl From<fs::Stat> for Stat {
    fn from(stat: fs::Stat) -> Stat {
        Stat {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            mtime: stat.st_mtime,
            mtime_nanos: stat.st_mtime_nsec as u32,
            ctime: stat.st_ctime.saturating_mul(1_000_000_000).saturating_add(stat.st_ctime_nsec as i64),
            links: widened(stat.st_nlink),
            inode: stat.st_ino,
            device: stat.st_dev,
            disk_bytes: stat.st_blocks as u64 * 512,
        }
    }
}

/// Returns a number in 64 bits: that of the links has 32 on arm64.
fn widened(number: impl Into<u64>) -> u64 {
    number.into()
}

/// Returns the stat of an open file.
pub(crate) fn file_stat(file: impl AsFd) -> Result<Stat, Errno> {
    fs::fstat(file).map(Stat::from)
}
