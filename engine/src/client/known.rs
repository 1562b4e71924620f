//! What a scan remembers for the next one, and its form in the manifest database.
//!
//! ```text
//! hash          32 bytes: blake3 of all that follows
//! rules         32 bytes: hash of what was left out beside what ignore files say
//! counts        entries, bytes of names and targets, directories
//! mount         32 bytes: the mount that the source was on, in its boot; zeros where times there say nothing
//! root          stat of the source
//! directories   by number: mode, hash, count of entries; of each entry kind and name, then
//!   file        stat, hash
//!   symlink     stat, target
//!   directory   stat
//!   generated   mode, size, hash
//! ignore files  count; of each the number of its directory, less the one before, and its hash
//! gitignores    count; of each the number of its directory, less the one before
//! capable       count; of each the index of its entry, less the one before
//! ```
//!
//! Numbers are varints, each stat is the difference from the one before. The hash in front stands for everything that is
//! not looked at when it is read: above all, hashes of directories are not computed again.

use rustix::fs::FileType;

use crate::bytes::{ByteReader, put_bytes, put_number, put_signed};
use crate::hash::Hash;
use crate::manifest::{Builder, File, Manifest, Node, ObjectKey};
use crate::scan::stat::{FileStat, file_of};

/// An entry changed less than this before a scan is not trusted by the next. Two seconds cover the coarsest clocks in
/// use (FAT, some network filesystems) and a server's clock that is a little off.
const RACY_NANOS: i64 = 2_000_000_000;

const NO_MOUNT: Hash = Hash::from_bytes([0; 32]);

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// The stat of each entry of the source; of one that is generated the default.
    pub(crate) stats: Vec<FileStat>,
    /// The stat of the source itself.
    pub(crate) root: FileStat,
    /// The mount that the source was on, as [`crate::disk::mount_of_own_times`] names it: only there an equal stat means that
    /// nothing was changed.
    pub(crate) mount: Option<Hash>,
    /// The hash of the rules that it began with.
    pub(crate) rules: Hash,
    /// The directories with an ignore file of their own, ascending, and what is the hash of each.
    pub(crate) ignore_files: Vec<(u32, Hash)>,
    /// The directories with a `.gitignore`, deployed or not, ascending.
    pub(crate) gitignores: Vec<u32>,
    /// The entries of files with capabilities, ascending.
    pub(crate) capable: Vec<u32>,
    /// When that scan began, in nanoseconds since 1970.
    pub(crate) began: i64,
}

impl Known {
    /// Tells whether an entry's content is not in the source.
    pub(crate) fn is_generated(&self, index: u32) -> bool {
        self.stats[index as usize] == FileStat::default()
    }

    /// Returns the entry that is generated, with what it is.
    pub(crate) fn generated(&self, name: &[u8]) -> Option<(u32, File)> {
        let named = self.manifest.child(0, name).filter(|named| self.is_generated(named.index))?;
        Some((named.index, self.manifest.file(named.index)?))
    }

    /// Tells whether what was seen before is still the same. What was changed within one tick of the filesystem's clock, once
    /// before that scan and once after, looks the same both times (git calls such entries racy).
    pub(crate) fn is_unchanged(&self, before: &FileStat, now: &FileStat) -> bool {
        before == now && now.mtime.max(now.ctime) < self.began - RACY_NANOS
    }

    /// Returns the hash of a directory's own ignore file, where it had one.
    pub(crate) fn ignore_file(&self, directory: u32) -> Option<Hash> {
        let at = self.ignore_files.binary_search_by_key(&directory, |&(directory, _)| directory).ok()?;
        Some(self.ignore_files[at].1)
    }

    /// Tells whether a directory had a `.gitignore`.
    pub(crate) fn has_gitignore(&self, directory: u32) -> bool {
        self.gitignores.binary_search(&directory).is_ok()
    }

    /// Tells whether the file of an entry had capabilities.
    pub(crate) fn is_capable(&self, index: u32) -> bool {
        self.capable.binary_search(&index).is_ok()
    }

