//! Reads content from the content cache: whole, or made of whole content by a patch.
//!
//! Everything read is hashed, so the reader returns no other content than asked for, whatever a pack holds.

use std::io;

use crate::client::patch::Patch;
use crate::hash::Hash;
use crate::wire::block::BLOCK_BYTES_MAX;

use super::index::{PatchPlace, WholeContent};
use super::unpacker::Unpacker;
use super::{Cache, CachePlace, WholePlace};

/// A reader of cached content. The order in which the content was written is the cheapest to read.
pub(crate) struct CacheReader<'a> {
    cache: &'a Cache,
    /// The reader of patches has a block of its own: otherwise each reader would evict the other's block.
    wholes: Unpacker<'a>,
    patches: Unpacker<'a>,
    patch: Patch,
    /// The content that a patch made.
    made: Vec<u8>,
}

/// Content that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CachedContent<'r> {
    pub(crate) content: &'r [u8],
    /// The whole content that it is, or is made of.
    pub(crate) whole: WholeContent,
    /// The patch that made it, if it is not whole.
    pub(crate) patch: Option<&'r Patch>,
}

impl<'a> CacheReader<'a> {
    /// Makes a reader.
    pub(crate) fn new(cache: &'a Cache) -> io::Result<CacheReader<'a>> {
        let (wholes, patches) = (Unpacker::new(cache)?, Unpacker::new(cache)?);
        Ok(CacheReader { cache, wholes, patches, patch: Patch::default(), made: Vec::new() })
    }

    /// Reads content at a place. None if the place has other content.
    pub(crate) fn read(&mut self, place: CachePlace, hash: &Hash) -> Option<CachedContent<'_>> {
        let cached = match place {
            CachePlace::Whole(WholePlace { pack, file }) => {
                let content = self.wholes.read(pack, file)?;
                CachedContent { content, whole: WholeContent { hash: Hash::of(content), size: file.len }, patch: None }
            }
            CachePlace::Patch { pack, number, whole } => {
                let place = *self.cache.packs[pack].index.patches.get(number as usize)?;
                self.make(pack, place, whole)?;
                CachedContent { content: &self.made, whole: place.of, patch: Some(&self.patch) }
            }
        };
        let own = if cached.patch.is_none() { cached.whole.hash } else { Hash::of(cached.content) };
        own.fits(hash).then_some(cached)
    }

    /// Makes content by a patch.
    fn make(&mut self, pack: usize, place: PatchPlace, whole: WholePlace) -> Option<()> {
        if place.size as usize > BLOCK_BYTES_MAX {
            return None;
        }
        let bytes = self.patches.read(pack, place.file)?;
        let literals = self.patch.read(bytes, place.of.size.into(), place.size.into()).ok()?;
        let whole = self.wholes.read(whole.pack, whole.file)?;
        self.patch.apply(whole, literals, &mut self.made).ok()
    }
}
