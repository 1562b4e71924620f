//! A release that was made: what the steps up to the switch came to.

use crate::agent::deploy::publish::Published;
use crate::agent::site::switch::Switched;
use crate::event::Phase;

use super::fill::Filled;

/// A release that is live, or ready.
pub(super) struct Made {
    /// How it came together in staging.
    pub(super) filled: Filled,
    /// How it got its names.
    pub(super) published: Published,
    /// The switch to it, unless it is only ready.
    pub(super) switched: Option<Switched>,
    /// Objects whose mode, time or group was put right.
    pub(super) put_right: u64,
    /// Seconds, by phase.
    pub(super) seconds: Vec<(Phase, f32)>,
}
