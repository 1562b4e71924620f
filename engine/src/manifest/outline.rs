//! An outline: a short description of a base, in terms of a manifest that the other side has.
//!
//! A client that does not have the base sends a summary of each directory of its own tree: the first bytes of the hash
//! of everything in it, and of the hash of its names alone. The agent names the base's directories that the client has
//! too, and lists the others. A listed directory has a mark in place of each hash, and no names if the client has a
//! directory of the same names. From the outline and its own tree, the client builds a manifest with the base's entries
//! in their order.
//!
//! ```text
//! summary     for each directory of the client 11 bytes: 6 of its hash, 5 of the hash of kinds, names and targets
//!
//! outline     shapes · names · sizes · marks · hashes, each: length, packing (0 raw · 1 zstd), bytes with length
//! shapes      0 the root is listed · else it equals the client's directory of this number less one; then the listed
//!             directories, breadth first
//! directory   mode·2 + 1 its names are those of a client's directory, whose number follows · mode·2 its names are in `names`;
//!             then entries, to the last of those names or until End
//! entry       kind in the low three bits, a file's mode above them: 0 End · 1 File · 2 Symlink · 3 Directory that is listed
//!             · 4 Directory, then the number of the client's
//! number      zigzag of the distance from the successor of the last such number, counted apart for contents and for names
//! names       for each entry, and then the target of a symlink: bytes until 0
//! sizes       for each file
//! marks       for each file below `LARGE_FILE_BYTES`: 4 bytes
//! hashes      for each other file: 32 bytes, as parts of it are asked for by its hash
//! ```
//!
//! An outline proves nothing. If the client's tree has a file at the same path, with the same mark, mode and size, the
//! file is assumed to be equal. The hash of any other file is unknown, and a mark that no hash equals replaces it
//! ([`Hash::of_mark`]). A tree that is described against such a manifest is decoded against the base itself. If a guess
//! was wrong, the root does not match in the end, and the agent sends the base's whole manifest.

mod streams;

use std::collections::{HashMap, VecDeque};

use crate::bytes::{ByteReader, Malformed, put_bytes, put_number, put_signed};
use crate::chunk::LARGE_FILE_BYTES;
use crate::hash::Hash;
use crate::manifest::encode::BadEncoding;
use crate::manifest::{Builder, File, Manifest, Node, ObjectKey};

pub(crate) use streams::OUTLINE_BYTES_MAX;
use streams::{STREAM_BYTES_MAX, Streams, unpack};

const END: u64 = 0;
const FILE: u64 = 1;
const SYMLINK: u64 = 2;
const LISTED: u64 = 3;
const CLIENT: u64 = 4;

/// The bytes of a directory's hash in a summary: in one of a hundred thousand deploys, two of fifty thousand
/// directories are mistaken for each other.
const DIRECTORY_BYTES: usize = 6;

/// The bytes of the hash of a directory's names. These are compared only if the directory has changed, which is rare.
const NAMES_BYTES: usize = 5;

/// The bytes of a directory's summary.
pub(crate) const SUMMARY_BYTES: usize = DIRECTORY_BYTES + NAMES_BYTES;

/// Returns the summaries of a manifest's directories, in their order. An outline can refer to them.
pub(crate) fn summarize(client: &Manifest) -> Vec<u8> {
    let mut out = Vec::with_capacity(client.directories().len() * SUMMARY_BYTES);
    for (number, directory) in client.directories().iter().enumerate() {
        out.extend_from_slice(&directory.hash.as_bytes()[..DIRECTORY_BYTES]);
        out.extend_from_slice(&hash_of_names(client, number as u32).as_bytes()[..NAMES_BYTES]);
    }
    out
}

fn hash_of_names(manifest: &Manifest, directory: u32) -> Hash {
    let mut names = Vec::new();
    for named in manifest.children(directory) {
        let (kind, target) = match named.node {
            Node::File(_) => (b'f', &[][..]),
            Node::Directory(_) => (b'd', &[][..]),
            Node::Symlink(target) => (b'l', manifest.text(target)),
        };
        names.push(kind);
        put_bytes(&mut names, named.name);
        put_bytes(&mut names, target);
    }
    Hash::of(&names)
}

