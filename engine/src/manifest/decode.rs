//! A manifest from the bytes that [`super::encode`] describes.

use std::fs::File as DiskFile;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use crate::bytes::{ByteReader, Malformed};
use crate::hash::Hash;
use crate::manifest::build::Builder;
use crate::manifest::encode::{BadEncoding, DirectorySource, INTRODUCED, directory_of};
use crate::manifest::ops::{CHANGE, COPY, DIRECTORY, DROP, END, ENTER, FILE, HASHED, IN_BASE, SYMLINK};
use crate::manifest::{Directory, ENTRIES_MAX, EntryRef, File, Manifest, Node, OPS_BYTES_MAX, ObjectKey};

/// A decoded manifest, and its relation to the base.
#[derive(Debug)]
pub(crate) struct DecodedManifest {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// For each entry, the base's entry that it was copied from, or [`INTRODUCED`].
    pub(crate) origins: Vec<u32>,
    /// The entries with a placeholder for a hash, ascending.
    pub(crate) promised: Vec<u32>,
    /// The root of the manifest once all hashes are there.
    pub(crate) root: Hash,
}

/// Decodes the output of [`encode`](super::encode::encode), against the same base. Returns the complete manifest, and
/// the bytes that follow.
pub(crate) fn decode<'a>(bytes: &'a [u8], base: Option<&Manifest>) -> Result<(DecodedManifest, &'a [u8]), BadEncoding> {
    let (decoded, rest) = decode_with(bytes, base)?;
    if decoded.promised.is_empty() { Ok((decoded, rest)) } else { Err(BadEncoding::Root) }
}

/// Decodes the output of [`encode_with`](super::encode::encode_with), against the same base. Returns the manifest, in
/// which hashes may be promised, and the bytes that follow.
pub(crate) fn decode_with<'a>(
    bytes: &'a [u8],
    base: Option<&Manifest>,
) -> Result<(DecodedManifest, &'a [u8]), BadEncoding> {
    let (Parts { root, ops, hashes }, rest) = Parts::read(bytes)?;
    let empty = Manifest::default();
    let base = base.unwrap_or(&empty);
    // A guess that is near enough for most: growing from nothing would move everything a dozen times.
    let entries = (base.len() as usize + hashes.len() / size_of::<Hash>()).min(ENTRIES_MAX);
    let mut decoder = Decoder {
        ops: ByteReader::new(&ops),
        hashes: ByteReader::new(hashes),
        base,
        builder: Builder::with_room(base.text_bytes() + ops.len()),
        origins: Vec::with_capacity(entries),
        promised: Vec::new(),
        sources: Vec::new(),
    };
    let base = decoder.optional_base();
    decoder.sources.push(DirectorySource::read(&mut decoder.ops, base)?);
    decoder.run()?;
    if !decoder.ops.rest().is_empty() || !decoder.hashes.rest().is_empty() {
        return Err(Malformed.into());
    }
    let manifest = decoder.builder.finish()?;
    let Decoder { origins, promised, .. } = decoder;
    if promised.is_empty() && manifest.root() != root {
        return Err(BadEncoding::Root);
    }
    Ok((DecodedManifest { manifest, origins, promised, root }, rest))
}

/// A manifest's bytes, split into their parts and not decoded yet.
pub(crate) struct Parts<H> {
    /// The hash that the whole must have.
    pub(crate) root: Hash,
    ops: Vec<u8>,
    hashes: H,
}

impl<'a> Parts<&'a [u8]> {
    /// Splits the output of [`encode`](super::encode::encode). Returns also the bytes that follow.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Parts<&'a [u8]>, &'a [u8]), BadEncoding> {
        let mut reader = ByteReader::new(bytes);
        let root = Hash::from_bytes(reader.array()?);
        let ops_len = reader.number_within(OPS_BYTES_MAX)?;
        let ops = decompress(reader.bytes()?, ops_len)?;
        let hashes = reader.bytes()?;
        Ok((Parts { root, ops, hashes }, reader.rest()))
    }
}

impl<'f> Parts<BufReader<Section<'f>>> {
    /// Splits a manifest in a section of a file. The hashes, which are most of it, are not read yet. Returns also the
    /// section that follows.
    pub(crate) fn read_from(mut section: Section<'f>) -> Result<(Self, Section<'f>), BadEncoding> {
        let mut root = [0; size_of::<Hash>()];
        section.read_exact(&mut root).map_err(cut_off)?;
        let ops_len = section.number()?;
        if ops_len > OPS_BYTES_MAX {
            return Err(Malformed.into());
        }
        let ops = decompress(BufReader::new(section.part()?), ops_len)?;
        let hashes = BufReader::new(section.part()?);
        Ok((Parts { root: Hash::from_bytes(root), ops, hashes }, section))
    }
}

