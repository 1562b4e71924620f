//! The known state of a target, as the manifest database has it. It is only ever a reason to send less.

use crate::release::ReleaseId;
use crate::wire::message::Holding;

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownTarget {
    /// The releases that the server had when it last answered.
    pub(crate) holding: Holding,
    /// The release that was live then.
    pub(crate) live: Option<ReleaseId>,
    /// Whether an upload was begun since then, and not ended.
    pub(crate) is_cut: bool,
}
