//! The stat of an entry, and the part of it that a release keeps.
//!
//! A change of content or names always changes the ctime, which no program can set. So an equal stat means equal
//! content, if the filesystem keeps that rule and the change is older than a tick of its clock.

use rustix::fs::{self, FileType};

use crate::hash::Hash;
use crate::manifest::{DIRECTORY_MODE_ALWAYS, DIRECTORY_MODE_MASK, FILE_MODE_MASK, File, ObjectKey};

/// The proof that a file is the one that was hashed, a symlink the one that was read, a directory the one that was
/// listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileStat {
    /// The inode.
    pub(crate) inode: u64,
    /// Nanoseconds since 1970.
    pub(crate) mtime: i64,
    /// Nanoseconds since 1970.
    pub(crate) ctime: i64,
    /// Bytes of content.
    pub(crate) size: u64,
    /// The kind and the permission bits, all of them.
    pub(crate) mode: u32,
}

impl FileStat {
    /// Returns the kind.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

/// Marks the mode of an entry whose group gets no right of its own in a release: there, its members are others.
const OTHER_GROUP: u32 = 1 << 16;

impl FileStat {
    /// Returns the stat of an entry of a tree. With a group, the rights of another group do not count.
    pub(crate) fn of(stat: fs::Stat, group: Option<u32>) -> FileStat {
        let is_other = group.is_some_and(|group| group != stat.st_gid);
        let known = FileStat::from(stat);
        if is_other { FileStat { mode: known.mode | OTHER_GROUP, ..known } } else { known }
    }

    /// Returns the permission bits of a release.
    fn permissions(&self) -> u32 {
        if self.mode & OTHER_GROUP == 0 { self.mode } else { self.mode & !GROUP | (self.mode & OTHERS) << 3 }
    }
}

impl From<fs::Stat> for FileStat {
    fn from(stat: fs::Stat) -> FileStat {
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        FileStat {
            inode: stat.st_ino,
            mtime: nanos(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime: nanos(stat.st_ctime, stat.st_ctime_nsec as i64),
            size: stat.st_size as u64,
            mode: stat.st_mode,
        }
    }
}

/// Returns the file of a release with this stat and hash.
pub(crate) fn file_of(stat: &FileStat, hash: Hash) -> File {
    File { key: ObjectKey { hash, mode: (stat.permissions() & FILE_MODE_MASK) as u16 }, size: stat.size }
}

/// Returns the mode in a release of a directory with this stat. A release drops the sticky bit. Without it, everybody
/// who may write to a directory could replace the files of others in it. So group and others lose their write bits
/// then.
pub(crate) fn directory_mode(stat: &FileStat) -> u16 {
    let shared = if stat.mode & STICKY == 0 { 0 } else { SHARED_WRITE };
    (stat.permissions() & DIRECTORY_MODE_MASK & !shared | DIRECTORY_MODE_ALWAYS) as u16
}

/// The sticky bit: only owners rename and remove in the directory.
pub(crate) const STICKY: u32 = 0o1000;
/// The rights of the group, and of others.
const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;
/// The write bits of group and others.
pub(crate) const SHARED_WRITE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_loses_its_sticky_bit_is_closed_to_other_writers() {
        let check = |mode: u32, expected| {
            let stat = FileStat { mode: 0o040_000 | mode, ..FileStat::default() };
            assert_eq!(directory_mode(&stat), expected, "{mode:o}");
        };
        check(0o1777, 0o755);
        check(OTHER_GROUP | 0o750, 0o700);
        check(OTHER_GROUP | 0o775, 0o755);
        check(0o3775, 0o755);
        check(0o1755, 0o755);
        check(0o0777, 0o777);
        check(0o2775, 0o775);
        check(0o1555, 0o755);
    }
}
