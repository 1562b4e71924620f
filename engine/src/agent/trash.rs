//! Trash: removed releases.
//!
//! ```text
//! .cutover/trash/
//! ├── <id>-<token>            a release's tree; the newest may wait as the spare for the next deploy
//! └── <id>-<token>-record     its record and manifest
//! ```
//!
//! A tree is deleted as soon as possible. A record stays until the objects that its manifest names were checked: if a
//! run is killed before, the next cleanup finds here which objects to check. The record of an interrupted publication
//! comes here too, because it may have published objects that no release names.
//!
//! On an overlay, a release in a lower layer cannot be moved. Its record comes here, and its tree is deleted in
//! place.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::{Dir, OwnBlocks, Removal, Usage};
use crate::error::Error;
use crate::manifest::decode::StreamEntry;
use crate::manifest::placement::Placement;
use crate::release::{BootSpan, ReleaseId};

use super::process::{Candidate, Ties, find_obstacles};
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::records::{MANIFEST, RECORD, read_removed_entries, read_removed_objects, read_removed_record};
use super::stamps::Stamps;
use super::store::ObjectName;
use super::token::{RANDOM_NAME_DIGITS, is_random, random_name};

const RECORD_SUFFIX: &str = "-record";
const RECORD_MODE: u32 = 0o700;
/// In a record: the tree is being deleted in `releases/`.
const IN_PLACE: &[u8] = b"in-place";

/// The kinds of names in trash. Other names are not ours, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tree,
    Record,
}

impl Kind {
    /// Parses `<id>-<token>`, `<id>-<token>-record` or `<token>-record`.
    fn of(name: &[u8]) -> Option<Kind> {
        let (rest, kind) = match name.strip_suffix(RECORD_SUFFIX.as_bytes()) {
            Some(rest) => (rest, Kind::Record),
            None => (name, Kind::Tree),
        };
        let (id, token) = rest.split_at_checked(rest.len().checked_sub(RANDOM_NAME_DIGITS)?)?;
        let is_id = match id.split_last() {
            None => kind == Kind::Record,
            Some((b'-', id)) => std::str::from_utf8(id).is_ok_and(|id| id.parse::<ReleaseId>().is_ok()),
            Some(_) => false,
        };
        (is_id && is_random(token, RANDOM_NAME_DIGITS)).then_some(kind)
    }
}

/// Returns the names of one kind in trash.
fn names_of(layout: &Layout, kind: Kind) -> Result<Vec<Vec<u8>>, Error> {
    Ok(layout.trash.names()?.into_iter().filter(|name| Kind::of(name) == Some(kind)).collect())
}

/// Removes a release durably: after a power cut it exists whole, or not at all. If it cannot be moved, because it is
/// in a lower layer of an overlay, it is deleted in place.
pub(crate) fn discard_release(lock: &Lock, layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    if move_release(lock, layout, id)? {
        return Ok(());
    }
    let name = id.as_str().as_bytes();
    let own = layout.records.open_dir(name)?;
    if own.stat(IN_PLACE)?.is_none() {
        drop(own.create_file(IN_PLACE)?);
    }
    let record = format!("{id}-{}{RECORD_SUFFIX}", random_name()?);
    move_record(layout, &layout.records, name, &record)?;
    layout.records.sync()?;
    // If this is interrupted, `resume_removals` continues it.
    layout.releases.remove_tree(name)?;
    layout.trash.open_dir(record.as_bytes())?.remove_file(IN_PLACE).map(drop)
}

/// Moves a release to trash, durably. Returns whether it can be moved.
pub(crate) fn move_release(_lock: &Lock, layout: &Layout, id: &ReleaseId) -> Result<bool, Error> {
    let (name, tree) = (id.as_str().as_bytes(), format!("{id}-{}", random_name()?));
    // The tree comes first: a record without a tree is known to be the rest of a removal.
    let moved = match layout.releases.rename(name, &layout.trash, tree.as_bytes()) {
        // Moving a directory to another parent needs write permission on the directory itself.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            drop(layout.releases.open_to_change(name)?);
            layout.releases.rename(name, &layout.trash, tree.as_bytes())
        }
        moved => moved,
    };
    match moved {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => return Ok(false),
        moved => moved?,
    }
    move_record(layout, &layout.records, name, &format!("{tree}{RECORD_SUFFIX}"))?;
    layout.trash.sync()?;
    layout.releases.sync()?;
    layout.records.sync()?;
    Ok(true)
}

/// Moves a record to trash. An overlay cannot rename a directory of a lower layer: then the record is copied,
/// durably, and the original removed.
fn move_record(layout: &Layout, from: &Dir, name: &[u8], record: &str) -> Result<(), Error> {
    match from.rename(name, &layout.trash, record.as_bytes()) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => {
            let (own, copy) = (from.open_dir(name)?, layout.trash.create_dir(record.as_bytes(), RECORD_MODE)?);
            for file in [IN_PLACE, RECORD, MANIFEST] {
                if let Some(content) = own.open_file(file)? {
                    copy.copy_file(&content, file)?;
                }
            }
            copy.sync()?;
            layout.trash.sync()?;
            from.remove_tree(name)
        }
        moved => moved,
    }
}

