//! The step *announce*: the hello, and the flight that follows before any answer.

use crate::client::hello::hello_with;
use crate::client::outgoing_file::outgoing_files;
use crate::error::Error;
use crate::manifest::outline;
use crate::release::Provenance;
use crate::report::DeployFailure;
use crate::wire::message::{DeployBegin, MissingAgent, Request, ToAgent, TreeBase};

use super::base::Base;
use super::forecast::{Flight, Forecast};
use super::state::{Exchange, Opening};
use super::tree::SentTree;

impl Exchange<'_> {
    /// Opens the conversation: by a flight if one is forecast, else by a question.
    pub(super) fn announce(&mut self, forecast: Forecast) -> Result<SentTree, DeployFailure> {
        let Forecast { base, flight } = forecast;
        self.send_hello(base.as_ref())?;
        let lock = self.host.context.lock;
        if lock.wait.is_some() || lock.interrupt {
            // The agent may wait for the lock, and whoever has it may make another base. Meanwhile the agent looks
            // whether this client still waits, and reads no frames.
            self.conversation.wait_for_base()?;
        }
        if let Some(flight) = flight.filter(|_| !self.conversation.has_rejected_base()) {
            drop(base);
            self.opening = Some(Opening::Flight);
            return self.send_flight(flight);
        }
        // If the database knows the store under the name of another host, no outline is needed, and that is worth the
        // wait for the answer.
        let wants_outline = base.is_none() && !self.knows_a_release();
        if wants_outline {
            self.want_outline()?;
        }
        self.opening = Some(Opening::Question { expected: base, wants_outline });
        Ok(SentTree::default())
    }

    fn send_hello(&self, base: Option<&Base>) -> Result<(), Error> {
        let (context, request) = (self.host.context, self.host.request);
        let root = self.source.manifest().root();
        let begin = DeployBegin {
            root,
            base: base.map(|base| base.name.release.clone()),
            base_root: base.map(|base| base.name.root).filter(|base_root| *base_root != root),
            believed: self.holding.mark(),
            release: self.proposal.release.clone(),
            is_named: request.release.is_some(),
            second: self.proposal.second,
            no_switch: request.no_switch,
            force: request.force,
            dry_run: request.dry_run,
            no_space_check: request.no_space_check,
            missing_agent: self.missing_agent(),
        };
        let (commit, dirty) = (self.source.commit().map(str::to_owned), self.source.is_dirty());
        let branch = self.source.branch().map(str::to_owned);
        let provenance = Provenance { commit, branch, dirty, ..context.provenance.clone() };
        let mut hello = hello_with(context, provenance, Request::Deploy(begin));
        if self.host.looks() {
            hello.path.clear();
        }
        self.conversation.send(&ToAgent::Hello(Box::new(hello)))
    }

    /// Returns the agent that a deploy would copy.
    fn missing_agent(&self) -> Option<MissingAgent> {
        let directory = self.host.context.agent_path()?;
        Some(MissingAgent { bytes: self.conversation.lent_bytes()?, directory })
    }

    /// Sends the tree, and all its content if that is little.
    fn send_flight(&mut self, flight: Flight) -> Result<SentTree, DeployFailure> {
        let Flight { tree, promised, content, old_versions, gaps } = flight;
        self.want_gaps(&gaps, &old_versions)?;
        let conversation = self.conversation;
        let old_versions = match content {
            None => {
                self.send_manifest(TreeBase::Proposed, &tree)?;
                old_versions
            }
            // Content that does not arrive whole is sent again without deltas.
            Some(content) => conversation.batched(|| {
                self.send_manifest(TreeBase::Proposed, &tree)?;
                self.send_content(outgoing_files(content, &[], &old_versions), true)?;
                // If the agent takes another base, all of it is sent again.
                if !conversation.has_rejected_base() {
                    self.commit()?;
                }
                Ok(Default::default())
            })?,
        };
        self.source.keep();
        Ok(SentTree { promised, old_versions, gaps, ..SentTree::default() })
    }

    /// Asks for an outline of the base that the agent takes.
    pub(super) fn want_outline(&self) -> Result<(), Error> {
        self.conversation.send(&ToAgent::WantOutline(outline::summarize(self.source.manifest())))
    }

    /// Tells whether this tree was deployed to any store.
    fn knows_a_release(&self) -> bool {
        let root = self.source.manifest().root();
        self.source.memory().ask(|database| database.has_release(&root)).unwrap_or(false)
    }
}