    /// Returns its form in the database; `began` is not part of it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let manifest = &self.manifest;
        let mut bytes = Vec::with_capacity(64 + self.stats.len() * 56 + manifest.text_bytes());
        bytes.extend_from_slice(&[0; 32]);
        bytes.extend_from_slice(self.rules.as_bytes());
        put_number(&mut bytes, self.stats.len() as u64);
        put_number(&mut bytes, manifest.text_bytes() as u64);
        put_number(&mut bytes, manifest.directories().len() as u64);
        bytes.extend_from_slice(self.mount.unwrap_or(NO_MOUNT).as_bytes());
        let mut before = FileStat::default();
        put_stat(&mut bytes, &mut before, self.root);
        for (number, directory) in manifest.directories().iter().enumerate() {
            let children = manifest.children(number as u32);
            put_number(&mut bytes, u64::from(directory.mode));
            bytes.extend_from_slice(directory.hash.as_bytes());
            put_number(&mut bytes, children.len() as u64);
            for named in children {
                let stat = self.stats[named.index as usize];
                let is_generated = self.is_generated(named.index);
                bytes.push(kind_of(named.node, is_generated));
                put_bytes(&mut bytes, named.name);
                match named.node {
                    Node::File(file) if is_generated => {
                        put_number(&mut bytes, u64::from(file.key.mode));
                        put_number(&mut bytes, file.size);
                    }
                    _ => put_stat(&mut bytes, &mut before, stat),
                }
                match named.node {
                    Node::File(file) => bytes.extend_from_slice(file.key.hash.as_bytes()),
                    Node::Symlink(target) => put_bytes(&mut bytes, manifest.text(target)),
                    Node::Directory(_) => {}
                }
            }
        }
        put_number(&mut bytes, self.ignore_files.len() as u64);
        let mut last = 0;
        for (directory, hash) in &self.ignore_files {
            put_number(&mut bytes, u64::from(directory - last));
            bytes.extend_from_slice(hash.as_bytes());
            last = *directory;
        }
        put_ascending(&mut bytes, &self.gitignores);
        put_ascending(&mut bytes, &self.capable);
        let hash = Hash::of(&bytes[32..]);
        bytes[..32].copy_from_slice(hash.as_bytes());
        bytes
    }

    /// Reads what [`Known::to_bytes`] made; nothing where it is anything else.
    pub(crate) fn from_bytes(bytes: &[u8], began: i64) -> Option<Known> {
        let (hash, rest) = bytes.split_first_chunk()?;
        if Hash::of(rest) != Hash::from_bytes(*hash) {
            return None;
        }
        let mut reader = ByteReader::new(rest);
        let rules = Hash::from_bytes(reader.array().ok()?);
        let limit = rest.len() as u64;
        let count = reader.number_within(limit).ok()? as usize;
        let text_bytes = reader.number_within(limit).ok()? as usize;
        let directories = reader.number_within(limit).ok()? as usize;
        let mount = Some(Hash::from_bytes(reader.array().ok()?)).filter(|mount| *mount != NO_MOUNT);
        let mut before = FileStat::default();
        let root = read_stat(&mut reader, &mut before)?;
        let mut builder = Builder::with_room(text_bytes);
        let mut stats = Vec::with_capacity(count);
        for _ in 0..directories {
            let mode = reader.number_within(u64::from(u16::MAX)).ok()? as u16;
            builder.begin_with(mode, Hash::from_bytes(reader.array().ok()?)).ok()?;
            for _ in 0..reader.number_within(limit).ok()? {
                stats.push(read_entry(&mut reader, &mut before, &mut builder)?);
            }
        }
        let mut ignore_files = Vec::new();
        let mut last = 0_u32;
        for _ in 0..reader.number_within(limit).ok()? {
            last = last.checked_add(reader.index().ok()?)?;
            ignore_files.push((last, Hash::from_bytes(reader.array().ok()?)));
        }
        let gitignores = read_ascending(&mut reader)?;
        let capable = read_ascending(&mut reader)?;
        if !reader.rest().is_empty() {
            return None;
        }
        let manifest = builder.finish().ok()?;
        Some(Known { manifest, stats, root, mount, rules, ignore_files, gitignores, capable, began })
    }
}

const FILE: u8 = 0;
const SYMLINK: u8 = 1;
const DIRECTORY: u8 = 2;
const GENERATED: u8 = 3;

fn kind_of(node: Node, is_generated: bool) -> u8 {
    match node {
        Node::File(_) if is_generated => GENERATED,
        Node::File(_) => FILE,
        Node::Symlink(_) => SYMLINK,
        Node::Directory(_) => DIRECTORY,
    }
}

