//! Receives content: blocks → verified files in staging, linked at once to where they belong.
//!
//! Each receiver is a thread with a bounded queue of its own, so memory is bounded by queues and receivers. An object
//! belongs to the receiver that began to write it. The parts of one large file always go to the same one. They are hashed
//! as they are written; what comes before its turn, as it may over several connections, is written where it belongs and
//! read again when its turn comes. Until then it lies behind a hole, from which a later run sees where the beginning
//! ends. Content whose hash is not what the manifest says is dropped: it stays wanted.
//!
//! Where the manifest promises a hash, the content is what gives it: it is staged under the hash that it has, and linked
//! when the manifest's root has proved all of them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::delta::{self, Delta};
use crate::disk::set_mode_and_mtime;
use crate::error::Error;
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::hasher::Hasher;
use crate::manifest::{File as ManifestFile, Manifest, ObjectKey};
use crate::threads;
use crate::wire::block::{self, BLOCK_BYTES_MAX, BlockDecoder, BlockHead, DELTAS_BYTES_MAX, DeltaOf, Range};
use crate::wire::frame::FRAME_MAX;

use super::adopt::{PARTIAL_BYTES_MIN, UNFINISHED_MODE};
use super::assemble::Assembly;
use super::flush::Flush;
use super::promise::Promise;
use super::store::{ObjectName, Store};
use super::wanted::WantedObjects;

/// Threads that receive: as many as there are processors, within reason, and as memory has room for.
const RECEIVERS_MAX: usize = 3;

/// What a receiver takes at most, in bytes: the content of a block, 16 MiB, and two frames; of deltas also the old
/// contents, what is gathered of them, literals, numbers and the new contents, 8 MiB each at most.
pub(crate) const RECEIVER_BYTES: u64 = (BLOCK_BYTES_MAX + 2 * FRAME_MAX) as u64 + 5 * DELTAS_BYTES_MAX;

/// Large files that a receiver has begun and not ended. A client sends four at a time; those of which a lane has lost a
/// part stay open until the others have come.
const LARGE_MAX: usize = 256;

/// Ranges of a large file that have come before their turn, beside those that touch each other. Each lane that is behind
/// makes one.
const AHEAD_MAX: usize = 1024;

/// Blocks that wait for one receiver, beside the one at work.
const QUEUE_BLOCKS: usize = 1;

/// What receiving works on.
pub(crate) struct Reception<'a> {
    /// Where content goes.
    pub(crate) assembly: &'a Assembly<'a>,
    /// What is wanted.
    pub(crate) wanted: &'a WantedObjects,
    /// What hashes it is to give.
    pub(crate) promise: &'a Promise,
    /// The release that deltas are described against.
    pub(crate) base: Option<&'a Manifest>,
    /// Entries of which an earlier run has received the beginning, ascending, and how many bytes.
    pub(crate) begun: &'a [(u32, u64)],
}

impl Reception<'_> {
    fn begun(&self, at: usize) -> u64 {
        let first = self.wanted.entries(at)[0];
        self.begun.binary_search_by_key(&first, |&(entry, _)| entry).map_or(0, |found| self.begun[found].1)
    }
}

/// The queues of the receivers. Dropping it ends them.
pub(crate) struct Receivers {
    queues: Vec<Sender<Vec<u8>>>,
    next: usize,
    stalled: Duration,
}

/// The first error of any receiver.
#[derive(Default)]
pub(crate) struct FirstError(Mutex<Option<Error>>);

impl FirstError {
    /// Keeps an error, if it is the first.
    pub(crate) fn put(&self, error: Error) {
        self.0.lock().expect("no receiver panics").get_or_insert(error);
    }

    /// Returns the error, if there was one.
    pub(crate) fn take(&self) -> Result<(), Error> {
        self.0.lock().expect("no receiver panics").take().map_or(Ok(()), Err)
    }

    /// Fails if there was an error, and leaves it where it is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_some() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn is_some(&self) -> bool {
        self.0.lock().expect("no receiver panics").is_some()
    }
}

