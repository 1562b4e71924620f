//! Builds a manifest, directory by directory, breadth first.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::bytes::put_number;
use crate::hash::Hash;
use crate::manifest::{Directory, Entry, File, Manifest, Node, ObjectKey, Text};
use crate::path::{BadPath, check_name};

/// Separates directory hashes from hashes of content.
const DIRECTORY_CONTEXT: &str = "cutover 2026 manifest directory 1";

/// The longest target of a symlink on Linux, in bytes (`PATH_MAX`).
const TARGET_MAX: usize = 4096;

/// The hash of a directory until it is computed.
const NOT_HASHED: Hash = Hash::from_bytes([0; 32]);

/// The most content, in bytes: no file of Linux is longer, and sums of a few sizes stay within 64 bits.
const CONTENT_MAX: u64 = i64::MAX as u64;

/// The reason why entries do not make a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadManifest {
    /// A name that could lead elsewhere.
    #[error("holds a bad name: {0}")]
    Name(#[from] BadPath),
    /// Names of a directory that are out of order, or twice the same.
    #[error("has names out of order")]
    Order,
    /// A symlink's target that is empty, too long, or holds a NUL byte.
    #[error("holds a bad symlink target")]
    Target,
    /// Permission bits that do not belong there.
    #[error("holds a bad mode")]
    Mode,
    /// More than a manifest may hold: entries, directories, bytes of names and targets, or 2^63 bytes of content.
    #[error(
        "is too large: at most {} entries, {} of them directories, and {} MiB of names are accepted",
        super::ENTRIES_MAX, super::DIRECTORIES_MAX, super::TEXT_BYTES_MAX >> 20
    )]
    TooLarge,
    /// More nested directories than [`super::LEVELS_MAX`].
    #[error("has more than {} directories within each other", super::LEVELS_MAX)]
    TooDeep,
    /// A directory that is named and has no entries of its own, or has them and is not named.
    #[error("has directories that do not fit together")]
    Shape,
}

/// A directory that was named.
#[derive(Debug, Clone, Copy)]
struct NamedDirectory {
    /// The directory that names it.
    parent: u32,
    /// The entry that names it.
    entry: u32,
    /// The number of directories above it, the root not counted.
    level: u16,
}

/// A builder of a manifest. It accepts directories in the order of their numbers: the root, then each directory in the
/// order in which it was named.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    manifest: Manifest,
    /// For each directory named so far.
    named: Vec<NamedDirectory>,
}

impl Builder {
    /// Starts with nothing.
    pub(crate) fn new() -> Builder {
        Builder { manifest: Manifest::default(), named: vec![NamedDirectory { parent: 0, entry: 0, level: 0 }] }
    }

    /// Starts with nothing, and with capacity for this many bytes of names.
    pub(crate) fn with_room(text_bytes: usize) -> Builder {
        let mut builder = Builder::new();
        Arc::make_mut(&mut builder.manifest.text).reserve_exact(text_bytes.min(super::TEXT_BYTES_MAX));
        builder
    }

    /// Begins the next directory. The following entries are in it.
    pub(crate) fn begin(&mut self, mode: u16) -> Result<(), BadManifest> {
        self.begin_with(mode, NOT_HASHED)
    }

    /// Begins the next directory, whose hash was computed before from the same entries.
    pub(crate) fn begin_with(&mut self, mode: u16, hash: Hash) -> Result<(), BadManifest> {
        if u32::from(mode) & !super::DIRECTORY_MODE_MASK != 0 {
            return Err(BadManifest::Mode);
        }
        let number = self.manifest.directories.len();
        let &NamedDirectory { parent, entry, .. } = self.named.get(number).ok_or(BadManifest::Shape)?;
        let first = self.manifest.entries.len() as u32;
        self.manifest.directories.push(Directory { mode, parent, entry, first, count: 0, hash });
        Ok(())
    }

    /// Adds a file to the directory that was begun last.
    pub(crate) fn file(&mut self, name: &[u8], file: File) -> Result<u32, BadManifest> {
        if u32::from(file.key.mode) & !super::FILE_MODE_MASK != 0 {
            return Err(BadManifest::Mode);
        }
        self.manifest.files += 1;
        let bytes = self.manifest.bytes.checked_add(file.size).filter(|&bytes| bytes <= CONTENT_MAX);
        self.manifest.bytes = bytes.ok_or(BadManifest::TooLarge)?;
        self.push(name, Node::File(file))
    }

