//! The base: the release of the server that the new manifest is described against.

use crate::chunk;
use crate::error::Error;
use crate::release::ReleaseId;
use crate::threads;
use crate::wire::message::{AgentBase, BaseName};

use crate::agent::reporter::Reporter;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Releases, StoredManifest, read_manifest};
use crate::agent::store::Store;

use super::order::Order;

/// The base of a deploy.
pub(super) struct Base {
    /// Its id and root.
    pub(super) name: BaseName,
    /// Its manifest and placements.
    pub(super) stored: StoredManifest,
    /// The commit of its source.
    pub(super) commit: Option<String>,
}

impl Base {
    /// Chooses the client's base if that release exists, else the live release, else the newest one with a readable
    /// manifest.
    pub(super) fn choose(
        reporter: &dyn Reporter,
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
                Ok(stored) => {
                    let name = BaseName { release: record.id.clone(), root: record.root };
                    return Ok(Some(Base { name, stored, commit: record.provenance.commit.clone() }));
                }
                Err(error) => reporter.warn(error.to_string()),
            }
        }
        Ok(None)
    }

    /// Tells whether the client named this base.
    pub(super) fn is_named_by(&self, order: &Order<'_>) -> bool {
        order.begin.base().as_ref() == Some(&self.name)
    }

    /// Returns the message that names this base to the client.
    pub(super) fn to_message(&self, order: &Order<'_>) -> AgentBase {
        if self.is_named_by(order) { AgentBase::Proposed } else { AgentBase::Another(self.name.clone()) }
    }

    /// Returns the chunks of a large file, cut as a client cuts it, or nothing if its object is missing or altered.
    pub(super) fn chunks(&self, layout: &Layout, entry: u32) -> Option<Vec<u8>> {
        let file = self.stored.manifest.file(entry)?;
        let store = Store::new(layout.objects.duplicate().ok()?);
        let object = store.open_any(file.key).ok()??;
        let (hash, chunks) = chunk::cut(object, chunk::transfer_average_log(file.size)).ok()?;
        (hash == file.key.hash).then(|| chunk::to_bytes(&chunks))
    }
}
