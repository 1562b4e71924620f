//! The sorted description of one release: every path with kind, mode, size and content hash.
//!
//! A manifest is a Merkle tree of directories. Directories are numbered breadth first: the root is 0, and the others
//! follow in the order in which entries name them. The entries of one directory lie side by side, sorted by name as
//! bytes, so the order of all entries is the same wherever the manifest is built, and an entry's index names it on both
//! sides of the wire.
//!
//! Memory is one small record an entry and the bytes of its name: nothing grows with file sizes.
//!
//! The server's additions (mtimes, the copy of an object) are not part of a manifest: see [`placement`].

pub(crate) mod build;
pub(crate) mod decode;
pub(crate) mod diff;
pub(crate) mod encode;
pub(crate) mod moves;
mod ops;
pub(crate) mod outline;
pub(crate) mod placement;
mod shared_vec;

use std::cmp::Ordering;
use std::sync::Arc;

use crate::hash::Hash;
use crate::path::push_name;

pub(crate) use build::Builder;
use shared_vec::SharedVec;

/// The permission bits of a file in a release: objects are read-only, so write bits are dropped.
pub(crate) const FILE_MODE_MASK: u32 = 0o555;
/// The permission bits of a directory in a release.
pub(crate) const DIRECTORY_MODE_MASK: u32 = 0o777;
/// The bit that every directory has. Its owner must be able to add and remove entries, or a release could not be
/// removed.
pub(crate) const DIRECTORY_MODE_ALWAYS: u32 = 0o200;

/// The most directories within each other below the root. A tree is walked a level at a time, each with a held
/// directory and a frame of a thread's stack. The author of a manifest must not be able to reach the limits of both
/// (1024 descriptors, 2 MiB). `PATH_MAX` would allow 2048.
pub(crate) const LEVELS_MAX: u16 = 256;

/// The most entries of a manifest: a million files, and a quarter as many directories or further files. If all of a
/// tree is new and the base is as large, the server holds some 300 bytes for each: `wire/bounds.rs` adds them up.
pub(crate) const ENTRIES_MAX: usize = 1_250_000;

/// The most directories among the entries. Each takes another 120 bytes.
pub(crate) const DIRECTORIES_MAX: usize = 400_000;

/// The most bytes of all names and targets of a manifest together: 26 for each entry. Kernel sources and PHP and
/// JavaScript packages take 12 to 16.
pub(crate) const TEXT_BYTES_MAX: usize = 32 << 20;

/// The most bytes of the ops that describe a manifest, unpacked: its names and targets, and 14 for each entry.
pub(crate) const OPS_BYTES_MAX: u64 = (TEXT_BYTES_MAX + 14 * ENTRIES_MAX) as u64;

/// A piece of a manifest's text: a name or the target of a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    start: u32,
    len: u16,
}

/// One content at one mode: the server stores it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    /// The hash of the content.
    pub(crate) hash: Hash,
    /// The permission bits, without write bits.
    pub(crate) mode: u16,
}

/// A regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct File {
    /// The content and mode.
    pub(crate) key: ObjectKey,
    /// The size in bytes.
    pub(crate) size: u64,
}

/// The kind of an entry, with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    /// A regular file.
    File(File),
    /// A directory, by its number.
    Directory(u32),
    /// A symlink, by its target.
    Symlink(Text),
}

/// An entry in memory. Trees have a million of them, so it is packed into 48 bytes: a [`Node`] beside a [`Text`] takes
/// 64.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The hash of a file's content. For other entries, [`NO_HASH`].
    hash: Hash,
    /// The size of a file, the number of a directory, or the start of a symlink's target.
    value: u64,
    /// The start of the name.
    name_start: u32,
    name_len: u8,
    kind: EntryKind,
    /// The permission bits of a file, or the length of a symlink's target.
    detail: u16,
}

#[derive(Debug, Clone, Copy)]
enum EntryKind {
    File,
    Directory,
    Symlink,
}

/// The hash of an entry that has none.
const NO_HASH: Hash = Hash::from_bytes([0; 32]);

impl Entry {
    fn new(name_start: u32, name_len: u8, node: Node) -> Entry {
        let (kind, hash, value, detail) = match node {
            Node::File(File { key: ObjectKey { hash, mode }, size }) => (EntryKind::File, hash, size, mode),
            Node::Directory(number) => (EntryKind::Directory, NO_HASH, u64::from(number), 0),
            Node::Symlink(Text { start, len }) => (EntryKind::Symlink, NO_HASH, u64::from(start), len),
        };
        Entry { hash, value, name_start, name_len, kind, detail }
    }

    fn name(&self) -> Text {
        Text { start: self.name_start, len: self.name_len.into() }
    }

    fn node(&self) -> Node {
        let Entry { hash, value, kind, detail, .. } = *self;
        match kind {
            EntryKind::File => Node::File(File { key: ObjectKey { hash, mode: detail }, size: value }),
            EntryKind::Directory => Node::Directory(value as u32),
            EntryKind::Symlink => Node::Symlink(Text { start: value as u32, len: detail }),
        }
    }
}

/// One directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory {
    /// The permission bits.
    pub(crate) mode: u16,
    /// The directory that holds it. The root holds itself.
    pub(crate) parent: u32,
    /// The entry that names it. Meaningless for the root.
    entry: u32,
    first: u32,
    count: u32,
    /// The hash of everything in it, its own mode included.
    pub(crate) hash: Hash,
}