fn cut_off(error: io::Error) -> BadEncoding {
    if error.kind() == io::ErrorKind::UnexpectedEof { Malformed.into() } else { BadEncoding::Unreadable(error) }
}

/// A section of a file, read from its beginning.
#[derive(Debug, Clone)]
pub(crate) struct Section<'f> {
    file: &'f DiskFile,
    at: u64,
    end: u64,
}

impl<'f> Section<'f> {
    /// Returns the part of a file from a place on, in bytes.
    pub(crate) fn from(file: &'f DiskFile, at: u64) -> io::Result<Section<'f>> {
        Ok(Section { file, at, end: file.metadata()?.len().max(at) })
    }

    /// Reads a number.
    fn number(&mut self) -> Result<u64, BadEncoding> {
        let mut ahead = Vec::new();
        // No number is longer.
        self.clone().take(10).read_to_end(&mut ahead).map_err(BadEncoding::Unreadable)?;
        let mut reader = ByteReader::new(&ahead);
        let number = reader.number()?;
        self.at += (ahead.len() - reader.rest().len()) as u64;
        Ok(number)
    }

    /// Reads a length, and returns the section of this many bytes, which is passed over.
    pub(crate) fn part(&mut self) -> Result<Section<'f>, BadEncoding> {
        let len = self.number()?;
        let part = Section { file: self.file, at: self.at, end: self.at.checked_add(len).ok_or(Malformed)? };
        if part.end > self.end {
            return Err(Malformed.into());
        }
        self.at = part.end;
        Ok(part)
    }
}

