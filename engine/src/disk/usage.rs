//! The space that a tree takes on the disk, as `du` counts it. Nothing is followed: neither a symlink nor a mount.
//!
//! A tree is counted with all its files, each inode once, or with its own only: those that have no further name. What the
//! user may not list is not counted.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::Mutex;

use rayon::prelude::*;

use crate::error::Error;
use crate::link::Link;

use super::cost::Costs;
use super::dir::Dir;
use super::stat::{Kind, Stat};

/// The most nested directories that are counted, which bounds the stack and the descriptors.
const DEPTH_MAX: usize = 256;

/// The files of a tree whose blocks are their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnBlocks {
    /// All of them.
    All,
    /// Those that somebody wrote to. The others share their blocks with objects, and have the mtime that they were made
    /// with: a whole second, which no write leaves.
    OfWritten,
}

impl OwnBlocks {
    /// Returns those of a release, by its links and its filesystem. Private copies share blocks where that is possible,
    /// whatever the links are.
    pub(crate) fn of(link: Link, costs: Costs) -> OwnBlocks {
        if link == Link::Reflink || costs.shares_blocks() { OwnBlocks::OfWritten } else { OwnBlocks::All }
    }

    /// Returns the bytes that are free once a name without a further one is removed.
    pub(super) fn bytes(self, stat: &Stat) -> u64 {
        let shares = self == OwnBlocks::OfWritten && stat.kind == Kind::File && stat.mtime_nanos == 0;
        if shares { 0 } else { stat.disk_bytes }
    }
}

/// Bytes and inodes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Inodes.
    pub(crate) inodes: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }
}

impl std::ops::Add for Usage {
    type Output = Usage;

    fn add(mut self, other: Usage) -> Usage {
        self += other;
        self
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Usage>>(all: I) -> Usage {
        all.fold(Usage::default(), |sum, usage| sum + usage)
    }
}

/// The files that count.
enum Counted {
    /// Those without a further name.
    Own(OwnBlocks),
    /// All, each inode once.
    All(Mutex<HashSet<u64>>),
}

impl Counted {
    fn usage(&self, stat: &Stat) -> Usage {
        let has_names = stat.kind != Kind::Directory && stat.links > 1;
        let counts = match self {
            Counted::Own(_) => !has_names,
            Counted::All(seen) => !has_names || seen.lock().expect("no counter panics").insert(stat.inode),
        };
        let bytes = match self {
            Counted::Own(blocks) => blocks.bytes(stat),
            Counted::All(_) => stat.disk_bytes,
        };
        if counts { Usage { bytes, inodes: 1 } } else { Usage::default() }
    }
}

impl Dir {
    /// Returns the space of a name and of everything in it. Each inode counts once.
    pub(crate) fn usage_of(&self, name: &[u8]) -> Result<Usage, Error> {
        self.count(name, &Counted::All(Mutex::default()))
    }

    /// Returns the space that is free once a name and everything in it is removed.
    pub(crate) fn own_usage_of(&self, name: &[u8], blocks: OwnBlocks) -> Result<Usage, Error> {
        self.count(name, &Counted::Own(blocks))
    }

    fn count(&self, name: &[u8], counted: &Counted) -> Result<Usage, Error> {
        let device = self.own_stat()?.device;
        match self.stat(name)? {
            Some(stat) => self.count_name(name, &stat, counted, (device, 0)),
            None => Ok(Usage::default()),
        }
    }

    fn count_name(&self, name: &[u8], stat: &Stat, counted: &Counted, at: (u64, usize)) -> Result<Usage, Error> {
        let (device, depth) = at;
        // On an overlay, only directories have its device.
        if stat.kind == Kind::Directory && stat.device != device {
            return Ok(Usage::default());
        }
        let own = counted.usage(stat);
        if stat.kind != Kind::Directory || depth == DEPTH_MAX {
            return Ok(own);
        }
        let dir = match self.open_dir(name) {
            Err(Error::Io { source, .. })
                if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) =>
            {
                return Ok(own);
            }
            dir => dir?,
        };
        let below = |name: Vec<u8>| match dir.stat(&name)? {
            Some(stat) => dir.count_name(&name, &stat, counted, (device, depth + 1)),
            None => Ok(Usage::default()),
        };
        let names = dir.names()?;
        let below = names.into_par_iter().with_min_len(64).map(below);
        below.try_reduce(Usage::default, |one, other| Ok(one + other)).map(|below| own + below)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once_and_is_not_own() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::write(tree.join("one"), [1; 5000]).unwrap();
        fs::hard_link(tree.join("one"), tree.join("a/two")).unwrap();
        fs::write(tree.join("a/alone"), [1; 5000]).unwrap();
        std::os::unix::fs::symlink("/", tree.join("link")).unwrap();
        let root = Dir::open(place.path()).unwrap();
        assert_eq!(root.usage_of(b"tree").unwrap().inodes, 5);
        let own = root.own_usage_of(b"tree", OwnBlocks::All).unwrap();
        assert_eq!(own.inodes, 4);
        let without = root.own_usage_of(b"tree", OwnBlocks::OfWritten).unwrap();
        assert!(without.bytes <= own.bytes);
        assert_eq!(root.usage_of(b"none").unwrap(), Usage::default());
    }
}
