//! The events of the engine. It never prints: its caller observes events and draws them as it likes.

use std::sync::{Arc, Mutex};

use crate::command::CommandEnd;
use crate::error::Error;
use crate::hook::HookPhase;
use crate::release::ReleaseId;
use crate::report::ReleaseSummary;

/// A phase of a deploy, in the order in which the phases end. Several run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reaching the server and starting the agent.
    Connect,
    /// Copying the agent to the server, while connecting.
    CopyAgent,
    /// Walking the source and hashing new content.
    Scan,
    /// Waiting for the lock.
    Lock,
    /// Sending the content that the server lacks.
    Upload,
    /// Bringing the content of an adopted site into the store.
    Copy,
    /// Making the release's directories and links.
    Assemble,
    /// Making the release durable on the server's disk.
    Sync,
    /// Running hooks and checks around the switch.
    Hooks,
    /// Pointing `current` at the release.
    Switch,
    /// Removing releases and objects by retention.
    Cleanup,
    /// Reading objects, in an examination.
    Check,
}

/// News of a hook.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookEvent {
    /// It began.
    Began {
        /// The hook.
        name: String,
        /// Its phase.
        phase: HookPhase,
    },
    /// It wrote a line, in which secrets are masked.
    Line {
        /// The hook.
        name: String,
        /// The line.
        text: String,
    },
    /// It ended.
    Ended {
        /// The hook.
        name: String,
        /// The way in which it ended.
        end: CommandEnd,
        /// The time that it took, in seconds.
        seconds: f32,
    },
}

/// News of a check.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckEvent {
    /// A try failed.
    Failed {
        /// The check.
        name: String,
        /// The number of the try, from 1.
        attempt: u32,
        /// The reason.
        reason: String,
    },
    /// It passed.
    Passed {
        /// The check.
        name: String,
    },
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A phase began.
    Began(Phase),
    /// The progress of a phase. Totals are 0 while they are unknown. Sent bytes count once the server has them.
    Progress {
        /// The phase.
        phase: Phase,
        /// Files done.
        files: u64,
        /// Files in all.
        files_total: u64,
        /// Bytes of content done.
        bytes: u64,
        /// Bytes of content in all.
        bytes_total: u64,
    },
    /// A phase ended.
    Ended(Phase),
    /// The agent was copied to the server.
    AgentCopied {
        /// Bytes that were sent for the agent, which may have been compressed.
        bytes: u64,
        /// Whether it is only lent, and nothing of it stays there.
        is_lent: bool,
    },
    /// A rollback goes from one release to another, in a moment.
    GoingBack(Box<GoingBack>),
    /// The run waits for the lock, which another run has.
    LockWait {
        /// Its user, host, start and verb.
        holder: String,
    },
    /// The release is live: `current` points at it, durably.
    Live {
        /// The release.
        release: ReleaseId,
    },
    /// A release was removed.
    ReleaseRemoved {
        /// The release.
        release: ReleaseId,
    },
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
    /// A line of a journal that was asked for, as JSON.
    JournalLine(String),
    /// A fact that the user should know and that stops nothing.
    Warning(String),
    /// A detail for `-v`.
    Detail(String),
}

/// The two ends of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GoingBack {
    /// The live release, if there is one.
    pub from: Option<ReleaseSummary>,
    /// The release that will be live.
    pub to: ReleaseSummary,
}

/// An observer of events, from any thread. It must return at once.
pub trait Observer: Send + Sync {
    /// Receives one event.
    fn observe(&self, event: Event);
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _event: Event) {}
}

/// An observer that keeps every event, for tests.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Recorder {
    /// Returns the events so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().expect("no observer panics").clone()
    }
}

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        self.0.lock().expect("no observer panics").push(event);
    }
}

/// The result of work that need not succeed.
pub(crate) trait OkOrWarn<T> {
    /// Returns the value. Turns an error into a warning and returns none.
    fn ok_or_warn(self, observer: &dyn Observer) -> Option<T>;
}

impl<T> OkOrWarn<T> for Result<T, Error> {
    fn ok_or_warn(self, observer: &dyn Observer) -> Option<T> {
        self.map_err(|error| observer.observe(Event::Warning(error.with_cause()))).ok()
    }
}

/// An observer that forwards events, each warning once, and keeps the warnings for the report.
pub(crate) struct Warnings {
    observer: Arc<dyn Observer>,
    texts: Mutex<Vec<String>>,
}

impl Warnings {
    /// Forwards to an observer.
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Warnings {
        Warnings { observer, texts: Mutex::default() }
    }

    /// Returns the warnings so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.texts.lock().expect("no observer panics").clone()
    }
}

impl Observer for Warnings {
    fn observe(&self, event: Event) {
        if let Event::Warning(text) = &event {
            let mut texts = self.texts.lock().expect("no observer panics");
            if texts.contains(text) {
                return;
            }
            texts.push(text.clone());
        }
        self.observer.observe(event);
    }
}
