//! Trash: releases on their way out, and what their removal still owes.
//!
//! ```text
//! .cutover/trash/
//! ├── <id>-<token>            a release's tree
//! └── <id>-<token>-record     its record and manifest
//! ```
//!
//! A tree is deleted as soon as may be. A record stays until the objects that its manifest names were looked through: a
//! run that is killed between leaves in it what the next cleanup has to look at. A publication that stopped half-way
//! comes here too, as it may have published objects that nobody names.

use std::collections::HashSet;

use crate::disk::Dir;
use crate::error::Error;
use crate::release::ReleaseId;

use super::layout::{Layout, random_name};
use super::prune::sizes;
use super::records::{MANIFEST, read_owed_manifest};
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

/// Deletes the trees. Returns what could not be: the rest need not stay because of it.
pub(crate) fn delete_trees(layout: &Layout) -> Vec<Error> {
    match layout.trash.names() {
        Ok(names) => {
            let trees = names.iter().filter(|name| !is_record(name));
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
    /// Finds them.
    pub(crate) fn find(layout: &Layout) -> Result<Owed, Error> {
        Ok(Owed(layout.trash.names()?.into_iter().filter(|name| is_record(name)).collect()))
    }

    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the objects that they name; nothing where a manifest cannot be read, and it may be any object.
    pub(crate) fn objects(&self, layout: &Layout) -> Result<Option<HashSet<ObjectName>>, Error> {
        let mut objects = HashSet::new();
        for name in &self.0 {
            match read_owed_manifest(&layout.trash.open_dir(name)?)? {
                Some(kept) => objects.extend(sizes(&kept).map(|(object, _)| object)),
                None => return Ok(None),
            }
        }
        Ok(Some(objects))
    }

    /// Deletes them: nothing is owed any more.
    pub(crate) fn settle(self, layout: &Layout) -> Result<(), Error> {
        self.0.iter().try_for_each(|name| layout.trash.remove_tree(name))
    }
}
