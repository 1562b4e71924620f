//! The release of a host that the new one is described against, as far as this side knows it.

use crate::client::shared_manifest::SharedManifest;
use crate::client::source::Source;
use crate::error::Error;
use crate::manifest::decode::decode;
use crate::wire::message::BaseName;

use super::host::Host;

/// See the module's description.
pub(crate) struct Base {
    /// Its name.
    pub(super) name: BaseName,
    /// Its manifest.
    pub(super) manifest: SharedManifest,
    /// The commit that it was made of.
    pub(super) commit: Option<String>,
    /// Whether it was put together from an outline.
    pub(super) is_outlined: bool,
}

impl Base {
    /// Finds the manifest of a release on this side.
    pub(super) fn find(source: &Source<'_>, name: BaseName) -> Option<Base> {
        let manifest = source.find_manifest(&name.root)?;
        Some(Base { name, manifest, commit: None, is_outlined: false })
    }

    /// Returns the release that a host is believed to have: one of the same content where such a one stands, else the live
    /// one.
    pub(super) fn believed(source: &Source<'_>, host: &Host<'_>) -> Option<Base> {
        let belief = host.belief.as_ref()?;
        let (memory, store, own) = (source.memory(), &belief.holding.store, source.manifest().root());
        let alike = memory.ask(|database| database.release_of(store, &own)).flatten();
        let name = match alike {
            Some(release) => BaseName { release, root: own },
            None => {
                let release = belief.live.clone()?;
                let root = memory.ask(|database| database.root(store, &release)).flatten()?;
                BaseName { release, root }
            }
        };
        Base::find(source, name)
    }

    /// Reads the whole manifest of a release.
    pub(super) fn whole(name: BaseName, bytes: &[u8], commit: Option<String>) -> Result<Base, Error> {
        let (decoded, _) =
            decode(bytes, None).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
        if decoded.manifest.root() != name.root {
            return Err(Error::Protocol("a manifest with another root than was announced".into()));
        }
        Ok(Base { name, manifest: SharedManifest::Alone(decoded.manifest), commit, is_outlined: false })
    }
}
