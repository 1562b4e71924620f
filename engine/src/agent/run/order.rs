//! The messages between the agent and its runner. Both are the same program.

use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::hook::HookPhase;
use crate::news::News;
use crate::release::ReleaseId;
use crate::wire::bounds::{self, MessageBounds};
use crate::wire::message::Hello;

use super::scene::Scene;
use crate::process::ProcessIdentity;

/// A message to the runner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToRunner {
    /// The first message.
    Order(Box<Order>),
    /// The user interrupted: end the command that runs.
    Stop,
    /// The client has gone.
    ClientGone,
    /// The client's verdict on the live release: the reason why it is not good, if there is one.
    Verdict(Option<Box<Refusal>>),
}

impl MessageBounds for ToRunner {
    const BYTES_MAX: &'static [usize] = &[
        /* Order */ bounds::HELLO_BYTES_MAX + bounds::PLAIN_BYTES_MAX,
        /* Stop */ bounds::PLAIN_BYTES_MAX,
        /* ClientGone */ bounds::PLAIN_BYTES_MAX,
        /* Verdict */ bounds::TEXT_MESSAGE_BYTES_MAX,
    ];
}

/// The work of a runner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The hello of the client: the deploy path, the policy, the hooks and checks.
    pub(super) hello: Hello,
    /// The fencing number of the lock, which is also the number of the journal.
    pub(super) fence: u64,
    /// The process of the agent. None if the server has no `/proc`.
    pub(super) agent: Option<ProcessIdentity>,
    /// The act.
    pub(super) act: Act,
}

/// An act of a runner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Act {
    /// Run the hooks of a phase.
    Hooks {
        /// The phase.
        phase: HookPhase,
        /// The releases that they see.
        scene: Scene,
    },
    /// Run one hook, whatever its phase and its conditions are.
    Hook {
        /// Its name.
        name: String,
        /// The releases that it sees.
        scene: Scene,
    },
    /// Make a release live, with the hooks and checks around it.
    GoLive(GoLive),
    /// Switch back from the live release, which nobody confirmed.
    TakeBack {
        /// The release that was live before.
        to: ReleaseId,
        /// The reason.
        reason: String,
    },
}

/// A release that is to go live.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GoLive {
    /// The release.
    pub(crate) release: ReleaseId,
    /// The reason to leave the live release, if this is a step back.
    pub(crate) back: Option<String>,
    /// Whether the release was live before: only hooks that are meant for a rollback run.
    pub(crate) is_rollback: bool,
}

/// A message of the runner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromRunner {
    /// News.
    News(News),
    /// Asks for the client's verdict on the live release.
    WantsVerdict,
    /// The last message.
    Ended(Box<RunnerEnd>),
}

impl MessageBounds for FromRunner {
    const BYTES_MAX: &'static [usize] = &[
        /* News */ bounds::TEXT_MESSAGE_BYTES_MAX,
        /* WantsVerdict */ bounds::PLAIN_BYTES_MAX,
        /* Ended */ bounds::ANSWER_BYTES_MAX,
    ];
}

/// The result of an act.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RunnerEnd {
    /// The duration of the switch alone, in seconds.
    pub(crate) switch_seconds: f32,
    /// The release that was live before the switch.
    pub(crate) previous: Option<ReleaseId>,
    /// Warnings about records and log lines that could not be written.
    pub(crate) warnings: Vec<String>,
    /// The failure, if there was one.
    pub(crate) failure: Option<Refusal>,
}
