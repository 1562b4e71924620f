//! Trash: releases on their way out, and what their removal still owes.
//!
//! ```text
//! .cutover/trash/
//! ├── <id>-<token>            a release's tree; the newest may wait for the next deploy, as its spare
//! └── <id>-<token>-record     its record and manifest
//! ```
//!
//! On an overlay a release of a lower layer cannot be moved: its record comes here, and its tree is deleted where it is.
//!
//! A tree is deleted as soon as may be. A record stays until the objects that its manifest names were looked through: a
//! run that is killed between leaves in it what the next cleanup has to look at. A publication that stopped half-way
//! comes here too, as it may have published objects that nobody names.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::Dir;
use crate::error::Error;
use crate::manifest::decode::StreamEntry;
use crate::manifest::placement::Placement;
use crate::release::{BootSpan, ReleaseId};

use super::process::{Candidate, Ties, holding_on};
use super::seen::Seen;
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::records::{MANIFEST, RECORD, read_owed_entries, read_owed_objects, read_owed_record};
use super::store::ObjectName;
use super::token::{RANDOM_NAME_DIGITS, is_random, random_name};

const RECORD_SUFFIX: &str = "-record";
const RECORD_MODE: u32 = 0o700;
/// In a record: its tree is deleted in `releases/`.
const IN_PLACE: &[u8] = b"in-place";

/// What stands in trash, by name. Other names are not ours, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tree,
    Record,
}

