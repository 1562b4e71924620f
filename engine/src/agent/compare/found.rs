//! The differences that a comparison found.

use crate::disk::Stat;
use crate::manifest::Manifest;
use crate::path::Shown;
use crate::report::{Difference, DifferenceKind};

/// The place of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// An entry of the manifest.
    Entry(u32),
    /// The root of the release.
    Root,
    /// A path that the manifest does not have.
    Path(Vec<u8>),
}

/// A difference.
#[derive(Debug)]
pub(super) struct FoundDifference {
    /// The place.
    pub(super) place: Place,
    /// The kind.
    pub(super) kind: DifferenceKind,
    /// The stat of the path, if it exists.
    pub(super) stat: Option<Stat>,
}

impl FoundDifference {
    /// Returns the path. That of the root is empty.
    pub(super) fn path(&self, manifest: &Manifest) -> Vec<u8> {
        match &self.place {
            Place::Entry(entry) => manifest.path(*entry),
            Place::Root => Vec::new(),
            Place::Path(path) => path.clone(),
        }
    }

    /// Returns it for a report.
    pub(super) fn to_report(&self, manifest: &Manifest) -> Difference {
        let path = match &self.place {
            Place::Root => ".".to_owned(),
            _ => Shown(&self.path(manifest)).to_string(),
        };
        Difference { path, kind: self.kind }
    }
}
