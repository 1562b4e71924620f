//! Packs content of a source into blocks.
//!
//! Threads read and compress content, a job at a time, and put blocks into a queue. A packer knows the source and the
//! old versions of its files. It knows no host, and no connection. A block names files by their entries in the source's
//! manifest. So a block of whole files is the same for every host that lacks them all, and a block of deltas for every
//! host with the same base: a block that is packed once may be written to several.
//!
//! | file | noun |
//! |---|---|
//! | `jobs` | the jobs of the threads |
//! | `tools` | the tools of a thread |
//! | `parts` | the parts of a large file |
//! | `deltas` | a container of small files in terms of old ones |
//! | `cache_block` | files in a block that only the content cache gets |
//! | `packed_block` | a block, with its files for the content cache |

mod cache_block;
mod deltas;
mod jobs;
mod packed_block;
mod parts;
mod tools;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::client::cache::CachedFile;
use crate::client::delivery::Amount;
use crate::client::level::{LevelChooser, Line};
use crate::client::outgoing_file::{OldFile, OldSources, OutgoingFile};
use crate::client::source::SourceReader;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::wire::block::{self, Block, BlockEncoder, BlockHead, FileDelta, PACKED_BYTES_MAX, Range};

use deltas::DeltaPacker;
use jobs::{Job, jobs};
use parts::{parts, pieces_after};
use tools::{PackTools, no_zstd, too_long};

use packed_block::FilesToCache;
pub(crate) use packed_block::PackedBlock;

/// The most threads that pack. Each holds the content of a block, 16 MiB, 8 MiB of content that does not compress,
/// twice the packed block, 8 MiB at most, and up to 20 MiB of zstd's tables.
const PACKERS_MAX: usize = 4;

/// The time between two checks whether the speed of the wire is known.
const CHECK_EVERY: Duration = Duration::from_millis(2);

/// A packer of files, on as many threads as call [`Packer::run`].
pub(crate) struct Packer<'a> {
    reader: SourceReader<'a>,
    old_versions: OldSources<'a>,
    jobs: Mutex<std::vec::IntoIter<Job>>,
    /// The bytes of content to pack.
    bytes_total: u64,
    /// The bytes of content that were packed.
    bytes: AtomicU64,
    /// The bytes that were written, as they travel.
    packed_bytes: AtomicU64,
    /// Whether nobody takes blocks any more.
    is_over: AtomicBool,
    level_chooser: LevelChooser,
}

/// The way in which content is packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    /// The zstd level. None: the level that the line has time for.
    pub(crate) level: Option<i32>,
    /// The number of threads that pack.
    pub(crate) threads: usize,
    /// The known properties of the line.
    pub(crate) line: Line,
}

impl Packing {
    /// Returns the number of threads that pack on this machine.
    pub(crate) fn usual_threads() -> usize {
        std::thread::available_parallelism().map_or(2, usize::from).min(PACKERS_MAX)
    }
}

impl<'a> Packer<'a> {
    /// Prepares to pack files.
    pub(crate) fn new(
        reader: SourceReader<'a>,
        old_versions: OldSources<'a>,
        packing: Packing,
        outgoing_files: Vec<OutgoingFile>,
    ) -> Packer<'a> {
        let manifest = reader.manifest();
        let size = |outgoing: &OutgoingFile| manifest.file(outgoing.entry).map_or(0, |file| file.size - outgoing.skip);
        let bytes_total = outgoing_files.iter().map(size).sum();
        let Packing { level, threads, line } = packing;
        Packer {
            reader,
            old_versions,
            jobs: Mutex::new(jobs(manifest, outgoing_files).into_iter()),
            bytes_total,
            bytes: AtomicU64::new(0),
            packed_bytes: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            level_chooser: LevelChooser::new(level, bytes_total, threads, line),
        }
    }

    /// Returns the bytes of content to pack.
    pub(crate) fn bytes_total(&self) -> u64 {
        self.bytes_total
    }
}

