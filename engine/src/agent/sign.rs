//! Signs what the base has at the paths of files that the client has no old content of, and ranges of large files.
//!
//! Objects are read as they are: what is described in terms of one that was altered is put together of the same bytes.

use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use crate::chunk::LARGE_FILE_BYTES;
use crate::manifest::{Manifest, Node, ObjectKey};
use crate::signature::{self, Care};

use crate::wire::message::{GAP_BYTES_MAX, GapsOf};

use super::store::Store;

/// Returns the signatures of the old versions of files of `manifest`, in order. One that is large, or cannot be read, has
/// none.
pub(crate) fn old_versions(store: &Store, base: Option<&Manifest>, manifest: &Manifest, entries: &[u32]) -> Vec<u8> {
    let sign = |&entry: &u32| {
        let path = manifest.path(entry);
        let old = match base?.find(path.split(|&byte| byte == b'/'))?.node {
            Node::File(old) if old.size < LARGE_FILE_BYTES => old,
            _ => return None,
        };
        // Whoever sends that file whole loses nothing but bytes.
        Some(signature::sign(&store.content(old).ok()??, Care::File))
    };
    let signatures: Vec<Option<Vec<u8>>> = entries.par_iter().map(sign).collect();
    signature::to_bytes(&signatures)
}

/// Returns the signatures of ranges of files of the store, in order. One that is too long, or cannot be read, has none.
pub(crate) fn gaps(store: &Store, gaps: &[GapsOf]) -> Vec<u8> {
    let sign = |gaps: &GapsOf| -> Vec<Option<Vec<u8>>> {
        let object = store.open_any(ObjectKey { hash: gaps.hash, mode: gaps.mode }).ok().flatten();
        let sign = |&(offset, len): &(u64, u64)| {
            let mut content = vec![0; usize::try_from(len).ok().filter(|_| len <= GAP_BYTES_MAX)?];
            object.as_ref()?.read_exact_at(&mut content, offset).ok()?;
            Some(signature::sign(&content, Care::Range))
        };
        gaps.ranges.par_iter().map(sign).collect()
    };
    signature::to_bytes(&gaps.iter().flat_map(sign).collect::<Vec<_>>())
}
