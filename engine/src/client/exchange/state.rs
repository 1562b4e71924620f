//! What stands between both sides while a source is exchanged with a host.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;

use crate::client::conversation::Conversation;
use crate::client::git::Blobs;
use crate::client::source::Source;
use crate::error::Error;
use crate::hash::Hash;
use crate::report::DeployFailure;
use crate::signature::Signatures;
use crate::wire::message::Holding;

use super::base::Base;
use super::host::Host;
use super::proposal::Proposal;

/// A source being exchanged with one host.
pub(crate) struct Exchange<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) host: &'a Host<'a>,
    pub(super) conversation: &'a Conversation,
    pub(super) proposal: &'a Proposal,
    /// What the host holds, or held: as it is believed, until the agent says otherwise.
    pub(super) holding: Holding,
    /// How the conversation was opened, until the agent has said which base it takes.
    pub(super) opening: Option<Opening>,
    /// What git has of the base.
    pub(super) blobs: Blobs,
    /// What the agent told of the base.
    pub(super) signatures: Signatures,
    /// Takes files that are to be cut, by entry and hash, until the conversation has ended.
    pub(super) cutter: Option<Sender<(u32, Hash)>>,
    /// Bytes of content by the level that they were packed at.
    pub(super) zstd_levels: BTreeMap<i32, u64>,
    pub(super) sent_commits: u32,
}

/// How a conversation is opened.
pub(super) enum Opening {
    /// By a flight: the tree, against the base that is believed in, and perhaps all content.
    Flight,
    /// By a question for the base.
    Question {
        /// The base that is believed in.
        believed: Option<Base>,
        /// Whether an outline of the base was asked for with it.
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
        }
    }
}

/// The failure of an agent that says something else than what was asked.
pub(super) fn unexpected() -> DeployFailure {
    Error::Protocol("an answer to a question that was not asked".into()).into()
}