/// Encodes `base` in terms of the manifest whose directories [`summarize`] described.
pub(crate) fn encode(base: &Manifest, client: &[u8]) -> std::io::Result<Vec<u8>> {
    let client = || client.chunks_exact(SUMMARY_BYTES).zip(0..);
    let mut writer = OutlineWriter {
        base,
        whole: client().map(|(hashes, number)| (&hashes[..DIRECTORY_BYTES], number)).collect(),
        named: client().map(|(hashes, number)| (&hashes[DIRECTORY_BYTES..], number)).collect(),
        streams: Streams::default(),
        next: 0,
        next_named: 0,
        listed: VecDeque::new(),
    };
    let root = writer.source_of(0);
    put_number(&mut writer.streams.shapes, root.map_or(0, |number| number as u64 + 1));
    while let Some(directory) = writer.listed.pop_front() {
        writer.list(directory);
    }
    writer.streams.pack()
}

struct OutlineWriter<'a> {
    base: &'a Manifest,
    /// The client's directories, by everything in them.
    whole: HashMap<&'a [u8], i64>,
    /// The client's directories, by their names.
    named: HashMap<&'a [u8], i64>,
    streams: Streams,
    /// The successor of the last directory that was named.
    next: i64,
    /// The successor of the last directory whose names were used.
    next_named: i64,
    listed: VecDeque<u32>,
}

impl OutlineWriter<'_> {
    /// Finds a directory in the client's tree, or queues it to be listed.
    fn source_of(&mut self, directory: u32) -> Option<i64> {
        let hash = self.base.directories()[directory as usize].hash;
        let number = self.whole.get(&hash.as_bytes()[..DIRECTORY_BYTES]).copied();
        if number.is_none() {
            self.listed.push_back(directory);
        }
        number
    }

    fn list(&mut self, directory: u32) {
        let base = self.base;
        let mode = u64::from(base.directories()[directory as usize].mode);
        let names = hash_of_names(base, directory);
        let named = self.named.get(&names.as_bytes()[..NAMES_BYTES]).copied();
        put_number(&mut self.streams.shapes, mode << 1 | u64::from(named.is_some()));
        if let Some(number) = named {
            put_signed(&mut self.streams.shapes, number - self.next_named);
            self.next_named = number + 1;
        }
        for entry in base.children(directory) {
            if named.is_none() {
                self.text(entry.name);
            }
            match entry.node {
                Node::File(file) => self.file(file),
                Node::Symlink(target) => {
                    put_number(&mut self.streams.shapes, SYMLINK);
                    if named.is_none() {
                        self.text(base.text(target));
                    }
                }
                Node::Directory(number) => match self.source_of(number) {
                    None => put_number(&mut self.streams.shapes, LISTED),
                    Some(number) => {
                        put_number(&mut self.streams.shapes, CLIENT);
                        put_signed(&mut self.streams.shapes, number - self.next);
                        self.next = number + 1;
                    }
                },
            }
        }
        if named.is_none() {
            put_number(&mut self.streams.shapes, END);
        }
    }

    fn file(&mut self, file: File) {
        let File { key, size } = file;
        put_number(&mut self.streams.shapes, FILE | u64::from(key.mode) << 3);
        put_number(&mut self.streams.sizes, size);
        if size < LARGE_FILE_BYTES {
            self.streams.marks.extend_from_slice(&key.hash.mark());
        } else {
            self.streams.hashes.extend_from_slice(key.hash.as_bytes());
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.streams.names.extend_from_slice(text);
        self.streams.names.push(0);
    }
}