/// Continues interrupted removals in place: their tree is no release any more, and their record is in trash. A tree
/// that cannot be removed must not stop a verb; the next one tries again.
pub(crate) fn resume_removals(_lock: &Lock, layout: &Layout, foreign: &mut Vec<Vec<u8>>) -> Result<(), Error> {
    if foreign.is_empty() {
        return Ok(());
    }
    for record in names_of(layout, Kind::Record)? {
        let dir = layout.trash.open_dir(&record)?;
        if dir.stat(IN_PLACE)?.is_none() {
            continue;
        }
        let token_at = record.len().saturating_sub(RECORD_SUFFIX.len() + RANDOM_NAME_DIGITS + 1);
        if let Some(at) = foreign.iter().position(|name| *name == record[..token_at]) {
            if layout.releases.remove_tree(&foreign[at]).is_err() {
                continue;
            }
            foreign.remove(at);
        }
        dir.remove_file(IN_PLACE)?;
    }
    Ok(())
}

/// Returns the greatest second in the records in trash.
pub(crate) fn greatest_second(layout: &Layout) -> Result<Option<u32>, Error> {
    let mut greatest = None;
    for name in names_of(layout, Kind::Record)? {
        let record = read_removed_record(&layout.trash.open_dir(&name)?)?;
        greatest = greatest.max(record.map(|record| record.second));
    }
    Ok(greatest)
}

/// Moves the record of a release without a tree to trash. Without a manifest it names no objects, and is removed.
pub(crate) fn discard_record(_lock: &Lock, layout: &Layout, from: &Dir, name: &[u8]) -> Result<(), Error> {
    let holds_manifest = from.stat(name)?.is_some() && from.open_dir(name)?.stat(MANIFEST)?.is_some();
    if !holds_manifest {
        return from.remove_tree(name);
    }
    move_record(layout, from, name, &format!("{}{RECORD_SUFFIX}", random_name()?))
}

/// Opens the records in trash.
pub(crate) fn records(layout: &Layout) -> Result<Vec<Dir>, Error> {
    names_of(layout, Kind::Record)?.iter().map(|name| layout.trash.open_dir(name)).collect()
}

/// Deletes the records of a release that exists again: it names their objects.
pub(crate) fn delete_records_of(_lock: &Lock, layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    for name in names_of(layout, Kind::Record)? {
        let record = read_removed_record(&layout.trash.open_dir(&name)?)?;
        if record.is_some_and(|record| record.id == *id) {
            layout.trash.remove_tree(&name)?;
        }
    }
    Ok(())
}

/// The spare: a removed release that the next deploy turns into a new one.
pub(crate) struct Spare {
    /// Its id.
    pub(crate) id: ReleaseId,
    /// The name of its tree.
    pub(crate) tree: Vec<u8>,
    /// The time in which it was live.
    span: Option<BootSpan>,
    /// The name of its record.
    record: Vec<u8>,
}

impl Spare {
    /// Finds the newest removed release with both tree and record.
    pub(crate) fn find(layout: &Layout) -> Result<Option<Spare>, Error> {
        let mut newest: Option<(u64, Spare)> = None;
        for tree in names_of(layout, Kind::Tree)? {
            let record = [&tree, RECORD_SUFFIX.as_bytes()].concat();
            if layout.trash.stat(&record)?.is_none() {
                continue;
            }
            let Some(found) = read_removed_record(&layout.trash.open_dir(&record)?)? else { continue };
            if newest.as_ref().is_none_or(|(sequence, _)| found.sequence > *sequence) {
                newest = Some((found.sequence, Spare { id: found.id, tree, span: found.span, record }));
            }
        }
        Ok(newest.map(|(_, spare)| spare))
    }