impl Receivers {
    /// Starts receivers, in a scope that joins them, in memory of about `room` bytes.
    pub(crate) fn start<'scope, 'env>(
        scope: &'scope std::thread::Scope<'scope, 'env>,
        reception: &'scope Reception<'scope>,
        first_error: &'scope FirstError,
        room: u64,
    ) -> Result<Receivers, Error> {
        let (flush, flusher) = Flush::new();
        // Without it all is made durable at the end.
        drop(threads::spawn_scoped(scope, || {
            if let Err(error) = flusher.run(reception.assembly.staging) {
                first_error.put(error);
            }
        }));
        let flush = Arc::new(flush);
        let processors = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, RECEIVERS_MAX);
        let receivers = receivers(processors, room);
        let start = |number: usize| {
            let (sender, queue) = bounded(QUEUE_BLOCKS);
            let flush = flush.clone();
            let receive = move || {
                let mut receiver = Receiver { number, reception, flush, large: HashMap::new(), room: Room::default() };
                if let Err(error) = receiver.run(&queue, first_error) {
                    first_error.put(error);
                    // Whoever sends must not wait for a receiver that has ended.
                    queue.into_iter().for_each(drop);
                }
            };
            threads::spawn_scoped(scope, receive).map(|_| sender)
        };
        let mut queues = vec![start(0)?];
        // Where fewer are to be had, those receive all.
        queues.extend((1..receivers).map_while(|number| start(number).ok()));
        Ok(Receivers { queues, next: 0, stalled: Duration::ZERO })
    }

    /// Gives a block to a receiver, waiting while its queue is full.
    pub(crate) fn give(&mut self, payload: Vec<u8>) -> Result<(), Error> {
        let receiver = match block::part_of(&payload) {
            Some(entry) => entry as usize % self.queues.len(),
            None => {
                self.next = (self.next + 1) % self.queues.len();
                // Any receiver will do for small files: one that has room, if there is one.
                (0..self.queues.len())
                    .map(|n| (self.next + n) % self.queues.len())
                    .find(|&n| !self.queues[n].is_full())
                    .unwrap_or(self.next)
            }
        };
        let began = Instant::now();
        let given = self.queues[receiver].send(payload).map_err(|_| Error::Bug("a receiver ended early".into()));
        self.stalled += began.elapsed();
        given
    }

    /// For how long blocks had to wait so far.
    pub(crate) fn stalled(&self) -> Duration {
        self.stalled
    }
}

/// Returns how many receivers there are room for: one at least.
fn receivers(processors: usize, room: u64) -> usize {
    processors.min(usize::try_from(room / RECEIVER_BYTES).unwrap_or(usize::MAX)).max(1)
}

struct Receiver<'a> {
    number: usize,
    reception: &'a Reception<'a>,
    flush: Arc<Flush>,
    /// By object, which has one writer and one file whatever entries name it.
    large: HashMap<usize, Large>,
    /// Memory that is used for each container of deltas: made anew for each, it would cost more than what is done in it.
    room: Room,
}

/// Memory for the contents of a container of deltas.
#[derive(Default)]
struct Room {
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A large file on its way.
struct Large {
    file: File,
    hasher: Hasher,
    /// Bytes of the beginning that is whole.
    hashed: u64,
    /// What was written beyond it: where it begins, and where it ends.
    ahead: BTreeMap<u64, u64>,
}

impl Receiver<'_> {
    fn run(&mut self, queue: &crossbeam_channel::Receiver<Vec<u8>>, first_error: &FirstError) -> Result<(), Error> {
        let mut decoder = BlockDecoder::new().map_err(|e| Error::Bug(format!("zstd cannot be set up: {e}")))?;
        for payload in queue {
            if first_error.is_some() {
                continue;
            }
            let (head, content) =
                decoder.decode(&payload).map_err(|reason| Error::Protocol(format!("a block that {reason}")))?;
            match head {
                BlockHead::Files(entries) => self.files(&entries, content)?,
                BlockHead::Deltas(deltas) => self.deltas(&deltas, content)?,
                BlockHead::Part { entry, offset, old, ranges } => self.part(entry, offset, old, &ranges, content)?,
            }
        }
        Ok(())
    }

    fn files(&self, entries: &[u32], mut content: &[u8]) -> Result<(), Error> {
        let short = || Error::Protocol("a block whose content is not as long as its files".into());
        for &entry in entries {
            let file = self.file(entry)?;
            let size = usize::try_from(file.size).map_err(|_| short())?;
            let (own, rest) = content.split_at_checked(size).ok_or_else(short)?;
            content = rest;
            self.small(entry, file.key, own)?;
        }
        if content.is_empty() { Ok(()) } else { Err(short()) }
    }

