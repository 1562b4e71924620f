//! Signs what the base has at the paths of files that the client has no old content of.
//!
//! Objects are read as they are: what is described in terms of one that was altered is put together of the same bytes.

use rayon::prelude::*;

use crate::chunk::LARGE_FILE_BYTES;
use crate::manifest::{Manifest, Node};
use crate::signature;

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
        Some(signature::sign(&store.content(old).ok()??))
    };
    let signatures: Vec<Option<Vec<u8>>> = entries.par_iter().map(sign).collect();
    signature::to_bytes(&signatures)
}
