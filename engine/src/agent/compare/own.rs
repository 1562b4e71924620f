//! The names of a release that hooks changed before it was live: `.cutover/releases/<id>/own`, as JSON.
//!
//! A hook may add, replace and remove names of a new release: caches, a build, generated files. No other release has
//! these files, and the manifest does not know them. The file lists them with their stat, so that a later comparison
//! accepts exactly them. A directory that a hook added belongs to the application as a whole: it may write there for
//! as long as the release exists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::json::to_json;
use crate::disk::{Dir, Kind, Stat};
use crate::error::{DamageError, Error};
use crate::path::RelativePath;

const OWN: &[u8] = b"own";

/// The names of a release that hooks changed.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Own {
    names: BTreeMap<RelativePath, OwnName>,
    /// The root of the release.
    root: Option<OwnName>,
}

/// The state of a name after the hooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnName {
    /// A hook removed it.
    Removed,
    /// A directory that a hook added.
    Directory,
    /// Any other name that a hook added or changed.
    Stat(OwnStat),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OwnStat {
    is_directory: bool,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
    mtime_nanos: u32,
    inode: u64,
}

impl OwnStat {
    fn of(stat: &Stat) -> OwnStat {
        let is_directory = stat.kind == Kind::Directory;
        // Size and mtime of a directory change with its names, which are compared one by one.
        let (size, mtime, mtime_nanos) =
            if is_directory { (0, 0, 0) } else { (stat.size, stat.mtime, stat.mtime_nanos) };
        let Stat { mode, uid, gid, inode, .. } = *stat;
        OwnStat { is_directory, mode, uid, gid, size, mtime, mtime_nanos, inode }
    }
}

impl Own {
    /// Reads the file beside a record.
    pub(super) fn read(record: &Dir) -> Result<Own, Error> {
        let Some(bytes) = record.read(OWN)? else { return Ok(Own::default()) };
        serde_json::from_slice(&bytes).map_err(|error| {
            let path = record.path_of(OWN).display().to_string();
            Error::Damage(DamageError::File { path, reason: format!("it cannot be read ({error})") })
        })
    }

    /// Writes the file beside a record, durably.
    pub(super) fn write(&self, record: &Dir) -> Result<(), Error> {
        record.replace(OWN, to_json(self).as_bytes())
    }

    /// Tells whether no hook changed a name.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of names that hooks changed.
    pub(super) fn len(&self) -> usize {
        self.names.len() + usize::from(self.root.is_some())
    }

    /// Adds a name as it is now. An empty path is the root.
    pub(super) fn add(&mut self, path: &[u8], stat: Option<&Stat>, is_added: bool) {
        let name = match stat {
            None => OwnName::Removed,
            Some(stat) if is_added && stat.kind == Kind::Directory => OwnName::Directory,
            Some(stat) => OwnName::Stat(OwnStat::of(stat)),
        };
        match RelativePath::parse(path) {
            Ok(path) => drop(self.names.insert(path, name)),
            Err(_) => self.root = Some(name),
        }
    }

    /// Tells whether a name is as hooks left it.
    pub(super) fn accepts(&self, path: &[u8], stat: Option<&Stat>) -> bool {
        let name = match RelativePath::parse(path) {
            Ok(path) => self.names.get(&path),
            Err(_) => self.root.as_ref(),
        };
        let Some(name) = name else { return false };
        match (name, stat) {
            (OwnName::Removed, stat) => stat.is_none(),
            (OwnName::Directory, Some(stat)) => stat.kind == Kind::Directory,
            (OwnName::Stat(own), Some(stat)) => *own == OwnStat::of(stat),
            (_, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_accepted_exactly_as_a_hook_left_it() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("file"), "one").unwrap();
        std::fs::create_dir(place.path().join("cache")).unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let stat = |name: &str| dir.stat(name.as_bytes()).unwrap();
        let mut own = Own::default();
        own.add(b"file", stat("file").as_ref(), true);
        own.add(b"cache", stat("cache").as_ref(), true);
        own.add(b"gone", None, false);
        own.write(&dir).unwrap();
        let own = Own::read(&dir).unwrap();
        std::fs::write(place.path().join("cache/later"), "").unwrap();
        let check =
            |name: &str, expected: bool| assert_eq!(own.accepts(name.as_bytes(), stat(name).as_ref()), expected);
        ["file", "cache", "gone"].into_iter().for_each(|name| check(name, true));
        check("other", false);
        std::fs::write(place.path().join("file"), "other").unwrap();
        std::fs::write(place.path().join("gone"), "back").unwrap();
        ["file", "gone"].into_iter().for_each(|name| check(name, false));
    }
}
