//! Receives the tree: reads trees until one fits the base, and answers questions about the base.
//!
//! The client sends its first tree before it knows the base. Messages and content that belong to a tree against
//! another base are read and dropped.

use std::collections::HashSet;

use crate::error::Error;
use crate::manifest::decode::{DecodedManifest, decode_with};
use crate::manifest::{Manifest, outline};
use crate::wire::bounds::{PROMISED_MAX, TREE_BYTES_MAX};
use crate::wire::frame::Parts;
use crate::wire::message::{FromAgent, Lacks, ToAgent, TreeBase};

use crate::agent::conversation::{Conversation, Incoming};
use crate::agent::sign;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::manifest_to_bytes;
use crate::agent::store::Store;

use super::base::Base;
use super::order::Order;

/// The new manifest, and its relation to the base.
pub(super) struct Tree {
    /// The manifest. Promised hashes are placeholders.
    pub(super) manifest: Manifest,
    /// For each entry, the entry of the base that it was copied from.
    pub(super) origins: Vec<u32>,
    /// The entries whose hashes are promised, ascending.
    pub(super) promised: Vec<u32>,
    /// The number of commits before it.
    pub(super) commits: u32,
    /// The files of whose old versions the client wants signatures, if they are lacking.
    pub(super) to_sign: Vec<u32>,
}

/// Answers questions about the base until a tree arrives that is described against it, and drops everything for
/// another base. A tree that was described against an outline may not fit: then the agent sends the whole manifest of
/// the base, once.
pub(super) fn receive(
    conversation: &Conversation,
    order: &Order<'_>,
    layout: Option<&Layout>,
    base: Option<&Base>,
) -> Result<Tree, Error> {
    let mut receiver =
        TreeReceiver { conversation, order, layout, base, commits: 0, is_outlined: false, to_sign: Vec::new() };
    loop {
        match conversation.next()? {
            Incoming::Message(ToAgent::Tree { against, length }) => {
                if let Some(tree) = receiver.receive_tree(against, length)? {
                    return Ok(tree);
                }
            }
            Incoming::Message(question) => receiver.answer(question)?,
            // It belongs to a tree that does not fit.
            Incoming::Block(_) => {}
            Incoming::Part(_) => return Err(unexpected()),
        }
    }
}

/// The state of the exchange.
struct TreeReceiver<'a> {
    conversation: &'a Conversation,
    order: &'a Order<'a>,
    layout: Option<&'a Layout>,
    base: Option<&'a Base>,
    commits: u32,
    /// Whether the client has an outline of the base, and its tree has not arrived yet.
    is_outlined: bool,
    /// The signatures that the client wants with the next tree.
    to_sign: Vec<(u32, u32)>,
}

impl TreeReceiver<'_> {
    /// Reads a tree. Returns nothing if it is not described against the base.
    fn receive_tree(&mut self, against: TreeBase, length: u64) -> Result<Option<Tree>, Error> {
        let bytes = self.receive_parts(length)?;
        let to_sign = std::mem::take(&mut self.to_sign);
        let fits = match against {
            TreeBase::Nothing => self.base.is_none(),
            TreeBase::Proposed => self.base.is_some_and(|base| base.is_named_by(self.order)),
            TreeBase::Chosen => self.base.is_some(),
        };
        if !fits {
            return Ok(None);
        }
        match (self.read_tree(&bytes, &to_sign), self.base) {
            (Err(Error::Protocol(_)), Some(base)) if self.is_outlined => self.send_manifest(base)?,
            (result, _) => return result.map(Some),
        }
        self.is_outlined = false;
        Ok(None)
    }

    fn answer(&mut self, question: ToAgent) -> Result<(), Error> {
        match question {
            ToAgent::WantBase => {
                let missing = || Error::Protocol("a request for a base that does not exist".into());
                self.send_manifest(self.base.ok_or_else(missing)?)
            }
            ToAgent::WantOutline(own) => {
                if let Some(base) = self.base {
                    self.send_outline(base, &own)?;
                    self.is_outlined = true;
                }
                Ok(())
            }
            ToAgent::WantSignatures(runs) => {
                self.to_sign = runs;
                Ok(())
            }
            ToAgent::WantChunks(entries) => self.send_chunks(&entries),
            ToAgent::WantGaps(gaps) => {
                let signed = |layout: &Layout| {
                    layout.objects.duplicate().map(|objects| sign::sign_gaps(&Store::new(objects), &gaps))
                };
                let bytes = self.layout.map_or_else(|| Ok(Vec::new()), signed)?;
                self.conversation.send(&FromAgent::GapSignatures { length: bytes.len() as u64 })?;
                self.conversation.send_parts(&bytes)
            }
            ToAgent::Commit => {
                self.commits = self.commits.saturating_add(1);
                Ok(())
            }
            // It belongs to content for a tree that does not fit.
            ToAgent::WantLanes => self.conversation.send(&FromAgent::Lanes(None)),
            ToAgent::SentOnLanes(_) => Ok(()),
            _ => Err(unexpected()),
        }
    }

    fn send_chunks(&self, entries: &[u32]) -> Result<(), Error> {
        let mut seen = HashSet::new();
        if !entries.iter().all(|entry| seen.insert(entry)) {
            return Err(Error::Protocol("a file that is asked for twice".into()));
        }
        let lists = entries.iter().map(|&entry| self.base?.chunks(self.layout?, entry));
        self.conversation.send(&FromAgent::chunks(lists))
    }

    fn send_manifest(&self, base: &Base) -> Result<(), Error> {
        let bytes = manifest_to_bytes(&base.stored.manifest);
        self.conversation.send(&FromAgent::Manifest { name: base.name.clone(), length: bytes.len() as u64 })?;
        self.conversation.send_parts(&bytes)
    }

    fn send_outline(&self, base: &Base, own: &[u8]) -> Result<(), Error> {
        let bytes = outline::encode(&base.stored.manifest, own)
            .map_err(|error| Error::Bug(format!("an outline cannot be packed: {error}")))?;
        self.conversation.send(&FromAgent::Outline { length: bytes.len() as u64 })?;
        self.conversation.send_parts(&bytes)
    }

    fn receive_parts(&self, length: u64) -> Result<Vec<u8>, Error> {
        let mut parts = Parts::begin(length, TREE_BYTES_MAX)?;
        while !parts.is_complete() {
            match self.conversation.next()? {
                Incoming::Part(part) => parts.add(&part)?,
                _ => return Err(Error::Protocol("a manifest that breaks off".into())),
            }
        }
        Ok(parts.finish())
    }

    fn read_tree(&self, bytes: &[u8], to_sign: &[(u32, u32)]) -> Result<Tree, Error> {
        let (decoded, _) = decode_with(bytes, self.base.map(|base| &base.stored.manifest))
            .map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
        if decoded.root != self.order.begin.root {
            return Err(Error::Protocol("a manifest that does not match the announced root".into()));
        }
        let DecodedManifest { manifest, origins, promised, .. } = decoded;
        if promised.len() > PROMISED_MAX {
            return Err(Error::Protocol("a manifest that promises too many hashes".into()));
        }
        let to_sign = Lacks::unpack(to_sign, manifest.len())?;
        Ok(Tree { manifest, origins, promised, commits: self.commits, to_sign })
    }
}

fn unexpected() -> Error {
    Error::Protocol("another message while a manifest was expected".into())
}
