//! A manifest as bytes: its difference from a base, or from nothing.
//!
//! ```text
//! root       32 bytes     the hash of the whole
//! ops        length, length compressed, zstd
//! hashes     length, 32 bytes each: not compressible, so kept out of the ops
//!
//! ops of the root:        source
//! source                  0 a script with no base · 2k+1 a script against base directory k · 2k+2 an equal base directory k
//! script                  mode, then ops until End; scripts follow each other in the order of directory numbers
//! op                      kind in the low three bits, a count above them
//! ```
//!
//! | kind | op | operands |
//! |---:|---|---|
//! | 0 | End | |
//! | 1 | Copy | count entries of the base directory, subdirectories with everything in them |
//! | 2 | Drop | count entries of the base directory are not in the new one |
//! | 3 | File | name, content, size |
//! | 4 | Symlink | name, target |
//! | 5 | Directory | name, source |
//! | 6 | Change | the base's file at this place: content, and the difference of its size, signed |
//! | 7 | Enter | the base's directory at this place: a script against it |
//!
//! A file's content is its mode times three, plus: 0, its hash is the next one · 1, its hash is promised · 2, its hash
//! is that of an entry of the base, whose number follows. If a hash is promised, the content itself comes in the same
//! flight, so that the receiver can hash it. Until then a [`Hash::placeholder`] replaces the hash, and the root proves
//! nothing. An empty file has no hash here.
//!
//! So an unchanged tree is one number, a moved directory is one op at each of its two places, and a changed file costs
//! its changes and not its name. Decoding checks every name, the order of names, and in the end the root: whatever was
//! sent, the result is the manifest that the root names, or an error.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::bytes::{ByteReader, Malformed, put_bytes, put_number, put_signed};
use crate::hash::Hash;
use crate::manifest::build::BadManifest;
use crate::manifest::ops::{CHANGE, COPY, DIRECTORY, DROP, END, ENTER, FILE, HASHED, IN_BASE, Ops, PROMISED, SYMLINK};
use crate::manifest::{EntryRef, File, Manifest, Node};

/// The origin of an entry that the base does not have.
pub(crate) const INTRODUCED: u32 = u32::MAX;

/// The zstd level of ops on the wire: they are small next to hashes, and this is within a few percent of the best.
const OPS_LEVEL: i32 = 3;
/// The zstd level of ops that are stored: of 78,000 files they take half the time and a tenth more bytes.
const KEPT_OPS_LEVEL: i32 = 1;

const IN_MEMORY: &str = "writing into memory does not fail";

/// The reason why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadEncoding {
    /// Cut off, or a number out of range.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The compressed part cannot be read.
    #[error("holds what cannot be decompressed")]
    Compression(#[from] std::io::Error),
    /// The described entries do not make a manifest.
    #[error("{0}")]
    Manifest(#[from] BadManifest),
    /// The file with the bytes cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// The bytes are well formed, and make another manifest than they say.
    #[error("does not hash to its root")]
    Root,
    /// The hash before the bytes is that of other bytes.
    #[error("is not what was written")]
    Altered,
    /// The bytes refer to a base that was not given.
    #[error("refers to a base that is not there")]
    Base,
}

/// The source of a directory of the new manifest.
#[derive(Debug, Clone, Copy)]
pub(super) enum DirectorySource {
    Script(Option<u32>),
    Same(u32),
}

impl DirectorySource {
    fn number(self) -> u64 {
        match self {
            DirectorySource::Script(None) => 0,
            DirectorySource::Script(Some(base)) => u64::from(base) * 2 + 1,
            DirectorySource::Same(base) => u64::from(base) * 2 + 2,
        }
    }

    pub(super) fn read(reader: &mut ByteReader<'_>, base: Option<&Manifest>) -> Result<DirectorySource, BadEncoding> {
        let number = reader.number()?;
        if number == 0 {
            return Ok(DirectorySource::Script(None));
        }
        let directory = u32::try_from((number - 1) / 2).map_err(|_| Malformed)?;
        let directories = base.ok_or(BadEncoding::Base)?.directories().len();
        if directory as usize >= directories {
            return Err(BadEncoding::Base);
        }
        Ok(if number % 2 == 1 { DirectorySource::Script(Some(directory)) } else { DirectorySource::Same(directory) })
    }
}

/// The way in which the other side learns the hash of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashSource {
    /// From the content, which comes in the same flight.
    Promised,
    /// From the base's entry of this number, which has the same content.
    InBase(u32),
}