    /// Adds a symlink to the directory that was begun last.
    pub(crate) fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<u32, BadManifest> {
        if target.is_empty() || target.len() > TARGET_MAX || target.contains(&0) {
            return Err(BadManifest::Target);
        }
        self.manifest.files += 1;
        let target = self.text(target)?;
        self.push(name, Node::Symlink(target))
    }

    /// Adds a directory to the directory that was begun last. Its own entries follow in its turn.
    pub(crate) fn directory(&mut self, name: &[u8]) -> Result<u32, BadManifest> {
        if self.named.len() == super::DIRECTORIES_MAX {
            return Err(BadManifest::TooLarge);
        }
        let number = self.named.len() as u32;
        let parent = self.manifest.directories.len().checked_sub(1).ok_or(BadManifest::Shape)?;
        let level = self.named[parent].level + 1;
        if level > super::LEVELS_MAX {
            return Err(BadManifest::TooDeep);
        }
        let entry = self.push(name, Node::Directory(number))?;
        self.named.push(NamedDirectory { parent: parent as u32, entry, level });
        Ok(entry)
    }

    /// Tells whether every directory that was named was also begun.
    pub(crate) fn is_complete(&self) -> bool {
        self.manifest.directories.len() == self.named.len()
    }

    /// Computes the hashes and returns the manifest.
    pub(crate) fn finish(mut self) -> Result<Manifest, BadManifest> {
        if !self.is_complete() {
            return Err(BadManifest::Shape);
        }
        self.manifest.hash_directories();
        Arc::make_mut(&mut self.manifest.text).shrink_to_fit();
        self.manifest.entries.shrink_to_fit();
        Ok(self.manifest)
    }

    fn push(&mut self, name: &[u8], node: Node) -> Result<u32, BadManifest> {
        check_name(name)?;
        let directory = self.manifest.directories.last().ok_or(BadManifest::Shape)?;
        if directory.count > 0 {
            let last = self.manifest.entries.len() - 1;
            if self.manifest.name(last as u32) >= name {
                return Err(BadManifest::Order);
            }
        }
        let len = u8::try_from(name.len()).map_err(|_| BadPath::TooLong)?;
        let Text { start, .. } = self.text(name)?;
        if self.manifest.entries.len() == super::ENTRIES_MAX {
            return Err(BadManifest::TooLarge);
        }
        let index = self.manifest.entries.len() as u32;
        self.manifest.entries.push(Entry::new(start, len, node));
        self.manifest.directories.last_mut().ok_or(BadManifest::Shape)?.count += 1;
        Ok(index)
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Text, BadManifest> {
        if self.manifest.text.len() + bytes.len() > super::TEXT_BYTES_MAX {
            return Err(BadManifest::TooLarge);
        }
        let start = self.manifest.text.len() as u32;
        Arc::make_mut(&mut self.manifest.text).extend_from_slice(bytes);
        let len = u16::try_from(bytes.len()).map_err(|_| BadManifest::TooLarge)?;
        Ok(Text { start, len })
    }
}

/// From this many directories of a level on, several threads hash them: a microsecond each.
const HASHED_AT_ONCE: usize = 64;

impl Manifest {
    /// Computes the missing hashes of directories, a level at a time, the lowest first.
    fn hash_directories(&mut self) {
        for level in self.levels().into_iter().rev() {
            let open: Vec<usize> = level.filter(|&number| self.directories[number].hash == NOT_HASHED).collect();
            let hash = |encoded: &mut Vec<u8>, &number: &usize| directory_hash(self, number as u32, encoded);
            // For a few, waking other threads takes longer.
            let hashes: Vec<Hash> = if open.len() < HASHED_AT_ONCE {
                let mut encoded = Vec::new();
                open.iter().map(|number| hash(&mut encoded, number)).collect()
            } else {
                open.par_iter().map_init(Vec::new, hash).collect()
            };
            open.into_iter().zip(hashes).for_each(|(number, hash)| self.directories[number].hash = hash);
        }
    }

