//! Describes files in terms of their old versions, wherever those come from.

use crate::client::cache::CacheReader;
use crate::client::git::BlobReader;
use crate::client::sending::{OldAt, OldFile};
use crate::delta::DeltaEncoder;
use crate::error::Error;
use crate::signature::Signatures;
use crate::wire::block::BlockEncoder;

use super::{KEPT_LEVEL, Uploading, no_zstd};

/// What a thread needs for deltas.
pub(super) struct DeltaPacker<'a> {
    cached: Option<CacheReader<'a>>,
    blobs: BlobReader<'a>,
    signatures: &'a Signatures,
    pub(super) encoder: DeltaEncoder,
    /// Packs the new contents for the content cache.
    pub(super) kept: BlockEncoder,
}

impl<'a> DeltaPacker<'a> {
    pub(super) fn new(uploading: Uploading<'a>) -> Result<DeltaPacker<'a>, Error> {
        let Uploading { cache, blobs, signatures, .. } = uploading;
        Ok(DeltaPacker {
            cached: cache.map(CacheReader::new).transpose().map_err(no_zstd)?,
            blobs: BlobReader::new(blobs),
            signatures,
            encoder: DeltaEncoder::new(),
            kept: BlockEncoder::new(KEPT_LEVEL).map_err(no_zstd)?,
        })
    }

    /// Adds a file to the container, unless its old content is not what it should be.
    pub(super) fn add(&mut self, old: &OldFile, new: &[u8]) -> bool {
        let hash = &old.file.key.hash;
        let content = match old.at {
            OldAt::Cached(spot) => self.cached.as_mut().and_then(|cached| cached.read(spot, hash)),
            OldAt::Git(blob) => self.blobs.read(blob, hash),
            OldAt::Signed(at) => {
                let signature = self.signatures.get(at);
                return signature.map(|signature| self.encoder.add_signed(&signature, new)).is_some();
            }
        };
        content.map(|content| self.encoder.add(content, new)).is_some()
    }
}
