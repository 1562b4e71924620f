//! Links entries to objects that became available after the assembly began: content that arrived, another copy in the
//! store, a further copy that was made.

use rayon::prelude::*;

use super::sources::{Destination, Object};
use super::{Assembly, Origin};
use crate::agent::receive::WantedObjects;
use crate::agent::store::ObjectName;
use crate::error::Error;
use crate::manifest::placement::Placement;

impl Assembly<'_> {
    /// Links an object that has arrived to every path that wants it.
    pub(crate) fn link_arrived(&self, wanted: &WantedObjects, at: usize) -> Result<(), Error> {
        let name = ObjectName { key: wanted.key(at), copy: 0 };
        let object = Object { name, second: self.second, origin: Origin::Staged, inode: 0 };
        let open = wanted.entries(at).iter().filter(|&&entry| !self.entries.is_placed(entry));
        open.into_iter().try_for_each(|&entry| self.place_by_path(entry, object))
    }

    /// Links all objects that have arrived to the paths that still lack them.
    pub(crate) fn link_all_arrived(&self, wanted: &WantedObjects) -> Result<(), Error> {
        let linked = |at| if wanted.has_arrived(at) { self.link_arrived(wanted, at) } else { Ok(()) };
        (0..wanted.len()).into_par_iter().try_for_each(linked)
    }

    /// Links an unfit entry to the same content, if that has arrived for another entry. Returns whether it has.
    pub(crate) fn link_if_arrived(&self, entry: u32, arrived: &[WantedObjects]) -> Result<bool, Error> {
        let Some(key) = self.manifest.file(entry).map(|file| file.key) else {
            return Ok(false);
        };
        if !arrived.iter().any(|wanted| wanted.find(key).is_some_and(|at| wanted.has_arrived(at))) {
            return Ok(false);
        }
        let name = ObjectName { key, copy: 0 };
        self.place_by_path(entry, Object { name, second: self.second, origin: Origin::Staged, inode: 0 })?;
        Ok(true)
    }

    /// Links an entry to another copy in the store.
    pub(crate) fn link_stored(&self, entry: u32, placement: Placement) -> Result<(), Error> {
        let Some(key) = self.manifest.file(entry).map(|file| file.key) else { return Ok(()) };
        let name = ObjectName { key, copy: placement.copy };
        self.place_by_path(entry, Object { name, second: placement.second, origin: Origin::Store, inode: 0 })
    }

    /// Links an entry to the further copy that was made for it.
    pub(crate) fn link_further_copy(&self, entry: u32, name: ObjectName) -> Result<(), Error> {
        self.place_by_path(entry, Object { name, second: self.second, origin: Origin::Staged, inode: 0 })
    }

    fn place_by_path(&self, entry: u32, object: Object) -> Result<(), Error> {
        let holder = self.manifest.holder(entry);
        self.touch(holder);
        let dir = self.directories.hold(holder, || self.open_directory(holder))?;
        self.place(entry, object, &Destination { dir: &dir, name: self.manifest.name(entry) })
    }
}
