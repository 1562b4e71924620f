//! The state of an exchange of a source with a host.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;

use crate::client::conversation::Conversation;
use crate::client::git::Blobs;
use crate::client::source::Source;
use crate::error::Error;
use crate::hash::Hash;
use crate::report::{DeployFailure, SendReport};
use crate::signature::Signatures;
use crate::wire::message::Holding;

use super::base::Base;
use super::host::Host;
use super::proposal::Proposal;

/// An exchange of a source with one host.
pub(crate) struct Exchange<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) host: &'a Host<'a>,
    pub(super) conversation: &'a Conversation,
    pub(super) proposal: &'a Proposal,
    /// The releases and the store of the host: as the database has them, until the agent reports them.
    pub(super) holding: Holding,
    /// The way in which the conversation was opened, until the agent has said which base it takes.
    pub(super) opening: Option<Opening>,
    /// Git's blobs of the base.
    pub(super) blobs: Blobs,
    /// The agent's signatures of the base.
    pub(super) signatures: Signatures,
    /// Receives files to cut, by entry and hash, until the conversation has ended.
    pub(super) cutter: Option<Sender<(u32, Hash)>>,
    /// The bytes of content by zstd level.
    pub(super) zstd_levels: BTreeMap<i32, u64>,
    pub(super) sent_commits: u32,
    /// The content that a dry run would send.
    pub(super) to_send: SendReport,
}

/// The way in which a conversation is opened.
pub(super) enum Opening {
    /// By a flight: the tree, against the forecast base, and perhaps all content.
    Flight,
    /// By a question for the base.
    Question {
        /// The forecast base.
        expected: Option<Base>,
        /// Whether the question asks for an outline of the base too.
        wants_outline: bool,
    },
}

impl<'a> Exchange<'a> {
    /// Prepares the exchange of a source with a host, over a conversation that has just begun.
    pub(crate) fn new(
        source: &'a Source<'a>,
        proposal: &'a Proposal,
        host: &'a Host<'a>,
        conversation: &'a Conversation,
    ) -> Exchange<'a> {
        Exchange {
            source,
            host,
            conversation,
            proposal,
            holding: host.holding(),
            opening: None,
            blobs: Blobs::default(),
            signatures: Signatures::default(),
            cutter: None,
            zstd_levels: BTreeMap::new(),
            sent_commits: 0,
            to_send: SendReport::default(),
        }
    }
}

/// Returns the failure of an agent that sends an answer to another question.
pub(super) fn unexpected() -> DeployFailure {
    Error::Protocol("an answer to a question that was not asked".into()).into()
}
