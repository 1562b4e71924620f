//! The names that belong to a release itself and not to its manifest: `.cutover/releases/<id>/own`, as JSON.
//!
//! Some are there when the release is made: files that were carried over from the release before, and directories that the
//! configuration names. Hooks add, replace and remove others: caches, a build, generated files. No other release has
//! these files. The list has them with their stat, so that a comparison accepts exactly them. A directory that was
//! added belongs to the application as a whole: it may write there for as long as the release exists. The links into
//! `shared/` are not in the list: the record has those.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::json::{read_json, to_json};
use crate::disk::{Dir, Kind, Stat};
use crate::error::Error;
use crate::path::RelativePath;

/// Its name, beside the record.
pub(crate) const OWN: &[u8] = b"own";

/// The names of a release that are its own.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Own {
    names: BTreeMap<RelativePath, OwnName>,
    /// The root of the release.
    root: Option<OwnName>,
}

/// A name that was made beside the manifest.
#[derive(Debug)]
pub(crate) struct Addition {
    /// The path in the release.
    pub(crate) path: RelativePath,
    /// Its stat.
    pub(crate) stat: Stat,
}

/// The state of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnName {
    /// It was removed.
    Removed,
    /// A directory that was added.
    Directory,
    /// Any other name that was added or changed.
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
    pub(crate) fn read(record: &Dir) -> Result<Own, Error> {
        Ok(read_json(record, OWN)?.unwrap_or_default())
    }

    /// Writes the file beside a record, durably.
    pub(crate) fn write(&self, record: &Dir) -> Result<(), Error> {
        record.replace(OWN, to_json(self).as_bytes())
    }

    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns their number.
    pub(crate) fn len(&self) -> usize {
        self.names.len() + usize::from(self.root.is_some())
    }

    /// Adds what was made beside the manifest.
    pub(crate) fn extend<'a>(&mut self, additions: impl IntoIterator<Item = &'a Addition>) {
        for Addition { path, stat } in additions {
            self.add(path.as_bytes(), Some(stat), true);
        }
    }

    /// Adds a name as it is now. An empty path is the root.
    pub(crate) fn add(&mut self, path: &[u8], stat: Option<&Stat>, is_added: bool) {
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

    /// Tells whether a name is as it was left.
    pub(crate) fn accepts(&self, path: &[u8], stat: Option<&Stat>) -> bool {
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