    /// Calls `take` with each of its entries and its placement. Returns whether its manifest could be read.
    pub(crate) fn entries(&self, layout: &Layout, take: impl FnMut(StreamEntry<'_>, Placement)) -> Result<bool, Error> {
        read_removed_entries(&layout.trash.open_dir(&self.record)?, take)
    }

    /// Calls `take` with each object that it names. Returns whether its manifest could be read.
    pub(crate) fn objects(&self, layout: &Layout, take: impl FnMut(ObjectName)) -> Result<bool, Error> {
        read_removed_objects(&layout.trash.open_dir(&self.record)?, take)
    }

    /// Returns its stamps, if they can be trusted.
    pub(crate) fn stamps(&self, layout: &Layout) -> Result<Option<Stamps>, Error> {
        Stamps::read(&layout.trash.open_dir(&self.record)?)
    }

    /// Returns the reason why it cannot be reused, if there is one: a process lives in it, or may, or something is
    /// mounted in it.
    pub(crate) fn obstacle(&self, layout: &Layout, grace: Duration) -> Result<Option<String>, Error> {
        let candidate = Candidate { path: tree_path(layout, &self.tree)?, span: self.span.as_ref() };
        Ok(find_obstacles(&[candidate], Ties::Open, grace).pop().flatten())
    }
}

/// Returns the path of a tree in trash, without symlinks.
pub(crate) fn tree_path(layout: &Layout, tree: &[u8]) -> Result<PathBuf, Error> {
    let trash = layout.trash.path();
    let real = std::fs::canonicalize(trash).map_err(|e| Error::io("resolve", trash, e))?;
    Ok(real.join(OsStr::from_bytes(tree)))
}

/// Returns the names of the trees in trash, except that of the spare.
pub(crate) fn trees(layout: &Layout, spare: Option<&Spare>) -> Result<Vec<Vec<u8>>, Error> {
    let mut names = names_of(layout, Kind::Tree)?;
    names.retain(|name| spare.is_none_or(|spare| spare.tree != *name));
    Ok(names)
}

/// Returns the release of a tree in trash, if its name contains one.
pub(crate) fn release_of(tree: &[u8]) -> Option<ReleaseId> {
    std::str::from_utf8(tree).ok()?.rsplit_once('-')?.0.parse().ok()
}

/// Deletes the trees in trash, except the spare's and those in `stay`, as far as this user may. Returns the results: one
/// tree must not keep the others.
pub(crate) fn delete_trees(
    _lock: &Lock,
    layout: &Layout,
    spare: Option<&Spare>,
    stay: &HashSet<Vec<u8>>,
) -> Vec<Result<Removal, Error>> {
    match trees(layout, spare) {
        Ok(names) => {
            let trees = names.iter().filter(|name| !stay.contains(*name));
            trees.map(|name| layout.trash.remove_tree_in_part(name, own_blocks(layout, name)?)).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

/// Returns the space that deleting the trees would free, except the spare's and those in `stay`.
pub(crate) fn usage_of_trees(layout: &Layout, spare: Option<&Spare>, stay: &HashSet<Vec<u8>>) -> Result<Usage, Error> {
    let names = trees(layout, spare)?;
    let trees = names.iter().filter(|name| !stay.contains(*name));
    trees.map(|name| layout.trash.own_usage_of(name, own_blocks(layout, name)?)).sum()
}

/// Returns the files of a tree whose blocks are their own, as its record says.
pub(crate) fn own_blocks(layout: &Layout, tree: &[u8]) -> Result<OwnBlocks, Error> {
    let record = [tree, RECORD_SUFFIX.as_bytes()].concat();
    let record = layout.trash.open_dir(&record).and_then(|record| read_removed_record(&record));
    layout.own_blocks(record.ok().flatten().map(|record| record.link).unwrap_or_default())
}

/// Records in trash whose objects were not checked yet.
pub(crate) struct RemovedRecords(Vec<Vec<u8>>);

impl RemovedRecords {
    /// Finds these records, except that of the spare, whose objects are still in use.
    pub(crate) fn find(layout: &Layout, spare: Option<&Spare>) -> Result<RemovedRecords, Error> {
        let mut removed = names_of(layout, Kind::Record)?;
        removed.retain(|name| spare.is_none_or(|spare| spare.record != *name));
        Ok(RemovedRecords(removed))
    }

    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns their names in trash.
    pub(crate) fn names(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Returns the objects that these records name and for which `is_due` is true. Returns nothing if a manifest
    /// cannot be read: then any object may be meant.
    pub(crate) fn objects(
        &self,
        layout: &Layout,
        is_due: impl Fn(&ObjectName) -> bool,
    ) -> Result<Option<HashSet<ObjectName>>, Error> {
        let mut objects = HashSet::new();
        for name in &self.0 {
            let record = layout.trash.open_dir(name)?;
            if !read_removed_objects(&record, |object| objects.extend(Some(object).filter(&is_due)))? {
                return Ok(None);
            }
        }
        Ok(Some(objects))
    }

    /// Deletes the records, after their objects were checked. Returns the space that this frees.
    pub(crate) fn delete(self, _lock: &Lock, layout: &Layout) -> Result<Usage, Error> {
        let delete = |name: &Vec<u8>| layout.trash.remove_tree_in_part(name, OwnBlocks::All);
        self.0.iter().map(|name| delete(name).map(|removal| removal.freed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_exact_form_are_removed() {
        let token = "0123456789abcdef0123456789abcdef";
        let check = |name: String, expected: Option<Kind>| assert_eq!(Kind::of(name.as_bytes()), expected, "{name}");
        check(format!("20260101000000-{token}"), Some(Kind::Tree));
        check(format!("1.2-rc-{token}"), Some(Kind::Tree));
        check(format!("20260101000000-{token}-record"), Some(Kind::Record));
        check(format!("{token}-record"), Some(Kind::Record));
        for name in [token, "backup.sql", "cutover-record", "-record", "", "20260101000000", &token[1..]] {
            check(name.to_owned(), None);
        }
        check(format!("-{token}"), None);
        check(format!("20260101000000{token}"), None);
        check(format!("20260101000000-{token}.old"), None);
        check(format!("20260101000000-{}", token.to_uppercase()), None);
    }
}
