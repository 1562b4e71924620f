//! The content cache: what was sent, kept so that its next version can be described in terms of it.
//!
//! ```text
//! <state directory>/content/
//! ├── <time>-<process>.pack     content, in blocks as they were sent
//! └── <time>-<process>.index    where each file's content lies in it; made when the pack is complete
//!
//! index    magic · count, for each block: where it begins, its length, its length unpacked, packing (0 · 1 zstd)
//!          · count, for each file: the first 8 bytes of its hash, block, where it begins in it, its length
//!          · blake3 of all that; numbers of fixed width, little endian
//! ```
//!
//! It is a cache: whatever is missing, cut off or altered in it costs bytes on the wire and nothing else. An index is
//! checked against its hash and what is read against the content's. A pack's file is open while a block of it is read.
//!
//! It is bounded in bytes: the oldest packs go. One deploy may fill half of it, with what of its content is there already,
//! so that what is large leaves the newest of the others. It is bounded in packs: neighbours in age become one, those that
//! are smallest together, as what small deploys sent is as likely to be asked for as the rest. Another process that has
//! opened the cache then finds a pack gone, and sends what it would have found there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use crate::bytes::{ByteReader, Malformed};
use crate::disk::{self, Dir};
use crate::error::Error;
use crate::hash::{Hash, MARK_BYTES};
use crate::wire::block::{BLOCK_BYTES_MAX, BlockDecoder, Body};

/// How much is kept.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The most that all packs take together, in bytes.
    cache_bytes: u64,
    /// The most of it that the content of one deploy takes, in bytes.
    deploy_bytes: u64,
    /// The most packs that there are: each is looked through for every changed file.
    packs: usize,
    /// By how many they become fewer where there are too many. One deploy in so many waits for that; what is copied then is a
    /// third of the cache at most.
    merged: usize,
}

const BOUNDS: Bounds = Bounds { cache_bytes: 1 << 30, deploy_bytes: 1 << 29, packs: 64, merged: 16 };

/// A pack that is older than this and has no index was left by a process that died.
const BEGUN_SECONDS_MAX: i64 = 24 * 60 * 60;

/// Files of one mark that are looked at.
const ALIKE_MAX: usize = 16;

const DIRECTORY: &str = "content";
const PACK: &str = "pack";
const INDEX: &str = "index";
const MAGIC: [u8; 8] = *b"cutcont1";

/// What was sent by earlier deploys.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: Dir,
    bounds: Bounds,
    /// The newest first.
    packs: Vec<Pack>,
}

#[derive(Debug)]
struct Pack {
    name: String,
    index: Index,
}

/// A complete pack, not looked into.
#[derive(Debug)]
struct Found {
    name: String,
    bytes: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    blocks: Vec<BlockPlace>,
    /// Sorted by key.
    files: Vec<FilePlace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BlockPlace {
    offset: u64,
    len: u32,
    unpacked_len: u32,
    packing: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FilePlace {
    key: [u8; 8],
    block: u32,
    offset: u32,
    len: u32,
}

/// Where content is said to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pack: usize,
    file: FilePlace,
}

impl Cache {
    /// Opens the cache in a state directory; what cannot be used of it is passed over.
    pub(crate) fn open(state_dir: &Path) -> Result<Cache, Error> {
        Cache::open_bounded(state_dir, BOUNDS)
    }

    fn open_bounded(state_dir: &Path, bounds: Bounds) -> Result<Cache, Error> {
        let path = state_dir.join(DIRECTORY);
        disk::create_private_path(&path)?;
        let dir = Dir::open(&path)?;
        let mut packs = Vec::new();
        for found in trim(&dir, bounds)?.into_iter().rev() {
            let index = read_index(&dir, &found.name)?;
            packs.extend(index.map(|index| Pack { name: found.name, index }));
        }
        Ok(Cache { dir, bounds, packs })
    }

    /// Finds content by its hash, or by the mark of it, of this size.
    pub(crate) fn find(&self, hash: &Hash, size: u64) -> Option<Spot> {
        let key = key_of(hash);
        let told = if hash.is_mark() { MARK_BYTES } else { key.len() };
        self.packs.iter().enumerate().find_map(|(pack, Pack { index, .. })| {
            // What of a key is not told is zeros: no key that begins so is less.
            let at = index.files.partition_point(|file| file.key < key);
            let alike = index.files[at..].iter().take_while(|file| file.key[..told] == key[..told]);
            let file = *alike.take(ALIKE_MAX).find(|file| u64::from(file.len) == size)?;
            Some(Spot { pack, file })
        })
    }