/// By entry: the files whose hashes are not sent.
pub(crate) type HashSources = HashMap<u32, HashSource>;

/// An encoded manifest, ready to be written. Its hashes, which are most of it, are not copied before.
pub(crate) struct EncodedManifest<'a> {
    manifest: &'a Manifest,
    ops_len: u64,
    compressed: Vec<u8>,
    /// The entries whose hashes are sent, ascending.
    hashed: Vec<u32>,
}

impl EncodedManifest<'_> {
    /// Writes the bytes.
    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut front = self.manifest.root().as_bytes().to_vec();
        put_number(&mut front, self.ops_len);
        put_number(&mut front, self.compressed.len() as u64);
        out.write_all(&front)?;
        out.write_all(&self.compressed)?;
        front.clear();
        put_number(&mut front, (self.hashed.len() * size_of::<Hash>()) as u64);
        out.write_all(&front)?;
        self.hashed.iter().try_for_each(|&entry| out.write_all(self.manifest.hash(entry).as_bytes()))
    }

    /// Returns the bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.compressed.len() + self.hashed.len() * size_of::<Hash>() + 64);
        self.write_to(&mut bytes).expect(IN_MEMORY);
        bytes
    }
}

/// Returns the indices of files of `manifest` that `base` does not have at their path, in order.
pub(crate) fn introduced(manifest: &Manifest, base: Option<&Manifest>) -> Vec<u32> {
    Encoder::run(OPS_LEVEL, manifest, base, &HashSources::new()).introduced
}

/// Encodes `manifest` as its difference from `base`, with all hashes.
pub(crate) fn encode<'a>(manifest: &'a Manifest, base: Option<&Manifest>) -> EncodedManifest<'a> {
    encode_with(manifest, base, &HashSources::new())
}

/// Encodes `manifest` from nothing, to be stored.
pub(crate) fn encode_to_keep(manifest: &Manifest) -> EncodedManifest<'_> {
    encode_at(KEPT_OPS_LEVEL, manifest, None, &HashSources::new())
}

/// Encodes `manifest` as its difference from `base`, without the hashes that have another source.
pub(crate) fn encode_with<'a>(
    manifest: &'a Manifest,
    base: Option<&Manifest>,
    hash_sources: &HashSources,
) -> EncodedManifest<'a> {
    encode_at(OPS_LEVEL, manifest, base, hash_sources)
}

fn encode_at<'a>(
    level: i32,
    manifest: &'a Manifest,
    base: Option<&Manifest>,
    hash_sources: &HashSources,
) -> EncodedManifest<'a> {
    let Encoder { ops, hashed, .. } = Encoder::run(level, manifest, base, hash_sources);
    let (ops_len, compressed) = ops.finish().expect(IN_MEMORY);
    EncodedManifest { manifest, ops_len, compressed, hashed }
}

struct Encoder<'a> {
    manifest: &'a Manifest,
    base: Option<&'a Manifest>,
    hash_sources: &'a HashSources,
    /// The base's directories by content, to find a moved one whatever its path.
    known: HashMap<Hash, u32>,
    ops: Ops,
    /// The entries whose hashes are sent.
    hashed: Vec<u32>,
    introduced: Vec<u32>,
}

/// Joins neighbouring copies and drops into one op each.
#[derive(Default)]
struct Run {
    kind: u64,
    count: u64,
}

