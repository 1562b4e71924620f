//! Sends content: reads files of the source, packs them into blocks, writes the blocks.
//!
//! Threads read and compress; one writes. The queue between them is short, so memory is a few blocks whatever is sent.

mod deltas;
mod jobs;
mod keep;
mod parts;
mod source;

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::client::cache::{Cache, KeptFile};
use crate::client::delivery::Content;
use crate::client::git::Blobs;
use crate::client::lanes::{self, Outlet};
use crate::client::level::{Leveller, Line};
use crate::client::probe::Probe;
use crate::client::scan::Scan;
use crate::client::sending::{OldFile, Sending};
use crate::client::talk::Talk;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::hasher::Hasher;
use crate::report::DeployFailure;
use crate::signature::Signatures;
use crate::threads;
use crate::units::Bytes;
use crate::wire::block::{self, BLOCK_BYTES_MAX, Block, BlockEncoder, BlockHead, DeltaOf, PACKED_BYTES_MAX, Range};

use deltas::DeltaPacker;
use jobs::{Job, jobs};
use keep::{Keeper, Kept};
use parts::{parts, pieces_after};
use source::Source;

/// The zstd level of what is kept and was not sent so: it is read once or twice and takes little room. Three times as fast
/// as level 1.
const KEPT_LEVEL: i32 = -3;

/// Threads that pack. Each holds the content of a block, 16 MiB, 8 MiB of what does not compress, twice what it becomes,
/// 8 MiB at most, and up to 20 MiB of zstd's tables.
const PACKERS_MAX: usize = 4;

/// Packed blocks that wait for the wire: so many that neither the threads that pack nor the wire wait for a block that
/// takes longer than others.
const QUEUE_BLOCKS: usize = 4;

/// How often it is looked whether the wire is known.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What a packing thread has made.
struct Packed {
    block: Block,
    /// What it holds.
    holds: Content,
    /// What of it is worth keeping.
    kept: Vec<Kept>,
}

impl AsRef<[u8]> for Packed {
    fn as_ref(&self) -> &[u8] {
        &self.block.payload
    }
}

/// What an upload works with.
#[derive(Clone, Copy)]
pub(crate) struct Uploading<'a> {
    /// Where it goes.
    pub(crate) talk: &'a Talk,
    /// The source.
    pub(crate) scan: &'a Scan,
    /// What was sent before, and where what is sent is kept.
    pub(crate) cache: Option<&'a Cache>,
    /// What git has of the base.
    pub(crate) blobs: &'a Blobs,
    /// What the agent told of the base.
    pub(crate) signatures: &'a Signatures,
    /// The zstd level; where none is said, the one that the line has time for.
    pub(crate) level: Option<i32>,
    /// Hears how far it is.
    pub(crate) observer: &'a dyn Observer,
    /// Over how many connections; where none is said, as many as the link has use for.
    pub(crate) lanes: Option<u32>,
    /// Whether all is described against the base that was named, and the agent need not have said yet that it takes it.
    pub(crate) is_unasked: bool,
}

