//! A receiver. For content of any size, it claims an object, writes it, finishes it and links it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::agent::assemble::Assembly;
use crate::agent::store::{ObjectName, Store};
use crate::disk::NewFile;
use crate::error::Error;
use crate::manifest::{File as ManifestFile, Manifest};
use crate::wire::block::{BLOCK_BYTES_MAX, DELTAS_BYTES_MAX};
use crate::wire::frame::FRAME_MAX;

use super::flush::Flush;
use super::large::LargeFile;
use super::promise::Promise;
use super::wanted::WantedObjects;

/// The most memory of one receiver, in bytes: the content of a block, 16 MiB, and two frames. Deltas also need the
/// old contents, the gathered parts of these, literals, numbers and the new contents, 8 MiB each at most.
pub(crate) const RECEIVER_BYTES: u64 = (BLOCK_BYTES_MAX + 2 * FRAME_MAX) as u64 + 5 * DELTAS_BYTES_MAX;

/// The input of all receivers of a round.
pub(crate) struct Reception<'a> {
    /// The assembly that content is linked into.
    pub(crate) assembly: &'a Assembly<'a>,
    /// The wanted objects.
    pub(crate) wanted: &'a WantedObjects,
    /// The hashes that the content is to give.
    pub(crate) promise: &'a Promise,
    /// The manifest that deltas refer to.
    pub(crate) base: Option<&'a Manifest>,
    /// The entries whose beginning an earlier run received, ascending, with its length in bytes.
    pub(crate) begun: &'a [(u32, u64)],
}

impl Reception<'_> {
    pub(super) fn begun(&self, at: usize) -> u64 {
        let first = self.wanted.entries(at)[0];
        self.begun.binary_search_by_key(&first, |&(entry, _)| entry).map_or(0, |found| self.begun[found].1)
    }
}

pub(super) struct Receiver<'a> {
    pub(super) number: usize,
    pub(super) reception: &'a Reception<'a>,
    pub(super) flush: Arc<Flush>,
    /// By object: one object has one writer and one file, whatever entries name it.
    pub(super) large: HashMap<usize, LargeFile>,
    /// Memory for containers of deltas. It is reused, because allocating it for each container would take longer than
    /// the work in it.
    pub(super) contents: Contents,
}

/// Memory for the old and new contents of a container of deltas.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
}

impl Receiver<'_> {
    pub(super) fn file(&self, entry: u32) -> Result<ManifestFile, Error> {
        let manifest = self.reception.assembly.manifest;
        manifest.file(entry).ok_or_else(|| Error::Protocol("content for an entry that is not a file".into()))
    }

    pub(super) fn staged(&self) -> &Store {
        &self.reception.assembly.staging.objects
    }

    pub(super) fn claim(&self, at: usize) -> bool {
        self.reception.wanted.claim(at, self.number)
    }

    pub(super) fn finish(&self, at: usize, file: NewFile, name: ObjectName) -> Result<(), Error> {
        let Reception { assembly, wanted, .. } = self.reception;
        file.finish(u32::from(name.key.mode), assembly.second)
            .map_err(|e| Error::io("set the mode of", self.staged().path_of(name), e))?;
        wanted.arrive(at);
        // Promised content has no place yet.
        if wanted.key(at) == name.key { assembly.link_arrived(wanted, at) } else { Ok(()) }
    }
}
