//! News of a run on the server: what the agent and the runner report while they work.
//!
//! News crosses the wire to the client, which shows it, and goes into the journal of the run, line by line.

use serde::{Deserialize, Serialize};

use crate::event::{CheckEvent, Event, GoingBack, HookEvent, Phase};
use crate::release::ReleaseId;

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// A phase began.
    Began(Phase),
    /// A phase ended.
    Ended(Phase),
    /// The user should know this. It stops nothing.
    Warning(String),
    /// A rollback goes from one release to another, in a moment.
    GoingBack(Box<GoingBack>),
    /// The run waits for the lock, which this run has.
    LockWait(String),
    /// A release was removed.
    Removed(ReleaseId),
    /// `current` points at the release, durably.
    Live(ReleaseId),
    /// News of a hook.
    Hook(HookEvent),
    /// News of a check.
    Check(CheckEvent),
    /// The release failed, and the server switches back.
    Returning {
        /// The release that failed.
        from: ReleaseId,
        /// The release that is switched to.
        to: ReleaseId,
    },
}

impl From<News> for Event {
    fn from(news: News) -> Event {
        match news {
            News::Began(phase) => Event::Began(phase),
            News::Ended(phase) => Event::Ended(phase),
            News::Warning(warning) => Event::Warning(warning),
            News::GoingBack(ends) => Event::GoingBack(ends),
            News::LockWait(holder) => Event::LockWait { holder },
            News::Removed(release) => Event::ReleaseRemoved { release },
            News::Live(release) => Event::Live { release },
            News::Hook(event) => Event::Hook(event),
            News::Check(event) => Event::Check(event),
            News::Returning { from, to } => Event::Returning { from, to },
        }
    }
}
