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
//! checked against its hash and what is read against the content's. When it has grown too large, the oldest packs go.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use crate::bytes::{ByteReader, Malformed};
use crate::disk::{self, Dir};
use crate::error::Error;
use crate::hash::{Hash, MARK_BYTES};
use crate::wire::block::{BLOCK_BYTES_MAX, BlockDecoder, Body};

/// The most that all packs take together, in bytes.
const CACHE_BYTES_MAX: u64 = 1 << 30;

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
    /// The newest first.
    packs: Vec<Pack>,
}

#[derive(Debug)]
struct Pack {
    file: File,
    index: Index,
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
        let path = state_dir.join(DIRECTORY);
        disk::create_private_path(&path)?;
        let dir = Dir::open(&path)?;
        let mut packs = Vec::new();
        for name in names_by_age(&dir)?.iter().rev() {
            packs.extend(open_pack(&dir, name)?);
        }
        Ok(Cache { dir, packs })
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

    /// Begins a pack.
    pub(crate) fn begin(&self) -> Result<CacheWriter<'_>, Error> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("{:020}-{}", since.as_nanos(), std::process::id());
        let file = self.dir.create_file(&file_name(&name, PACK))?;
        let file = BufWriter::new(file);
        Ok(CacheWriter { cache: self, name, file, written: 0, index: Index::default(), is_finished: false })
    }
}

/// Reads content; a block that holds more than one of the contents in question is unpacked once.
pub(crate) struct CacheReader<'a> {
    cache: &'a Cache,
    /// The block that was unpacked last.
    at: Option<(usize, u32)>,
    packed: Vec<u8>,
    decoder: BlockDecoder,
}

impl<'a> CacheReader<'a> {
    /// Makes a reader.
    pub(crate) fn new(cache: &'a Cache) -> io::Result<CacheReader<'a>> {
        Ok(CacheReader { cache, at: None, packed: Vec::new(), decoder: BlockDecoder::new()? })
    }

    /// Reads content where it is said to lie; nothing where that is not what is there.
    pub(crate) fn read(&mut self, spot: Spot, hash: &Hash) -> Option<&[u8]> {
        let place = (spot.pack, spot.file.block);
        if self.at != Some(place) {
            self.at = None;
            self.load(spot)?;
            self.at = Some(place);
        }
        let begin = spot.file.offset as usize;
        let content = self.decoder.content().get(begin..begin.checked_add(spot.file.len as usize)?)?;
        Hash::of(content).fits(hash).then_some(content)
    }

    fn load(&mut self, spot: Spot) -> Option<()> {
        let pack = &self.cache.packs[spot.pack];
        let block = pack.index.blocks.get(spot.file.block as usize)?;
        if block.len as usize > BLOCK_BYTES_MAX {
            return None;
        }
        self.packed.resize(block.len as usize, 0);
        pack.file.read_exact_at(&mut self.packed, block.offset).ok()?;
        let body = Body { packing: block.packing, unpacked_len: block.unpacked_len as usize, bytes: &self.packed };
        self.decoder.unpack(body).ok().map(drop)
    }
}

/// A pack being written.
pub(crate) struct CacheWriter<'a> {
    cache: &'a Cache,
    name: String,
    file: BufWriter<File>,
    written: u64,
    index: Index,
    is_finished: bool,
}

impl CacheWriter<'_> {
    /// Adds a block that holds these contents, one after the other, unless all of them are there.
    pub(crate) fn add(&mut self, body: Body<'_>, contents: &[(Hash, u32)]) -> Result<(), Error> {
        if contents.iter().all(|(hash, len)| self.cache.find(hash, u64::from(*len)).is_some()) {
            return Ok(());
        }
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

    /// Makes the pack known, and removes the oldest where there is too much.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        if self.index.blocks.is_empty() {
            // Dropping it removes it.
            return Ok(());
        }
        let dir = &self.cache.dir;
        self.file.flush().map_err(|e| self.failed(e))?;
        self.index.files.sort_unstable();
        let begun = file_name(&self.name, "new");
        let mut file = dir.create_file(&begun)?;
        file.write_all(&self.index.to_bytes()).map_err(|e| self.failed(e))?;
        dir.rename(&begun, dir, &file_name(&self.name, INDEX))?;
        self.is_finished = true;
        trim(dir)
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io("write", self.cache.dir.path_of(&file_name(&self.name, PACK)), error)
    }
}

impl Drop for CacheWriter<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.cache.dir.remove_file(&file_name(&self.name, PACK)).ok();
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

/// Returns the names of complete packs, the oldest first.
fn names_by_age(dir: &Dir) -> Result<Vec<String>, Error> {
    let pack = |name: Vec<u8>| Some(String::from_utf8(name).ok()?.strip_suffix(INDEX)?.strip_suffix('.')?.to_owned());
    Ok(dir.names()?.into_iter().filter_map(pack).collect())
}

/// Opens a pack; one whose index is not right is as good as none, and is removed.
fn open_pack(dir: &Dir, name: &str) -> Result<Option<Pack>, Error> {
    let index = dir.read(&file_name(name, INDEX)).ok().flatten().and_then(|bytes| Index::from_bytes(&bytes).ok());
    match (dir.open_file(&file_name(name, PACK))?, index) {
        (Some(file), Some(index)) => Ok(Some(Pack { file, index })),
        _ => remove_pack(dir, name).map(|()| None),
    }
}

fn remove_pack(dir: &Dir, name: &str) -> Result<(), Error> {
    // The index first: a pack without one is never read.
    [INDEX, PACK].iter().try_for_each(|extension| dir.remove_file(&file_name(name, extension)).map(drop))
}

/// Removes the oldest packs until the rest is small enough, and what processes that died have begun.
fn trim(dir: &Dir) -> Result<(), Error> {
    let packs = names_by_age(dir)?;
    let mut room = CACHE_BYTES_MAX;
    for name in packs.iter().rev() {
        let bytes = dir.stat(&file_name(name, PACK))?.map_or(0, |stat| stat.size);
        match room.checked_sub(bytes) {
            Some(rest) => room = rest,
            None => {
                room = 0;
                remove_pack(dir, name)?;
            }
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    for name in dir.names()? {
        let is_of_a_pack = packs.iter().any(|pack| name.starts_with(pack.as_bytes()));
        if !is_of_a_pack && dir.stat(&name)?.is_some_and(|stat| now - stat.mtime > BEGUN_SECONDS_MAX) {
            dir.remove_file(&name)?;
        }
    }
    Ok(())
}
