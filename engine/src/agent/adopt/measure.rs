//! Counts the files of a site, and notes owners and rights.

use rayon::prelude::*;

use crate::disk::{Dir, Kind, Stat};
use crate::error::Error;

use super::inventory::{Counts, Inventory};
use super::lister::Lister;

/// The permission to read, for everybody.
const ALL_READ: u32 = 0o004;
/// The permissions to read of anybody.
const ANY_READ: u32 = 0o444;

impl Lister<'_> {
    pub(super) fn counts(&self, stat: &Stat) -> Counts {
        match stat.kind {
            Kind::File => Counts { files: 1, bytes: stat.size, disk_bytes: self.costs.file(stat.size) },
            _ => Counts { files: 1, ..Counts::default() },
        }
    }

    pub(super) fn measure_name(&self, dir: &Dir, name: &[u8], stat: &Stat) -> Result<Counts, Error> {
        if stat.kind == Kind::Directory { self.measure(dir, name) } else { Ok(self.counts(stat)) }
    }

    /// Counts the files in a directory. What this user may not list is not counted.
    pub(super) fn measure(&self, dir: &Dir, name: &[u8]) -> Result<Counts, Error> {
        let Ok(held) = dir.open_dir(name) else { return Ok(Counts::default()) };
        self.measure_held(&held)
    }

    pub(super) fn measure_held(&self, held: &Dir) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        let mut below = Vec::new();
        for name in held.names()? {
            match held.stat(&name)? {
                Some(stat) if stat.kind == Kind::Directory => below.push(name),
                Some(stat) => counts.add(self.counts(&stat)),
                None => {}
            }
        }
        let parts: Result<Vec<Counts>, Error> = below.par_iter().map(|name| self.measure(held, name)).collect();
        parts?.into_iter().for_each(|part| counts.add(part));
        Ok(counts)
    }

    /// Notes the owner and the rights of a file of the release.
    pub(super) fn judge_rights(&self, inventory: &mut Inventory, dir: &Dir, name: &[u8], path: Vec<u8>, stat: &Stat) {
        if stat.kind != Kind::File {
            return;
        }
        let reader = self.readers.and_then(|readers| readers.locked_out(dir, name, stat));
        inventory.note_locked_out(&path, reader);
        if stat.uid != self.user {
            inventory.owners.entry(stat.uid).or_insert_with(|| (0, path.clone())).0 += 1;
        }
        if stat.mode & ALL_READ == 0 {
            inventory.private.0 += 1;
            inventory.private.1.get_or_insert_with(|| path.clone());
        }
        if stat.mode & ANY_READ != ANY_READ && !dir.is_readable(name).unwrap_or(true) {
            inventory.unreadable.0 += 1;
            inventory.unreadable.1.get_or_insert((path, stat.uid));
        }
    }
}