/// Sends files, in order; not all of them where the agent takes another base than was believed. Returns bytes of content by the zstd level that they were packed at, 0 being none.
pub(crate) fn upload(uploading: Uploading<'_>, sendings: Vec<Sending>) -> Result<BTreeMap<i32, u64>, DeployFailure> {
    let Uploading { talk, scan, cache, level, observer, lanes, is_unasked, .. } = uploading;
    if sendings.is_empty() {
        return Ok(BTreeMap::new());
    }
    let size = |sending: &Sending| scan.found.manifest.file(sending.entry).map_or(0, |file| file.size - sending.skip);
    let bytes_total = sendings.iter().map(size).sum();
    let total = Content { files: sendings.len() as u64, bytes: bytes_total };
    let packers = std::thread::available_parallelism().map_or(2, usize::from).min(PACKERS_MAX);
    let line = Line { rate: talk.copied_at(), round_trip: talk.lanes().map(|lanes| lanes.round_trip()) };
    let packer = Packer {
        uploading,
        leveller: Leveller::new(level, bytes_total, packers, line),
        jobs: Mutex::new(jobs(&scan.found.manifest, sendings).into_iter()),
        bytes: AtomicU64::new(0),
        bytes_total,
        packed_bytes: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    };
    talk.delivery().begin(total, talk.sent_bytes());
    let keeper = Mutex::new(Keeper::begin(cache, observer));
    let (sender, blocks) = bounded::<Result<Packed, Error>>(QUEUE_BLOCKS);
    let sent = std::thread::scope(|scope| {
        for number in 0..packers {
            let (packer, own) = (&packer, sender.clone());
            let pack = move || {
                if let Err(error) = packer.run(&own) {
                    // Where nobody listens any more, another error came first.
                    drop(own.send(Err(error)));
                }
            };
            match threads::spawn_scoped(scope, pack) {
                Ok(_) => {}
                Err(error) if number == 0 => return Err(error.into()),
                // Those that there are do it all.
                Err(_) => break,
            }
        }
        drop(sender);
        let outlet = Outlet { talk, observer, lanes, is_unasked, left: &|| packer.left() };
        let sending = |packed: &Packed| talk.delivery().note(packed.block.payload.len() as u64, packed.holds);
        let sent = lanes::send(&outlet, blocks, sending, |packed: &Packed, took| {
            let bytes = packed.block.payload.len();
            packer.packed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            packer.leveller.sent(Instant::now(), bytes, took, talk.connections().max(1) as u32, talk.stalled());
            keeper.lock().expect("no keeper panics").keep(packed);
        });
        packer.is_over.store(true, Ordering::Relaxed);
        sent
    });
    // Whether or not all of it was sent, it is what the source holds.
    keeper.into_inner().expect("no keeper panics").finish();
    sent?;
    let levels = packer.leveller.tally();
    observer.observe(Event::Detail(told(&levels)));
    Ok(levels)
}

/// Says how much was packed at which level: `1.2 GB at zstd level 6, 3.0 MB as it is`.
fn told(levels: &BTreeMap<i32, u64>) -> String {
    let part = |(&level, &bytes): (&i32, &u64)| match level {
        0 => format!("{} as it is", Bytes(bytes)),
        level => format!("{} at zstd level {level}", Bytes(bytes)),
    };
    let parts: Vec<String> = levels.iter().rev().map(part).collect();
    format!("Packed {}", parts.join(", "))
}

struct Packer<'a> {
    uploading: Uploading<'a>,
    jobs: Mutex<std::vec::IntoIter<Job>>,
    bytes: AtomicU64,
    bytes_total: u64,
    /// Of what was sent.
    packed_bytes: AtomicU64,
    /// Nobody takes blocks any more.
    is_over: AtomicBool,
    leveller: Leveller,
}

/// What a packing thread packs with.
struct Press {
    encoder: BlockEncoder,
    probe: Probe,
    content: Vec<u8>,
    /// Content that does not compress.
    dense: Vec<u8>,
}

impl Press {
    fn new() -> io::Result<Press> {
        let encoder = BlockEncoder::new(KEPT_LEVEL)?;
        // Growing, it would be moved about, and be twice as large.
        let content = Vec::with_capacity(BLOCK_BYTES_MAX);
        Ok(Press { encoder, probe: Probe::new()?, content, dense: Vec::new() })
    }
}