/// Builds the base that [`encode`] described in terms of the tree `client`. Its entries are those of the base, if no
/// guess was wrong. An unknown hash is replaced by its mark.
pub(crate) fn decode(outline: &[u8], client: &Manifest) -> Result<Manifest, BadEncoding> {
    let mut reader = ByteReader::new(outline);
    let mut streams = [const { Vec::new() }; 5];
    for (stream, len_max) in streams.iter_mut().zip(STREAM_BYTES_MAX) {
        *stream = unpack(&mut reader, len_max)?;
    }
    let [shapes, names, sizes, marks, hashes] = streams.each_ref().map(|stream| ByteReader::new(stream));
    let mut outline_reader = OutlineReader {
        shapes,
        names,
        sizes,
        marks,
        hashes,
        client,
        next: 0,
        next_named: 0,
        builder: Builder::new(),
        open: VecDeque::new(),
    };
    let root = match outline_reader.shapes.number()?.checked_sub(1) {
        Some(number) => DirectorySource::Client(outline_reader.client_directory(number)?),
        None => DirectorySource::Listed(Some(0)),
    };
    outline_reader.open.push_back(root);
    while let Some(source) = outline_reader.open.pop_front() {
        match source {
            DirectorySource::Client(number) => outline_reader.copy(number)?,
            DirectorySource::Listed(beside) => outline_reader.list(beside)?,
        }
    }
    let rest = [
        outline_reader.shapes,
        outline_reader.names,
        outline_reader.sizes,
        outline_reader.marks,
        outline_reader.hashes,
    ];
    if rest.iter().any(|stream| !stream.rest().is_empty()) || !reader.rest().is_empty() {
        return Err(Malformed.into());
    }
    Ok(outline_reader.builder.finish()?)
}

/// The source of a directory.
enum DirectorySource {
    /// An equal directory of the client.
    Client(u32),
    /// A listing, with the client's directory at the same path.
    Listed(Option<u32>),
}

struct OutlineReader<'a> {
    shapes: ByteReader<'a>,
    names: ByteReader<'a>,
    sizes: ByteReader<'a>,
    marks: ByteReader<'a>,
    hashes: ByteReader<'a>,
    client: &'a Manifest,
    next: i64,
    next_named: i64,
    builder: Builder,
    open: VecDeque<DirectorySource>,
}

impl<'a> OutlineReader<'a> {
    fn client_directory(&self, number: u64) -> Result<u32, BadEncoding> {
        let number = u32::try_from(number).map_err(|_| Malformed)?;
        if (number as usize) < self.client.directories().len() { Ok(number) } else { Err(BadEncoding::Base) }
    }

    fn copy(&mut self, directory: u32) -> Result<(), BadEncoding> {
        let client = self.client;
        self.builder.begin(client.directories()[directory as usize].mode)?;
        for named in client.children(directory) {
            match named.node {
                Node::File(file) => self.builder.file(named.name, file)?,
                Node::Symlink(target) => self.builder.symlink(named.name, client.text(target))?,
                Node::Directory(number) => {
                    self.open.push_back(DirectorySource::Client(number));
                    self.builder.directory(named.name)?
                }
            };
        }
        Ok(())
    }

    fn list(&mut self, beside: Option<u32>) -> Result<(), BadEncoding> {
        let head = self.shapes.number_within(0o1777)?;
        self.builder.begin((head >> 1) as u16)?;
        if head & 1 == 0 {
            return self.list_named(beside);
        }
        let client = self.client;
        let directory = self.client_directory_after(self.next_named)?;
        self.next_named = i64::from(directory) + 1;
        for named in client.children(directory) {
            let shape = self.shapes.number()?;
            let target = match named.node {
                Node::Symlink(target) => client.text(target),
                _ => &[],
            };
            self.entry(shape, named.name, beside, |_| Ok(target))?;
        }
        Ok(())
    }

    fn list_named(&mut self, beside: Option<u32>) -> Result<(), BadEncoding> {
        loop {
            let shape = self.shapes.number()?;
            if shape == END {
                return Ok(());
            }
            let name = self.text()?;
            self.entry(shape, name, beside, OutlineReader::text)?;
        }
    }

