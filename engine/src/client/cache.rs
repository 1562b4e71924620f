//! The content cache: content of earlier deploys, kept so that the next version of a file can be described in terms of
//! it.
//!
//! ```text
//! <state directory>/content/
//! ├── <time>-<process>.pack     content and patches, in blocks: each frame as it was sent is a block
//! └── <time>-<process>.index    the place of each file's content in it; made when the pack is complete (cache/index.rs)
//! ```
//!
//! Content that was sent whole is kept as it was sent. Content that was sent in terms of old content from this cache is
//! kept as a patch of whole content in the cache (`patch.rs`): packing all of it once more would take much longer. A
//! patch is always one of whole content. If that is gone with its pack, the patch is useless, and is not found.
//!
//! Missing, cut off or altered files in the cache cost bytes on the wire and nothing else. An index is checked against
//! its hash, and content that is read against the content's hash. Only the pack files that are being read are open.
//!
//! The cache is bounded in bytes: the oldest packs are removed. One deploy may fill half of the cache, content that is
//! there already included, so that a large deploy leaves the newest of the others. The cache is bounded in packs too:
//! neighbours in age are merged, those that are smallest together, as the content of small deploys is as likely to be
//! asked for as the rest. Another process that has opened the cache then misses a pack, and sends the content that it
//! would have found there.

mod index;
mod name;
mod pack;
mod reader;
mod unpacker;

use std::path::Path;
use std::time::SystemTime;

use crate::disk::{self, Dir};
use crate::error::Error;
use crate::hash::Hash;
use crate::wire::block::Body;

use index::{FilePlace, Index};
use name::{BEGUN, INDEX, PACK, file_name, pack_of};
use pack::PackWriter;

pub(crate) use index::WholeContent;
pub(crate) use pack::{CachedFile, CachedPatch};
pub(crate) use reader::CacheReader;

/// The bounds of the cache.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The most bytes of all packs together.
    cache_bytes: u64,
    /// The most bytes of the content of one deploy.
    deploy_bytes: u64,
    /// The most packs: each is searched for every changed file.
    packs: usize,
    /// The number by which too many packs are reduced at once. One deploy in so many waits for that, and copies at most
    /// a third of the cache.
    merged: usize,
}

const BOUNDS: Bounds = Bounds { cache_bytes: 1 << 30, deploy_bytes: 1 << 29, packs: 64, merged: 16 };

/// The age in seconds after which a pack without an index is removed: the process that wrote it has died.
const BEGUN_SECONDS_MAX: i64 = 24 * 60 * 60;

const DIRECTORY: &str = "content";

/// The cached content of earlier deploys.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: Dir,
    bounds: Bounds,
    /// The packs, newest first.
    packs: Vec<Pack>,
}

#[derive(Debug)]
struct Pack {
    name: String,
    index: Index,
}

/// A complete pack whose index was not read.
#[derive(Debug)]
struct PackFile {
    name: String,
    bytes: u64,
}

/// The place of content, according to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CachePlace {
    /// Whole.
    Whole(WholePlace),
    /// In the patch of this number in its pack, of whole content.
    Patch { pack: usize, number: u32, whole: WholePlace },
}

/// The place of whole content, according to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WholePlace {
    pack: usize,
    file: FilePlace,
}

impl Cache {
    /// Opens the cache in a state directory. Unusable parts of it are ignored.
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

    /// Finds content of this size by its hash, or by its mark: whole, or as a patch of whole content.
    pub(crate) fn find(&self, hash: &Hash, size: u64) -> Option<CachePlace> {
        let size = u32::try_from(size).ok()?;
        self.find_whole(hash, size).map(CachePlace::Whole).or_else(|| self.find_patch(hash, size))
    }

    fn find_whole(&self, hash: &Hash, size: u32) -> Option<WholePlace> {
        let place = |(pack, found): (usize, &Pack)| Some(WholePlace { pack, file: found.index.whole(hash, size)? });
        self.packs.iter().enumerate().find_map(place)
    }

    fn find_patch(&self, hash: &Hash, size: u32) -> Option<CachePlace> {
        let of = |whole: &WholeContent| self.find_whole(&whole.hash, whole.size);
        self.packs.iter().enumerate().find_map(|(pack, found)| {
            let (number, whole) = found.index.patch(hash, size, of)?;
            Some(CachePlace::Patch { pack, number, whole })
        })
    }

