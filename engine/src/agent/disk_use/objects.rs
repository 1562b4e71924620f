//! The objects that a release names: alone, or with others.

use std::collections::{HashMap, HashSet};

use crate::agent::site::layout::Layout;
use crate::agent::site::records::{ManifestView, Releases, read_objects};
use crate::agent::store::ObjectName;
use crate::agent::trash::Spare;
use crate::disk::Usage;
use crate::error::Error;

/// The release that names an object, by its place in the list, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    One(u32),
    Several,
}

/// The holders of all objects that a release names.
#[derive(Debug, Default)]
pub(super) struct Holders(HashMap<ObjectName, Holder>);

/// The objects of a release.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ObjectUse {
    /// Those that only this release names.
    pub(super) own: Usage,
    /// Those that others name too.
    pub(super) shared: Usage,
}

impl Holders {
    /// Reads which objects the releases and the spare name. A manifest that cannot be read names nothing.
    pub(super) fn read(layout: &Layout, releases: &Releases, spare: Option<&Spare>) -> Result<Holders, Error> {
        let mut holders = Holders::default();
        for (at, record) in releases.records.iter().enumerate() {
            read_objects(layout, &record.id, &record.root, |name, _| holders.note(at, name)).unwrap_or_default();
        }
        if let Some(spare) = spare {
            spare.objects(layout, |name| holders.note(releases.records.len(), name))?;
        }
        Ok(holders)
    }

    fn note(&mut self, at: usize, name: ObjectName) {
        let holder = self.0.entry(name).or_insert(Holder::One(at as u32));
        if *holder != Holder::One(at as u32) {
            *holder = Holder::Several;
        }
    }

    /// Returns the objects of a release. An object that it names twice counts once.
    pub(super) fn usage(&self, view: ManifestView<'_>, block_bytes: u64) -> ObjectUse {
        let (mut sum, mut seen) = (ObjectUse::default(), HashSet::new());
        for (name, size) in view.objects().filter(|(name, _)| seen.insert(*name)) {
            let is_own = matches!(self.0.get(&name), Some(Holder::One(_)));
            let part = if is_own { &mut sum.own } else { &mut sum.shared };
            *part += Usage { bytes: size.next_multiple_of(block_bytes), inodes: 1 };
        }
        sum
    }
}
