//! A block of a pack, unpacked on demand.
//!
//! Its packed bytes are read in ranges as they are needed, and unpacked as a stream into memory that is kept. Bytes
//! behind the requested range are neither read nor unpacked. A later range continues the stream, and an earlier range
//! is in memory. So no part of a block is unpacked twice while its files are requested in order.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use crate::wire::block::BLOCK_BYTES_MAX;

use super::Cache;
use super::index::{BlockPlace, FilePlace};
use super::name::{PACK, file_name};

/// The packed bytes that are read at once: most frames at low levels.
const READ_BYTES: usize = 64 << 10;

/// The bytes with which a stream begins. The stream then says how many it needs.
const BEGIN_BYTES: usize = 5;

/// An unpacker of one block at a time.
pub(super) struct Unpacker<'a> {
    cache: &'a Cache,
    /// The number of the last pack in the cache, and its file, which stays open.
    pack: Option<(usize, File)>,
    /// The pack of the block, and the number of the block in it.
    at: Option<(usize, u32)>,
    block: BlockPlace,
    context: DCtx<'static>,
    /// The unpacked part of the block. Its memory is never moved while the stream continues: the stream refers to it.
    content: Vec<u8>,
    /// The last packed bytes that were read.
    packed: Box<[u8]>,
    /// The range of them that was not unpacked yet.
    waiting: Range<usize>,
    /// The number of packed bytes of the block that were read.
    read: usize,
    /// The number of packed bytes that the stream asks for. With so many at a time it unpacks at most one of zstd's
    /// blocks.
    wanted: usize,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(cache: &'a Cache) -> io::Result<Unpacker<'a>> {
        let failed = |code| io::Error::other(get_error_name(code));
        let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        context.set_parameter(DParameter::StableOutBuffer(true)).map_err(failed)?;
        Ok(Unpacker {
            cache,
            pack: None,
            at: None,
            block: BlockPlace::default(),
            context,
            content: Vec::new(),
            packed: vec![0; READ_BYTES].into(),
            waiting: 0..0,
            read: 0,
            wanted: 0,
        })
    }

    /// Returns the bytes at a place in a pack. None if they cannot be read.
    pub(super) fn read(&mut self, pack: usize, file: FilePlace) -> Option<&[u8]> {
        let begin = file.offset as usize;
        let range = begin..begin.checked_add(file.len as usize)?;
        let at = (pack, file.block);
        if self.at.take() != Some(at) {
            self.begin(at)?;
        }
        match self.block.packing {
            0 => self.copy(range),
            1 => {
                while self.content.len() < range.end {
                    self.unpack()?;
                }
                self.at = Some(at);
                self.content.get(range)
            }
            _ => None,
        }
    }

    /// Begins a block.
    fn begin(&mut self, (pack, block): (usize, u32)) -> Option<()> {
        let packs = &self.cache.packs;
        self.block = *packs.get(pack)?.index.blocks.get(block as usize)?;
        let unpacked_len = self.block.unpacked_len as usize;
        if unpacked_len > BLOCK_BYTES_MAX {
            return None;
        }
        if self.pack.as_ref().is_none_or(|&(open, _)| open != pack) {
            let name = file_name(&packs[pack].name, PACK);
            self.pack = Some((pack, self.cache.dir.open_file(&name).ok()??));
        }
        self.context.reset(ResetDirective::SessionOnly).ok()?;
        self.content.clear();
        self.content.reserve_exact(unpacked_len);
        (self.waiting, self.read, self.wanted) = (0..0, 0, BEGIN_BYTES);
        Some(())
    }

    /// Reads a range of an uncompressed block.
    fn copy(&mut self, range: Range<usize>) -> Option<&[u8]> {
        if range.end > self.block.unpacked_len as usize || self.block.unpacked_len != self.block.len {
            return None;
        }
        self.content.resize(range.len(), 0);
        let (_, file) = self.pack.as_ref()?;
        file.read_exact_at(&mut self.content, self.block.offset.saturating_add(range.start as u64)).ok()?;
        Some(&self.content)
    }

    /// Unpacks the next bytes.
    fn unpack(&mut self) -> Option<()> {
        if self.wanted == 0 {
            // The stream has ended, and made less than the index says.
            return None;
        }
        if self.waiting.is_empty() {
            self.fill()?;
        }
        let end = self.waiting.end.min(self.waiting.start + self.wanted);
        let mut packed = InBuffer::around(&self.packed[self.waiting.start..end]);
        let unpacked = self.content.len();
        let mut content = OutBuffer::around_pos(&mut self.content, unpacked);
        self.wanted = self.context.decompress_stream(&mut content, &mut packed).ok()?;
        self.waiting.start += packed.pos();
        Some(())
    }

    /// Reads the next packed bytes.
    fn fill(&mut self) -> Option<()> {
        let len = READ_BYTES.min((self.block.len as usize).checked_sub(self.read)?);
        if len == 0 {
            return None;
        }
        let (_, file) = self.pack.as_ref()?;
        file.read_exact_at(&mut self.packed[..len], self.block.offset.saturating_add(self.read as u64)).ok()?;
        self.read += len;
        self.waiting = 0..len;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::client::cache::tests::{files_of, pack_path};
    use crate::hash::Hash;
    use crate::wire::block::{self, Block, BlockEncoder, BlockHead};

    const FILES: [u32; 6] = [200_000, 1, 400_000, 70_000, 900_000, 5];

    fn content() -> Vec<u8> {
        let total = FILES.iter().sum::<u32>();
        (0..total).flat_map(|at| (at.wrapping_mul(at / 9) % 8191).to_le_bytes()).take(total as usize).collect()
    }

    /// Packs the content at a level, 0 being as it is.
    fn block(level: i32) -> Block {
        let head = BlockHead::Files(Vec::new());
        match level {
            0 => block::raw_block(&head, &content()),
            level => BlockEncoder::new(level).unwrap().encode(&head, &content(), &FILES).unwrap().unwrap(),
        }
    }

    /// Keeps the content in two packs, and returns where each file of each lies.
    fn kept(state: &std::path::Path, level: i32) -> (Cache, Vec<(usize, FilePlace)>) {
        for pack in 0..2 {
            let mut files = files_of(&content(), &FILES);
            // Other names, so that it is kept again.
            files.iter_mut().for_each(|file| file.hash = Hash::of(&[&[pack], &file.hash.as_bytes()[..]].concat()));
            let cache = Cache::open(state).unwrap();
            let mut writer = cache.begin().unwrap();
            writer.add(block(level).body(), &files).unwrap();
            writer.finish().unwrap();
        }
        let cache = Cache::open(state).unwrap();
        let place = |pack: usize| cache.packs[pack].index.wholes.iter().map(move |&file| (pack, file));
        let mut places: Vec<(usize, FilePlace)> = (0..2).flat_map(place).collect();
        places.sort_by_key(|(pack, file)| (*pack, file.block, file.offset));
        (cache, places)
    }

    fn parts() -> Vec<Vec<u8>> {
        let (content, mut begin) = (content(), 0);
        let part = |len: u32| {
            begin += len as usize;
            content[begin - len as usize..begin].to_vec()
        };
        FILES.into_iter().map(part).collect()
    }

    const LEVELS: [i32; 6] = [-3, 0, 1, 3, 4, 9];

    #[test]
    fn any_file_of_any_block_is_read_in_any_order() {
        for level in LEVELS {
            let state = tempfile::tempdir().unwrap();
            let (cache, places) = kept(state.path(), level);
            let expected = [parts(), parts()].concat();
            let count = places.len();
            assert_eq!(count, expected.len());
            let orders: [Vec<usize>; 4] = [
                (0..count).collect(),
                (0..count).rev().collect(),
                (0..count).map(|at| at * 5 % count).collect(),
                (0..count).map(|at| at / 2 + at % 2 * count / 2).collect(),
            ];
            for order in orders {
                let mut unpacker = Unpacker::new(&cache).unwrap();
                for at in order {
                    let (pack, file) = places[at];
                    assert!(unpacker.read(pack, file) == Some(&expected[at][..]), "{at} at level {level}");
                }
            }
        }
    }

    #[test]
    fn no_more_is_unpacked_than_was_asked_for() {
        let state = tempfile::tempdir().unwrap();
        let (cache, places) = kept(state.path(), 9);
        let mut unpacker = Unpacker::new(&cache).unwrap();
        // One of zstd's blocks may go beyond it.
        for (&(pack, file), content) in places.iter().zip([200_000, 200_001, 600_001]) {
            unpacker.read(pack, file).unwrap();
            assert!((content..content + (128 << 10)).contains(&unpacker.content.len()), "{}", unpacker.content.len());
        }
        let (pack, first) = places[0];
        let unpacked = unpacker.content.len();
        unpacker.read(pack, first).unwrap();
        assert_eq!(unpacker.content.len(), unpacked);
    }

    /// Returns the files that can be read after their packs were changed.
    fn readable(level: i32, change: impl Fn(&mut Vec<u8>)) -> Vec<bool> {
        let state = tempfile::tempdir().unwrap();
        let (cache, places) = kept(state.path(), level);
        let packs: Vec<PathBuf> = (0..2).map(|pack| pack_path(&cache, state.path(), pack)).collect();
        for path in packs {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
        let (expected, mut unpacker) = ([parts(), parts()].concat(), Unpacker::new(&cache).unwrap());
        let mut read = |(&(pack, file), expected): (&(usize, FilePlace), &Vec<u8>)| {
            unpacker.read(pack, file).is_some_and(|content| content == expected)
        };
        places.iter().zip(&expected).map(&mut read).collect()
    }

    #[test]
    fn what_is_cut_off_is_not_there_and_costs_nothing_else() {
        for level in LEVELS {
            let cut_off = readable(level, |bytes| bytes.truncate(bytes.len() - 1));
            assert!(!cut_off[5] && !cut_off[11], "{level}");
            assert_eq!(readable(level, Vec::clear), [false; 12]);
        }
        // The frames before.
        assert_eq!(readable(1, |bytes| bytes.truncate(bytes.len() - 1))[..3], [true; 3]);
    }

    #[test]
    fn what_was_altered_is_not_read_and_costs_nothing_else() {
        for level in LEVELS {
            // At the begin of a frame, and in its content.
            for at in [0, 4, 20, 1000] {
                let altered = readable(level, |bytes| bytes[at] ^= 0xff);
                assert!(!altered[0] && !altered[6], "{at} at level {level}");
            }
            assert_eq!(readable(level, |bytes| bytes.extend_from_slice(b"more")), [true; 12]);
        }
    }

    /// Changes the first block in an index.
    fn misread(level: i32, change: impl Fn(&mut BlockPlace)) -> Option<Vec<u8>> {
        let state = tempfile::tempdir().unwrap();
        let (mut cache, places) = kept(state.path(), level);
        let (pack, file) = places[0];
        change(&mut cache.packs[pack].index.blocks[file.block as usize]);
        let mut unpacker = Unpacker::new(&cache).unwrap();
        let read = unpacker.read(pack, file).map(<[u8]>::to_vec);
        assert!(unpacker.content.capacity() <= BLOCK_BYTES_MAX);
        // The same goes on with another block.
        let (pack, file) = places[11];
        assert_eq!(unpacker.read(pack, file).map(<[u8]>::len), Some(5));
        read
    }

    #[test]
    fn a_block_that_is_not_as_its_index_says_is_not_read() {
        for level in LEVELS {
            let none: [fn(&mut BlockPlace); 5] = [
                |block| block.unpacked_len = u32::MAX,
                |block| block.packing = 2,
                |block| block.unpacked_len = 100,
                |block| block.len = 100,
                |block| block.offset = u64::MAX / 2,
            ];
            for (number, change) in none.into_iter().enumerate() {
                assert!(misread(level, change).is_none(), "{number} at level {level}");
            }
        }
    }

    #[test]
    fn a_place_that_is_none_is_not_read() {
        let state = tempfile::tempdir().unwrap();
        let (cache, places) = kept(state.path(), 1);
        let mut unpacker = Unpacker::new(&cache).unwrap();
        let (pack, file) = places[0];
        for (pack, file) in [
            (2, file),
            (pack, FilePlace { block: 1 << 20, ..file }),
            (pack, FilePlace { offset: u32::MAX, ..file }),
            (pack, FilePlace { len: u32::MAX, ..file }),
        ] {
            assert_eq!(unpacker.read(pack, file), None);
        }
        assert!(unpacker.read(pack, file).is_some());
    }
}
