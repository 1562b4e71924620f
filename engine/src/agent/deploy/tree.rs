//! The tree: what the client says until one fits, and its questions about the base.
//!
//! The client speaks before it knows the base. What comes for another one is read and dropped.

use std::collections::HashSet;

use crate::error::Error;
use crate::manifest::decode::{DecodedManifest, decode_with};
use crate::manifest::{Manifest, outline};
use crate::wire::bounds::{PROMISED_MAX, TREE_BYTES_MAX};
use crate::wire::frame::Parts;
use crate::wire::message::{Against, FromAgent, Lacks, ToAgent};

use crate::agent::sign;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::manifest_to_bytes;
use crate::agent::store::Store;
use crate::agent::talk::{Incoming, Talk};

use super::base::Base;
use super::order::Order;

/// The new manifest, and what it owes to the base.
pub(super) struct Tree {
    /// With placeholders for the hashes that are promised.
    pub(super) manifest: Manifest,
    /// The entry of the base that each entry is copied from.
    pub(super) origins: Vec<u32>,
    /// The entries whose hashes are promised, ascending.
    pub(super) promised: Vec<u32>,
    /// How many commits came before it.
    pub(super) commits: u32,
    /// Files of whose old versions the client wants signatures, as far as they are lacking.
    pub(super) to_sign: Vec<u32>,
}

/// Answers questions about the base until a tree comes that is described against it. What comes before, against another
/// base, is read and dropped. A tree that was described against an outline may not fit: that is told once, with the base's
/// whole manifest.
pub(super) fn receive(
    talk: &Talk,
    order: &Order<'_>,
    layout: Option<&Layout>,
    base: Option<&Base>,
) -> Result<Tree, Error> {
    let mut listener = Listener { talk, order, layout, base, commits: 0, is_outlined: false, to_sign: Vec::new() };
    loop {
        match talk.next()? {
            Incoming::Message(ToAgent::Tree { against, length }) => {
                if let Some(tree) = listener.take_tree(against, length)? {
                    return Ok(tree);
                }
            }
            Incoming::Message(question) => listener.answer(question)?,
            // It goes with content for a tree that does not fit.
            Incoming::Block(_) => {}
            Incoming::Part(_) => return Err(unexpected()),
        }
    }
}

/// What has been said so far.
struct Listener<'a> {
    talk: &'a Talk,
    order: &'a Order<'a>,
    layout: Option<&'a Layout>,
    base: Option<&'a Base>,
    commits: u32,
    /// Whether the client has an outline of the base, and no tree that was described against it came yet.
    is_outlined: bool,
    /// The signatures that the client wants with the next tree.
    to_sign: Vec<(u32, u32)>,
}

impl Listener<'_> {
    /// Reads a tree; nothing where it is not described against the base.
    fn take_tree(&mut self, against: Against, length: u64) -> Result<Option<Tree>, Error> {
        let bytes = self.receive_parts(length)?;
        let to_sign = std::mem::take(&mut self.to_sign);
        let fits = match against {
            Against::Nothing => self.base.is_none(),
            Against::Named => self.base.is_some_and(|base| base.is_named_by(self.order)),
            Against::Taken => self.base.is_some(),
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
                let missing = || Error::Protocol("a question for a base where there is none".into());
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
                let signed =
                    |layout: &Layout| layout.objects.again().map(|objects| sign::gaps(&Store::new(objects), &gaps));
                let bytes = self.layout.map_or_else(|| Ok(Vec::new()), signed)?;
                self.talk.send(&FromAgent::GapSignatures { length: bytes.len() as u64 })?;
                self.talk.send_parts(&bytes)
            }
            ToAgent::Commit => {
                self.commits = self.commits.saturating_add(1);
                Ok(())
            }
            // It goes with content for a tree that does not fit.
            ToAgent::WantLanes => self.talk.send(&FromAgent::Lanes(None)),
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
        self.talk.send(&FromAgent::chunks(lists))
    }

    fn send_manifest(&self, base: &Base) -> Result<(), Error> {
        let bytes = manifest_to_bytes(&base.kept.manifest);
        self.talk.send(&FromAgent::Manifest { name: base.name.clone(), length: bytes.len() as u64 })?;
        self.talk.send_parts(&bytes)
    }

    fn send_outline(&self, base: &Base, own: &[u8]) -> Result<(), Error> {
        let bytes = outline::encode(&base.kept.manifest, own)
            .map_err(|error| Error::Bug(format!("an outline cannot be packed: {error}")))?;
        self.talk.send(&FromAgent::Outline { length: bytes.len() as u64 })?;
        self.talk.send_parts(&bytes)
    }

    fn receive_parts(&self, length: u64) -> Result<Vec<u8>, Error> {
        let mut parts = Parts::begin(length, TREE_BYTES_MAX)?;
        while !parts.are_all() {
            match self.talk.next()? {
                Incoming::Part(part) => parts.add(&part)?,
                _ => return Err(Error::Protocol("a manifest that breaks off".into())),
            }
        }
        Ok(parts.finish())
    }

    fn read_tree(&self, bytes: &[u8], to_sign: &[(u32, u32)]) -> Result<Tree, Error> {
        let (decoded, _) = decode_with(bytes, self.base.map(|base| &base.kept.manifest))
            .map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
        if decoded.root != self.order.begin.root {
            return Err(Error::Protocol("a manifest with another root than was announced".into()));
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
    Error::Protocol("something else where a manifest was due".into())
}
