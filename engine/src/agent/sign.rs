//! Makes signatures: of the base's files at the paths of lacking files, and of ranges of large files.
//!
//! Objects are read without verifying them: a delta against an altered object is applied to the same bytes. They are
//! signed in batches, in order, until the message is full. So the memory is bounded by the message and one batch,
//! however many processors there are.

use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use crate::chunk::LARGE_FILE_BYTES;
use crate::manifest::{Manifest, Node, ObjectKey};
use crate::signature::{self, SignatureKind, SignaturesWriter};
use crate::wire::block::BLOCK_ITEMS_MAX;
use crate::wire::bounds::SIGNATURES_BYTES_MAX;
use crate::wire::message::{FileGaps, GAP_BYTES_MAX};

use super::store::Store;

/// The number of signatures in a batch: enough for all processors, and at most 3 MiB.
const BATCH: usize = 1 << 10;

/// The content of the ranges in a batch, in bytes: four of the greatest length.
const BATCH_BYTES: u64 = 32 << 20;

/// The most ranges of one file: as many as a part of it may have.
const RANGES_MAX: usize = BLOCK_ITEMS_MAX;

/// Returns the signatures of the old versions of these files, in order. A file that is large or cannot be read has
/// none.
pub(crate) fn sign_old_versions(
    store: &Store,
    base: Option<&Manifest>,
    manifest: &Manifest,
    entries: &[u32],
) -> Vec<u8> {
    let sign = |&entry: &u32| {
        let path = manifest.path(entry);
        let old = match base?.find(path.split(|&byte| byte == b'/'))?.node {
            Node::File(old) if old.size < LARGE_FILE_BYTES => old,
            _ => return None,
        };
        // Without a signature, the client only sends more bytes.
        Some(signature::sign(&store.content(old).ok()??, SignatureKind::File))
    };
    let mut writer = SignaturesWriter::new(entries.len(), SIGNATURES_BYTES_MAX);
    // Each processor reads one file at a time.
    add_all(&mut writer, entries, |_| 0, sign);
    writer.finish()
}

/// Returns the signatures of ranges of objects, in order. A range that is too long or cannot be read has none, and so
/// have the ranges of a file beyond [`RANGES_MAX`].
pub(crate) fn sign_gaps(store: &Store, gaps: &[FileGaps]) -> Vec<u8> {
    let mut writer = SignaturesWriter::new(gaps.iter().map(|gaps| gaps.ranges.len()).sum(), SIGNATURES_BYTES_MAX);
    for FileGaps { hash, mode, ranges } in gaps {
        let object = store.open_any(ObjectKey { hash: *hash, mode: *mode }).ok().flatten();
        let sign = |&(offset, len): &(u64, u64)| {
            let mut content = vec![0; usize::try_from(len).ok().filter(|_| len <= GAP_BYTES_MAX)?];
            object.as_ref()?.read_exact_at(&mut content, offset).ok()?;
            Some(signature::sign(&content, SignatureKind::Range))
        };
        let (signed, beyond) = ranges.split_at(ranges.len().min(RANGES_MAX));
        if !add_all(&mut writer, signed, |&(_, len)| len.min(GAP_BYTES_MAX), sign) {
            break;
        }
        writer.pass(beyond.len());
    }
    writer.finish()
}

/// Signs and adds in order. Returns whether all signatures had room.
fn add_all<T: Sync>(
    writer: &mut SignaturesWriter,
    mut of: &[T],
    bytes: impl Fn(&T) -> u64,
    sign: impl Fn(&T) -> Option<Vec<u8>> + Sync,
) -> bool {
    while !of.is_empty() {
        let (batch, rest) = of.split_at(batch_of(of, &bytes));
        let signed: Vec<Option<Vec<u8>>> = batch.par_iter().map(&sign).collect();
        if !signed.iter().all(|signature| writer.add(signature.as_deref())) {
            return false;
        }
        of = rest;
    }
    true
}

/// Returns the length of the next batch, at least one.
fn batch_of<T>(of: &[T], bytes: impl Fn(&T) -> u64) -> usize {
    let mut read = 0;
    let fits = |one: &&T| {
        read += bytes(one);
        read <= BATCH_BYTES
    };
    of.iter().take(BATCH).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    use crate::agent::reporter::Silent;
    use crate::agent::site::layout::Layout;
    use crate::agent::store::ObjectName;
    use crate::hash::Hash;
    use crate::signature::Signatures;
    use crate::target::Policy;

    #[test]
    fn no_more_old_content_is_read_at_a_time_than_a_batch_may() {
        let check = |lens: &[u64], expected| assert_eq!(batch_of(lens, |&len| len), expected, "{lens:?}");
        check(&[GAP_BYTES_MAX; 9], 4);
        check(&[1; BATCH + 1], BATCH);
        check(&[u64::MAX / 2, 1], 1);
        check(&[BATCH_BYTES - 1, 1, 1], 2);
    }

    #[test]
    fn ranges_are_signed_in_order_and_no_more_of_a_file_than_it_may_have() {
        let place = tempfile::tempdir().unwrap();
        let (layout, _) = Layout::set_up(&place.path().join("site"), &Policy::default(), &Silent).unwrap();
        let store = Store::new(layout.objects.duplicate().unwrap());
        let content: Vec<u8> = (0..1000_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        let key = ObjectKey { hash: Hash::of(&content), mode: 0o444 };
        let mut object = store.create(ObjectName { key, copy: 0 }, 0o444).unwrap();
        object.write_all(&content).unwrap();
        object.finish(0o444, 1_700_000_000).unwrap();
        let of = |ranges: Vec<(u64, u64)>| FileGaps { hash: key.hash, mode: key.mode, ranges };
        let many = (0..RANGES_MAX as u64 + 2).map(|at| (at % 500, 300)).collect();
        // In the second file, one range reaches beyond the end, and one is too long.
        let asked = [of(many), of(vec![(800, 300), (0, GAP_BYTES_MAX + 1), (600, 400)])];
        let lens: Vec<usize> = asked.iter().flat_map(|of| &of.ranges).map(|&(_, len)| len as usize).collect();
        let signatures = Signatures::read(sign_gaps(&store, &asked), &lens, SignatureKind::Range).unwrap();
        let has: Vec<usize> = (0..lens.len()).filter(|&at| signatures.has(at)).collect();
        let expected: Vec<usize> = (0..RANGES_MAX).chain([RANGES_MAX + 4]).collect();
        assert!(has == expected, "{} of {}", has.len(), expected.len());
        let mut found = Vec::new();
        signatures.get(RANGES_MAX + 4).unwrap().search(&content[600..], |place| found.push((place.new, place.old)));
        assert_eq!(found, [(0, 0)]);
    }
}
