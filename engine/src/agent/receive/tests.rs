//! Gives blocks to a receiver, and checks which it links and which it refuses.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use super::flush::Flush;
use super::part::AHEAD_MAX;
use super::receiver::{Contents, Receiver};
use super::*;

use crate::agent::assemble::Assembly;
use crate::agent::reporter::Silent;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::staging::Staging;
use crate::agent::store::Store;
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::build::Builder;
use crate::manifest::placement::Placement;
use crate::manifest::{File as ManifestFile, Manifest, ObjectKey};
use crate::pattern::Patterns;
use crate::target::Policy;
use crate::wire::block::{DELTAS_BYTES_MAX, FileDelta, Range};

const LENGTH: usize = 4000;

/// One object has two entries, and its parts contradict each other.
#[test]
fn an_object_is_what_was_hashed_whatever_entries_its_parts_come_under() {
    let content: Vec<u8> = (0..LENGTH).map(|n| (n * 7 + n / 256) as u8).collect();
    let (first, last) = content.split_at(LENGTH / 2);
    let garbage = [b'x'; LENGTH / 2];
    let cases: [&[(u32, usize, &[u8])]; 4] = [
        &[(0, 0, first), (1, LENGTH / 4, &garbage), (0, LENGTH / 2, last)],
        &[(0, 0, first), (1, 0, &garbage), (0, LENGTH / 2, last)],
        &[(0, 0, first), (1, 0, &garbage), (1, LENGTH / 2, last), (0, LENGTH / 2, last)],
        &[(1, 0, first), (0, LENGTH / 2, last)],
    ];
    for (case, parts) in cases.iter().enumerate() {
        let stored = receive(&content, parts);
        assert!(stored.as_ref().is_none_or(|stored| *stored == content), "case {case}");
        let is_whole = case == 3;
        assert_eq!(stored.is_some(), is_whole, "case {case}");
    }
}

/// Over several connections, parts arrive in any order.
#[test]
fn parts_of_a_large_file_may_come_in_any_order() {
    let content: Vec<u8> = (0..LENGTH).map(|n| (n * 7 + n / 256) as u8).collect();
    let bounds = [0, 100, 1500, 1501, LENGTH];
    let parts: Vec<(u32, usize, &[u8])> =
        bounds.windows(2).map(|bounds| (0, bounds[0], &content[bounds[0]..bounds[1]])).collect();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [0, 2, 1, 3]] {
        let parts: Vec<_> = order.iter().map(|&part| parts[part]).collect();
        assert!(receive(&content, &parts).is_some_and(|stored| stored == content), "{order:?}");
        // A file is incomplete without its last part, or with a part that arrives twice.
        assert_eq!(receive(&content, &parts[..3]), None, "{order:?}");
        let twice = [parts[0], parts[1], parts[1], parts[2], parts[3]];
        assert_eq!(receive(&content, &twice), None, "{order:?}");
    }
}

#[test]
fn parts_that_are_far_apart_are_refused_before_they_take_memory() {
    let content = vec![7; 2 * AHEAD_MAX + 4];
    let key = ObjectKey { hash: Hash::of(&content), mode: 0o444 };
    let mut builder = Builder::new();
    builder.begin(0o755).unwrap();
    let entry = builder.file(b"a", ManifestFile { key, size: content.len() as u64 }).unwrap();
    builder.file(b"b", ManifestFile { key, size: content.len() as u64 }).unwrap();
    let manifest = builder.finish().unwrap();
    with_receiver(&manifest, None, |receiver, _| {
        let mut part = |at: u64| receiver.part(entry, at, None, &[Range::Sent { len: 1 }], &[7]);
        let refused = (0..=AHEAD_MAX as u64).map(|at| part(2 + 2 * at)).find_map(Result::err);
        assert!(matches!(refused, Some(Error::Protocol(_))), "{refused:?}");
    });
}

#[test]
fn deltas_of_more_content_than_a_container_may_have_are_refused() {
    let of_sizes = |sizes: [u64; 2]| {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for (name, size) in [b"a", b"b"].into_iter().zip(sizes) {
            builder.file(name, ManifestFile { key: ObjectKey { hash: Hash::of(name), mode: 0o444 }, size }).unwrap();
        }
        builder.finish().unwrap()
    };
    let check = |new: [u64; 2], old: [u64; 2], is_taken: bool| {
        let deltas = [0, 1].map(|entry| FileDelta { entry, base: entry });
        let receive = |receiver: &mut Receiver<'_>, _: &Staging| receiver.deltas(&deltas, b"");
        let received = with_receiver(&of_sizes(new), Some(&of_sizes(old)), receive);
        // Files whose old content is missing stay wanted.
        assert_eq!(received.is_ok(), is_taken, "{new:?} {old:?}");
    };
    let half = DELTAS_BYTES_MAX / 2;
    check([half, half], [half, half], true);
    check([half, half + 1], [1, 1], false);
    check([1, 1], [half, half + 1], false);
    check([1, 1], [1, 1 << 62], false);
}

/// Gives parts to one receiver, and returns the content that it linked under the first entry.
fn receive(content: &[u8], parts: &[(u32, usize, &[u8])]) -> Option<Vec<u8>> {
    let key = ObjectKey { hash: Hash::of(content), mode: 0o444 };
    let mut builder = Builder::new();
    builder.begin(0o755).unwrap();
    for name in [b"a", b"b"] {
        builder.file(name, ManifestFile { key, size: content.len() as u64 }).unwrap();
    }
    with_receiver(&builder.finish().unwrap(), None, |receiver, staging| {
        for &(entry, offset, part) in parts {
            let ranges = [Range::Sent { len: part.len() as u64 }];
            receiver.part(entry, offset as u64, None, &ranges, part).unwrap();
        }
        staging.tree.open_file(b"a").unwrap().map(|mut file| {
            let mut linked = Vec::new();
            file.read_to_end(&mut linked).unwrap();
            linked
        })
    })
}

/// Runs `work` with a receiver that wants the first two entries of a manifest.
fn with_receiver<T>(
    manifest: &Manifest,
    base: Option<&Manifest>,
    work: impl FnOnce(&mut Receiver<'_>, &Staging) -> T,
) -> T {
    let place = tempfile::tempdir().unwrap();
    let (layout, _) = Layout::set_up(&place.path().join("site"), &Policy::default(), &Silent).unwrap();
    let staging = Staging::create(&Lock::for_test(&layout.private), &layout).unwrap();
    let store = Store::new(layout.objects.duplicate().unwrap());
    let expected = vec![Placement::default(); 2];
    let copies = Patterns::parse([], "none").unwrap();
    let writable = crate::agent::writable::WritableDirectories::default();
    let assembly = Assembly::new(manifest, &expected, &copies, &writable, 1_700_000_000, &store, &staging);
    let wanted = WantedObjects::gather(manifest, [0, 1]);
    let promise = Promise::default();
    let reception = Reception { assembly: &assembly, wanted: &wanted, promise: &promise, base, begun: &[] };
    let (flush, _flusher) = Flush::new();
    let mut receiver = Receiver {
        number: 0,
        reception: &reception,
        flush: Arc::new(flush),
        large: HashMap::new(),
        contents: Contents::default(),
    };
    work(&mut receiver, &staging)
}