/// See the module's description. Clones share their unchanged parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    text: Arc<Vec<u8>>,
    entries: SharedVec<Entry>,
    directories: Vec<Directory>,
    files: u64,
    bytes: u64,
}

/// An entry of a manifest, seen from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryRef<'a> {
    /// The index.
    pub(crate) index: u32,
    /// The name.
    pub(crate) name: &'a [u8],
    /// The kind and content.
    pub(crate) node: Node,
}

impl Manifest {
    /// Returns the identity of the whole content.
    pub(crate) fn root(&self) -> Hash {
        self.directories[0].hash
    }

    /// Returns the number of entries other than directories.
    pub(crate) fn files(&self) -> u64 {
        self.files
    }

    /// Sums the sizes of all files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns all directories, by number.
    pub(crate) fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// Returns the number of entries. Indices are below it.
    pub(crate) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Returns the bytes of all names and targets.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Returns the memory of the manifest, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let records = self.entries.len() * size_of::<Entry>() + self.directories.len() * size_of::<Directory>();
        (records + self.text.len()) as u64
    }

    /// Returns the kind and content of an entry.
    pub(crate) fn node(&self, index: u32) -> Node {
        self.entries[index as usize].node()
    }

    /// Returns the file at an index, if the entry is a file.
    pub(crate) fn file(&self, index: u32) -> Option<File> {
        match self.entries.get(index as usize)?.node() {
            Node::File(file) => Some(file),
            _ => None,
        }
    }

    /// Returns the hash of a file's content.
    fn hash(&self, index: u32) -> &Hash {
        &self.entries[index as usize].hash
    }

    /// Returns every file with its index, in order.
    pub(crate) fn all_files(&self) -> impl Iterator<Item = (u32, File)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match entry.node() {
            Node::File(file) => Some((index as u32, file)),
            _ => None,
        })
    }

    /// Returns the bytes of a name or target.
    pub(crate) fn text(&self, text: Text) -> &[u8] {
        &self.text[text.start as usize..text.start as usize + usize::from(text.len)]
    }

    /// Returns an entry's name.
    pub(crate) fn name(&self, index: u32) -> &[u8] {
        self.text(self.entries[index as usize].name())
    }

    /// Returns the entries of a directory, sorted by name.
    pub(crate) fn children(&self, directory: u32) -> impl ExactSizeIterator<Item = EntryRef<'_>> + Clone {
        let Directory { first, count, .. } = self.directories[directory as usize];
        (first..first + count).map(|index| EntryRef { index, name: self.name(index), node: self.node(index) })
    }

    /// Returns the directories in a directory, with their numbers, sorted by name.
    pub(crate) fn directories_in(&self, directory: u32) -> impl Iterator<Item = (u32, &[u8])> {
        self.children(directory).filter_map(|named| match named.node {
            Node::Directory(number) => Some((number, named.name)),
            _ => None,
        })
    }

    /// Finds an entry of a directory by name.
    pub(crate) fn child(&self, directory: u32, name: &[u8]) -> Option<EntryRef<'_>> {
        let Directory { first, count, .. } = self.directories[directory as usize];
        let (mut low, mut high) = (first, first + count);
        while low < high {
            let index = low + (high - low) / 2;
            match self.name(index).cmp(name) {
                Ordering::Less => low = index + 1,
                Ordering::Greater => high = index,
                Ordering::Equal => return Some(EntryRef { index, name: self.name(index), node: self.node(index) }),
            }
        }
        None
    }

    /// Finds an entry by its path.
    pub(crate) fn find<'a>(&self, names: impl IntoIterator<Item = &'a [u8]>) -> Option<EntryRef<'_>> {
        let mut directory = Some(0);
        let mut found = None;
        for name in names {
            let named = self.child(directory?, name)?;
            directory = match named.node {
                Node::Directory(number) => Some(number),
                _ => None,
            };
            found = Some(named);
        }
        found
    }

    /// Returns the entry that names a directory. Meaningless for the root.
    pub(crate) fn entry_of(&self, directory: u32) -> u32 {
        self.directories[directory as usize].entry
    }

    /// Returns the directory that holds an entry.
    pub(crate) fn holder(&self, index: u32) -> u32 {
        // Directories lie in the order of their entries. An empty directory shares `first` with its successor, so the
        // last directory that begins at or before `index` is the one that is not empty.
        (self.directories.partition_point(|directory| directory.first <= index) - 1) as u32
    }

    /// Returns the entry that names a directory. None for the root.
    pub(crate) fn directory_entry(&self, number: u32) -> Option<u32> {
        (number != 0).then(|| self.directories[number as usize].entry)
    }

    /// Returns the path of a directory. That of the root is empty.
    pub(crate) fn directory_path(&self, number: u32) -> Vec<u8> {
        if number == 0 {
            return Vec::new();
        }
        let mut numbers = Vec::new();
        let mut at = number;
        while at != 0 {
            numbers.push(at);
            at = self.directories[at as usize].parent;
        }
        let mut path = Vec::new();
        for number in numbers.into_iter().rev() {
            push_name(&mut path, self.name(self.directories[number as usize].entry));
        }
        path
    }

    /// Returns the path of an entry.
    pub(crate) fn path(&self, index: u32) -> Vec<u8> {
        let mut path = self.directory_path(self.holder(index));
        push_name(&mut path, self.name(index));
        path
    }
}
