//! A host: what is asked of it, and what is believed of it.
//!
//! What is believed is what the manifest database has of the target. It is only ever a reason to send less.

use std::collections::BTreeMap;

use crate::client::database::Belief;
use crate::client::memory::Memory;
use crate::client::source::Source;
use crate::error::Error;
use crate::report::DeployState;
use crate::request::{Context, DeployRequest};
use crate::wire::message::{DeployDone, Holding};

/// What an exchange came to.
pub(crate) struct Outcome {
    /// What the agent says of it.
    pub(crate) done: DeployDone,
    /// What the host holds since.
    pub(crate) holding: Holding,
    /// Bytes of content by the level that they were packed at.
    pub(crate) zstd_levels: BTreeMap<i32, u64>,
}

/// See the module's description.
pub(crate) struct Host<'a> {
    /// Where it is, and who asks.
    pub(crate) context: &'a Context,
    /// What is asked.
    pub(crate) request: &'a DeployRequest,
    /// What is believed of it; nothing of one that this machine knows nothing of.
    pub(super) belief: Option<Belief>,
}

impl<'a> Host<'a> {
    /// Recalls what is believed of a host.
    pub(crate) fn recall(context: &'a Context, request: &'a DeployRequest, memory: &Memory) -> Host<'a> {
        let mut host = Host { context, request, belief: None };
        host.belief = memory.ask(|database| database.belief(&host.name())).flatten();
        host
    }

    /// Tells whether this machine knows nothing of it.
    pub(crate) fn is_new(&self) -> bool {
        self.belief.is_none()
    }

    /// Returns what it is believed to hold.
    pub(super) fn holding(&self) -> Holding {
        self.belief.as_ref().map_or_else(Holding::default, |belief| belief.holding.clone())
    }

    /// Notes that an upload to it begins: until it has ended, the host may have some of it.
    pub(super) fn begin_upload(&self, memory: &Memory) {
        memory.ask(|database| database.begin_upload(&self.name()));
    }

    /// Remembers what an exchange came to.
    pub(crate) fn remember(&self, source: &Source<'_>, outcome: &Outcome) {
        let Outcome { done, holding, .. } = outcome;
        let Some(release) = done.release.as_ref().filter(|_| !self.request.dry_run) else { return };
        let live = match done.state {
            DeployState::Ready => done.previous.clone(),
            DeployState::Live | DeployState::Unchanged => Some(release.clone()),
        };
        source.memory().ask(|database| -> Result<(), Error> {
            database.put_release(holding, release, source.manifest())?;
            database.put_belief(&self.name(), &Belief { holding: holding.clone(), live, is_cut: false })
        });
    }

    /// Returns its name in the database.
    fn name(&self) -> String {
        self.context.target.destination.to_string()
    }
}
