//! What is sent, and is kept in the content cache for the next deploy.

use crate::client::cache::{Cache, CacheWriter, KeptFile, PatchOf, Whole};
use crate::client::patch::Patch;
use crate::client::probe::Probe;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::wire::block::{self, Block, BlockEncoder, BlockHead};

use super::{Packed, no_zstd, too_long};

/// A patch is kept where it takes at most this part of its content. Content takes a quarter to a third of its length where
/// it is kept whole, and is read without another: beyond this part a patch would save less than half of that, and the next
/// one, which is longer, less again.
const PATCH_SHARE: usize = 8;

/// Files to be kept in the content cache.
pub(super) struct Kept {
    pub(super) files: Vec<KeptFile>,
    /// The block that holds them, where it is not the one that is sent.
    pub(super) own: Option<Block>,
}

/// Files that are to be kept in a block of their own, one after the other.
#[derive(Default)]
pub(super) struct Keeping {
    files: Vec<KeptFile>,
    bytes: Vec<u8>,
}

impl Keeping {
    /// Adds a file as it is.
    pub(super) fn add(&mut self, content: &[u8], file: KeptFile) {
        self.bytes.extend_from_slice(content);
        self.files.push(file);
    }

    /// Adds a file as a patch of whole content, unless that takes too much.
    pub(super) fn add_patch(&mut self, patch: &Patch, whole: Whole, content: &[u8], file: KeptFile) -> bool {
        let begin = self.bytes.len();
        patch.put(content, &mut self.bytes);
        let len = self.bytes.len() - begin;
        let is_short = len <= content.len() / PATCH_SHARE;
        if is_short {
            self.files.push(KeptFile { patch: Some(PatchOf { len: len as u32, whole }), ..file });
        } else {
            self.bytes.truncate(begin);
        }
        is_short
    }

    pub(super) fn clear(&mut self) {
        self.files.clear();
        self.bytes.clear();
    }

    /// Returns the block, if it holds anything.
    pub(super) fn pack(&mut self, encoder: &mut BlockEncoder, probe: &mut Probe) -> Result<Option<Kept>, Error> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let head = BlockHead::Files(Vec::new());
        let lens: Vec<u32> = self.files.iter().map(KeptFile::len).collect();
        let own = match probe.is_dense(&self.bytes) {
            true => block::block_as_it_is(&head, &self.bytes),
            false => encoder.encode(&head, &self.bytes, &lens).map_err(no_zstd)?.ok_or_else(too_long)?,
        };
        Ok(Some(Kept { files: std::mem::take(&mut self.files), own: Some(own) }))
    }
}

/// Keeps what is sent. Without it the next deploy sends more: no reason for this one to fail.
pub(super) struct Keeper<'a> {
    writer: Option<CacheWriter<'a>>,
    observer: &'a dyn Observer,
}

impl<'a> Keeper<'a> {
    /// Begins.
    pub(super) fn begin(cache: Option<&'a Cache>, observer: &'a dyn Observer) -> Keeper<'a> {
        let mut keeper = Keeper { writer: None, observer };
        keeper.writer = cache.and_then(|cache| keeper.told(cache.begin()));
        keeper
    }

    fn told<T>(&self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.observer.observe(Event::Warning(error.with_cause()))).ok()
    }

    /// Keeps what is worth it of what was sent.
    pub(super) fn keep(&mut self, packed: &Packed) {
        for kept in &packed.kept {
            let body = kept.own.as_ref().unwrap_or(&packed.block).body();
            if let Some(mut writer) = self.writer.take()
                && self.told(writer.add(body, &kept.files)).is_some()
            {
                self.writer = Some(writer);
            }
        }
    }

    /// Makes known what was kept.
    pub(super) fn finish(mut self) {
        if let Some(writer) = self.writer.take() {
            self.told(writer.finish());
        }
    }
}
