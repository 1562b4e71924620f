//! Trash: releases on their way out, and what their removal still owes.
//!
//! ```text
//! .cutover/trash/
//! ├── <id>-<token>            a release's tree; the newest may wait for the next deploy, as its spare
//! └── <id>-<token>-record     its record and manifest
//! ```
//!
//! A tree is deleted as soon as may be. A record stays until the objects that its manifest names were looked through: a
//! run that is killed between leaves in it what the next cleanup has to look at. A publication that stopped half-way
//! comes here too, as it may have published objects that nobody names.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::Dir;
use crate::error::Error;
use crate::manifest::decode::Passing;
use crate::manifest::placement::Placement;
use crate::release::{BootSpan, ReleaseId};

use super::layout::{Layout, random_name};
use super::process::{Candidate, Ties, holding_on};
use super::records::{MANIFEST, read_owed_entries, read_owed_objects, read_owed_record};
use super::seen::Seen;
use super::store::ObjectName;

const RECORD_SUFFIX: &str = "-record";

/// Moves a release here, durably: after a power cut it stands whole, or not at all.
pub(crate) fn take_release(layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    // The tree first: a record without a tree is known to be the rest of a removal.
    let tree = format!("{id}-{}", random_name()?);
    layout.releases.rename(id.as_str().as_bytes(), &layout.trash, tree.as_bytes())?;
    let record = format!("{tree}{RECORD_SUFFIX}");
    layout.records.rename(id.as_str().as_bytes(), &layout.trash, record.as_bytes())?;
    layout.trash.sync()?;
    layout.releases.sync()?;
    layout.records.sync()
}

/// Moves the record of a release without a tree here; without a manifest it names nothing, and is removed.
pub(crate) fn take_record(layout: &Layout, from: &Dir, name: &[u8]) -> Result<(), Error> {
    let holds_manifest = from.stat(name)?.is_some() && from.open_dir(name)?.stat(MANIFEST)?.is_some();
    if !holds_manifest {
        return from.remove_tree(name);
    }
    from.rename(name, &layout.trash, format!("{}{RECORD_SUFFIX}", random_name()?).as_bytes())
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
        let names = layout.trash.names()?;
        let mut newest: Option<(u64, Spare)> = None;
        for tree in names.iter().filter(|name| !is_record(name)) {
            let record = [tree, RECORD_SUFFIX.as_bytes()].concat();
            if !names.contains(&record) {
                continue;
            }
            let Some(found) = read_owed_record(&layout.trash.open_dir(&record)?)? else { continue };
            if newest.as_ref().is_none_or(|(sequence, _)| found.sequence > *sequence) {
                newest = Some((found.sequence, Spare { id: found.id, tree: tree.clone(), span: found.span, record }));
            }
        }
        Ok(newest.map(|(_, spare)| spare))
    }

    /// Gives every entry that it had, with its placement. Tells whether its manifest could be read.
    pub(crate) fn entries(&self, layout: &Layout, take: impl FnMut(Passing<'_>, Placement)) -> Result<bool, Error> {
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
    let mut names = layout.trash.names()?;
    names.retain(|name| !is_record(name) && spare.is_none_or(|spare| spare.tree != *name));
    Ok(names)
}

/// Returns the release that a tree here was, where its name says so.
pub(crate) fn release_of(tree: &[u8]) -> Option<ReleaseId> {
    std::str::from_utf8(tree).ok()?.rsplit_once('-')?.0.parse().ok()
}

/// Deletes the trees but that of a spare and those that are to stay. Returns what could not be: the rest need not stay
/// because of it.
pub(crate) fn delete_trees(layout: &Layout, spare: Option<&Spare>, stay: &HashSet<Vec<u8>>) -> Vec<Error> {
    match trees(layout, spare) {
        Ok(names) => {
            let trees = names.iter().filter(|name| !stay.contains(*name));
            trees.filter_map(|name| layout.trash.remove_tree(name).err()).collect()
        }
        Err(error) => vec![error],
    }
}

fn is_record(name: &[u8]) -> bool {
    name.ends_with(RECORD_SUFFIX.as_bytes())
}

/// Records whose objects were not looked through yet.
pub(crate) struct Owed(Vec<Vec<u8>>);

impl Owed {
    /// Finds them. A spare owes nothing yet.
    pub(crate) fn find(layout: &Layout, spare: Option<&Spare>) -> Result<Owed, Error> {
        let is_owed = |name: &Vec<u8>| is_record(name) && spare.is_none_or(|spare| spare.record != *name);
        Ok(Owed(layout.trash.names()?.into_iter().filter(is_owed).collect()))
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
    pub(crate) fn settle(self, layout: &Layout) -> Result<(), Error> {
        self.0.iter().try_for_each(|name| layout.trash.remove_tree(name))
    }
}
