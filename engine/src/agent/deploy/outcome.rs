//! A release that was made: what the steps up to the switch came to.

use crate::agent::deploy::publish::PublishedRelease;
use crate::agent::site::switch::SwitchOutcome;
use crate::event::Phase;

use super::fill::StagedRelease;

/// A release that is live, or ready.
pub(super) struct DeployOutcome {
    /// How it came together in staging.
    pub(super) staged: StagedRelease,
    /// How it got its names.
    pub(super) published: PublishedRelease,
    /// The switch to it, unless it is only ready.
    pub(super) switched: Option<SwitchOutcome>,
    /// Objects whose mode, time or group was put right.
    pub(super) restored_objects: u64,
    /// Seconds, by phase.
    pub(super) seconds: Vec<(Phase, f32)>,
}