    /// Begins a pack for a deploy.
    pub(crate) fn begin(&self) -> Result<CacheWriter<'_>, Error> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let pack = PackWriter::begin(&self.dir, since.as_nanos())?;
        Ok(CacheWriter { cache: self, pack, deploy_bytes: 0 })
    }
}

/// A writer of the content that a deploy sends.
pub(crate) struct CacheWriter<'a> {
    cache: &'a Cache,
    pack: PackWriter<'a>,
    /// The bytes of this deploy's content in the cache, so far.
    deploy_bytes: u64,
}

impl CacheWriter<'_> {
    /// Adds a body with these files, one after the other, unless the cache has all of them or this deploy has used its
    /// share of the cache.
    pub(crate) fn add(&mut self, body: Body<'_>, files: &[CachedFile]) -> Result<(), Error> {
        let bytes = self.deploy_bytes + body.bytes.len() as u64;
        if bytes > self.cache.bounds.deploy_bytes {
            return Ok(());
        }
        self.deploy_bytes = bytes;
        if files.iter().all(|file| self.cache.find(&file.hash, file.size.into()).is_some()) {
            return Ok(());
        }
        self.pack.add(body, files)
    }

    /// Publishes the pack, and keeps the cache within its bounds.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.pack.is_empty() {
            // Dropping the pack removes it.
            return Ok(());
        }
        self.pack.finish()?;
        trim(&self.cache.dir, self.cache.bounds).map(drop)
    }
}

/// Returns the complete packs, oldest first. Removes indexes without a pack.
fn packs_by_age(dir: &Dir) -> Result<Vec<PackFile>, Error> {
    let mut packs = Vec::new();
    for name in dir.names()?.iter().filter_map(|name| pack_of(name, &[INDEX])) {
        match dir.stat(&file_name(&name, PACK))? {
            Some(stat) => packs.push(PackFile { name, bytes: stat.size }),
            None => remove_pack(dir, &name)?,
        }
    }
    Ok(packs)
}

/// Reads the index of a pack. Removes a pack whose index is damaged.
fn read_index(dir: &Dir, name: &str) -> Result<Option<Index>, Error> {
    let index = dir.read(&file_name(name, INDEX))?.and_then(|bytes| Index::from_bytes(&bytes).ok());
    if index.is_none() {
        remove_pack(dir, name)?;
    }
    Ok(index)
}

fn remove_pack(dir: &Dir, name: &str) -> Result<(), Error> {
    // The index first: a pack without an index is never read.
    [INDEX, PACK].iter().try_for_each(|extension| dir.remove_file(&file_name(name, extension)).map(drop))
}

