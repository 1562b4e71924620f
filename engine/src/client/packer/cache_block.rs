//! Files for the content cache, in a block that is not sent.

use crate::client::cache::{CachedFile, CachedPatch, WholeContent};
use crate::client::patch::Patch;
use crate::client::probe::Probe;
use crate::error::Error;
use crate::wire::block::{self, BlockEncoder, BlockHead};

use super::packed_block::FilesToCache;
use super::tools::{no_zstd, too_long};

/// A patch is kept if it takes at most this part of its content. Whole content takes a quarter to a third of its
/// length, and is read without another. Beyond this part a patch would save less than half of that, and the next one,
/// which is longer, even less.
const PATCH_SHARE: usize = 8;

/// Files for the content cache, one after the other.
#[derive(Default)]
pub(super) struct CacheBlock {
    files: Vec<CachedFile>,
    bytes: Vec<u8>,
}

impl CacheBlock {
    /// Adds a file whole.
    pub(super) fn add(&mut self, content: &[u8], file: CachedFile) {
        self.bytes.extend_from_slice(content);
        self.files.push(file);
    }

    /// Adds a file as a patch of whole content. Returns false if the patch is too long.
    pub(super) fn add_patch(&mut self, patch: &Patch, whole: WholeContent, content: &[u8], file: CachedFile) -> bool {
        let begin = self.bytes.len();
        patch.put(content, &mut self.bytes);
        let len = self.bytes.len() - begin;
        let is_short = len <= content.len() / PATCH_SHARE;
        if is_short {
            self.files.push(CachedFile { patch: Some(CachedPatch { len: len as u32, whole }), ..file });
        } else {
            self.bytes.truncate(begin);
        }
        is_short
    }

    pub(super) fn clear(&mut self) {
        self.files.clear();
        self.bytes.clear();
    }

    /// Returns the block, if it has files.
    pub(super) fn pack(
        &mut self,
        encoder: &mut BlockEncoder,
        probe: &mut Probe,
    ) -> Result<Option<FilesToCache>, Error> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let head = BlockHead::Files(Vec::new());
        let lens: Vec<u32> = self.files.iter().map(CachedFile::len).collect();
        let own = match probe.is_dense(&self.bytes) {
            true => block::raw_block(&head, &self.bytes),
            false => encoder.encode(&head, &self.bytes, &lens).map_err(no_zstd)?.ok_or_else(too_long)?,
        };
        Ok(Some(FilesToCache { files: std::mem::take(&mut self.files), own: Some(own) }))
    }
}
