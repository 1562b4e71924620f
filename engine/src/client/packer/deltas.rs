//! Describes files in terms of their old versions, from any source of those.

use crate::client::cache::{CacheReader, CachedFile};
use crate::client::git::BlobReader;
use crate::client::outgoing_file::{OldFile, OldSource, OldSources};
use crate::client::patch::Patch;
use crate::client::probe::Probe;
use crate::delta::DeltaEncoder;
use crate::error::Error;
use crate::signature::Signatures;
use crate::wire::block::BlockEncoder;

use super::cache_block::CacheBlock;
use super::packed_block::FilesToCache;
use super::tools::{CACHE_LEVEL, no_zstd};

/// The tools of a thread for deltas.
pub(super) struct DeltaPacker<'a> {
    cached: Option<CacheReader<'a>>,
    blobs: BlobReader<'a>,
    signatures: &'a Signatures,
    pub(super) encoder: DeltaEncoder,
    /// The encoder of blocks for the content cache.
    kept: BlockEncoder,
    /// The patches and whole files of the container, for the content cache.
    patches: CacheBlock,
    wholes: CacheBlock,
}

impl<'a> DeltaPacker<'a> {
    pub(super) fn new(old_versions: OldSources<'a>) -> Result<DeltaPacker<'a>, Error> {
        let OldSources { cache, blobs, signatures } = old_versions;
        Ok(DeltaPacker {
            cached: cache.map(CacheReader::new).transpose().map_err(no_zstd)?,
            blobs: BlobReader::new(blobs),
            signatures,
            encoder: DeltaEncoder::new(),
            kept: BlockEncoder::new(CACHE_LEVEL).map_err(no_zstd)?,
            patches: CacheBlock::default(),
            wholes: CacheBlock::default(),
        })
    }

    /// Adds a file to the container, unless its old content is not what it should be. If that content came from the
    /// content cache, the file is kept as a patch of it.
    pub(super) fn add(&mut self, old: &OldFile, new: &[u8], file: CachedFile) -> bool {
        let (mut patch, hash) = (None, &old.file.key.hash);
        let is_added = match old.at {
            OldSource::Cached(place) => {
                let cached = self.cached.as_mut().and_then(|reader| reader.read(place, hash));
                patch = cached.map(|cached| {
                    let patch = Patch::of_copies(self.encoder.add(cached.content, new), new.len());
                    (if let Some(old) = cached.patch { patch.through(old) } else { patch }, cached.whole)
                });
                patch.is_some()
            }
            OldSource::Git(blob) => self.blobs.read(blob, hash).map(|content| self.encoder.add(content, new)).is_some(),
            OldSource::Signed(at) => {
                let signature = self.signatures.get(at);
                signature.map(|signature| self.encoder.add_signed(&signature, new)).is_some()
            }
        };
        if is_added && !patch.is_some_and(|(patch, whole)| self.patches.add_patch(&patch, whole, new, file)) {
            self.wholes.add(new, file);
        }
        is_added
    }

    /// Begins a container.
    pub(super) fn begin(&mut self) {
        self.patches.clear();
        self.wholes.clear();
    }

    /// Returns the files of the container for the content cache.
    pub(super) fn kept(&mut self, probe: &mut Probe) -> Result<Vec<FilesToCache>, Error> {
        let blocks = [&mut self.patches, &mut self.wholes];
        blocks.into_iter().filter_map(|block| block.pack(&mut self.kept, probe).transpose()).collect()
    }
}
