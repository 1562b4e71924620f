//! The task: the release that is to be made.

use crate::error::Error;
use crate::manifest::Manifest;
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::{Placement, Placements};

use crate::agent::classify::{Classification, Classifier};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::store::Store;

use super::base::Base;
use super::decision::Decision;
use super::order::Order;
use super::tree::Tree;

/// The release to make.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    /// The order of the client.
    pub(super) order: &'a Order<'a>,
    /// Its manifest.
    pub(super) tree: &'a Tree,
    /// The base that the manifest is described against.
    pub(super) base: Option<&'a Base>,
    /// Its id, second and links.
    pub(super) decision: &'a Decision,
}

impl<'a> Task<'a> {
    /// Returns the manifest of the base.
    pub(super) fn base_manifest(&self) -> Option<&'a Manifest> {
        self.base.map(|base| &base.stored.manifest)
    }

    /// Returns the memory of both manifests and the known properties of their entries, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let base = self.base.map_or(0, |base| {
            base.stored.manifest.memory_bytes() + size_of_val(base.stored.placements.as_slice()) as u64
        });
        base + self.tree.manifest.memory_bytes() + size_of_val(self.tree.origins.as_slice()) as u64
    }

    /// Returns the classifier for its files.
    pub(super) fn classifier<'b>(&self, layout: &'b Layout, releases: &'b Releases, store: &'b Store) -> Classifier<'b>
    where
        'a: 'b,
    {
        let Task { order, tree, decision, .. } = *self;
        let is_dry_run = order.begin.dry_run;
        Classifier { layout, releases, store, manifest: &tree.manifest, second: decision.second, is_dry_run }
    }

    /// Decides which of its files the store has.
    pub(super) fn classify(
        &self,
        layout: &Layout,
        releases: &Releases,
        store: &Store,
    ) -> Result<Classification, Error> {
        let tree = self.tree;
        let stored = self.base.map(|base| &base.stored);
        let expected =
            known_from_base(&tree.manifest, &tree.origins, stored.map(|stored| stored.placements.as_slice()));
        self.classifier(layout, releases, store).classify(&tree.origins, stored, expected)
    }
}

/// Returns the placements that the base tells: entries that were copied from the base keep theirs.
fn known_from_base(manifest: &Manifest, origins: &[u32], base: Option<&[Placement]>) -> Placements {
    let mut expected = vec![Placement::default(); manifest.len() as usize];
    if let Some(base) = base {
        for (index, &origin) in origins.iter().enumerate().filter(|&(_, &origin)| origin != INTRODUCED) {
            expected[index] = base[origin as usize];
        }
    }
    expected
}
