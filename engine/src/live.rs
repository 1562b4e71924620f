//! What is live: the word that a server says, and that the last line of a failure repeats.
//!
//! It crosses the wire in `Ready` and in `Failed`, stands in `DeployFailure`, and `--json` prints it. `Unchanged` and
//! `Unknown` keep apart what nobody could find out: a failure must never claim more than is known.

use serde::{Deserialize, Serialize};

use crate::release::ReleaseId;

/// What is live now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiveNow {
    /// This release, as before.
    Release(ReleaseId),
    /// This release, since the switch that was asked for.
    Switched(ReleaseId),
    /// Nothing was deployed yet.
    Nothing,
    /// It could not be found out, and nothing was switched.
    Unchanged,
    /// It could not be found out, and the switch had begun.
    Unknown,
}

impl LiveNow {
    /// Tells whether this run made a release live.
    pub fn is_switched(&self) -> bool {
        matches!(self, LiveNow::Switched(_))
    }

    /// Returns the release, where one is known to be live.
    pub fn release(&self) -> Option<&ReleaseId> {
        match self {
            LiveNow::Release(release) | LiveNow::Switched(release) => Some(release),
            LiveNow::Nothing | LiveNow::Unchanged | LiveNow::Unknown => None,
        }
    }

    /// Returns the word of `--json`. Scripts rely on these.
    pub fn state(&self) -> &'static str {
        match self {
            LiveNow::Release(_) | LiveNow::Switched(_) => "release",
            LiveNow::Nothing => "nothing",
            LiveNow::Unchanged => "unchanged",
            LiveNow::Unknown => "unknown",
        }
    }
}

impl From<Option<&ReleaseId>> for LiveNow {
    fn from(release: Option<&ReleaseId>) -> LiveNow {
        release.cloned().map_or(LiveNow::Nothing, LiveNow::Release)
    }
}