impl Run {
    fn add(&mut self, kind: u64, ops: &mut Vec<u8>) {
        if self.kind != kind {
            self.flush(ops);
            self.kind = kind;
        }
        self.count += 1;
    }

    fn flush(&mut self, ops: &mut Vec<u8>) {
        if self.count > 0 {
            put_number(ops, self.kind | self.count << 3);
        }
        *self = Run::default();
    }
}

impl<'a> Encoder<'a> {
    fn run(
        level: i32,
        manifest: &'a Manifest,
        base: Option<&'a Manifest>,
        hash_sources: &'a HashSources,
    ) -> Encoder<'a> {
        let known = base.map(|base| base.directories().iter().enumerate().map(|(k, d)| (d.hash, k as u32)).collect());
        let mut encoder = Encoder {
            manifest,
            base,
            hash_sources,
            known: known.unwrap_or_default(),
            ops: Ops::new(level),
            hashed: Vec::new(),
            introduced: Vec::new(),
        };
        encoder.describe();
        encoder
    }

    fn describe(&mut self) {
        let root = self.source_of(0, self.base.map(|_| 0));
        put_number(&mut self.ops.waiting, root.number());
        let mut sources = vec![root];
        let mut number = 0;
        while number < sources.len() {
            match sources[number] {
                DirectorySource::Same(_) => {
                    let subdirectories = self.manifest.children(number as u32).filter_map(directory_of);
                    sources.extend(subdirectories.map(|_| DirectorySource::Same(0)));
                }
                DirectorySource::Script(base) => self.script(number as u32, base, &mut sources),
            }
            self.ops.flush_if_large().expect(IN_MEMORY);
            number += 1;
        }
    }

    fn source_of(&self, directory: u32, beside: Option<u32>) -> DirectorySource {
        match self.known.get(&self.manifest.directories()[directory as usize].hash) {
            Some(&base) => DirectorySource::Same(base),
            None => DirectorySource::Script(beside),
        }
    }

    fn script(&mut self, number: u32, base: Option<u32>, sources: &mut Vec<DirectorySource>) {
        put_number(&mut self.ops.waiting, u64::from(self.manifest.directories()[number as usize].mode));
        let mut before =
            base.and_then(|base| self.base.map(|manifest| manifest.children(base))).into_iter().flatten().peekable();
        let mut run = Run::default();
        for named in self.manifest.children(number) {
            while before.next_if(|old| old.name < named.name).is_some() {
                run.add(DROP, &mut self.ops.waiting);
            }
            let old = before.next_if(|old| old.name == named.name);
            self.entry(named, old, &mut run, sources);
        }
        run.flush(&mut self.ops.waiting);
        put_number(&mut self.ops.waiting, END);
    }

    fn entry(
        &mut self,
        named: EntryRef<'_>,
        old: Option<EntryRef<'_>>,
        run: &mut Run,
        sources: &mut Vec<DirectorySource>,
    ) {
        let beside = old.and_then(directory_of);
        if let Node::Directory(number) = named.node {
            sources.push(self.source_of(number, beside));
        }
        if old.is_some_and(|old| self.is_same(named.node, old.node)) {
            return run.add(COPY, &mut self.ops.waiting);
        }
        match (named.node, old.map(|old| old.node)) {
            (Node::File(file), Some(Node::File(old))) => {
                run.flush(&mut self.ops.waiting);
                put_number(&mut self.ops.waiting, CHANGE);
                self.content(named.index, file);
                put_signed(&mut self.ops.waiting, file.size.wrapping_sub(old.size) as i64);
            }
            (Node::Directory(_), Some(Node::Directory(_)))
                if matches!(sources.last(), Some(DirectorySource::Script(_))) =>
            {
                run.flush(&mut self.ops.waiting);
                put_number(&mut self.ops.waiting, ENTER);
            }
            (node, old) => {
                if old.is_some() {
                    run.add(DROP, &mut self.ops.waiting);
                }
                run.flush(&mut self.ops.waiting);
                self.insert(named, node, sources);
            }
        }
    }

    fn insert(&mut self, named: EntryRef<'_>, node: Node, sources: &mut [DirectorySource]) {
        match node {
            Node::File(file) => {
                put_number(&mut self.ops.waiting, FILE);
                put_bytes(&mut self.ops.waiting, named.name);
                self.content(named.index, file);
                put_number(&mut self.ops.waiting, file.size);
            }
            Node::Symlink(target) => {
                put_number(&mut self.ops.waiting, SYMLINK);
                put_bytes(&mut self.ops.waiting, named.name);
                put_bytes(&mut self.ops.waiting, self.manifest.text(target));
            }
            Node::Directory(_) => {
                put_number(&mut self.ops.waiting, DIRECTORY);
                put_bytes(&mut self.ops.waiting, named.name);
                // A directory that replaces another kind of entry has no base to be compared with.
                let last = sources.last_mut().expect("the directory's source was pushed");
                if let DirectorySource::Script(beside) = last {
                    *beside = None;
                }
                put_number(&mut self.ops.waiting, last.number());
            }
        }
    }

    fn content(&mut self, index: u32, file: File) {
        self.introduced.push(index);
        let mode = u64::from(file.key.mode) * 3;
        match self.hash_sources.get(&index) {
            _ if file.size == 0 => put_number(&mut self.ops.waiting, mode + HASHED),
            None => {
                put_number(&mut self.ops.waiting, mode + HASHED);
                self.hashed.push(index);
            }
            Some(HashSource::Promised) => put_number(&mut self.ops.waiting, mode + PROMISED),
            Some(HashSource::InBase(entry)) => {
                put_number(&mut self.ops.waiting, mode + IN_BASE);
                put_number(&mut self.ops.waiting, u64::from(*entry));
            }
        }
    }

    fn is_same(&self, new: Node, old: Node) -> bool {
        let Some(base) = self.base else { return false };
        match (new, old) {
            (Node::File(new), Node::File(old)) => new == old,
            (Node::Symlink(new), Node::Symlink(old)) => self.manifest.text(new) == base.text(old),
            (Node::Directory(new), Node::Directory(old)) => {
                self.manifest.directories()[new as usize].hash == base.directories()[old as usize].hash
            }
            _ => false,
        }
    }
}

