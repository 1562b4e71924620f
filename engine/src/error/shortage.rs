//! The need of a release beside the free space, in bytes or in inodes.

use serde::{Deserialize, Serialize};

/// A need that is greater than the free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The need.
    pub needed: u64,
    /// The part that is free to the user.
    pub free: u64,
    /// The part of that which must stay free.
    pub reserve: u64,
}

impl Shortage {
    /// Describes it: `the release needs 3, and the user … has 2 free`, with each number as `unit` shows it.
    pub(super) fn text(&self, user: &str, unit: impl Fn(u64) -> String) -> String {
        let (needed, free, kept) = (unit(self.needed), unit(self.free), self.kept(unit));
        format!("the release needs {needed}, and the user `{user}` has {free} free{kept}")
    }

    /// Describes the part that must stay free: `, of which min_free keeps 1`.
    pub(super) fn kept(&self, unit: impl Fn(u64) -> String) -> String {
        match self.reserve {
            0 => String::new(),
            reserve => format!(", of which `min_free` keeps {}", unit(reserve)),
        }
    }
}

/// The ways out of a shortage, in its unit. 0: it frees nothing, or that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceRemedy {
    /// The part that a cleanup frees now.
    pub cleanup: u64,
    /// The part that it frees if only the live release and the one before stay.
    pub fewest: u64,
}