    /// Begins a pack for a deploy.
    pub(crate) fn begin(&self) -> Result<CacheWriter<'_>, Error> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let pack = PackWriter::begin(&self.dir, since.as_nanos())?;
        Ok(CacheWriter { cache: self, pack, deploy_bytes: 0 })
    }
}

/// Reads content; a block that holds more than one of the contents in question is unpacked once.
pub(crate) struct CacheReader<'a> {
    cache: &'a Cache,
    /// The block that was unpacked last, and where in it what was unpacked begins.
    at: Option<((usize, u32), usize)>,
    /// The block whose packed form is there.
    loaded: Option<(usize, u32)>,
    packed: Vec<u8>,
    decoder: BlockDecoder,
}

impl<'a> CacheReader<'a> {
    /// Makes a reader.
    pub(crate) fn new(cache: &'a Cache) -> io::Result<CacheReader<'a>> {
        Ok(CacheReader { cache, at: None, loaded: None, packed: Vec::new(), decoder: BlockDecoder::new()? })
    }

    /// Reads content where it is said to lie; nothing where that is not what is there.
    pub(crate) fn read(&mut self, spot: Spot, hash: &Hash) -> Option<&[u8]> {
        let place = (spot.pack, spot.file.block);
        let begin = spot.file.offset as usize;
        let range = begin..begin.checked_add(spot.file.len as usize)?;
        let is_there = |&(at, first): &((usize, u32), usize)| {
            at == place && first <= range.start && range.end <= first + self.decoder.content().len()
        };
        let first = match self.at.filter(is_there) {
            Some((_, first)) => first,
            None => {
                self.at = None;
                let first = self.load(spot, range.clone())?;
                self.at = Some((place, first));
                first
            }
        };
        let content = self.decoder.content().get(range.start - first..range.end - first)?;
        Hash::of(content).fits(hash).then_some(content)
    }

    /// Unpacks what holds a range of a block. Returns where in the block that begins.
    fn load(&mut self, spot: Spot, range: Range<usize>) -> Option<usize> {
        let pack = &self.cache.packs[spot.pack];
        let block = pack.index.blocks.get(spot.file.block as usize)?;
        if block.len as usize > BLOCK_BYTES_MAX {
            return None;
        }
        let place = (spot.pack, spot.file.block);
        if self.loaded.take() != Some(place) {
            // Closed again: there may be more packs than files that a process may have open.
            let file = self.cache.dir.open_file(&file_name(&pack.name, PACK)).ok()??;
            self.packed.resize(block.len as usize, 0);
            file.read_exact_at(&mut self.packed, block.offset).ok()?;
        }
        self.loaded = Some(place);
        let body = Body { packing: block.packing, unpacked_len: block.unpacked_len as usize, bytes: &self.packed };
        self.decoder.unpack_range(body, range).ok()
    }
}

/// What a deploy sends, being kept.
pub(crate) struct CacheWriter<'a> {
    cache: &'a Cache,
    pack: PackWriter<'a>,
    /// What the content of this deploy takes in the cache, so far.
    deploy_bytes: u64,
}

impl CacheWriter<'_> {
    /// Adds a block that holds these contents, one after the other, unless all of them are there or this deploy has taken
    /// its part of the cache.
    pub(crate) fn add(&mut self, body: Body<'_>, contents: &[(Hash, u32)]) -> Result<(), Error> {
        let bytes = self.deploy_bytes + body.bytes.len() as u64;
        if bytes > self.cache.bounds.deploy_bytes {
            return Ok(());
        }
        self.deploy_bytes = bytes;
        if contents.iter().all(|(hash, len)| self.cache.find(hash, u64::from(*len)).is_some()) {
            return Ok(());
        }
        self.pack.add(body, contents)
    }

    /// Makes the pack known, and keeps the cache within its bounds.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.pack.index.blocks.is_empty() {
            // Dropping it removes it.
            return Ok(());
        }
        self.pack.finish()?;
        trim(&self.cache.dir, self.cache.bounds).map(drop)
    }
}