pub(super) fn directory_of(named: EntryRef<'_>) -> Option<u32> {
    match named.node {
        Node::Directory(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::manifest::decode::{Parts, StreamEntry, StreamEntryKind, decode, decode_with};
    use crate::manifest::{Builder, ObjectKey};

    #[derive(Debug, Clone, PartialEq)]
    enum Tree {
        File(u8),
        Symlink(u8),
        Directory(BTreeMap<u8, Tree>),
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf =
            prop_oneof![any::<u8>().prop_map(|n| Tree::File(n % 8)), any::<u8>().prop_map(|n| Tree::Symlink(n % 4))];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop::collection::btree_map(0_u8..8, inner, 0..6).prop_map(Tree::Directory)
        })
    }

    fn root() -> impl Strategy<Value = Tree> {
        prop::collection::btree_map(0_u8..8, tree(), 0..8).prop_map(Tree::Directory)
    }

    fn build(root: &Tree) -> Manifest {
        let mut builder = Builder::new();
        let mut queue = std::collections::VecDeque::from([root]);
        while let Some(Tree::Directory(children)) = queue.pop_front() {
            builder.begin(0o755).unwrap();
            for (name, child) in children {
                let name = [b'a' + name];
                match child {
                    Tree::File(content) => {
                        let key = ObjectKey { hash: Hash::of(&[*content]), mode: 0o444 };
                        builder.file(&name, File { key, size: 1 }).unwrap();
                    }
                    Tree::Symlink(target) => {
                        builder.symlink(&name, &[b'A' + target]).unwrap();
                    }
                    Tree::Directory(_) => {
                        builder.directory(&name).unwrap();
                        queue.push_back(child);
                    }
                }
            }
        }
        builder.finish().unwrap()
    }

    fn paths(manifest: &Manifest) -> Vec<Vec<u8>> {
        (0..manifest.len()).map(|index| manifest.path(index)).collect()
    }

    proptest! {
        #[test]
        fn any_manifest_reads_back_against_any_base(base in prop::option::of(root()), new in root()) {
            let base = base.as_ref().map(build);
            let manifest = build(&new);
            let bytes = encode(&manifest, base.as_ref()).to_bytes();
            let (decoded, rest) = decode(&bytes, base.as_ref()).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(decoded.manifest.root(), manifest.root());
            prop_assert_eq!(paths(&decoded.manifest), paths(&manifest));
            let introduced: Vec<u32> =
                manifest.all_files().map(|(index, _)| index).filter(|&index| decoded.origins[index as usize] == INTRODUCED).collect();
            prop_assert_eq!(introduced, super::introduced(&manifest, base.as_ref()));
            if base.is_none() {
                let (mut files, mut paths) = (Vec::new(), vec![Vec::new()]);
                let take = |entry: StreamEntry<'_>| {
                    if let StreamEntryKind::File(file) = entry.kind {
                        files.push((entry.index, file));
                    }
                    let path = match paths.get(entry.directory as usize) {
                        Some(above) => [above, entry.name].join(&b'/'),
                        None => Vec::new(),
                    };
                    if matches!(entry.kind, StreamEntryKind::Directory) {
                        paths.push(path);
                    }
                };
                Parts::read(&bytes).unwrap().0.for_each_entry(take).unwrap();
                let own = (0..manifest.directories().len() as u32).map(|number| manifest.directory_path(number));
                let passed = paths.iter().map(|path| path.strip_prefix(b"/").unwrap_or(path).to_vec());
                prop_assert!(passed.eq(own));
                prop_assert_eq!(files, manifest.all_files().collect::<Vec<_>>());
            }
            for (index, &origin) in decoded.origins.iter().enumerate() {
                if origin != INTRODUCED && let Some(file) = manifest.file(index as u32) {
                    prop_assert_eq!(base.as_ref().unwrap().file(origin), Some(file));
                }
            }
        }

        #[test]
        fn what_was_promised_makes_the_manifest_whole(base in root(), new in root(), choice in any::<u64>()) {
            let (base, manifest) = (build(&base), build(&new));
            let in_base = |file: File| base.all_files().find(|(_, old)| old.key.hash == file.key.hash).map(|(old, _)| old);
            let given = |(entry, file): (u32, File)| match choice >> (entry % 32 * 2) & 3 {
                0 => None,
                1 => Some((entry, HashSource::InBase(in_base(file)?))),
                _ => Some((entry, HashSource::Promised)),
            };
            let introduced = introduced(&manifest, Some(&base));
            let hash_sources: HashSources =
                introduced.iter().filter_map(|&entry| given((entry, manifest.file(entry)?))).collect();
            let bytes = encode_with(&manifest, Some(&base), &hash_sources).to_bytes();
            let (decoded, rest) = decode_with(&bytes, Some(&base)).unwrap();
            prop_assert!(rest.is_empty());
            let mut promised: Vec<u32> =
                hash_sources.iter().filter(|(_, given)| **given == HashSource::Promised).map(|(entry, _)| *entry).collect();
            promised.sort_unstable();
            prop_assert_eq!(&decoded.promised, &promised);
            prop_assert_eq!(decoded.root, manifest.root());
            let hashes = promised.iter().map(|&entry| (entry, manifest.file(entry).unwrap().key.hash));
            let whole = decoded.manifest.with_hashes(hashes);
            prop_assert_eq!(whole.root(), manifest.root());
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(base in root(), mut bytes in prop::collection::vec(any::<u8>(), 0..200), new in root(), flip in any::<(u16, u8)>()) {
            let base = build(&base);
            drop(decode(&bytes, Some(&base)));
            drop(Parts::read(&bytes).map(|(parts, _)| parts.for_each_entry(|_| ())));
            bytes = encode(&build(&new), Some(&base)).to_bytes();
            let at = usize::from(flip.0) % bytes.len();
            bytes[at] ^= flip.1;
            if let Ok((decoded, _)) = decode(&bytes, Some(&base)) {
                prop_assert_eq!(decoded.manifest.root(), build(&new).root());
            }
        }
    }

    #[test]
    fn an_empty_file_has_the_hash_of_nothing() {
        let base = |hash: Hash| {
            let mut builder = Builder::new();
            builder.begin(0o755).unwrap();
            builder.file(b"empty", File { key: ObjectKey { hash, mode: 0o444 }, size: 0 }).unwrap();
            builder.finish().unwrap()
        };
        // A root that holds one file, whose content is given so.
        let decode = |base: &Manifest, given: &[u64], size: u64| {
            let mut ops = Vec::new();
            [0, 0o755, FILE].into_iter().for_each(|number| put_number(&mut ops, number));
            put_bytes(&mut ops, b"file");
            given.iter().chain(&[size, END]).for_each(|&number| put_number(&mut ops, number));
            let mut bytes = base.root().as_bytes().to_vec();
            put_number(&mut bytes, ops.len() as u64);
            put_bytes(&mut bytes, &zstd::bulk::compress(&ops, OPS_LEVEL).unwrap());
            put_bytes(&mut bytes, &[]);
            decode_with(&bytes, Some(base)).map(|(decoded, _)| decoded.promised)
        };
        let (right, wrong) = (base(Hash::of(b"")), base(Hash::of(b"something")));
        let mode = 0o444 * 3;
        assert_eq!(decode(&right, &[mode + PROMISED], 1).unwrap(), [0]);
        let malformed = |base: &Manifest, given: &[u64]| {
            assert!(matches!(decode(base, given, 0), Err(BadEncoding::Malformed(_))), "{given:?}");
        };
        malformed(&right, &[mode + PROMISED]);
        malformed(&wrong, &[mode + IN_BASE, 0]);
        // It is well formed, and has another root than this says.
        assert!(matches!(decode(&right, &[mode + IN_BASE, 0], 0), Err(BadEncoding::Root)));
    }

    #[test]
    fn an_unchanged_tree_and_a_moved_directory_cost_a_few_bytes() {
        let many = Tree::Directory((0..8).map(|n| (n, Tree::File(n))).collect());
        let before = build(&Tree::Directory([(0, many.clone()), (1, Tree::File(0))].into()));
        let after = build(&Tree::Directory([(1, Tree::File(0)), (2, many)].into()));
        assert!(encode(&before, Some(&before)).to_bytes().len() < 50);
        let moved = encode(&after, Some(&before)).to_bytes();
        assert!(moved.len() < 70, "{}", moved.len());
        assert!(introduced(&after, Some(&before)).is_empty());
    }

    #[test]
    fn what_is_compressed_in_steps_reads_back() {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for number in 0..100 {
            builder.directory(format!("{number:03}").as_bytes()).unwrap();
        }
        for number in 0..100_u32 {
            builder.begin(0o755).unwrap();
            for file in 0..400_u32 {
                let key = ObjectKey { hash: Hash::of(&(number * 400 + file).to_le_bytes()), mode: 0o444 };
                builder.file(format!("{file:050}").as_bytes(), File { key, size: 4 }).unwrap();
            }
        }
        let manifest = builder.finish().unwrap();
        let encoded = encode(&manifest, None);
        assert!(encoded.ops_len > 2 * crate::manifest::ops::OPS_WAITING as u64);
        let bytes = encoded.to_bytes();
        let (decoded, rest) = decode(&bytes, None).unwrap();
        assert_eq!((decoded.manifest.root(), rest), (manifest.root(), b"".as_slice()));
    }
}
