//! The results of the steps up to the switch.

use crate::agent::deploy::publish::PublishedRelease;
use crate::agent::site::switch::SwitchOutcome;
use crate::event::Phase;
use crate::manifest::diff::Counts;

use super::fill::StagedRelease;

/// The results of fill, publish and switch. The release is live, or ready.
pub(super) struct DeployOutcome {
    /// The result of fill.
    pub(super) staged: StagedRelease,
    /// The result of publish.
    pub(super) published: PublishedRelease,
    /// The result of the switch; nothing if the release is only ready.
    pub(super) switched: Option<SwitchOutcome>,
    /// The differences from the release that was live, with all hashes known.
    pub(super) counts: Counts,
    /// The number of objects whose mode, mtime or group was restored.
    pub(super) restored_objects: u64,
    /// The duration of each phase, in seconds.
    pub(super) seconds: Vec<(Phase, f32)>,
}