/// A pack being written; one that is not finished leaves nothing behind.
struct PackWriter<'a> {
    dir: &'a Dir,
    name: String,
    file: BufWriter<File>,
    written: u64,
    index: Index,
    is_finished: bool,
}

impl<'a> PackWriter<'a> {
    /// Begins a pack of that age, in nanoseconds since 1970.
    fn begin(dir: &'a Dir, nanos: u128) -> Result<PackWriter<'a>, Error> {
        let name = format!("{nanos:020}-{}", std::process::id());
        let file = BufWriter::new(dir.create_file(&file_name(&name, PACK))?);
        Ok(PackWriter { dir, name, file, written: 0, index: Index::default(), is_finished: false })
    }

    fn add(&mut self, body: Body<'_>, contents: &[(Hash, u32)]) -> Result<(), Error> {
        let block = self.index.blocks.len() as u32;
        let (offset, len) = (self.written, body.bytes.len() as u32);
        let place = BlockPlace { offset, len, unpacked_len: body.unpacked_len as u32, packing: body.packing };
        self.index.blocks.push(place);
        let mut offset = 0;
        for (hash, len) in contents {
            self.index.files.push(FilePlace { key: key_of(hash), block, offset, len: *len });
            offset += len;
        }
        self.file.write_all(body.bytes).map_err(|e| self.failed(e))?;
        self.written += body.bytes.len() as u64;
        Ok(())
    }

    /// Adds all that another pack holds.
    fn add_pack(&mut self, index: Index, mut file: File) -> Result<(), Error> {
        let (first, begin) = (self.index.blocks.len() as u32, self.written);
        let moved = |block: BlockPlace| BlockPlace { offset: block.offset + begin, ..block };
        self.index.blocks.extend(index.blocks.into_iter().map(moved));
        let moved = |file: FilePlace| FilePlace { block: file.block + first, ..file };
        self.index.files.extend(index.files.into_iter().map(moved));
        self.written += io::copy(&mut file, &mut self.file).map_err(|e| self.failed(e))?;
        Ok(())
    }

    fn finish(mut self) -> Result<(), Error> {
        self.file.flush().map_err(|e| self.failed(e))?;
        self.index.files.sort_unstable();
        let begun = file_name(&self.name, "new");
        let mut file = self.dir.create_file(&begun)?;
        file.write_all(&self.index.to_bytes()).map_err(|e| self.failed(e))?;
        self.dir.rename(&begun, self.dir, &file_name(&self.name, INDEX))?;
        self.is_finished = true;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io("write", self.dir.path_of(&file_name(&self.name, PACK)), error)
    }
}

impl Drop for PackWriter<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            for extension in [PACK, "new"] {
                self.dir.remove_file(&file_name(&self.name, extension)).ok();
            }
        }
    }
}

