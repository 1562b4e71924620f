//! What is live: the server reports it, and the last line of a failure repeats it.
//!
//! It crosses the wire in `Ready` and in `Failed`, is part of `DeployFailure`, and `--json` prints it. `Unchanged` and
//! `Unknown` are two kinds of not knowing: a failure must never claim more than is known.

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
    /// The state is unknown, and nothing was switched.
    Unchanged,
    /// The state is unknown, and the switch had begun.
    Unknown,
}

impl LiveNow {
    /// Tells whether this run made a release live.
    pub fn is_switched(&self) -> bool {
        matches!(self, LiveNow::Switched(_))
    }

    /// Returns the live release, if it is known.
    pub fn release(&self) -> Option<&ReleaseId> {
        match self {
            LiveNow::Release(release) | LiveNow::Switched(release) => Some(release),
            LiveNow::Nothing | LiveNow::Unchanged | LiveNow::Unknown => None,
        }
    }

    /// Returns the word that `--json` prints. Scripts rely on these words.
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