fn read_entry(reader: &mut ByteReader<'_>, before: &mut FileStat, builder: &mut Builder) -> Option<FileStat> {
    let kind = reader.byte().ok()?;
    let name = reader.bytes().ok()?;
    if kind == GENERATED {
        let mode = reader.number_within(u64::from(u16::MAX)).ok()? as u16;
        let size = reader.number().ok()?;
        let key = ObjectKey { hash: Hash::from_bytes(reader.array().ok()?), mode };
        builder.file(name, File { key, size }).ok()?;
        return Some(FileStat::default());
    }
    let stat = read_stat(reader, before)?;
    match (kind, stat.kind()) {
        (FILE, FileType::RegularFile) => builder.file(name, file_of(&stat, Hash::from_bytes(reader.array().ok()?))),
        (SYMLINK, FileType::Symlink) => builder.symlink(name, reader.bytes().ok()?),
        (DIRECTORY, FileType::Directory) => builder.directory(name),
        _ => return None,
    }
    .ok()?;
    Some(stat)
}

fn put_ascending(bytes: &mut Vec<u8>, numbers: &[u32]) {
    put_number(bytes, numbers.len() as u64);
    let before = [0].iter().chain(numbers);
    before.zip(numbers).for_each(|(before, number)| put_number(bytes, u64::from(number - before)));
}

fn read_ascending(reader: &mut ByteReader<'_>) -> Option<Vec<u32>> {
    let count = reader.number_within(reader.rest().len() as u64).ok()?;
    let mut last = 0_u32;
    let mut next = || {
        last = last.checked_add(reader.index().ok()?)?;
        Some(last)
    };
    (0..count).map(|_| next()).collect()
}

fn put_stat(bytes: &mut Vec<u8>, before: &mut FileStat, stat: FileStat) {
    put_signed(bytes, stat.inode.wrapping_sub(before.inode) as i64);
    put_signed(bytes, stat.mtime.wrapping_sub(before.mtime));
    put_signed(bytes, stat.ctime.wrapping_sub(before.ctime));
    put_number(bytes, stat.size);
    put_number(bytes, u64::from(stat.mode ^ before.mode));
    *before = stat;
}

fn read_stat(reader: &mut ByteReader<'_>, before: &mut FileStat) -> Option<FileStat> {
    let stat = FileStat {
        inode: before.inode.wrapping_add(reader.signed().ok()? as u64),
        mtime: before.mtime.wrapping_add(reader.signed().ok()?),
        ctime: before.ctime.wrapping_add(reader.signed().ok()?),
        size: reader.number().ok()?,
        mode: before.mode ^ reader.index().ok()?,
    };
    *before = stat;
    Some(stat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::stat::directory_mode;

    fn stat(inode: u64, kind: u32) -> FileStat {
        FileStat {
            inode,
            mtime: 1_700_000_000_000_000_000 - inode as i64,
            ctime: i64::MAX,
            size: 7,
            mode: kind | 0o644,
        }
    }

    fn known() -> Known {
        let mut builder = Builder::new();
        let (root, directory) = (stat(2, 0o040_000), stat(3, 0o040_000));
        let (file, symlink) = (stat(u64::MAX, 0o100_000), stat(5, 0o120_000));
        builder.begin(directory_mode(&root)).unwrap();
        let key = ObjectKey { hash: Hash::of(b"commit"), mode: 0o444 };
        builder.file(b"REVISION", File { key, size: 41 }).unwrap();
        builder.directory(b"directory").unwrap();
        builder.file(b"file", file_of(&file, Hash::of(b"content"))).unwrap();
        builder.symlink(b"symlink", b"file").unwrap();
        builder.begin(directory_mode(&directory)).unwrap();
        Known {
            manifest: builder.finish().unwrap(),
            stats: vec![FileStat::default(), directory, file, symlink],
            root,
            mount: Some(Hash::of(b"mount")),
            rules: Hash::of(b"rules"),
            ignore_files: vec![(0, Hash::of(b"ignored")), (1, Hash::of(b"too"))],
            gitignores: vec![1],
            capable: vec![0, 2],
            began: 7,
        }
    }

    #[test]
    fn what_is_known_reads_back() {
        let known = known();
        let read = Known::from_bytes(&known.to_bytes(), 7).unwrap();
        assert_eq!(read.manifest.root(), known.manifest.root());
        assert_eq!(format!("{read:?}"), format!("{known:?}"));
        assert_eq!(read.generated(b"REVISION").unwrap().0, 0);
        assert_eq!(read.generated(b"file"), None);
        assert_eq!([0, 1, 2].map(|directory| read.ignore_file(directory).is_some()), [true, true, false]);
    }

    #[test]
    fn what_is_damaged_is_not_known() {
        let bytes = known().to_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Known::from_bytes(&damaged, 7).is_none(), "{at}");
            assert!(Known::from_bytes(&bytes[..at], 7).is_none(), "{at}");
        }
    }
}
