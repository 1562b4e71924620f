//! A host: the request to it, and its known state.
//!
//! The known state is that of the target in the manifest database. It is only ever a reason to send less.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use crate::client::conversation::Conversation;
use crate::client::known_target::KnownTarget;
use crate::client::memory::Memory;
use crate::client::source::Source;
use crate::error::Error;
use crate::report::DeployState;
use crate::request::{Context, DeployRequest};
use crate::target::Destination;
use crate::wire::message::{DeployDone, Holding, ToAgent};

/// The result of an exchange.
pub(crate) struct Outcome {
    /// The agent's report.
    pub(crate) done: DeployDone,
    /// The releases and the store of the host after the exchange.
    pub(crate) holding: Holding,
    /// The bytes of content by zstd level.
    pub(crate) zstd_levels: BTreeMap<i32, u64>,
}

/// See the module's description.
pub(crate) struct Host<'a> {
    /// The target, and the person who deploys.
    pub(crate) context: &'a Context,
    /// The request.
    pub(crate) request: &'a DeployRequest,
    /// The known state. None if this machine knows nothing of the host.
    pub(super) known: Option<KnownTarget>,
}

impl<'a> Host<'a> {
    /// Reads the known state of a host from the database.
    pub(crate) fn recall(context: &'a Context, request: &'a DeployRequest, memory: &Memory) -> Host<'a> {
        let mut host = Host { context, request, known: None };
        host.known = memory.ask(|database| database.target(&host.name())).flatten();
        host
    }

    /// Tells whether this machine knows nothing of the host.
    pub(crate) fn is_new(&self) -> bool {
        self.known.is_none()
    }

    /// Tells whether the agent compares the live release while this machine scans. On one machine that would slow down
    /// the scan.
    pub(super) fn looks(&self) -> bool {
        matches!(self.context.target.destination, Destination::Ssh(_)) && !self.request.force
    }

    /// Asks the agent to compare the live release with its manifest, for a deploy that changes nothing.
    pub(crate) fn ask_for_look(&self, conversation: &Conversation) -> Result<(), Error> {
        if !self.looks() {
            return Ok(());
        }
        let path = self.context.target.destination.path();
        conversation.send(&ToAgent::Look(path.as_os_str().as_bytes().to_vec()))
    }

    /// Returns the known releases and store of the host.
    pub(super) fn holding(&self) -> Holding {
        self.known.as_ref().map_or_else(Holding::default, |known| known.holding.clone())
    }

    /// Notes that an upload to the host begins. Until it has ended, the host may have some of it.
    pub(super) fn begin_upload(&self, memory: &Memory) {
        memory.ask(|database| database.begin_upload(&self.name()));
    }

    /// Keeps the result of an exchange.
    pub(crate) fn remember(&self, source: &Source<'_>, outcome: &Outcome) {
        let Outcome { done, holding, .. } = outcome;
        let Some(release) = done.release.as_ref().filter(|_| !self.request.dry_run) else { return };
        let live = match done.state {
            DeployState::Ready => done.previous.clone(),
            DeployState::Live | DeployState::Unchanged => Some(release.clone()),
        };
        source.memory().ask(|database| -> Result<(), Error> {
            database.put_release(holding, release, source.manifest())?;
            database.put_target(&self.name(), &KnownTarget { holding: holding.clone(), live, is_cut: false })
        });
    }

    /// Returns the name of the host in the database.
    fn name(&self) -> String {
        self.context.target.destination.to_string()
    }
}