    fn deltas(&mut self, deltas: &[DeltaOf], container: &[u8]) -> Result<(), Error> {
        let mut room = std::mem::take(&mut self.room);
        let received = self.deltas_in(&mut room, deltas, container);
        self.room = room;
        received
    }

    /// Where an old file is not as it should be, all files of the block stay wanted.
    fn deltas_in(&self, room: &mut Room, deltas: &[DeltaOf], container: &[u8]) -> Result<(), Error> {
        let unlike = |what: &str| Error::Protocol(format!("deltas {what}"));
        let base = self.reception.base.ok_or_else(|| unlike("where there is no base"))?;
        let (mut old_bytes, mut new_bytes) = (0, 0);
        let mut pairs = Vec::with_capacity(deltas.len());
        for delta in deltas {
            let file = self.file(delta.entry)?;
            let old = base.file(delta.base).ok_or_else(|| unlike("in terms of what is no file"))?;
            old_bytes += old.size;
            new_bytes += file.size;
            if old_bytes.max(new_bytes) > DELTAS_BYTES_MAX {
                return Err(unlike("of more content than a container may have"));
            }
            pairs.push((file, old));
        }
        let Room { old: olds, new: contents } = room;
        if olds.len() <= old_bytes as usize {
            olds.resize(old_bytes as usize + 1, 0);
        }
        let mut at = 0;
        for (_, old) in &pairs {
            let end = at + old.size as usize;
            if !self.reception.assembly.store.read_into(*old, &mut olds[at..=end])? {
                return Ok(());
            }
            at = end;
        }
        let mut rest = olds.as_slice();
        let delta = |(file, old): &(ManifestFile, ManifestFile)| {
            let (own, others) = rest.split_at(old.size as usize);
            rest = others;
            Delta { old: own, len: file.size as usize }
        };
        let described: Vec<Delta<'_>> = pairs.iter().map(delta).collect();
        if delta::decode_into(contents, container, &described).is_err() {
            return Ok(());
        }
        let mut rest = contents.as_slice();
        for (delta, (file, _)) in deltas.iter().zip(&pairs) {
            let (own, others) = rest.split_at(file.size as usize);
            rest = others;
            self.small(delta.entry, file.key, own)?;
        }
        Ok(())
    }

    fn file(&self, entry: u32) -> Result<ManifestFile, Error> {
        let manifest = self.reception.assembly.manifest;
        manifest.file(entry).ok_or_else(|| Error::Protocol("content for an entry that is no file".into()))
    }

    fn small(&self, entry: u32, key: ObjectKey, content: &[u8]) -> Result<(), Error> {
        let Reception { assembly, wanted, promise, .. } = self.reception;
        let Some(at) = wanted.of_entry(entry) else {
            return Ok(());
        };
        let hash = Hash::of(content);
        let is_promised = promise.means(entry);
        if wanted.has_arrived(at) || !(is_promised || hash == key.hash) || !self.claim(at) {
            return Ok(());
        }
        let key = ObjectKey { hash, ..key };
        if is_promised {
            if wanted.find(key).is_some() || !promise.keep(entry, key) {
                // Two of one object, which is one file: they are told apart once all hashes are known.
                wanted.give_back(at);
                return Ok(());
            }
            if assembly.store.has(key)? {
                wanted.arrive(at);
                return Ok(());
            }
        }
        let (name, staged) = (ObjectName { key, copy: 0 }, self.staged());
        // Of what may be kept as a beginning another run must be able to write the rest.
        let mode = if content.len() as u64 >= PARTIAL_BYTES_MIN { UNFINISHED_MODE } else { u32::from(key.mode) };
        let mut file = staged.create(name, mode)?;
        file.write_all(content).map_err(|e| Error::io("write", staged.path_of(name), e))?;
        self.flush.note(content.len() as u64);
        self.finish(at, &file, name)
    }

    fn staged(&self) -> &Store {
        &self.reception.assembly.staging.objects
    }

    fn claim(&self, at: usize) -> bool {
        self.reception.wanted.claim(at, self.number)
    }