impl Index {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        for block in &self.blocks {
            out.extend_from_slice(&block.offset.to_le_bytes());
            out.extend_from_slice(&block.len.to_le_bytes());
            out.extend_from_slice(&block.unpacked_len.to_le_bytes());
            out.push(block.packing);
        }
        out.extend_from_slice(&(self.files.len() as u32).to_le_bytes());
        for file in &self.files {
            out.extend_from_slice(&file.key);
            for number in [file.block, file.offset, file.len] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        let hash = Hash::of(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Index, Malformed> {
        let (bytes, hash) = bytes.split_last_chunk::<32>().ok_or(Malformed)?;
        if Hash::of(bytes) != Hash::from_bytes(*hash) {
            return Err(Malformed);
        }
        let mut reader = ByteReader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(Malformed);
        }
        let mut index = Index::default();
        for _ in 0..u32::from_le_bytes(reader.array()?) {
            index.blocks.push(BlockPlace {
                offset: u64::from_le_bytes(reader.array()?),
                len: u32::from_le_bytes(reader.array()?),
                unpacked_len: u32::from_le_bytes(reader.array()?),
                packing: reader.byte()?,
            });
        }
        for _ in 0..u32::from_le_bytes(reader.array()?) {
            let key = reader.array()?;
            let mut number = || reader.array().map(u32::from_le_bytes);
            index.files.push(FilePlace { key, block: number()?, offset: number()?, len: number()? });
        }
        Ok(index)
    }
}

fn key_of(hash: &Hash) -> [u8; 8] {
    let mut key = [0; 8];
    key.copy_from_slice(&hash.as_bytes()[..8]);
    key
}

fn file_name(pack: &str, extension: &str) -> Vec<u8> {
    format!("{pack}.{extension}").into_bytes()
}

/// Returns the complete packs, the oldest first. What is left of one that is gone goes too.
fn packs_by_age(dir: &Dir) -> Result<Vec<Found>, Error> {
    let pack = |name: &Vec<u8>| Some(str::from_utf8(name).ok()?.strip_suffix(INDEX)?.strip_suffix('.')?.to_owned());
    let mut packs = Vec::new();
    for name in dir.names()?.iter().filter_map(pack) {
        match dir.stat(&file_name(&name, PACK))? {
            Some(stat) => packs.push(Found { name, bytes: stat.size }),
            None => remove_pack(dir, &name)?,
        }
    }
    Ok(packs)
}

/// Reads the index of a pack; a pack whose index is not right is as good as none, and is removed.
fn read_index(dir: &Dir, name: &str) -> Result<Option<Index>, Error> {
    let index = dir.read(&file_name(name, INDEX))?.and_then(|bytes| Index::from_bytes(&bytes).ok());
    if index.is_none() {
        remove_pack(dir, name)?;
    }
    Ok(index)
}

fn remove_pack(dir: &Dir, name: &str) -> Result<(), Error> {
    // The index first: a pack without one is never read.
    [INDEX, PACK].iter().try_for_each(|extension| dir.remove_file(&file_name(name, extension)).map(drop))
}

/// Brings the cache within its bounds, and removes what processes that died have begun. Returns the packs that are left,
/// the oldest first.
fn trim(dir: &Dir, bounds: Bounds) -> Result<Vec<Found>, Error> {
    let mut packs = Vec::new();
    let mut room = bounds.cache_bytes;
    for found in packs_by_age(dir)?.into_iter().rev() {
        match room.checked_sub(found.bytes) {
            Some(rest) => {
                room = rest;
                packs.push(found);
            }
            // An older one may be smaller.
            None => remove_pack(dir, &found.name)?,
        }
    }
    packs.reverse();
    while packs.len() > bounds.packs {
        merge_smallest(dir, &mut packs, bounds.merged + 1)?;
    }
    remove_begun(dir, &packs)?;
    Ok(packs)
}

/// Makes one pack of so many that follow each other in age: of those that take least together.
fn merge_smallest(dir: &Dir, packs: &mut Vec<Found>, count: usize) -> Result<(), Error> {
    let bytes = |run: &[Found]| run.iter().map(|found| found.bytes).sum::<u64>();
    let runs = packs.windows(count).map(bytes).enumerate();
    let first = runs.min_by_key(|&(_, bytes)| bytes).map_or(0, |(first, _)| first);
    let run = first..(first + count).min(packs.len());
    // As old as the newest of them, and none of them.
    let newest = packs[run.end - 1].name.split('-').next().and_then(|nanos| nanos.parse::<u128>().ok());
    let mut merged = PackWriter::begin(dir, newest.unwrap_or(0) + 1)?;
    for found in &packs[run.clone()] {
        let index = read_index(dir, &found.name)?;
        if let Some((index, file)) = index.zip(dir.open_file(&file_name(&found.name, PACK))?) {
            merged.add_pack(index, file)?;
        }
    }
    let found = Found { name: merged.name.clone(), bytes: merged.written };
    merged.finish()?;
    packs[run.clone()].iter().try_for_each(|found| remove_pack(dir, &found.name))?;
    packs.splice(run, [found]);
    Ok(())
}

/// Removes what was begun long ago.
fn remove_begun(dir: &Dir, packs: &[Found]) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    for name in dir.names()? {
        let is_of_a_pack = packs.iter().any(|pack| name.starts_with(pack.name.as_bytes()));
        if !is_of_a_pack && dir.stat(&name)?.is_some_and(|stat| now - stat.mtime > BEGUN_SECONDS_MAX) {
            dir.remove_file(&name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SMALL: Bounds = Bounds { cache_bytes: 4000, deploy_bytes: 2000, packs: 8, merged: 3 };

    /// A content of its own for each number, of 100 bytes.
    fn content(number: u32) -> Vec<u8> {
        number.to_le_bytes().repeat(25)
    }

    /// Keeps these contents as a deploy does, a block for each.
    fn keep(state: &Path, bounds: Bounds, numbers: std::ops::Range<u32>) {
        let cache = Cache::open_bounded(state, bounds).unwrap();
        let mut writer = cache.begin().unwrap();
        for number in numbers {
            let content = content(number);
            let body = Body { packing: 0, unpacked_len: content.len(), bytes: &content };
            writer.add(body, &[(Hash::of(&content), content.len() as u32)]).unwrap();
        }
        writer.finish().unwrap();
    }

    /// Returns which of the contents can be read.
    fn kept(state: &Path, bounds: Bounds, numbers: std::ops::Range<u32>) -> Vec<u32> {
        let cache = Cache::open_bounded(state, bounds).unwrap();
        let mut reader = CacheReader::new(&cache).unwrap();
        let is_kept = |number: &u32| {
            let content = content(*number);
            let hash = Hash::of(&content);
            cache.find(&hash, content.len() as u64).is_some_and(|spot| reader.read(spot, &hash) == Some(&content[..]))
        };
        numbers.filter(is_kept).collect()
    }

    fn packs(state: &Path) -> usize {
        let is_pack = |path: &Path| path.extension().is_some_and(|extension| extension == PACK);
        fs::read_dir(state.join(DIRECTORY)).unwrap().filter(|entry| is_pack(&entry.as_ref().unwrap().path())).count()
    }

    #[test]
    fn what_many_small_deploys_sent_is_kept_in_few_packs() {
        let state = tempfile::tempdir().unwrap();
        for number in 0..30 {
            keep(state.path(), SMALL, number..number + 1);
            assert!(packs(state.path()) <= SMALL.packs, "{} packs", packs(state.path()));
        }
        assert_eq!(kept(state.path(), SMALL, 0..30), (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn more_packs_than_files_may_be_open_are_read_and_become_fewer() {
        // More than are allowed, as an earlier version left them.
        let many = Bounds { packs: usize::MAX, ..SMALL };
        let state = tempfile::tempdir().unwrap();
        (0..30).for_each(|number| keep(state.path(), many, number..number + 1));
        let cache = Cache::open_bounded(state.path(), many).unwrap();
        let open =
            || fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let is_pack = |path: &std::path::PathBuf| path.starts_with(state.path()) && path.extension().is_some();
        assert_eq!((cache.packs.len(), open().filter(is_pack).count()), (30, 0));
        drop(cache);
        assert_eq!(kept(state.path(), SMALL, 0..30), (0..30).collect::<Vec<_>>());
        assert!(packs(state.path()) <= SMALL.packs);
    }

    #[test]
    fn a_deploy_that_is_too_large_keeps_its_beginning_and_what_was_there() {
        let state = tempfile::tempdir().unwrap();
        keep(state.path(), SMALL, 0..10);
        // Twice the same, as to another target: what of it is there counts.
        for _ in 0..2 {
            keep(state.path(), SMALL, 100..200);
            assert_eq!(kept(state.path(), SMALL, 0..200), (0..10).chain(100..120).collect::<Vec<_>>());
        }
        assert_eq!(packs(state.path()), 2);
    }

    #[test]
    fn the_oldest_go_where_there_is_too_much() {
        let state = tempfile::tempdir().unwrap();
        for deploy in 0..6 {
            keep(state.path(), SMALL, deploy * 10..deploy * 10 + 10);
        }
        assert_eq!(kept(state.path(), SMALL, 0..60), (20..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_pack_that_went_while_the_cache_was_open_costs_nothing_but_its_content() {
        let state = tempfile::tempdir().unwrap();
        keep(state.path(), SMALL, 0..1);
        let cache = Cache::open_bounded(state.path(), SMALL).unwrap();
        let hash = Hash::of(&content(0));
        let spot = cache.find(&hash, 100).unwrap();
        fs::remove_dir_all(state.path().join(DIRECTORY)).unwrap();
        assert_eq!(CacheReader::new(&cache).unwrap().read(spot, &hash), None);
    }
}
