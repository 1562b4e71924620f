//! A pack that is being written: blocks of content one after the other, and their index at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use crate::disk::{Dir, Draft};
use crate::error::Error;
use crate::hash::Hash;
use crate::wire::block::Body;

use super::index::{BlockPlace, FilePlace, Index, PatchPlace, WholeContent, key_of};
use super::name::{BEGUN, INDEX, NANOS_DIGITS, PACK, file_name};

/// The content of a file in the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CachedFile {
    /// The hash of the content.
    pub(crate) hash: Hash,
    /// The length of the content in bytes.
    pub(crate) size: u32,
    /// The patch, if the content is not kept whole.
    pub(crate) patch: Option<CachedPatch>,
}

/// A patch in the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CachedPatch {
    /// The length of the patch in bytes.
    pub(crate) len: u32,
    /// The whole content that it is a patch of.
    pub(crate) whole: WholeContent,
}

impl CachedFile {
    /// Returns the length in the pack, in bytes.
    pub(crate) fn len(&self) -> u32 {
        self.patch.map_or(self.size, |patch| patch.len)
    }
}

/// A pack that is being written. If it is dropped unfinished, it leaves nothing behind.
pub(super) struct PackWriter<'a> {
    dir: &'a Dir,
    pub(super) name: String,
    file: BufWriter<Draft<'a>>,
    pub(super) written: u64,
    index: Index,
}

impl<'a> PackWriter<'a> {
    /// Begins a pack of this age, in nanoseconds since 1970.
    pub(super) fn begin(dir: &'a Dir, nanos: u128) -> Result<PackWriter<'a>, Error> {
        let name = format!("{nanos:0NANOS_DIGITS$}-{}", std::process::id());
        let file = BufWriter::new(dir.draft(file_name(&name, PACK))?);
        Ok(PackWriter { dir, name, file, written: 0, index: Index::default() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.blocks.is_empty()
    }

    /// Adds a body with these files, one after the other. Each of its frames is a block.
    pub(super) fn add(&mut self, body: Body<'_>, files: &[CachedFile]) -> Result<(), Error> {
        let frames = body.frames().map_err(|_| Error::Bug("what is kept is no frames".into()))?;
        let mut files = files.iter();
        for frame in frames {
            self.add_frame(frame, &mut files)?;
        }
        Ok(())
    }

    /// Adds a block, with as many of `files` as it holds.
    fn add_frame<'f>(
        &mut self,
        frame: Body<'_>,
        files: &mut impl Iterator<Item = &'f CachedFile>,
    ) -> Result<(), Error> {
        let block = self.index.blocks.len() as u32;
        let (len, unpacked_len) = (frame.bytes.len() as u32, frame.unpacked_len as u32);
        self.index.blocks.push(BlockPlace { offset: self.written, len, unpacked_len, packing: frame.packing });
        let mut offset = 0;
        while offset < unpacked_len
            && let Some(file) = files.next()
        {
            let place = FilePlace { key: key_of(&file.hash), block, offset, len: file.len() };
            match file.patch {
                None => self.index.wholes.push(place),
                Some(CachedPatch { whole, .. }) => {
                    self.index.patches.push(PatchPlace { file: place, size: file.size, of: whole });
                }
            }
            offset += file.len();
        }
        self.file.write_all(frame.bytes).map_err(|e| self.failed(e))?;
        self.written += frame.bytes.len() as u64;
        Ok(())
    }

    /// Adds everything in another pack.
    pub(super) fn add_pack(&mut self, index: Index, file: &File) -> Result<(), Error> {
        self.index.extend(index, self.written);
        self.file.flush().map_err(|e| self.failed(e))?;
        self.written += self.file.get_ref().file.add_from(file).map_err(|e| self.failed(e))?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        let PackWriter { dir, name, file, mut index, .. } = self;
        let failed = |error| Error::io("write", dir.path_of(&file_name(&name, PACK)), error);
        let pack = file.into_inner().map_err(|e| failed(e.into_error()))?;
        index.sort();
        let begun = file_name(&name, BEGUN);
        let mut draft = dir.draft(&begun)?;
        draft.write_all(&index.to_bytes()).map_err(failed)?;
        dir.rename(&begun, dir, &file_name(&name, INDEX))?;
        draft.keep();
        pack.keep();
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io("write", self.dir.path_of(&file_name(&self.name, PACK)), error)
    }
}