    /// Returns the numbers of the directories of each level. Those of one level lie side by side.
    fn levels(&self) -> Vec<Range<usize>> {
        let (mut levels, mut begin) = (Vec::new(), 0);
        while begin < self.directories.len() {
            // The next level begins with the first directory that one of this level names.
            let is_named_here = |directory: &Directory| directory.parent as usize >= begin;
            let below = self.directories[begin + 1..].iter().position(is_named_here);
            let end = below.map_or(self.directories.len(), |below| begin + 1 + below);
            levels.push(begin..end);
            begin = end;
        }
        levels
    }

    /// Returns the manifest with other hashes for some of its files.
    pub(crate) fn with_hashes(&self, hashes: impl IntoIterator<Item = (u32, Hash)>) -> Manifest {
        let mut manifest = self.clone();
        for (entry, hash) in hashes {
            manifest.entries.get_mut(entry as usize).hash = hash;
            let mut number = manifest.holder(entry);
            // If a directory is still to be hashed, so are all above it.
            while manifest.directories[number as usize].hash != NOT_HASHED {
                manifest.directories[number as usize].hash = NOT_HASHED;
                number = manifest.directories[number as usize].parent;
            }
        }
        manifest.hash_directories();
        manifest
    }
}

/// Hashes a directory: its mode, then each entry as kind, name and content. A length precedes each variable part, so no
/// two directories have the same encoding.
fn directory_hash(manifest: &Manifest, number: u32, encoded: &mut Vec<u8>) -> Hash {
    encoded.clear();
    put_number(encoded, u64::from(manifest.directories[number as usize].mode));
    for named in manifest.children(number) {
        let kind = match named.node {
            Node::File(_) => b'f',
            Node::Directory(_) => b'd',
            Node::Symlink(_) => b'l',
        };
        encoded.push(kind);
        crate::bytes::put_bytes(encoded, named.name);
        match named.node {
            Node::File(File { key: ObjectKey { hash, mode }, size }) => {
                put_number(encoded, u64::from(mode));
                put_number(encoded, size);
                encoded.extend_from_slice(hash.as_bytes());
            }
            Node::Directory(child) => encoded.extend_from_slice(manifest.directories[child as usize].hash.as_bytes()),
            Node::Symlink(target) => crate::bytes::put_bytes(encoded, manifest.text(target)),
        }
    }
    Hash::of_structure(DIRECTORY_CONTEXT, encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::LEVELS_MAX;

    fn file(content: &[u8]) -> File {
        File { key: ObjectKey { hash: Hash::of(content), mode: 0o444 }, size: content.len() as u64 }
    }

    #[test]
    fn directories_are_hashed_after_those_in_them_however_many_there_are() {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        let names: Vec<String> = (0..2 * HASHED_AT_ONCE).map(|number| format!("{number:04}")).collect();
        for name in &names {
            builder.directory(name.as_bytes()).unwrap();
        }
        for (at, name) in names.iter().enumerate() {
            builder.begin(0o755).unwrap();
            builder.file(name.as_bytes(), file(b"1")).unwrap();
            if at % 2 == 0 {
                builder.directory(b"deeper").unwrap();
            }
        }
        for name in names.iter().step_by(2) {
            builder.begin(0o755).unwrap();
            builder.file(name.as_bytes(), file(b"2")).unwrap();
        }
        let manifest = builder.finish().unwrap();
        assert_eq!(manifest.levels(), [0..1, 1..1 + names.len(), 1 + names.len()..1 + names.len() + names.len() / 2]);
        for (number, directory) in manifest.directories().iter().enumerate() {
            assert_eq!(directory.hash, directory_hash(&manifest, number as u32, &mut Vec::new()), "{number}");
        }
    }

    #[test]
    fn paths_lead_to_entries_and_back() {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        builder.directory(b"a").unwrap();
        builder.directory(b"b").unwrap();
        builder.file(b"c", file(b"c")).unwrap();
        builder.begin(0o755).unwrap();
        builder.begin(0o700).unwrap();
        builder.directory(b"deep").unwrap();
        builder.symlink(b"link", b"../c").unwrap();
        builder.begin(0o755).unwrap();
        builder.file(b"file", file(b"content")).unwrap();
        let manifest = builder.finish().unwrap();

        for path in ["a", "b", "b/deep", "b/deep/file", "b/link", "c"] {
            let named = manifest.find(path.as_bytes().split(|&byte| byte == b'/')).unwrap();
            assert_eq!(manifest.path(named.index), path.as_bytes());
        }
        assert!(manifest.find([&b"a"[..], b"x"]).is_none());
        assert!(manifest.find([&b"c"[..], b"x"]).is_none());
        assert_eq!((manifest.files(), manifest.bytes()), (3, 8));
    }

    #[test]
    fn names_that_lead_elsewhere_or_stand_twice_are_refused() {
        let check = |names: &[&[u8]], expected: BadManifest| {
            let mut builder = Builder::new();
            builder.begin(0o755).unwrap();
            let result = names.iter().try_for_each(|name| builder.file(name, file(b"x")).map(|_| ()));
            assert_eq!(result, Err(expected), "{names:?}");
        };
        check(&[b".."], BadManifest::Name(BadPath::Dots));
        check(&[b"a/b"], BadManifest::Name(BadPath::Byte));
        check(&[b""], BadManifest::Name(BadPath::Empty));
        check(&[b"a", b"a"], BadManifest::Order);
        check(&[b"b", b"a"], BadManifest::Order);
    }

    #[test]
    fn more_content_than_any_disk_holds_is_refused() {
        let check = |sizes: &[u64], expected: Result<(), BadManifest>| {
            let mut builder = Builder::new();
            builder.begin(0o755).unwrap();
            let file = |(at, &size): (usize, &u64)| builder.file(&[b'a' + at as u8], File { size, ..file(b"x") });
            assert_eq!(sizes.iter().enumerate().map(file).try_for_each(|added| added.map(drop)), expected, "{sizes:?}");
        };
        let half = 1 << 62;
        check(&[half, half - 1], Ok(()));
        check(&[half, half], Err(BadManifest::TooLarge));
        check(&[u64::MAX], Err(BadManifest::TooLarge));
        check(&[1, u64::MAX], Err(BadManifest::TooLarge));
    }

    #[test]
    fn more_entries_directories_or_names_than_are_taken_are_refused() {
        use crate::manifest::{DIRECTORIES_MAX, ENTRIES_MAX, TEXT_BYTES_MAX};
        /// Adds entries, whose names count up, until one is refused. Returns how many were taken.
        fn taken(mut add: impl FnMut(&mut Builder, &[u8]) -> Result<u32, BadManifest>, name_len: usize) -> usize {
            let mut builder = Builder::new();
            builder.begin(0o755).unwrap();
            let names = (0..).map(|number: u32| format!("{number:0name_len$}").into_bytes());
            let refused = names.map(|name| add(&mut builder, &name)).enumerate().find(|(_, added)| added.is_err());
            let (count, refused) = refused.unwrap();
            assert_eq!(refused, Err(BadManifest::TooLarge));
            count
        }
        let empty = file(b"");
        assert_eq!(taken(|builder, name| builder.file(name, empty), 7), ENTRIES_MAX);
        // The root is one of them.
        assert_eq!(taken(Builder::directory, 7), DIRECTORIES_MAX - 1);
        assert_eq!(taken(|builder, name| builder.file(name, empty), 200), TEXT_BYTES_MAX / 200);
        assert_eq!(taken(|builder, name| builder.symlink(name, &[b'x'; 4000]), 96), TEXT_BYTES_MAX / 4096);
    }

    #[test]
    fn directories_lie_within_each_other_only_so_deep() {
        let mut builder = Builder::new();
        for _ in 0..LEVELS_MAX {
            builder.begin(0o755).unwrap();
            builder.directory(b"d").unwrap();
        }
        builder.begin(0o755).unwrap();
        assert_eq!(builder.directory(b"d"), Err(BadManifest::TooDeep));
        assert_eq!(builder.finish().unwrap().directories().len(), usize::from(LEVELS_MAX) + 1);
    }

    #[test]
    fn a_write_bit_or_a_missing_directory_is_refused() {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        let mut writable = file(b"x");
        writable.key.mode = 0o644;
        assert_eq!(builder.file(b"x", writable), Err(BadManifest::Mode));
        builder.directory(b"y").unwrap();
        assert_eq!(builder.finish().err(), Some(BadManifest::Shape));
    }
}
