//! The store and releases of a server, and a short mark of them.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::release::ReleaseId;
use crate::wire::bounds::{self, at_most};

use super::encoding::to_bytes;

/// The store and releases of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holding {
    /// The store id.
    pub(crate) store: String,
    /// The existing releases.
    #[serde(deserialize_with = "at_most::<{ bounds::HELD_RELEASES_MAX }, _, _>")]
    pub(crate) releases: Vec<ReleaseId>,
}

/// A short mark of a [`Holding`]: a side whose mark is right need not be sent the whole.
pub(crate) type HoldingMark = [u8; 8];

impl Holding {
    /// Returns the first bytes of its hash.
    pub(crate) fn mark(&self) -> HoldingMark {
        let mut mark = HoldingMark::default();
        mark.copy_from_slice(&Hash::of(&to_bytes(self)).as_bytes()[..size_of::<HoldingMark>()]);
        mark
    }

    /// Returns the holding after a deploy that made at most one release and removed others.
    pub(crate) fn after(mut self, made: Option<&ReleaseId>, removed: &[ReleaseId]) -> Holding {
        self.releases.extend(made.cloned());
        self.releases.retain(|release| !removed.contains(release));
        self.releases.sort_unstable();
        self.releases.dedup();
        self
    }
}