    /// Adds an entry to the listed directory.
    fn entry(
        &mut self,
        shape: u64,
        name: &'a [u8],
        beside: Option<u32>,
        target: impl FnOnce(&mut Self) -> Result<&'a [u8], BadEncoding>,
    ) -> Result<(), BadEncoding> {
        let (kind, mode) = (shape & 7, shape >> 3);
        let client = beside.and_then(|beside| self.client.child(beside, name)).map(|named| named.node);
        match kind {
            FILE => {
                let file = self.file(u16::try_from(mode).map_err(|_| Malformed)?, client)?;
                self.builder.file(name, file)?;
            }
            SYMLINK => {
                let target = target(self)?;
                self.builder.symlink(name, target)?;
            }
            LISTED => {
                self.open.push_back(DirectorySource::Listed(client.and_then(directory_of)));
                self.builder.directory(name)?;
            }
            CLIENT => {
                let directory = self.client_directory_after(self.next)?;
                self.next = i64::from(directory) + 1;
                self.open.push_back(DirectorySource::Client(directory));
                self.builder.directory(name)?;
            }
            _ => return Err(Malformed.into()),
        }
        Ok(())
    }

    /// Reads the number of a client's directory as its distance.
    fn client_directory_after(&mut self, next: i64) -> Result<u32, BadEncoding> {
        let number = next.checked_add(self.shapes.signed()?).ok_or(Malformed)?;
        self.client_directory(u64::try_from(number).map_err(|_| Malformed)?)
    }

    fn file(&mut self, mode: u16, client: Option<Node>) -> Result<File, BadEncoding> {
        let size = self.sizes.number()?;
        let hash = if size < LARGE_FILE_BYTES {
            Hash::of_mark(self.marks.array()?)
        } else {
            Hash::from_bytes(self.hashes.array()?)
        };
        let listed = File { key: ObjectKey { hash, mode }, size };
        Ok(match client {
            Some(Node::File(client))
                if client.size == size && client.key.mode == mode && client.key.hash.fits(&hash) =>
            {
                client
            }
            _ => listed,
        })
    }

    fn text(&mut self) -> Result<&'a [u8], BadEncoding> {
        let rest = self.names.rest();
        let end = rest.iter().position(|&byte| byte == 0).ok_or(Malformed)?;
        let text = self.names.take(end)?;
        self.names.take(1)?;
        Ok(text)
    }
}