impl Packer<'_> {
    fn run(&self, blocks: &Sender<Result<Packed, Error>>) -> Result<(), Error> {
        let mut press = Press::new().map_err(no_zstd)?;
        let mut deltas = None;
        loop {
            let Some(job) = self.jobs.lock().expect("no packer panics").next() else { return Ok(()) };
            // Deltas are little, whatever the level.
            if !matches!(job, Job::Deltas(_)) {
                self.wait_for_the_wire(blocks)?;
            }
            let goes_on = match job {
                Job::Files(entries) => self.files(entries, &mut press, blocks)?,
                Job::Deltas(files) => {
                    let deltas = match &mut deltas {
                        Some(deltas) => deltas,
                        None => deltas.insert(DeltaPacker::new(self.uploading)?),
                    };
                    self.deltas(files, deltas, &mut press, blocks)?
                }
                Job::Large(sending) => self.large(&sending, &mut press, blocks)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Waits while a block waits of which nobody knows whether its level was right: others would get the same.
    fn wait_for_the_wire(&self, blocks: &Sender<Result<Packed, Error>>) -> Result<(), Error> {
        // A queue that nobody takes from still counts what was left in it.
        while !blocks.is_empty() && !self.leveller.is_settled() && !self.is_over.load(Ordering::Relaxed) {
            self.uploading.talk.check()?;
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Sends whole files, those that do not compress in blocks of their own. Says whether anybody still listens.
    fn files(
        &self,
        entries: Vec<u32>,
        press: &mut Press,
        blocks: &Sender<Result<Packed, Error>>,
    ) -> Result<bool, Error> {
        press.content.clear();
        press.dense.clear();
        let (mut plain, mut dense) = (Vec::new(), Vec::new());
        for entry in entries {
            let begin = press.content.len();
            self.source().read(entry, &mut press.content)?;
            let own = &press.content[begin..];
            if !press.probe.is_dense(own) {
                plain.push(entry);
                continue;
            }
            if press.dense.len() + own.len() > PACKED_BYTES_MAX {
                if !self.send_as_they_are(std::mem::take(&mut dense), &press.dense, blocks) {
                    return Ok(false);
                }
                press.dense.clear();
            }
            press.dense.extend_from_slice(own);
            press.content.truncate(begin);
            dense.push(entry);
        }
        Ok(self.send_as_they_are(dense, &press.dense, blocks)
            && self.send_packed(plain, &press.content, &mut press.encoder, blocks)?)
    }

    fn send_as_they_are(&self, entries: Vec<u32>, content: &[u8], blocks: &Sender<Result<Packed, Error>>) -> bool {
        if entries.is_empty() {
            return true;
        }
        self.leveller.as_it_is(content.len());
        let holds = Content { files: entries.len() as u64, bytes: content.len() as u64 };
        let files = self.kept_files(&entries);
        let block = block::block_as_it_is(&BlockHead::Files(entries), content);
        self.pass_on(Packed { block, holds, kept: vec![Kept { files, own: None }] }, blocks)
    }

    /// Sends files in a block, or in several where they take more than one as it travels.
    fn send_packed(
        &self,
        entries: Vec<u32>,
        content: &[u8],
        encoder: &mut BlockEncoder,
        blocks: &Sender<Result<Packed, Error>>,
    ) -> Result<bool, Error> {
        if entries.is_empty() {
            return Ok(true);
        }
        let holds = Content { files: entries.len() as u64, bytes: content.len() as u64 };
        let files = self.kept_files(&entries);
        let lens: Vec<u32> = files.iter().map(KeptFile::len).collect();
        let head = BlockHead::Files(entries);
        if let Some(block) = self.pack(&head, content, &lens, encoder)? {
            let packed = Packed { block, holds, kept: vec![Kept { files, own: None }] };
            return Ok(self.pass_on(packed, blocks));
        }
        let BlockHead::Files(mut entries) = head else { return Err(Error::Bug("files that are none".into())) };
        let (first, bytes) = first_half(&lens);
        let rest = entries.split_off(first);
        let (content, rest_content) = content.split_at(bytes);
        Ok(self.send_packed(entries, content, encoder, blocks)?
            && self.send_packed(rest, rest_content, encoder, blocks)?)
    }

    /// Packs content, that of files of these lengths or of no files, at the level of the moment; none where it takes more
    /// than a block as it travels.
    fn pack(
        &self,
        head: &BlockHead,
        content: &[u8],
        files: &[u32],
        encoder: &mut BlockEncoder,
    ) -> Result<Option<Block>, Error> {
        let level = self.leveller.level();
        encoder.set_level(level).map_err(no_zstd)?;
        let began = Instant::now();
        let block = encoder.encode(head, content, files).map_err(no_zstd)?;
        if let Some(block) = &block {
            self.leveller.packed(level, content.len(), block.body().bytes.len(), began.elapsed());
        }
        Ok(block)
    }

    /// Queues a block. Says whether anybody still listens.
    fn pass_on(&self, packed: Packed, blocks: &Sender<Result<Packed, Error>>) -> bool {
        self.bytes.fetch_add(packed.holds.bytes, Ordering::Relaxed);
        blocks.send(Ok(packed)).is_ok()
    }

    /// Sends files in terms of old ones, and those whole whose old content is not what it should be, or all of them where
    /// that takes more than a block as it travels. Says whether anybody still listens.
    fn deltas(
        &self,
        files: Vec<(u32, OldFile)>,
        deltas: &mut DeltaPacker<'_>,
        press: &mut Press,
        blocks: &Sender<Result<Packed, Error>>,
    ) -> Result<bool, Error> {
        let content = &mut press.content;
        let (mut bytes, mut sent, mut whole) = (0, Vec::new(), Vec::new());
        deltas.begin();
        for (entry, old) in files {
            content.clear();
            self.source().read(entry, content)?;
            let file = self.kept_file(entry);
            if file.is_some_and(|file| deltas.add(&old, content, file)) {
                sent.push(DeltaOf { entry, base: old.index });
                bytes += content.len();
            } else {
                whole.push(entry);
            }
        }
        if !sent.is_empty() {
            let entries: Vec<u32> = sent.iter().map(|delta| delta.entry).collect();
            let container = deltas.encoder.finish().map_err(no_zstd)?;
            let head = BlockHead::Deltas(sent);
            if let Some(block) = self.pack(&head, &container, &[], &mut press.encoder)? {
                let kept = deltas.kept(&mut press.probe)?;
                let holds = Content { files: entries.len() as u64, bytes: bytes as u64 };
                if !self.pass_on(Packed { block, holds, kept }, blocks) {
                    return Ok(false);
                }
            } else {
                whole.extend(entries);
            }
        }
        Ok(whole.is_empty() || self.files(whole, press, blocks)?)
    }

    fn kept_files(&self, entries: &[u32]) -> Vec<KeptFile> {
        entries.iter().filter_map(|&entry| self.kept_file(entry)).collect()
    }

    fn kept_file(&self, entry: u32) -> Option<KeptFile> {
        let file = self.uploading.scan.found.manifest.file(entry)?;
        Some(KeptFile { hash: file.key.hash, size: file.size as u32, patch: None })
    }

    fn source(&self) -> Source<'_> {
        let Uploading { talk, scan, .. } = self.uploading;
        Source { talk, scan }
    }

    /// Guesses how much is still to be packed, in bytes as they are sent: the rest will pack as what was sent did.
    fn left(&self) -> u64 {
        let (packed, bytes) = (self.packed_bytes.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let left = self.bytes_total.saturating_sub(bytes);
        if bytes == 0 { 0 } else { (left as f64 * packed as f64 / bytes as f64) as u64 }
    }

    fn large(
        &self,
        sending: &Sending,
        press: &mut Press,
        blocks: &Sender<Result<Packed, Error>>,
    ) -> Result<bool, Error> {
        let content = &mut press.content;
        let entry = sending.entry;
        let mut file = self.source().open(entry)?;
        let size = file.size();
        let old = sending.recipe().map(|recipe| recipe.old);
        let mut offset = sending.skip;
        let mut hasher = (self.source().is_suspect() && offset == 0 && old.is_none()).then(Hasher::new);
        let parts = parts(&pieces_after(sending, size));
        let last = parts.len().saturating_sub(1);
        for (number, ranges) in parts.into_iter().enumerate() {
            self.uploading.talk.check()?;
            content.clear();
            let part = offset;
            for range in &ranges {
                match *range {
                    Range::Old { len, .. } => offset += len,
                    Range::Sent { len } => {
                        file.read_range(offset, len, content)?;
                        offset += len;
                    }
                }
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(content);
            }
            let head = BlockHead::Part { entry, offset: part, old, ranges };
            let block = if press.probe.is_dense(content) {
                self.leveller.as_it_is(content.len());
                block::block_as_it_is(&head, content)
            } else {
                self.pack(&head, content, &[], &mut press.encoder)?.ok_or_else(too_long)?
            };
            let holds = Content { files: u64::from(number == last), bytes: offset - part };
            if !self.pass_on(Packed { block, holds, kept: Vec::new() }, blocks) {
                return Ok(false);
            }
        }
        file.check()?;
        hasher.map_or(Ok(()), |hasher| file.check_hash(hasher.finish()))?;
        Ok(true)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn no_zstd(error: io::Error) -> Error {
    Error::Bug(format!("zstd failed: {error}"))
}

fn too_long() -> Error {
    Error::Bug("a block that is too long".into())
}

/// Divides contents of these lengths into two parts of about the same length. Returns how many are in the first, and their
/// bytes; what is more than one leaves none of the two empty.
fn first_half(lens: &[u32]) -> (usize, usize) {
    let total: usize = lens.iter().map(|&len| len as usize).sum();
    let mut bytes = 0;
    for (at, &len) in lens.iter().enumerate() {
        if at > 0 && (bytes + len as usize > total / 2 || at + 1 == lens.len()) {
            return (at, bytes);
        }
        bytes += len as usize;
    }
    (lens.len(), bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::cancel::Cancel;
    use crate::chunk::LARGE_FILE_BYTES;
    use crate::client::database::Database;
    use crate::client::scan::{ScanRequest, scan};
    use crate::client::sending::sendings;
    use crate::error::SourceError;
    use crate::event::Silent;
    use crate::hash::Hash;
    use crate::manifest::{Builder, File as ManifestFile, ObjectKey};
    use crate::release::Provenance;
    use crate::report::DeployState;
    use crate::scan::snapshot::Snapshot;
    use crate::target::{Destination, Policy, Reach, Target};
    use crate::verbs::{Context, DeployRequest, deploy};
    use crate::wire::block::BLOCK_ITEMS_MAX;
    use crate::wire::pipe;

    use jobs::WHOLE_BYTES_MAX;

    #[test]
    fn what_is_packed_ends_with_the_file_or_the_part_where_it_is_cancelled() {
        let source = tempfile::tempdir().unwrap();
        for (name, size) in [("large", 5 << 20), ("small", 9)] {
            File::create(source.path().join(name)).unwrap().set_len(size).unwrap();
        }
        let request = ScanRequest {
            source: source.path(),
            exclude: &[],
            config: None,
            known: None,
            forbidden: None,
            observer: &Silent,
            cancel: &Cancel::default(),
        };
        let scan = scan(&request).unwrap();
        let cancel = Cancel::default();
        let talk = Talk::new(pipe::connect(|_, _| Ok(())).unwrap(), Arc::new(Silent), cancel.clone()).unwrap();
        let (blobs, signatures) = (Blobs::default(), Signatures::default());
        let packed = |entry: u32| {
            let uploading = Uploading {
                talk: &talk,
                scan: &scan,
                cache: None,
                blobs: &blobs,
                signatures: &signatures,
                level: None,
                observer: &Silent,
                lanes: None,
                is_unasked: false,
            };
            let packer = Packer {
                uploading,
                leveller: Leveller::new(None, 1, 1, Line::default()),
                jobs: Mutex::new(jobs(&scan.found.manifest, sendings(vec![entry], &[], &HashMap::new())).into_iter()),
                bytes: AtomicU64::new(0),
                bytes_total: 1,
                packed_bytes: AtomicU64::new(0),
                is_over: AtomicBool::new(false),
            };
            let (sender, blocks) = crossbeam_channel::unbounded();
            packer.run(&sender).map(|()| blocks.len())
        };
        assert_eq!([0, 1].map(|entry| packed(entry).unwrap()), [1, 1]);
        cancel.cancel();
        assert!([0, 1].map(packed).iter().all(|packed| matches!(packed, Err(Error::Interrupted))));
    }

    #[test]
    fn halves_are_about_the_same_and_never_empty() {
        let check = |lens: &[u32], expected| assert_eq!(first_half(lens), expected, "{lens:?}");
        check(&[5, 5, 5, 5], (2, 10));
        check(&[9, 1, 1], (1, 9));
        check(&[1, 1, 9], (2, 2));
        check(&[1, 9], (1, 1));
    }

    #[test]
    fn the_levels_are_told_from_the_highest() {
        assert_eq!(told(&[(0, 7), (3, 2_000_000)].into()), "Packed 2.0 MB at zstd level 3, 7 B as it is");
    }

    /// Makes the kept scan of a source say that its only file had other content.
    fn mistake_content(state_dir: &Path, source: &Path) {
        let database = Database::open(state_dir, Arc::new(Silent)).unwrap();
        let known = database.scan(source).unwrap().unwrap();
        let file = known.manifest.file(0).unwrap();
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        let key = ObjectKey { hash: Hash::of(b"what it never was"), ..file.key };
        builder.file(b"file", ManifestFile { key, ..file }).unwrap();
        // Long after: what changed just before a scan is not trusted.
        let (manifest, began) = (builder.finish().unwrap(), known.began + 3_600_000_000_000);
        let known = Snapshot { manifest, began, ..known };
        database.put_scan(source, &known).unwrap();
    }

    #[test]
    fn content_that_was_mistaken_is_named_and_read_again_by_the_next_deploy_or_a_paranoid_one() {
        // Small; small enough to go with others, and larger than that.
        for bytes in [1000, LARGE_FILE_BYTES + 1, WHOLE_BYTES_MAX + 1] {
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| directory.path().canonicalize().unwrap().join(name);
            std::fs::create_dir(path("source")).unwrap();
            std::fs::write(path("source/file"), vec![b'x'; bytes as usize]).unwrap();
            let context = |target: &str| Context {
                target: Target { destination: Destination::Local(path(target)), reach: Reach::default() },
                policy: Policy::default(),
                provenance: Provenance::default(),
                state_dir: path("state"),
                observer: Arc::new(Silent),
                cancel: Cancel::default(),
            };
            let request = DeployRequest {
                source: path("source"),
                exclude: Vec::new(),
                config: None,
                release: None,
                no_switch: false,
                force: false,
                dry_run: false,
                paranoid: false,
                zstd_level: None,
                lanes: None,
            };
            deploy(&context("first"), &request).unwrap();
            // To a target that has another version, and to one that has nothing.
            for target in ["first", "second"] {
                mistake_content(&path("state"), &path("source"));
                let failure = deploy(&context(target), &request).unwrap_err();
                assert!(
                    matches!(&failure.error, Error::Source(SourceError::FileChangedUnseen(path)) if path == "file"),
                    "{failure:?}"
                );
                deploy(&context(target), &request).unwrap();
                assert_eq!(std::fs::read(path(target).join("current/file")).unwrap(), vec![b'x'; bytes as usize]);
            }
            mistake_content(&path("state"), &path("source"));
            let paranoid = DeployRequest { paranoid: true, ..request.clone() };
            assert_eq!(deploy(&context("first"), &paranoid).unwrap().state, DeployState::Unchanged);
            assert_eq!(deploy(&context("first"), &request).unwrap().state, DeployState::Unchanged);
        }
    }

    #[test]
    fn a_block_of_files_holds_no_more_files_than_a_block() {
        use crate::manifest::{Builder, File};
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for number in 0..70_000 {
            let key = ObjectKey { hash: crate::hash::Hash::of(b"x"), mode: 0o444 };
            builder.file(format!("{number:05}").as_bytes(), File { key, size: 1 }).unwrap();
        }
        let manifest = builder.finish().unwrap();
        let entries: Vec<u32> = manifest.all_files().map(|(entry, _)| entry).collect();
        let jobs = jobs(&manifest, sendings(entries.clone(), &[], &HashMap::new()));
        let in_jobs = |job: &Job| match job {
            Job::Files(entries) => entries.clone(),
            Job::Large(_) | Job::Deltas(_) => Vec::new(),
        };
        let in_jobs: Vec<Vec<u32>> = jobs.iter().map(in_jobs).collect();
        assert!(in_jobs.iter().all(|files| files.len() <= BLOCK_ITEMS_MAX));
        assert_eq!(in_jobs.concat(), entries);
    }
}