impl Packer<'_> {
    /// Packs until nothing is left, or nobody takes blocks any more. Each thread that packs calls it.
    pub(crate) fn run(&self, blocks: &Sender<Result<PackedBlock, Error>>) -> Result<(), Error> {
        let mut tools = PackTools::new().map_err(no_zstd)?;
        let mut deltas = None;
        loop {
            let Some(job) = self.jobs.lock().expect("no packer panics").next() else { return Ok(()) };
            // Deltas are little, whatever the level.
            if !matches!(job, Job::Deltas(_)) {
                self.wait_for_the_wire(blocks)?;
            }
            let goes_on = match job {
                Job::Files(entries) => self.files(entries, &mut tools, blocks)?,
                Job::Deltas(files) => {
                    let deltas = match &mut deltas {
                        Some(deltas) => deltas,
                        None => deltas.insert(DeltaPacker::new(self.old_versions)?),
                    };
                    self.deltas(files, deltas, &mut tools, blocks)?
                }
                Job::Large(outgoing) => self.large(&outgoing, &mut tools, blocks)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Waits while a block waits whose level is not known to be right: the next would get the same level.
    fn wait_for_the_wire(&self, blocks: &Sender<Result<PackedBlock, Error>>) -> Result<(), Error> {
        // A queue that nobody takes from still counts its blocks.
        while !blocks.is_empty() && !self.level_chooser.is_settled() && !self.is_over.load(Ordering::Relaxed) {
            self.reader.check()?;
            std::thread::sleep(CHECK_EVERY);
        }
        Ok(())
    }

    /// Sends whole files. Those that do not compress go in blocks of their own. Returns false if the queue is closed.
    fn files(
        &self,
        entries: Vec<u32>,
        tools: &mut PackTools,
        blocks: &Sender<Result<PackedBlock, Error>>,
    ) -> Result<bool, Error> {
        tools.content.clear();
        tools.dense.clear();
        let (mut plain, mut dense) = (Vec::new(), Vec::new());
        for entry in entries {
            let begin = tools.content.len();
            self.reader.read(entry, &mut tools.content)?;
            let own = &tools.content[begin..];
            if !tools.probe.is_dense(own) {
                plain.push(entry);
                continue;
            }
            if tools.dense.len() + own.len() > PACKED_BYTES_MAX {
                if !self.send_as_they_are(std::mem::take(&mut dense), &tools.dense, blocks) {
                    return Ok(false);
                }
                tools.dense.clear();
            }
            tools.dense.extend_from_slice(own);
            tools.content.truncate(begin);
            dense.push(entry);
        }
        Ok(self.send_as_they_are(dense, &tools.dense, blocks)
            && self.send_packed(plain, &tools.content, &mut tools.encoder, blocks)?)
    }

    fn send_as_they_are(&self, entries: Vec<u32>, content: &[u8], blocks: &Sender<Result<PackedBlock, Error>>) -> bool {
        if entries.is_empty() {
            return true;
        }
        self.level_chooser.note_uncompressed(content.len());
        let holds = Amount { files: entries.len() as u64, bytes: content.len() as u64 };
        let files = self.cached_files(&entries);
        let block = block::raw_block(&BlockHead::Files(entries), content);
        self.queue(PackedBlock { block, holds, kept: vec![FilesToCache { files, own: None }] }, blocks)
    }

    /// Sends files in a block, or in several if one would be too long on the wire. Returns false if the queue is closed.
    fn send_packed(
        &self,
        entries: Vec<u32>,
        content: &[u8],
        encoder: &mut BlockEncoder,
        blocks: &Sender<Result<PackedBlock, Error>>,
    ) -> Result<bool, Error> {
        if entries.is_empty() {
            return Ok(true);
        }
        let holds = Amount { files: entries.len() as u64, bytes: content.len() as u64 };
        let files = self.cached_files(&entries);
        let lens: Vec<u32> = files.iter().map(CachedFile::len).collect();
        let head = BlockHead::Files(entries);
        if let Some(block) = self.pack(&head, content, &lens, encoder)? {
            let packed = PackedBlock { block, holds, kept: vec![FilesToCache { files, own: None }] };
            return Ok(self.queue(packed, blocks));
        }
        let BlockHead::Files(mut entries) = head else { return Err(Error::Bug("files that are none".into())) };
        let (first, bytes) = first_half(&lens);
        let rest = entries.split_off(first);
        let (content, rest_content) = content.split_at(bytes);
        Ok(self.send_packed(entries, content, encoder, blocks)?
            && self.send_packed(rest, rest_content, encoder, blocks)?)
    }

    /// Packs content at the present level. `files` are the lengths of the files in it, if it has files. None if the
    /// block would be too long on the wire.
    fn pack(
        &self,
        head: &BlockHead,
        content: &[u8],
        files: &[u32],
        encoder: &mut BlockEncoder,
    ) -> Result<Option<Block>, Error> {
        let level = self.level_chooser.level();
        encoder.set_level(level).map_err(no_zstd)?;
        let began = Instant::now();
        let block = encoder.encode(head, content, files).map_err(no_zstd)?;
        if let Some(block) = &block {
            self.level_chooser.note_packed(level, content.len(), block.body().bytes.len(), began.elapsed());
        }
        Ok(block)
    }

    /// Queues a block. Returns false if the queue is closed.
    fn queue(&self, packed: PackedBlock, blocks: &Sender<Result<PackedBlock, Error>>) -> bool {
        self.bytes.fetch_add(packed.holds.bytes, Ordering::Relaxed);
        blocks.send(Ok(packed)).is_ok()
    }

    /// Sends files in terms of old ones. Sends those whole whose old content is not what it should be, or all of them
    /// if the block would be too long on the wire. Returns false if the queue is closed.
    fn deltas(
        &self,
        files: Vec<(u32, OldFile)>,
        deltas: &mut DeltaPacker<'_>,
        tools: &mut PackTools,
        blocks: &Sender<Result<PackedBlock, Error>>,
    ) -> Result<bool, Error> {
        let content = &mut tools.content;
        let (mut bytes, mut sent, mut whole) = (0, Vec::new(), Vec::new());
        deltas.begin();
        for (entry, old) in files {
            content.clear();
            self.reader.read(entry, content)?;
            let file = self.cached_file(entry);
            if file.is_some_and(|file| deltas.add(&old, content, file)) {
                sent.push(FileDelta { entry, base: old.index });
                bytes += content.len();
            } else {
                whole.push(entry);
            }
        }
        if !sent.is_empty() {
            let entries: Vec<u32> = sent.iter().map(|delta| delta.entry).collect();
            let container = deltas.encoder.finish().map_err(no_zstd)?;
            let head = BlockHead::Deltas(sent);
            if let Some(block) = self.pack(&head, &container, &[], &mut tools.encoder)? {
                let kept = deltas.kept(&mut tools.probe)?;
                let holds = Amount { files: entries.len() as u64, bytes: bytes as u64 };
                if !self.queue(PackedBlock { block, holds, kept }, blocks) {
                    return Ok(false);
                }
            } else {
                whole.extend(entries);
            }
        }
        Ok(whole.is_empty() || self.files(whole, tools, blocks)?)
    }

    fn cached_files(&self, entries: &[u32]) -> Vec<CachedFile> {
        entries.iter().filter_map(|&entry| self.cached_file(entry)).collect()
    }

    fn cached_file(&self, entry: u32) -> Option<CachedFile> {
        let file = self.reader.manifest().file(entry)?;
        Some(CachedFile { hash: file.key.hash, size: file.size as u32, patch: None })
    }

    /// Notes that a block was written, the time that it took, and the number of connections.
    pub(crate) fn sent(&self, packed: &PackedBlock, took: Duration, connections: u32, stalled: f64) {
        let bytes = packed.block.payload.len();
        self.packed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.level_chooser.note_sent(Instant::now(), bytes, took, connections, stalled);
    }

    /// Notes that nobody takes blocks any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Returns the bytes of content by zstd level, 0 being none.
    pub(crate) fn tally(self) -> BTreeMap<i32, u64> {
        self.level_chooser.tally()
    }

    /// Guesses the bytes that are still to be packed, as they travel: the rest will pack like the content that was sent.
    pub(crate) fn left(&self) -> u64 {
        let (packed, bytes) = (self.packed_bytes.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let left = self.bytes_total.saturating_sub(bytes);
        if bytes == 0 { 0 } else { (left as f64 * packed as f64 / bytes as f64) as u64 }
    }

    fn large(
        &self,
        outgoing: &OutgoingFile,
        tools: &mut PackTools,
        blocks: &Sender<Result<PackedBlock, Error>>,
    ) -> Result<bool, Error> {
        let content = &mut tools.content;
        let entry = outgoing.entry;
        let mut file = self.reader.open(entry)?;
        let size = file.size();
        let old = outgoing.recipe().map(|recipe| recipe.old);
        let mut offset = outgoing.skip;
        let mut hasher = (self.reader.is_suspect() && offset == 0 && old.is_none()).then(Hasher::new);
        let parts = parts(&pieces_after(outgoing, size));
        let last = parts.len().saturating_sub(1);
        for (number, ranges) in parts.into_iter().enumerate() {
            self.reader.check()?;
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
            let block = if tools.probe.is_dense(content) {
                self.level_chooser.note_uncompressed(content.len());
                block::raw_block(&head, content)
            } else {
                self.pack(&head, content, &[], &mut tools.encoder)?.ok_or_else(too_long)?
            };
            let holds = Amount { files: u64::from(number == last), bytes: offset - part };
            if !self.queue(PackedBlock { block, holds, kept: Vec::new() }, blocks) {
                return Ok(false);
            }
        }
        file.check()?;
        hasher.map_or(Ok(()), |hasher| file.check_hash(hasher.finish()))?;
        Ok(true)
    }
}

/// Divides contents of these lengths into two parts of about the same length. Returns the number of contents in the
/// first, and their bytes. Of several contents, neither part is empty.
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
    use std::sync::Arc;

    use super::*;
    use crate::cancel::Cancel;
    use crate::client::git::Blobs;
    use crate::client::memory::Memory;
    use crate::client::outgoing_file::outgoing_files;
    use crate::client::source::Source;
    use crate::client::source_directory::{LastScan, SourceOrigin};
    use crate::event::Silent;
    use crate::request::SourceRequest;
    use crate::signature::Signatures;
    use crate::target::Destination;

    #[test]
    fn what_is_packed_ends_with_the_file_or_the_part_where_it_is_cancelled() {
        let source = tempfile::tempdir().unwrap();
        for (name, size) in [("large", 5 << 20), ("small", 9)] {
            File::create(source.path().join(name)).unwrap().set_len(size).unwrap();
        }
        let request = SourceRequest { directory: source.path().to_owned(), ..SourceRequest::default() };
        let (destination, cancel) = (Destination::Local("/nowhere".into()), Cancel::default());
        let state = tempfile::tempdir().unwrap();
        let origin = SourceOrigin::find(&request, &destination, &cancel).unwrap();
        let directory = origin.check_out(state.path(), &Silent, &cancel).unwrap().settle().unwrap();
        let memory = Memory::open(state.path(), Arc::new(Silent));
        let source = Source::scan(directory, LastScan::Ignored, &memory, &Silent, &cancel).unwrap();
        let (cancel, blobs, signatures) = (Cancel::default(), Blobs::default(), Signatures::default());
        let packed = |entry: u32| {
            let old_versions = OldSources { cache: None, blobs: &blobs, signatures: &signatures };
            let packing = Packing { level: None, threads: 1, line: Line::default() };
            let outgoing_files = outgoing_files(vec![entry], &[], &HashMap::new());
            let packer = Packer::new(source.reader(&cancel, false), old_versions, packing, outgoing_files);
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
}
