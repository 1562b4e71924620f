//! The release of a host that the new release is described against, as far as this machine knows it.

use crate::client::shared_manifest::SharedManifest;
use crate::client::source::Source;
use crate::error::Error;
use crate::manifest::decode::decode;
use crate::wire::message::BaseName;

use super::host::Host;

/// See the module's description.
pub(crate) struct Base {
    /// The name.
    pub(super) name: BaseName,
    /// The manifest.
    pub(super) manifest: SharedManifest,
    /// The commit of its source.
    pub(super) commit: Option<String>,
    /// Whether the manifest was built from an outline.
    pub(super) is_outlined: bool,
}

impl Base {
    /// Finds the manifest of a release on this machine.
    pub(super) fn find(source: &Source<'_>, name: BaseName) -> Option<Base> {
        let manifest = source.find_manifest(&name.root)?;
        Some(Base { name, manifest, commit: None, is_outlined: false })
    }

    /// Returns the base that a host will take, according to the database: a release with the same content if there is
    /// one, else the live one.
    pub(super) fn expected(source: &Source<'_>, host: &Host<'_>) -> Option<Base> {
        let known = host.known.as_ref()?;
        let (memory, store, own) = (source.memory(), &known.holding.store, source.manifest().root());
        let alike = memory.ask(|database| database.release_of(store, &own)).flatten();
        let name = match alike {
            Some(release) => BaseName { release, root: own },
            None => {
                let release = known.live.clone()?;
                let root = memory.ask(|database| database.root(store, &release)).flatten()?;
                BaseName { release, root }
            }
        };
        Base::find(source, name)
    }

    /// Decodes the whole manifest of a release.
    pub(super) fn whole(name: BaseName, bytes: &[u8], commit: Option<String>) -> Result<Base, Error> {
        let (decoded, _) =
            decode(bytes, None).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
        if decoded.manifest.root() != name.root {
            return Err(Error::Protocol("a manifest with another root than was announced".into()));
        }
        Ok(Base { name, manifest: SharedManifest::Alone(decoded.manifest), commit, is_outlined: false })
    }
}
