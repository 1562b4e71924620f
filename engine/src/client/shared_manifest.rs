//! A manifest by itself, or as part of a scan that others hold too.

use std::ops::Deref;
use std::sync::Arc;

use crate::manifest::Manifest;
use crate::scan::snapshot::Snapshot;

/// See the module's description.
pub(crate) enum SharedManifest {
    /// By itself.
    Alone(Manifest),
    /// With the stats of its entries.
    Scanned(Arc<Snapshot>),
}

impl Deref for SharedManifest {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        match self {
            SharedManifest::Alone(manifest) => manifest,
            SharedManifest::Scanned(known) => &known.manifest,
        }
    }
}