fn directory_of(node: Node) -> Option<u32> {
    match node {
        Node::Directory(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::encode as difference;
    use super::*;

    /// The entries of each directory of each directory of the root.
    type Tree = BTreeMap<u8, BTreeMap<u8, BTreeMap<u8, u8>>>;

    fn tree() -> impl Strategy<Value = Tree> {
        let files = prop::collection::btree_map(0..6_u8, 0..14_u8, 0..4);
        let directories = prop::collection::btree_map(0..4_u8, files, 0..4);
        prop::collection::btree_map(0..4_u8, directories, 0..4)
    }

    fn build(tree: &Tree) -> Manifest {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for name in tree.keys() {
            builder.directory(&[b'a' + name]).unwrap();
        }
        for directories in tree.values() {
            builder.begin(0o755).unwrap();
            for name in directories.keys() {
                builder.directory(&[b'a' + name]).unwrap();
            }
        }
        for files in tree.values().flat_map(BTreeMap::values) {
            builder.begin(0o755).unwrap();
            for (name, content) in files {
                let size = if content % 4 == 0 { LARGE_FILE_BYTES } else { u64::from(content % 3) };
                let hash = if size == 0 { Hash::of(b"") } else { Hash::of(&[*content]) };
                let key = ObjectKey { hash, mode: if content % 5 == 0 { 0o555 } else { 0o444 } };
                match content % 6 {
                    0 => builder.symlink(&[b'a' + name], &[b'a' + content]).unwrap(),
                    _ => builder.file(&[b'a' + name], File { key, size }).unwrap(),
                };
            }
        }
        builder.finish().unwrap()
    }

    fn paths(manifest: &Manifest) -> Vec<Vec<u8>> {
        (0..manifest.len()).map(|index| manifest.path(index)).collect()
    }

    fn outlined(base: &Manifest, client: &Manifest) -> Manifest {
        decode(&encode(base, &summarize(client)).unwrap(), client).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_described_against_an_outline_reads_back_against_the_base(base in tree(), client in tree()) {
            let (base, client) = (build(&base), build(&client));
            let outlined = outlined(&base, &client);
            prop_assert_eq!(paths(&outlined), paths(&base));
            for index in 0..base.len() {
                match (base.node(index), outlined.node(index)) {
                    (Node::File(file), Node::File(found)) => {
                        prop_assert_eq!((file.size, file.key.mode), (found.size, found.key.mode));
                        prop_assert!(file.key.hash.fits(&found.key.hash));
                    }
                    (Node::Symlink(target), Node::Symlink(found)) => {
                        prop_assert_eq!(base.text(target), outlined.text(found));
                    }
                    (one, other) => prop_assert_eq!(one, other),
                }
            }
            let encoded = difference::encode(&client, Some(&outlined));
            let (decoded, _) = crate::manifest::decode::decode(&encoded.to_bytes(), Some(&base)).unwrap();
            prop_assert_eq!(decoded.manifest.root(), client.root());
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(
            base in tree(), client in tree(), bytes in prop::collection::vec(any::<u8>(), 0..100), flip in any::<(u16, u8)>(),
        ) {
            let (base, client) = (build(&base), build(&client));
            drop(decode(&bytes, &client));
            let mut bytes = encode(&base, &summarize(&client)).unwrap();
            let at = usize::from(flip.0) % bytes.len();
            bytes[at] ^= flip.1;
            drop(decode(&bytes, &client));
        }
    }

    #[test]
    fn what_both_have_takes_a_few_bytes_and_is_known() {
        let file = |content: u32| {
            let key = ObjectKey { hash: Hash::of(&content.to_le_bytes()), mode: 0o444 };
            File { key, size: 4 }
        };
        let numbered = |changed: u32| {
            let mut builder = Builder::new();
            builder.begin(0o755).unwrap();
            for n in 0..100 {
                builder.directory(format!("{n:03}").as_bytes()).unwrap();
            }
            for n in 0..100 {
                builder.begin(0o755).unwrap();
                for m in 0..100_u32 {
                    let content = if (n, m) == (50, 50) { changed } else { n * 100 + m };
                    builder.file(format!("{m:03}").as_bytes(), file(content)).unwrap();
                }
            }
            builder.finish().unwrap()
        };
        let (base, client) = (numbered(1 << 20), numbered(1 << 21));
        let bytes = encode(&base, &summarize(&client)).unwrap();
        assert!(bytes.len() < 100 * 8, "{}", bytes.len());
        let outlined = decode(&bytes, &client).unwrap();
        let unknown = outlined.all_files().filter(|(index, file)| base.file(*index) != Some(*file));
        assert_eq!(unknown.map(|(index, _)| index).collect::<Vec<_>>(), [100 + 50 * 100 + 50]);
        assert!(base.root() == self::outlined(&base, &base).root());
    }

    #[test]
    fn a_guess_that_is_wrong_shows_in_the_root() {
        let holding = |hash: Hash| {
            let mut builder = Builder::new();
            builder.begin(0o755).unwrap();
            builder.file(b"a", File { key: ObjectKey { hash, mode: 0o444 }, size: 9 }).unwrap();
            builder.finish().unwrap()
        };
        let hash = Hash::of(b"content");
        let mut alike = *hash.as_bytes();
        alike[31] ^= 1;
        let (base, client) = (holding(hash), holding(Hash::from_bytes(alike)));
        let encoded = difference::encode(&client, Some(&outlined(&base, &client)));
        assert!(matches!(crate::manifest::decode::decode(&encoded.to_bytes(), Some(&base)), Err(BadEncoding::Root)));
    }
}
