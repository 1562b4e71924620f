//! The last scan, in the form in which the manifest database keeps it.
//!
//! ```text
//! hash          32 bytes: blake3 of everything that follows
//! rules         32 bytes: hash of the rules other than ignore files
//! counts        entries, bytes of names and targets, directories
//! mount         32 bytes: the mount of the source, in its boot; zeros if times there mean nothing
//! root          stat of the source
//! directories   by number: mode, hash, count of entries; of each entry kind and name, then
//!   file        stat, hash
//!   symlink     stat, target
//!   directory   stat
//!   generated   mode, size, hash
//! rule files    count; of each the number of its directory, less the one before, and its hash
//! noted         count; of each the number of its directory, less the one before
//! capable       count; of each the index of its entry, less the one before
//! ```
//!
//! Numbers are varints. Each stat is the difference from the one before. The hash in front replaces all checks on
//! reading: above all, hashes of directories are not computed again.

use rustix::fs::FileType;

use crate::bytes::{ByteReader, put_bytes, put_number, put_signed};
use crate::hash::Hash;
use crate::manifest::{Builder, File, Node, ObjectKey};
use crate::scan::snapshot::Snapshot;
use crate::scan::stat::{FileStat, file_of};

const NO_MOUNT: Hash = Hash::from_bytes([0; 32]);

/// Encodes a scan for the database, without `began`.
pub(crate) fn to_bytes(scan: &Snapshot) -> Vec<u8> {
    let manifest = &scan.manifest;
    let mut bytes = Vec::with_capacity(64 + scan.stats.len() * 56 + manifest.text_bytes());
    bytes.extend_from_slice(&[0; 32]);
    bytes.extend_from_slice(scan.rules.as_bytes());
    put_number(&mut bytes, scan.stats.len() as u64);
    put_number(&mut bytes, manifest.text_bytes() as u64);
    put_number(&mut bytes, manifest.directories().len() as u64);
    bytes.extend_from_slice(scan.mount.unwrap_or(NO_MOUNT).as_bytes());
    let mut before = FileStat::default();
    put_stat(&mut bytes, &mut before, scan.root);
    for (number, directory) in manifest.directories().iter().enumerate() {
        let children = manifest.children(number as u32);
        put_number(&mut bytes, u64::from(directory.mode));
        bytes.extend_from_slice(directory.hash.as_bytes());
        put_number(&mut bytes, children.len() as u64);
        for named in children {
            let stat = scan.stats[named.index as usize];
            let is_generated = scan.is_generated(named.index);
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
    put_number(&mut bytes, scan.rule_files.len() as u64);
    let mut last = 0;
    for (directory, hash) in &scan.rule_files {
        put_number(&mut bytes, u64::from(directory - last));
        bytes.extend_from_slice(hash.as_bytes());
        last = *directory;
    }
    put_ascending(&mut bytes, &scan.noted);
    put_ascending(&mut bytes, &scan.capable);
    let hash = Hash::of(&bytes[32..]);
    bytes[..32].copy_from_slice(hash.as_bytes());
    bytes
}

/// Decodes the output of [`to_bytes`]. None for any other bytes.
pub(crate) fn from_bytes(bytes: &[u8], began: i64) -> Option<Snapshot> {
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
    let mut rule_files = Vec::new();
    let mut last = 0_u32;
    for _ in 0..reader.number_within(limit).ok()? {
        last = last.checked_add(reader.index().ok()?)?;
        rule_files.push((last, Hash::from_bytes(reader.array().ok()?)));
    }
    let noted = read_ascending(&mut reader)?;
    let capable = read_ascending(&mut reader)?;
    if !reader.rest().is_empty() {
        return None;
    }
    let manifest = builder.finish().ok()?;
    Some(Snapshot { manifest, stats, root, mount, rules, rule_files, noted, capable, began })
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

    fn scan() -> Snapshot {
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
        Snapshot {
            manifest: builder.finish().unwrap(),
            stats: vec![FileStat::default(), directory, file, symlink],
            root,
            mount: Some(Hash::of(b"mount")),
            rules: Hash::of(b"rules"),
            rule_files: vec![(0, Hash::of(b"ignored")), (1, Hash::of(b"too"))],
            noted: vec![1],
            capable: vec![0, 2],
            began: 7,
        }
    }

    #[test]
    fn what_is_known_reads_back() {
        let scan = scan();
        let read = from_bytes(&to_bytes(&scan), 7).unwrap();
        assert_eq!(read.manifest.root(), scan.manifest.root());
        assert_eq!(format!("{read:?}"), format!("{scan:?}"));
        assert_eq!(read.generated().unwrap().0, 0);
        assert_eq!([0, 1, 2].map(|directory| read.rule_file(directory).is_some()), [true, true, false]);
    }

    #[test]
    fn what_is_damaged_is_not_known() {
        let bytes = to_bytes(&scan());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(from_bytes(&damaged, 7).is_none(), "{at}");
            assert!(from_bytes(&bytes[..at], 7).is_none(), "{at}");
        }
    }
}