impl Kind {
    /// Reads `<id>-<token>`, `<id>-<token>-record` or `<token>-record`.
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

/// Takes a release away, durably: after a power cut it stands whole, or not at all. One that cannot be moved, in a lower layer
/// of an overlay, is deleted where it is.
pub(crate) fn take_release(lock: &Lock, layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
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
    // From here on `resume_removals` goes on with it.
    layout.releases.remove_tree(name)?;
    layout.trash.open_dir(record.as_bytes())?.remove_file(IN_PLACE).map(drop)
}

/// Moves a release here, durably. Says whether it can be moved.
pub(crate) fn move_release(_lock: &Lock, layout: &Layout, id: &ReleaseId) -> Result<bool, Error> {
    let (name, tree) = (id.as_str().as_bytes(), format!("{id}-{}", random_name()?));
    // The tree first: a record without a tree is known to be the rest of a removal.
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

/// Moves a record here. An overlay renames no directory that is in one of its lower layers: there the record is copied,
/// durably, and then removed.
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

/// Goes on with removals that were made in place and were cut off: of a tree that is no release any more, whose record is
/// here. What cannot be removed keeps no verb from its work, and is tried again by the next one.
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

/// Returns the greatest second of the releases whose records are here.
pub(crate) fn greatest_second(layout: &Layout) -> Result<Option<u32>, Error> {
    let mut greatest = None;
    for name in names_of(layout, Kind::Record)? {
        let record = read_owed_record(&layout.trash.open_dir(&name)?)?;
        greatest = greatest.max(record.map(|record| record.second));
    }
    Ok(greatest)
}

/// Moves the record of a release without a tree here; without a manifest it names nothing, and is removed.
pub(crate) fn take_record(_lock: &Lock, layout: &Layout, from: &Dir, name: &[u8]) -> Result<(), Error> {
    let holds_manifest = from.stat(name)?.is_some() && from.open_dir(name)?.stat(MANIFEST)?.is_some();
    if !holds_manifest {
        return from.remove_tree(name);
    }
    move_record(layout, from, name, &format!("{}{RECORD_SUFFIX}", random_name()?))
}

/// A release that waits here for the next deploy, which turns it into a new one.
pub(crate) struct Spare {
    /// Which it was.
    pub(crate) id: ReleaseId,
    /// The name of its tree.
    pub(crate) tree: Vec<u8>,
    /// When it was live.
    span: Option<BootSpan>,
    /// The name of its record.
    record: Vec<u8>,
}

impl Spare {
    /// Finds the newest release of which tree and record are here.
    pub(crate) fn find(layout: &Layout) -> Result<Option<Spare>, Error> {
        let mut newest: Option<(u64, Spare)> = None;
        for tree in names_of(layout, Kind::Tree)? {
            let record = [&tree, RECORD_SUFFIX.as_bytes()].concat();
            if layout.trash.stat(&record)?.is_none() {
                continue;
            }
            let Some(found) = read_owed_record(&layout.trash.open_dir(&record)?)? else { continue };
            if newest.as_ref().is_none_or(|(sequence, _)| found.sequence > *sequence) {
                newest = Some((found.sequence, Spare { id: found.id, tree, span: found.span, record }));
            }
        }
        Ok(newest.map(|(_, spare)| spare))
    }

    /// Gives every entry that it had, with its placement. Tells whether its manifest could be read.
    pub(crate) fn entries(&self, layout: &Layout, take: impl FnMut(StreamEntry<'_>, Placement)) -> Result<bool, Error> {
        read_owed_entries(&layout.trash.open_dir(&self.record)?, take)
    }

    /// Gives every object that it named. Tells whether its manifest could be read.
    pub(crate) fn objects(&self, layout: &Layout, take: impl FnMut(ObjectName)) -> Result<bool, Error> {
        read_owed_objects(&layout.trash.open_dir(&self.record)?, take)
    }

    /// Returns what was seen of it when it was made, where that is known.
    pub(crate) fn seen(&self, layout: &Layout) -> Result<Option<Seen>, Error> {
        Seen::read(&layout.trash.open_dir(&self.record)?)
    }

    /// Returns why it cannot be reused, where something outside holds on to it, or may.
    pub(crate) fn obstacle(&self, layout: &Layout, grace: Duration) -> Result<Option<String>, Error> {
        let candidate = Candidate { path: tree_path(layout, &self.tree)?, span: self.span.as_ref() };
        Ok(holding_on(&[candidate], Ties::Open, grace).pop().flatten())
    }
}

/// Returns the path of a tree here, without symlinks.
pub(crate) fn tree_path(layout: &Layout, tree: &[u8]) -> Result<PathBuf, Error> {
    let trash = layout.trash.path();
    let real = std::fs::canonicalize(trash).map_err(|e| Error::io("resolve", trash, e))?;
    Ok(real.join(OsStr::from_bytes(tree)))
}

/// Returns the names of the trees here, but that of a spare.
pub(crate) fn trees(layout: &Layout, spare: Option<&Spare>) -> Result<Vec<Vec<u8>>, Error> {
    let mut names = names_of(layout, Kind::Tree)?;
    names.retain(|name| spare.is_none_or(|spare| spare.tree != *name));
    Ok(names)
}

/// Returns the release that a tree here was, where its name says so.
pub(crate) fn release_of(tree: &[u8]) -> Option<ReleaseId> {
    std::str::from_utf8(tree).ok()?.rsplit_once('-')?.0.parse().ok()
}

/// Deletes the trees but that of a spare and those that are to stay. Returns what could not be: the rest need not stay
/// because of it.
pub(crate) fn delete_trees(
    _lock: &Lock,
    layout: &Layout,
    spare: Option<&Spare>,
    stay: &HashSet<Vec<u8>>,
) -> Vec<Error> {
    match trees(layout, spare) {
        Ok(names) => {
            let trees = names.iter().filter(|name| !stay.contains(*name));
            trees.filter_map(|name| layout.trash.remove_tree(name).err()).collect()
        }
        Err(error) => vec![error],
    }
}

/// Records whose objects were not looked through yet.
pub(crate) struct Owed(Vec<Vec<u8>>);

impl Owed {
    /// Finds them. A spare owes nothing yet.
    pub(crate) fn find(layout: &Layout, spare: Option<&Spare>) -> Result<Owed, Error> {
        let mut owed = names_of(layout, Kind::Record)?;
        owed.retain(|name| spare.is_none_or(|spare| spare.record != *name));
        Ok(Owed(owed))
    }

    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns those of the objects that they name which `is_due`; nothing where a manifest cannot be read, and it may be
    /// any object.
    pub(crate) fn objects(
        &self,
        layout: &Layout,
        is_due: impl Fn(&ObjectName) -> bool,
    ) -> Result<Option<HashSet<ObjectName>>, Error> {
        let mut objects = HashSet::new();
        for name in &self.0 {
            let record = layout.trash.open_dir(name)?;
            if !read_owed_objects(&record, |object| objects.extend(Some(object).filter(&is_due)))? {
                return Ok(None);
            }
        }
        Ok(Some(objects))
    }

    /// Deletes them: nothing is owed any more.
    pub(crate) fn settle(self, _lock: &Lock, layout: &Layout) -> Result<(), Error> {
        self.0.iter().try_for_each(|name| layout.trash.remove_tree(name))
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