    fn finish(&self, at: usize, file: &File, name: ObjectName) -> Result<(), Error> {
        let Reception { assembly, wanted, .. } = self.reception;
        set_mode_and_mtime(file, u32::from(name.key.mode), assembly.second)
            .map_err(|e| Error::io("set the mode of", self.staged().path_of(name), e))?;
        wanted.arrive(at);
        // What was promised has no place yet.
        if wanted.key(at) == name.key { assembly.link_arrived(wanted, at) } else { Ok(()) }
    }

    fn part(
        &mut self,
        entry: u32,
        offset: u64,
        old: Option<ObjectKey>,
        ranges: &[Range],
        content: &[u8],
    ) -> Result<(), Error> {
        let file = self.file(entry)?;
        let Some(at) = self.reception.wanted.of_entry(entry).filter(|_| !self.reception.promise.means(entry)) else {
            return Ok(());
        };
        if offset > file.size {
            return Err(Error::Protocol("a part beyond the end of its file".into()));
        }
        if self.reception.wanted.has_arrived(at) || !self.claim(at) {
            return Ok(());
        }
        let name = ObjectName { key: file.key, copy: 0 };
        let mut large = match self.large.remove(&at) {
            Some(large) => large,
            None if self.large.len() == LARGE_MAX => {
                return Err(Error::Protocol("parts of more large files at once than are taken".into()));
            }
            // Who sends from the beginning has no use for what is there of it.
            None => match self.open_large(name, if offset == 0 { 0 } else { self.reception.begun(at) })? {
                Some(large) => large,
                None => {
                    // Not to be gone on with: named as a beginning, it would be sent the rest of again and again.
                    self.staged().remove(name)?;
                    self.reception.wanted.give_back(at);
                    return Ok(());
                }
            },
        };
        let failed = |e: std::io::Error| Error::io("write", self.staged().path_of(name), e);
        let len =
            ranges.iter().try_fold(0_u64, |sum, &(Range::Old { len, .. } | Range::Sent { len })| sum.checked_add(len));
        // A part may not make the file longer than the manifest says, nor say anew what was hashed.
        let Some(end) = len.and_then(|len| large.room(offset, len, file.size)) else {
            self.staged().remove(name)?;
            self.reception.wanted.give_back(at);
            return Ok(());
        };
        let old = match old.map(|key| self.reception.assembly.store.open_any(key)) {
            Some(Ok(Some(file))) => Some(file),
            _ => None,
        };
        if !large.write_ranges(offset, old.as_ref(), ranges, content).map_err(failed)? {
            self.reception.wanted.give_back(at);
            return Ok(());
        }
        self.flush.note(end - offset);
        large.note(offset, end).map_err(failed)?;
        if large.ahead.len() > AHEAD_MAX {
            return Err(Error::Protocol("parts of a large file that are too far apart".into()));
        }
        if large.hashed < file.size {
            self.large.insert(at, large);
        } else if large.hasher.finish() == file.key.hash {
            self.finish(at, &large.file, name)?;
        } else {
            // Wrong from somewhere on: nothing of it can be kept.
            self.staged().remove(name)?;
            self.reception.wanted.give_back(at);
        }
        Ok(())
    }

    /// Opens the file: anew, or with the beginning that an earlier run received, which is hashed. Nothing where less than
    /// that is there.
    fn open_large(&self, name: ObjectName, begun: u64) -> Result<Option<Large>, Error> {
        if begun == 0 {
            // Whoever goes on with it in another run must be able to write to it.
            let file = self.staged().create(name, UNFINISHED_MODE)?;
            return Ok(Some(Large { file, hasher: Hasher::new(), hashed: 0, ahead: BTreeMap::new() }));
        }
        let failed = |e: std::io::Error| Error::io("read", self.staged().path_of(name), e);
        let Some(file) = self.staged().open_to_write(name)? else { return Ok(None) };
        let mut hasher = Hasher::new();
        if FileRange::new(&file, 0..begun).hash_into(&mut hasher).map_err(failed)? != begun {
            return Ok(None);
        }
        file.set_len(begun).map_err(failed)?;
        Ok(Some(Large { file, hasher, hashed: begun, ahead: BTreeMap::new() }))
    }
}

