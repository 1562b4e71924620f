//! Reads content out of the content cache: as it was kept, or made of whole content by a patch.
//!
//! What was read is hashed, so that nothing else is given out, whatever a pack holds.

use std::io;

use crate::client::patch::Patch;
use crate::hash::Hash;
use crate::wire::block::BLOCK_BYTES_MAX;

use super::index::{PatchPlace, Whole};
use super::unpacker::Unpacker;
use super::{Cache, Place, Spot};

/// Reads content, most cheaply in the order in which it was kept.
pub(crate) struct CacheReader<'a> {
    cache: &'a Cache,
    /// What unpacks patches has a block of its own: otherwise each would throw the other's block out.
    wholes: Unpacker<'a>,
    patches: Unpacker<'a>,
    patch: Patch,
    /// What a patch made.
    made: Vec<u8>,
}

/// Content that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cached<'r> {
    pub(crate) content: &'r [u8],
    /// The whole content that it is, or is made of.
    pub(crate) whole: Whole,
    /// By what it is made of that.
    pub(crate) patch: Option<&'r Patch>,
}

impl<'a> CacheReader<'a> {
    /// Makes a reader.
    pub(crate) fn new(cache: &'a Cache) -> io::Result<CacheReader<'a>> {
        let (wholes, patches) = (Unpacker::new(cache)?, Unpacker::new(cache)?);
        Ok(CacheReader { cache, wholes, patches, patch: Patch::default(), made: Vec::new() })
    }

    /// Reads content where it is said to lie; nothing where that is not what is there.
    pub(crate) fn read(&mut self, spot: Spot, hash: &Hash) -> Option<Cached<'_>> {
        let cached = match spot {
            Spot::Whole(Place { pack, file }) => {
                let content = self.wholes.read(pack, file)?;
                Cached { content, whole: Whole { hash: Hash::of(content), size: file.len }, patch: None }
            }
            Spot::Patch { pack, number, whole } => {
                let place = *self.cache.packs[pack].index.patches.get(number as usize)?;
                self.make(pack, place, whole)?;
                Cached { content: &self.made, whole: place.of, patch: Some(&self.patch) }
            }
        };
        let own = if cached.patch.is_none() { cached.whole.hash } else { Hash::of(cached.content) };
        own.fits(hash).then_some(cached)
    }

    /// Makes content by a patch.
    fn make(&mut self, pack: usize, place: PatchPlace, whole: Place) -> Option<()> {
        if place.size as usize > BLOCK_BYTES_MAX {
            return None;
        }
        let bytes = self.patches.read(pack, place.file)?;
        let literals = self.patch.read(bytes, place.of.size.into(), place.size.into()).ok()?;
        let whole = self.wholes.read(whole.pack, whole.file)?;
        self.patch.apply(whole, literals, &mut self.made).ok()
    }
}
