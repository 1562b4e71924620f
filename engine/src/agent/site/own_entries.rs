//! The entries of a release beyond its manifest: `.cutover/releases/<id>/own`.
//!
//! A release has entries that its source does not have: files that were carried over from the release before, and
//! directories that the configuration names. The links into `shared/` are not among them: the record lists those. A
//! comparison of a release with its manifest takes these entries for right while they are as they were made.
//!
//! The file has one JSON object a line. A release without such entries has no such file. It is written into the record in
//! staging, and is published with it.

use serde::{Deserialize, Serialize};

use crate::agent::json::to_json;
use crate::disk::{Dir, Kind, Stat, sync_file};
use crate::error::{DamageError, Error};
use crate::path::RelativePath;

/// The name of the file, beside the record.
pub(crate) const OWN: &[u8] = b"own";

/// The kind of such an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OwnKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
}

/// An entry of a release beyond its manifest, as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnEntry {
    /// The path in the release.
    pub(crate) path: RelativePath,
    /// The kind.
    pub(crate) kind: OwnKind,
    /// The permission bits.
    pub(crate) mode: u32,
    /// Bytes of content. 0 for a directory, which changes with the names in it.
    pub(crate) size: u64,
    /// The mtime in seconds. 0 for a directory.
    pub(crate) mtime: i64,
    /// The nanoseconds of the mtime. 0 for a directory.
    pub(crate) mtime_nanos: u32,
    /// The inode.
    pub(crate) inode: u64,
}

impl OwnEntry {
    /// Makes the entry from the stat of its file. Returns nothing for a socket, fifo or device.
    pub(crate) fn of(path: RelativePath, stat: &Stat) -> Option<OwnEntry> {
        let kind = match stat.kind {
            Kind::File => OwnKind::File,
            Kind::Directory => OwnKind::Directory,
            Kind::Symlink => OwnKind::Symlink,
            Kind::Other => return None,
        };
        let (size, mtime, mtime_nanos) = match kind {
            OwnKind::Directory => (0, 0, 0),
            OwnKind::File | OwnKind::Symlink => (stat.size, stat.mtime, stat.mtime_nanos),
        };
        Some(OwnEntry { path, kind, mode: stat.mode, size, mtime, mtime_nanos, inode: stat.inode })
    }

    /// Returns whether a stat shows the entry as it was made.
    #[cfg_attr(not(test), expect(dead_code, reason = "the comparison of a release with its manifest reads them"))]
    pub(crate) fn is_as_made(&self, stat: &Stat) -> bool {
        OwnEntry::of(self.path.clone(), stat).is_some_and(|found| found == *self)
    }
}

/// Writes the entries into a record in staging, sorted by path. The caller syncs the directory.
pub(crate) fn write(record: &Dir, entries: &mut [OwnEntry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let text: String = entries.iter().map(to_json).collect();
    drop(record.create_file_of(OWN, text.as_bytes())?);
    match record.open_file(OWN)? {
        Some(file) => sync_file(&file).map_err(|e| Error::io("sync", record.path_of(OWN), e)),
        None => Err(Error::Bug("a file that was just made is missing".into())),
    }
}

/// Reads the entries of a release from its record's directory, sorted by path.
#[cfg_attr(not(test), expect(dead_code, reason = "the comparison of a release with its manifest reads them"))]
pub(crate) fn read(record: &Dir) -> Result<Vec<OwnEntry>, Error> {
    let Some(bytes) = record.read(OWN)? else { return Ok(Vec::new()) };
    let damaged =
        |reason: String| Error::Damage(DamageError::File { path: record.path_of(OWN).display().to_string(), reason });
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back_sorted_and_a_release_may_have_none() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        assert_eq!(read(&dir).unwrap(), []);
        write(&dir, &mut []).unwrap();
        assert_eq!(dir.names().unwrap(), Vec::<Vec<u8>>::new());
        std::fs::write(place.path().join("b"), "content").unwrap();
        std::fs::create_dir(place.path().join("a")).unwrap();
        let entry = |name: &str| {
            let path = RelativePath::parse(name.as_bytes()).unwrap();
            OwnEntry::of(path, &dir.stat(name.as_bytes()).unwrap().unwrap()).unwrap()
        };
        let mut entries = [entry("b"), entry("a")];
        write(&dir, &mut entries).unwrap();
        assert_eq!(read(&dir).unwrap(), [entry("a"), entry("b")]);
        assert!(entry("b").is_as_made(&dir.stat(b"b").unwrap().unwrap()));
        std::fs::write(place.path().join("b"), "other").unwrap();
        assert!(!entries[1].is_as_made(&dir.stat(b"b").unwrap().unwrap()));
        std::fs::write(place.path().join("own"), "{").unwrap();
        assert!(matches!(read(&dir), Err(Error::Damage(DamageError::File { .. }))));
    }
}