impl Large {
    /// Returns where a part ends, if there is room for it: nothing was written there yet, and the file is so long.
    fn room(&self, offset: u64, len: u64, size: u64) -> Option<u64> {
        let end = offset.checked_add(len).filter(|&end| end <= size)?;
        let before = self.ahead.range(..end).next_back().map_or(self.hashed, |(_, &end)| end.max(self.hashed));
        (before <= offset).then_some(end)
    }

    /// Writes the ranges of a part. Says whether they were all to be had: an old object that cannot be read, as one on a
    /// bad sector, is as good as none.
    fn write_ranges(
        &mut self,
        mut at: u64,
        old: Option<&File>,
        ranges: &[Range],
        mut content: &[u8],
    ) -> std::io::Result<bool> {
        for range in ranges {
            match *range {
                Range::Sent { len } => {
                    let Some((own, rest)) = content.split_at_checked(len as usize) else {
                        return Ok(false);
                    };
                    content = rest;
                    self.write(own, at)?;
                    at += len;
                }
                Range::Old { offset, len } => {
                    let Some(old) = old else { return Ok(false) };
                    let mut range = FileRange::new(old, offset..offset.saturating_add(len));
                    let end = at + len;
                    while at < end {
                        let Ok(Some(step)) = range.next() else { return Ok(false) };
                        self.write(step, at)?;
                        at += step.len() as u64;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Writes content to its place, and hashes it where that is its turn.
    fn write(&mut self, content: &[u8], at: u64) -> std::io::Result<()> {
        if at == self.hashed {
            self.hasher.update(content);
            self.hashed += content.len() as u64;
        }
        self.file.write_all_at(content, at)
    }

    /// Notes that a part was written, and hashes what has come to its turn.
    fn note(&mut self, offset: u64, end: u64) -> std::io::Result<()> {
        if end > self.hashed.max(offset) {
            self.put_ahead(offset, end);
        }
        while let Some((offset, end)) = self.ahead.first_key_value().map(|(&offset, &end)| (offset, end)) {
            if offset > self.hashed {
                break;
            }
            self.ahead.remove(&offset);
            self.hashed += FileRange::new(&self.file, self.hashed..end).hash_into(&mut self.hasher)?;
            if self.hashed < end {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Notes a range beyond the beginning. Those that touch each other are one.
    fn put_ahead(&mut self, mut offset: u64, mut end: u64) {
        if let Some((&before, _)) = self.ahead.range(..offset).next_back().filter(|&(_, &ended)| ended == offset) {
            self.ahead.remove(&before);
            offset = before;
        }
        if let Some(ended) = self.ahead.remove(&end) {
            end = ended;
        }
        self.ahead.insert(offset, end);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    use crate::agent::site::layout::Layout;
    use crate::agent::site::lock::Lock;
    use crate::agent::staging::Staging;
    use crate::agent::tell::Silent;
    use crate::manifest::build::Builder;
    use crate::manifest::placement::Placement;
    use crate::pattern::Patterns;
    use crate::target::Policy;

    const LENGTH: usize = 4000;

    /// Entries of one object, sent in parts that lie about each other.
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

    /// Parts come in any order over several connections.
    #[test]
    fn parts_of_a_large_file_may_come_in_any_order() {
        let content: Vec<u8> = (0..LENGTH).map(|n| (n * 7 + n / 256) as u8).collect();
        let bounds = [0, 100, 1500, 1501, LENGTH];
        let parts: Vec<(u32, usize, &[u8])> =
            bounds.windows(2).map(|bounds| (0, bounds[0], &content[bounds[0]..bounds[1]])).collect();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [0, 2, 1, 3]] {
            let parts: Vec<_> = order.iter().map(|&part| parts[part]).collect();
            assert!(receive(&content, &parts).is_some_and(|stored| stored == content), "{order:?}");
            // Without the last of them it is not whole, nor with one that comes twice.
            assert_eq!(receive(&content, &parts[..3]), None, "{order:?}");
            let twice = [parts[0], parts[1], parts[1], parts[2], parts[3]];
            assert_eq!(receive(&content, &twice), None, "{order:?}");
        }
    }

    #[test]
    fn ranges_that_touch_each_other_are_one() {
        let mut large =
            Large { file: tempfile::tempfile().unwrap(), hasher: Hasher::new(), hashed: 0, ahead: BTreeMap::new() };
        for (offset, end) in [(10, 20), (30, 40), (60, 70), (40, 50), (20, 30)] {
            large.put_ahead(offset, end);
        }
        assert_eq!(large.ahead, BTreeMap::from([(10, 50), (60, 70)]));
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
    fn as_many_receive_as_memory_has_room_for_and_one_at_least() {
        let check = |processors, blocks: u64, expected| {
            assert_eq!(receivers(processors, blocks * RECEIVER_BYTES), expected, "{processors} {blocks}");
        };
        check(3, 9, 3);
        check(3, 2, 2);
        check(3, 0, 1);
        check(2, 3, 2);
    }

    /// A descriptor that is only written to stands for a disk that does not give what it has.
    #[test]
    fn a_range_of_an_object_that_cannot_be_read_is_not_to_be_had() {
        let place = tempfile::tempdir().unwrap();
        let old = std::fs::OpenOptions::new().write(true).create_new(true).open(place.path().join("old")).unwrap();
        old.write_all_at(b"content", 0).unwrap();
        let new = tempfile::tempfile().unwrap();
        let mut large = Large { file: new, hasher: Hasher::new(), hashed: 0, ahead: BTreeMap::new() };
        let ranges = [Range::Sent { len: 4 }, Range::Old { offset: 0, len: 7 }];
        assert!(!large.write_ranges(0, Some(&old), &ranges, b"sent").unwrap());
        let old = File::open(place.path().join("old")).unwrap();
        assert!(large.write_ranges(4, Some(&old), &ranges[1..], b"").unwrap());
        assert_eq!(large.hashed, 11);
    }

    #[test]
    fn deltas_of_more_content_than_a_container_may_have_are_refused() {
        let of_sizes = |sizes: [u64; 2]| {
            let mut builder = Builder::new();
            builder.begin(0o755).unwrap();
            for (name, size) in [b"a", b"b"].into_iter().zip(sizes) {
                builder
                    .file(name, ManifestFile { key: ObjectKey { hash: Hash::of(name), mode: 0o444 }, size })
                    .unwrap();
            }
            builder.finish().unwrap()
        };
        let check = |new: [u64; 2], old: [u64; 2], is_taken: bool| {
            let deltas = [0, 1].map(|entry| DeltaOf { entry, base: entry });
            let receive = |receiver: &mut Receiver<'_>, _: &Staging| receiver.deltas(&deltas, b"");
            let received = with_receiver(&of_sizes(new), Some(&of_sizes(old)), receive);
            // Those of which the old content is not there stay wanted.
            assert_eq!(received.is_ok(), is_taken, "{new:?} {old:?}");
        };
        let half = DELTAS_BYTES_MAX / 2;
        check([half, half], [half, half], true);
        check([half, half + 1], [1, 1], false);
        check([1, 1], [half, half + 1], false);
        check([1, 1], [1, 1 << 62], false);
    }

    /// Receives parts in one receiver, and returns what was linked under the first entry.
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

    /// Has something done by a receiver that wants the first two entries of a manifest.
    fn with_receiver<T>(
        manifest: &Manifest,
        base: Option<&Manifest>,
        work: impl FnOnce(&mut Receiver<'_>, &Staging) -> T,
    ) -> T {
        let place = tempfile::tempdir().unwrap();
        let (layout, _) = Layout::set_up(&place.path().join("site"), &Policy::default(), &Silent).unwrap();
        let staging = Staging::create(&Lock::for_test(&layout.private), &layout).unwrap();
        let store = Store::new(layout.objects.again().unwrap());
        let expected = vec![Placement::default(); 2];
        let copies = Patterns::parse([], "none").unwrap();
        let assembly = Assembly::new(manifest, &expected, &copies, 1_700_000_000, &store, &staging);
        let wanted = WantedObjects::gather(manifest, [0, 1]);
        let promise = Promise::default();
        let reception = Reception { assembly: &assembly, wanted: &wanted, promise: &promise, base, begun: &[] };
        let (flush, _flusher) = Flush::new();
        let mut receiver = Receiver {
            number: 0,
            reception: &reception,
            flush: Arc::new(flush),
            large: HashMap::new(),
            room: Room::default(),
        };
        work(&mut receiver, &staging)
    }
}
