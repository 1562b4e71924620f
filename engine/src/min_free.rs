//! The space that a deploy leaves free.

use serde::{Deserialize, Serialize};

/// The space on the filesystem of a deploy path that a deploy leaves free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinFree {
    /// So many bytes.
    Bytes(u64),
    /// A part of the filesystem, of its bytes and of its inodes.
    Percent(u8),
}

impl Default for MinFree {
    /// Nothing: the need of a deploy is known, so other programs lose only what the release takes. A limit above that
    /// would refuse deploys that fit, and the right one depends on those other programs.
    fn default() -> MinFree {
        MinFree::Bytes(0)
    }
}

impl MinFree {
    /// Returns the bytes to leave free on a filesystem of so many bytes.
    pub(crate) fn bytes(self, total: u64) -> u64 {
        match self {
            MinFree::Bytes(bytes) => bytes,
            MinFree::Percent(percent) => part(total, percent),
        }
    }

    /// Returns the inodes to leave free on a filesystem of so many inodes.
    pub(crate) fn inodes(self, total: u64) -> u64 {
        match self {
            MinFree::Bytes(_) => 0,
            MinFree::Percent(percent) => part(total, percent),
        }
    }
}

fn part(total: u64, percent: u8) -> u64 {
    (u128::from(total) * u128::from(percent) / 100) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_one_of_bytes_and_of_inodes() {
        assert_eq!((MinFree::Bytes(7).bytes(100), MinFree::Bytes(7).inodes(100)), (7, 0));
        assert_eq!((MinFree::Percent(5).bytes(u64::MAX), MinFree::Percent(5).inodes(200)), (u64::MAX / 20, 10));
        assert_eq!(MinFree::default().bytes(1000), 0);
    }
}
