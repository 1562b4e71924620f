//! The release that a new one is described against, as far as this side knows it.

use std::ops::Deref;
use std::sync::Arc;

use crate::error::Error;
use crate::manifest::decode::decode;
use crate::manifest::{Manifest, outline};
use crate::report::DeployFailure;
use crate::scan::snapshot::Snapshot;
use crate::wire::message::{BaseName, DeployDone, FromAgent, Reply, Taken, ToAgent};

use super::{Exchange, Outlook, unexpected};

/// A release of the server, as far as the client knows it.
pub(super) struct Base {
    /// Its name.
    pub(super) name: BaseName,
    /// Its manifest.
    pub(super) manifest: Held,
    /// The commit that it was made of.
    pub(super) commit: Option<String>,
    /// Whether it was put together from an outline.
    pub(super) is_outlined: bool,
}

/// A manifest, by itself or as part of a scan.
pub(super) enum Held {
    /// By itself.
    Alone(Manifest),
    /// With the stats of its entries.
    Scanned(Arc<Snapshot>),
}

impl Deref for Held {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        match self {
            Held::Alone(manifest) => manifest,
            Held::Scanned(known) => &known.manifest,
        }
    }
}

/// What the agent begins with.
pub(super) enum Heard {
    /// It goes on from this base.
    Ready(Option<Base>),
    /// It has nothing at all.
    Empty,
    /// All is done.
    Done(Box<DeployDone>),
}

impl Outlook<'_> {
    /// Returns the release that the agent is believed to have, and whether an upload to it was cut off: one of the same
    /// content where such a one stands, else the live one.
    pub(super) fn believed_base(&self) -> Option<(Base, bool)> {
        let database = self.memory.database?;
        let belief = self.memory.belief.as_ref()?;
        let store = &belief.holding.store;
        let own = self.scan.found.manifest.root();
        let alike = self.deploy.told(database.release_of(store, &own)).flatten();
        let name = match alike {
            Some(release) => BaseName { release, root: own },
            None => {
                let release = belief.live.clone()?;
                let root = self.deploy.told(database.root(store, &release))??;
                BaseName { release, root }
            }
        };
        Some((self.base_from(name)?, belief.is_cut))
    }

    /// Tells whether this tree, or what it was at the last scan, was deployed to some store.
    pub(super) fn knows_a_release(&self) -> bool {
        let Some(database) = self.memory.database else { return false };
        let before = self.memory.before.take();
        let roots = [Some(self.scan.found.manifest.root()), before.as_ref().map(|known| known.manifest.root())];
        self.memory.before.set(before);
        roots.into_iter().flatten().any(|root| self.deploy.told(database.has_release(&root)).unwrap_or(false))
    }

    /// Finds the manifest of a base on this side: the scan's own, the last scan's, or one that was kept.
    fn base_from(&self, name: BaseName) -> Option<Base> {
        let is_it = |known: &Arc<Snapshot>| known.manifest.root() == name.root;
        let scanned = Some(self.scan.found.clone()).filter(is_it).or_else(|| self.memory.before.take().filter(is_it));
        let manifest = match scanned {
            Some(known) => Held::Scanned(known),
            None => Held::Alone(self.deploy.told(self.memory.database?.manifest(&name.root))??),
        };
        Some(Base { name, manifest, commit: None, is_outlined: false })
    }
}

impl Exchange<'_> {
    /// Waits until the agent has said which base it takes, or that nothing is to be done. `is_asked` says that it was asked
    /// for an outline already.
    pub(super) fn ready(&mut self, believed: Option<Base>, is_asked: bool) -> Result<Heard, DeployFailure> {
        match self.talk.wait()? {
            FromAgent::Done(Reply::Deploy(done)) => Ok(Heard::Done(done)),
            FromAgent::Ready { holding, base, commit, .. } => {
                self.holding = holding.unwrap_or_else(|| std::mem::take(&mut self.holding));
                let name = match (base, believed) {
                    (Taken::Named, Some(believed)) => return Ok(Heard::Ready(Some(Base { commit, ..believed }))),
                    (Taken::Named, None) => return Err(unexpected()),
                    (Taken::Empty, _) => return Ok(Heard::Empty),
                    (Taken::Nothing, _) => None,
                    (Taken::Another(name), _) => Some(name),
                };
                Ok(Heard::Ready(self.learn_base(name, commit, is_asked)?))
            }
            _ => Err(unexpected()),
        }
    }

    /// Asks for an outline of the base that the agent takes.
    pub(super) fn want_outline(&self) -> Result<(), Error> {
        self.talk.send(&ToAgent::WantOutline(outline::describe_own(&self.outlook.scan.found.manifest)))
    }

    /// Gets the manifest of the base that the agent takes: from this side, or an outline of it from the agent, which was
    /// asked for or is now.
    pub(super) fn learn_base(
        &self,
        base: Option<BaseName>,
        commit: Option<String>,
        is_asked: bool,
    ) -> Result<Option<Base>, DeployFailure> {
        let Some(name) = base else { return Ok(None) };
        let known = self.outlook.base_from(name.clone()).map(|base| Base { commit: commit.clone(), ..base });
        if known.is_some() && !is_asked {
            return Ok(known);
        }
        let answer = if is_asked {
            self.talk.next()?
        } else {
            self.want_outline()?;
            self.talk.wait()?
        };
        let FromAgent::Outline { length } = answer else { return Err(unexpected()) };
        let outlined =
            outline::decode(&self.talk.parts(length, outline::OUTLINE_BYTES_MAX)?, &self.outlook.scan.found.manifest);
        let base = match (known, outlined) {
            (Some(known), _) => return Ok(Some(known)),
            (None, Ok(manifest)) => {
                let is_outlined = manifest.root() != name.root;
                Base { name, manifest: Held::Alone(manifest), commit, is_outlined }
            }
            (None, Err(_)) => {
                self.talk.send(&ToAgent::WantBase)?;
                let (name, bytes) = self.talk.manifest()?;
                whole_base(name, &bytes, commit)?
            }
        };
        if let Some(database) = self.outlook.memory.database.filter(|_| !base.is_outlined) {
            self.outlook.deploy.told(database.put_release(&self.holding, &base.name.release, &base.manifest));
        }
        Ok(Some(base))
    }
}

/// Reads the whole manifest of a base.
pub(super) fn whole_base(name: BaseName, bytes: &[u8], commit: Option<String>) -> Result<Base, Error> {
    let (decoded, _) = decode(bytes, None).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
    if decoded.manifest.root() != name.root {
        return Err(Error::Protocol("a manifest with another root than was announced".into()));
    }
    Ok(Base { name, manifest: Held::Alone(decoded.manifest), commit, is_outlined: false })
}
