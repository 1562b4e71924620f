//! The base: a release of the server against which the new one is described.

use crate::chunk;
use crate::error::Error;
use crate::release::ReleaseId;
use crate::threads;
use crate::wire::message::{BaseName, Taken};

use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Kept, Releases, read_manifest};
use crate::agent::store::Store;
use crate::agent::tell::Tell;

use super::order::Order;

/// A release against which the new one is described.
pub(super) struct Base {
    /// Which it is.
    pub(super) name: BaseName,
    /// Its manifest, with where its files are.
    pub(super) kept: Kept,
    /// The commit that it was made of.
    pub(super) commit: Option<String>,
}

impl Base {
    /// Takes the client's base where it stands, else the live release, else the newest whose manifest is whole.
    pub(super) fn choose(
        tell: &dyn Tell,
        order: &Order<'_>,
        layout: &Layout,
        releases: &Releases,
        live: Option<&ReleaseId>,
    ) -> Result<Option<Base>, Error> {
        threads::start_pool()?;
        let named = order.begin.base();
        let named = named.iter().filter_map(|base| releases.find(&base.release).filter(|own| own.root == base.root));
        let live = live.and_then(|live| releases.find(live));
        for record in named.chain(live).chain(releases.records.iter().rev()) {
            match read_manifest(layout, &record.id, &record.root) {
                Ok(kept) => {
                    let name = BaseName { release: record.id.clone(), root: record.root };
                    return Ok(Some(Base { name, kept, commit: record.provenance.commit.clone() }));
                }
                Err(error) => tell.warn(error.to_string()),
            }
        }
        Ok(None)
    }

    /// Tells whether it is the one that the client named.
    pub(super) fn is_named_by(&self, order: &Order<'_>) -> bool {
        order.begin.base().as_ref() == Some(&self.name)
    }

    /// Returns how the client is told of it.
    pub(super) fn taken(&self, order: &Order<'_>) -> Taken {
        if self.is_named_by(order) { Taken::Named } else { Taken::Another(self.name.clone()) }
    }

    /// Returns the chunks of a large file, as a client cuts it; nothing where its object is gone or not what it was.
    pub(super) fn chunks(&self, layout: &Layout, entry: u32) -> Option<Vec<u8>> {
        let file = self.kept.manifest.file(entry)?;
        let store = Store::new(layout.objects.again().ok()?);
        let object = store.open_any(file.key).ok()??;
        let (hash, chunks) = chunk::cut(object, chunk::transfer_average_log(file.size)).ok()?;
        (hash == file.key.hash).then(|| chunk::to_bytes(&chunks))
    }
}