/// Brings the cache within its bounds, and removes unfinished files of processes that died. Returns the remaining
/// packs, oldest first.
fn trim(dir: &Dir, bounds: Bounds) -> Result<Vec<PackFile>, Error> {
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

/// Merges this many packs of neighbouring age into one: those that are smallest together.
fn merge_smallest(dir: &Dir, packs: &mut Vec<PackFile>, count: usize) -> Result<(), Error> {
    let bytes = |run: &[PackFile]| run.iter().map(|found| found.bytes).sum::<u64>();
    let runs = packs.windows(count).map(bytes).enumerate();
    let first = runs.min_by_key(|&(_, bytes)| bytes).map_or(0, |(first, _)| first);
    let run = first..(first + count).min(packs.len());
    // As old as the newest of them, with a name of its own.
    let newest = packs[run.end - 1].name.split('-').next().and_then(|nanos| nanos.parse::<u128>().ok());
    let mut merged = PackWriter::begin(dir, newest.unwrap_or(0) + 1)?;
    for found in &packs[run.clone()] {
        let index = read_index(dir, &found.name)?;
        if let Some((index, file)) = index.zip(dir.open_file(&file_name(&found.name, PACK))?) {
            merged.add_pack(index, &file)?;
        }
    }
    let found = PackFile { name: merged.name.clone(), bytes: merged.written };
    merged.finish()?;
    packs[run.clone()].iter().try_for_each(|found| remove_pack(dir, &found.name))?;
    packs.splice(run, [found]);
    Ok(())
}

/// Removes unfinished files that were begun long ago.
fn remove_begun(dir: &Dir, packs: &[PackFile]) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    for name in dir.names()? {
        let Some(of) = pack_of(&name, &[PACK, INDEX, BEGUN]) else { continue };
        if packs.iter().all(|pack| pack.name != of)
            && dir.stat(&name)?.is_some_and(|stat| now - stat.mtime > BEGUN_SECONDS_MAX)
        {
            dir.remove_file(&name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::name::NANOS_DIGITS;
    use super::*;
    use crate::client::patch::Patch;
    use crate::delta::DeltaEncoder;

    const SMALL: Bounds = Bounds { cache_bytes: 4000, deploy_bytes: 2000, packs: 8, merged: 3 };

    /// A content of its own for each number, of 100 bytes.
    fn content(number: u32) -> Vec<u8> {
        number.to_le_bytes().repeat(25)
    }

    fn kept_file(content: &[u8]) -> CachedFile {
        CachedFile { hash: Hash::of(content), size: content.len() as u32, patch: None }
    }

    /// Names the files of these lengths that content is of.
    pub(super) fn files_of(mut content: &[u8], lens: &[u32]) -> Vec<CachedFile> {
        let mut file = |&len: &u32| {
            let (file, rest) = content.split_at(len as usize);
            content = rest;
            kept_file(file)
        };
        lens.iter().map(&mut file).collect()
    }

    pub(super) fn pack_path(cache: &Cache, state: &Path, pack: usize) -> PathBuf {
        state.join(DIRECTORY).join(format!("{}.{PACK}", cache.packs[pack].name))
    }

    /// Keeps these contents as a deploy does, a block for each.
    fn keep(state: &Path, bounds: Bounds, numbers: std::ops::Range<u32>) {
        let cache = Cache::open_bounded(state, bounds).unwrap();
        let mut writer = cache.begin().unwrap();
        for number in numbers {
            let content = content(number);
            let body = Body { packing: 0, unpacked_len: content.len(), bytes: &content };
            writer.add(body, &[kept_file(&content)]).unwrap();
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
            let place = cache.find(&hash, content.len() as u64);
            place.and_then(|place| reader.read(place, &hash)).is_some_and(|cached| cached.content == content)
        };
        numbers.filter(is_kept).collect()
    }

    fn packs(state: &Path) -> usize {
        let is_pack = |path: &Path| path.extension().is_some_and(|extension| extension == PACK);
        fs::read_dir(state.join(DIRECTORY)).unwrap().filter(|entry| is_pack(&entry.as_ref().unwrap().path())).count()
    }

    #[test]
    fn what_is_not_of_the_cache_stays_in_a_directory_of_its_name() {
        let state = tempfile::tempdir().unwrap();
        let content = state.path().join(DIRECTORY);
        fs::create_dir(&content).unwrap();
        let old = SystemTime::now() - std::time::Duration::from_secs(40 * 86_400);
        let pack = format!("{:0NANOS_DIGITS$}-7", 1);
        let ours = [format!("{pack}.pack"), format!("{pack}.new")];
        let others = [
            "post.md".to_owned(),
            "notes.index".to_owned(),
            "2024-05.index".to_owned(),
            "2024-05.pack".to_owned(),
            format!("{pack}.md"),
            format!("{pack}.pack.gz"),
            format!("{pack}a.pack"),
            pack.clone(),
        ];
        for name in ours.iter().chain(&others) {
            fs::File::create(content.join(name)).unwrap().set_modified(old).unwrap();
        }
        keep(state.path(), SMALL, 0..1);
        for name in ours {
            assert!(!content.join(&name).exists(), "{name}");
        }
        for name in others {
            assert!(content.join(&name).exists(), "{name}");
        }
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
        // The same content twice, as for another target: content that is there already counts.
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
        let place = cache.find(&hash, 100).unwrap();
        fs::remove_dir_all(state.path().join(DIRECTORY)).unwrap();
        assert_eq!(CacheReader::new(&cache).unwrap().read(place, &hash), None);
    }

    /// Content of 1000 bytes, of which the first and the last are these.
    fn edited(first: u8, last: u8) -> Vec<u8> {
        let mut content: Vec<u8> = (0..1000_u32).map(|at| (at * at % 251) as u8).collect();
        (content[0], content[999]) = (first, last);
        content
    }

    /// Keeps content as a patch of other content that is read from the cache.
    fn keep_patch(state: &Path, bounds: Bounds, old: &[u8], new: &[u8]) {
        let cache = Cache::open_bounded(state, bounds).unwrap();
        let mut reader = CacheReader::new(&cache).unwrap();
        let hash = Hash::of(old);
        let cached = reader.read(cache.find(&hash, old.len() as u64).unwrap(), &hash).unwrap();
        let patch = Patch::of_copies(DeltaEncoder::new().add(old, new), new.len());
        let patch = if let Some(old) = cached.patch { patch.through(old) } else { patch };
        let mut bytes = Vec::new();
        patch.put(new, &mut bytes);
        let of = CachedPatch { len: bytes.len() as u32, whole: cached.whole };
        let mut writer = cache.begin().unwrap();
        let body = Body { packing: 0, unpacked_len: bytes.len(), bytes: &bytes };
        writer.add(body, &[CachedFile { patch: Some(of), ..kept_file(new) }]).unwrap();
        writer.finish().unwrap();
    }

    /// Keeps content whole.
    fn keep_whole(state: &Path, bounds: Bounds, content: &[u8]) {
        let cache = Cache::open_bounded(state, bounds).unwrap();
        let mut writer = cache.begin().unwrap();
        writer.add(Body { packing: 0, unpacked_len: content.len(), bytes: content }, &[kept_file(content)]).unwrap();
        writer.finish().unwrap();
    }

    /// Reads content by its hash and by its mark. Returns the whole content that it is made of.
    fn read(state: &Path, bounds: Bounds, content: &[u8]) -> Option<(Hash, bool)> {
        let cache = Cache::open_bounded(state, bounds).unwrap();
        let mut reader = CacheReader::new(&cache).unwrap();
        let hash = Hash::of(content);
        let mut read = |told: Hash| {
            let cached = reader.read(cache.find(&told, content.len() as u64)?, &told)?;
            assert!(cached.content == content);
            Some((cached.whole.hash, cached.patch.is_some()))
        };
        let found = read(hash);
        assert_eq!(read(Hash::of_mark(hash.mark())), found);
        found
    }

    #[test]
    fn a_patch_of_what_a_patch_made_is_one_of_whole_content() {
        let state = tempfile::tempdir().unwrap();
        let contents = [edited(0, 0), edited(1, 0), edited(1, 1), edited(2, 1)];
        keep_whole(state.path(), BOUNDS, &contents[0]);
        for (old, new) in contents.iter().zip(&contents[1..]) {
            keep_patch(state.path(), BOUNDS, old, new);
        }
        let whole = Hash::of(&contents[0]);
        for (number, content) in contents.iter().enumerate() {
            assert_eq!(read(state.path(), BOUNDS, content), Some((whole, number > 0)));
        }
    }

    #[test]
    fn a_patch_whose_whole_content_went_is_not_found_until_that_is_there_again() {
        let state = tempfile::tempdir().unwrap();
        let (old, new) = (edited(0, 0), edited(1, 0));
        keep_whole(state.path(), SMALL, &old);
        keep_patch(state.path(), SMALL, &old, &new);
        assert!(read(state.path(), SMALL, &new).is_some());
        // The older pack goes, and the smaller one stays.
        (0..4).for_each(|deploy| keep(state.path(), SMALL, deploy * 9..deploy * 9 + 9));
        assert_eq!([&old, &new].map(|content| read(state.path(), SMALL, content)), [None, None]);
        keep_whole(state.path(), SMALL, &old);
        assert_eq!(read(state.path(), SMALL, &new), Some((Hash::of(&old), true)));
    }

    #[test]
    fn patches_are_read_after_their_packs_became_one() {
        let state = tempfile::tempdir().unwrap();
        let whole = edited(0, 0);
        keep_whole(state.path(), BOUNDS, &whole);
        let few = Bounds { packs: 3, merged: 2, ..BOUNDS };
        for number in 1..20 {
            keep_patch(state.path(), few, &whole, &edited(number, number));
            assert!(packs(state.path()) <= few.packs);
        }
        for number in 1..20 {
            let content = edited(number, number);
            assert_eq!(read(state.path(), few, &content), Some((Hash::of(&whole), true)), "{number}");
        }
    }

    #[test]
    fn a_patch_that_makes_other_content_gives_nothing() {
        let state = tempfile::tempdir().unwrap();
        let (old, new) = (edited(0, 0), edited(1, 0));
        keep_whole(state.path(), BOUNDS, &old);
        keep_patch(state.path(), BOUNDS, &old, &new);
        let cache = Cache::open(state.path()).unwrap();
        // The newest is the patch.
        for (pack, at) in [(0, 0), (0, 4), (1, 500)] {
            let path = pack_path(&cache, state.path(), pack);
            let kept = fs::read(&path).unwrap();
            let mut altered = kept.clone();
            altered[at] ^= 1;
            fs::write(&path, altered).unwrap();
            assert_eq!(read(state.path(), BOUNDS, &new), None, "{pack} {at}");
            fs::write(&path, kept).unwrap();
            assert!(read(state.path(), BOUNDS, &new).is_some());
        }
    }
}
