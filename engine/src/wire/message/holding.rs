//! What the server holds, and a mark that tells it in few bytes.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::release::ReleaseId;
use crate::wire::bounds::{self, at_most};

use super::encoding::to_bytes;

/// What the server holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holding {
    /// The store.
    pub(crate) store: String,
    /// The releases that stand.
    #[serde(deserialize_with = "at_most::<{ bounds::STANDING_MAX }, _, _>")]
    pub(crate) standing: Vec<ReleaseId>,
}

/// Tells one [`Holding`] from another in few bytes: what the other side has right need not be said.
pub(crate) type HoldingMark = [u8; 8];

impl Holding {
    /// Returns the first bytes of its hash.
    pub(crate) fn mark(&self) -> HoldingMark {
        let mut mark = HoldingMark::default();
        mark.copy_from_slice(&Hash::of(&to_bytes(self)).as_bytes()[..size_of::<HoldingMark>()]);
        mark
    }

    /// Returns what is held after a deploy that made one release, if any, and removed others.
    pub(crate) fn after(mut self, made: Option<&ReleaseId>, removed: &[ReleaseId]) -> Holding {
        self.standing.extend(made.cloned());
        self.standing.retain(|release| !removed.contains(release));
        self.standing.sort_unstable();
        self.standing.dedup();
        self
    }
}