impl Read for Section<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(into.len());
        let read = self.file.read_at(&mut into[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<H: Read> Parts<H> {
    /// Calls `take` for every entry, in order, of a manifest that was encoded without a base. No manifest is built and
    /// the root is not proved: another proof must say that the bytes are those that were written.
    pub(crate) fn for_each_entry(mut self, mut take: impl FnMut(StreamEntry<'_>)) -> Result<(), BadEncoding> {
        let mut ops = ByteReader::new(&self.ops);
        let mut next_hash = || {
            let mut hash = [0; size_of::<Hash>()];
            self.hashes.read_exact(&mut hash).map_err(cut_off).map(|()| Hash::from_bytes(hash))
        };
        let mut index = 0;
        // Every directory is a script with no base, or is named by one before it.
        let mut directories = u32::from(ops.number()? == 0);
        let mut directory = 0;
        while directory < directories {
            ops.number()?;
            loop {
                let op = ops.number()?;
                if op == END {
                    break;
                }
                let name = ops.bytes()?;
                let kind = match op {
                    FILE => {
                        let content = ops.number_within(0o777 * 3)?;
                        let size = ops.number()?;
                        let hash = if size == 0 { Hash::of(b"") } else { next_hash()? };
                        StreamEntryKind::File(File { key: ObjectKey { hash, mode: (content / 3) as u16 }, size })
                    }
                    SYMLINK => {
                        ops.bytes()?;
                        StreamEntryKind::Symlink
                    }
                    DIRECTORY if ops.number()? == 0 => {
                        directories = directories.checked_add(1).ok_or(Malformed)?;
                        StreamEntryKind::Directory
                    }
                    _ => return Err(BadEncoding::Base),
                };
                take(StreamEntry { directory, index, name, kind });
                index += 1;
            }
            directory += 1;
        }
        let is_all = ops.rest().is_empty() && self.hashes.read(&mut [0]).map_err(BadEncoding::Unreadable)? == 0;
        if is_all { Ok(()) } else { Err(Malformed.into()) }
    }
}

/// An entry of a manifest that is read entry by entry.
pub(crate) struct StreamEntry<'a> {
    /// The directory that holds it.
    pub(crate) directory: u32,
    /// The index.
    pub(crate) index: u32,
    /// The name.
    pub(crate) name: &'a [u8],
    /// The kind.
    pub(crate) kind: StreamEntryKind,
}

/// The kind of a [`StreamEntry`].
pub(crate) enum StreamEntryKind {
    /// A regular file.
    File(File),
    /// A directory, which has the next number.
    Directory,
    /// A symlink.
    Symlink,
}

/// The largest accepted window of zstd, as a power of two: no level in use here has a larger one.
const WINDOW_LOG_MAX: u32 = 23;

/// Decompresses exactly `len` bytes. Memory grows as they come, never by the declared length.
pub(crate) fn decompress(compressed: impl BufRead, len: u64) -> Result<Vec<u8>, BadEncoding> {
    let mut out = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    decoder.take(len + 1).read_to_end(&mut out)?;
    if out.len() as u64 == len { Ok(out) } else { Err(Malformed.into()) }
}

struct Decoder<'a> {
    ops: ByteReader<'a>,
    hashes: ByteReader<'a>,
    base: &'a Manifest,
    builder: Builder,
    origins: Vec<u32>,
    promised: Vec<u32>,
    sources: Vec<DirectorySource>,
}

impl<'a> Decoder<'a> {
    /// Returns the base, if there is one.
    fn optional_base(&self) -> Option<&'a Manifest> {
        Some(self.base).filter(|base| !base.directories().is_empty())
    }

    fn run(&mut self) -> Result<(), BadEncoding> {
        let mut number = 0;
        while number < self.sources.len() {
            match self.sources[number] {
                DirectorySource::Same(base) => {
                    let Directory { mode, hash, .. } = self.base.directories()[base as usize];
                    self.builder.begin_with(mode, hash)?;
                    for old in self.base.children(base) {
                        self.copy(old)?;
                    }
                }
                DirectorySource::Script(base) => self.script(base)?,
            }
            number += 1;
        }
        Ok(())
    }

    fn script(&mut self, directory: Option<u32>) -> Result<(), BadEncoding> {
        let mode = self.ops.number_within(0o777)? as u16;
        self.builder.begin(mode)?;
        let base = self.base;
        let mut before = directory.map(|directory| base.children(directory)).into_iter().flatten();
        loop {
            let op = self.ops.number()?;
            let (kind, count) = (op & 7, op >> 3);
            match kind {
                END => return Ok(()),
                COPY => {
                    for _ in 0..count {
                        self.copy(before.next().ok_or(Malformed)?)?;
                    }
                }
                DROP => {
                    for _ in 0..count {
                        before.next().ok_or(Malformed)?;
                    }
                }
                CHANGE => {
                    let old = before.next().ok_or(Malformed)?;
                    let Node::File(File { size, .. }) = old.node else { return Err(Malformed.into()) };
                    self.file(old.name, Some(size))?;
                }
                ENTER => {
                    let old = before.next().ok_or(Malformed)?;
                    let beside = directory_of(old).ok_or(Malformed)?;
                    self.directory(old.name, DirectorySource::Script(Some(beside)))?;
                }
                _ => self.insert(kind)?,
            }
        }
    }

    fn insert(&mut self, kind: u64) -> Result<(), BadEncoding> {
        let name = self.ops.bytes()?;
        match kind {
            FILE => self.file(name, None),
            SYMLINK => {
                let target = self.ops.bytes()?;
                self.builder.symlink(name, target)?;
                self.note(INTRODUCED);
                Ok(())
            }
            DIRECTORY => {
                let base = self.optional_base();
                let source = DirectorySource::read(&mut self.ops, base)?;
                self.directory(name, source)
            }
            _ => Err(Malformed.into()),
        }
    }

    /// Reads a file, which the base may have with another size.
    fn file(&mut self, name: &[u8], old_size: Option<u64>) -> Result<(), BadEncoding> {
        let content = self.ops.number_within(0o777 * 3 + 2)?;
        let in_base = if content % 3 == IN_BASE { Some(self.ops.index()?) } else { None };
        let size = match old_size {
            Some(old) => old.checked_add_signed(self.ops.signed()?).ok_or(Malformed)?,
            None => self.ops.number()?,
        };
        let hash = match (content % 3, in_base) {
            // An empty file has no content that would disprove another hash.
            (HASHED, _) if size == 0 => Hash::of(b""),
            (HASHED, _) => Hash::from_bytes(self.hashes.array()?),
            (_, Some(entry)) => {
                let is_same = |old: &File| old.size == size && (size > 0 || old.key.hash == Hash::of(b""));
                self.base.file(entry).filter(is_same).ok_or(Malformed)?.key.hash
            }
            _ if size == 0 => return Err(Malformed.into()),
            _ => {
                let entry = self.origins.len() as u32;
                self.promised.push(entry);
                Hash::placeholder(entry)
            }
        };
        self.builder.file(name, File { key: ObjectKey { hash, mode: (content / 3) as u16 }, size })?;
        self.note(INTRODUCED);
        Ok(())
    }

    fn directory(&mut self, name: &[u8], source: DirectorySource) -> Result<(), BadEncoding> {
        self.builder.directory(name)?;
        self.sources.push(source);
        self.note(INTRODUCED);
        Ok(())
    }

    fn copy(&mut self, old: EntryRef<'_>) -> Result<(), BadEncoding> {
        match old.node {
            Node::File(file) => self.builder.file(old.name, file)?,
            Node::Symlink(target) => self.builder.symlink(old.name, self.base.text(target))?,
            Node::Directory(number) => {
                self.sources.push(DirectorySource::Same(number));
                self.builder.directory(old.name)?
            }
        };
        self.note(old.index);
        Ok(())
    }

    fn note(&mut self, origin: u32) {
        self.origins.push(origin);
    }
}
