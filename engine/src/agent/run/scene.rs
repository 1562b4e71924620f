//! The surroundings of a hook: the releases that it sees, and the variables that name them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::site::layout::Layout;
use crate::agent::site::records::read_record;
use crate::disk::Dir;
use crate::error::Error;
use crate::hook::{Hook, HookPhase, When};
use crate::release::{Provenance, ReleaseId};
use crate::wire::message::Hello;

/// The directory for caches of hooks, in the deploy path.
const CACHE: &[u8] = b"cache";

/// Its mode.
const CACHE_MODE: u32 = 0o755;

/// The releases that a hook sees.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Scene {
    /// The release that goes live or is live. None before it has its name.
    pub(crate) release: Option<ReleaseId>,
    /// The release that was live before.
    pub(crate) previous: Option<ReleaseId>,
    /// Whether this is a rollback.
    pub(crate) is_rollback: bool,
}

impl Scene {
    /// Returns the scene before there is a new release.
    pub(crate) fn before(live: Option<ReleaseId>) -> Scene {
        Scene { release: None, previous: live, is_rollback: false }
    }

    /// Tells whether this is a deploy on which a hook runs.
    pub(crate) fn calls(&self, hook: &Hook) -> bool {
        let is_first = self.previous.is_none();
        let fits = match hook.when {
            When::All => true,
            When::First => is_first,
            When::AfterFirst => !is_first,
        };
        let is_of_rollbacks = matches!(hook.phase, HookPhase::BeforeRollback | HookPhase::AfterRollback);
        fits && (!self.is_rollback || hook.on_rollback || is_of_rollbacks)
    }

    /// Returns the directory in which a hook runs: the release, or, before there is one, the live one, or the deploy
    /// path.
    pub(crate) fn directory(&self, layout: &Layout) -> PathBuf {
        let release = self.release.as_ref().or(self.previous.as_ref());
        release.map_or_else(|| layout.root.path().to_owned(), |release| release_path(layout, release))
    }

    /// Returns the origin of the release, or of the source before there is a release.
    fn origin(&self, hello: &Hello, layout: &Layout) -> Provenance {
        match &self.release {
            Some(release) => read_record(layout, release).map(|record| record.provenance).unwrap_or_default(),
            None => hello.provenance.clone(),
        }
    }

    /// Returns the variables of a hook. Empty ones have no value yet.
    pub(crate) fn variables(&self, hello: &Hello, layout: &Layout) -> Result<Vec<(OsString, OsString)>, Error> {
        let cache = cache(layout)?;
        let path_of = |release: &Option<ReleaseId>| {
            release.as_ref().map(|release| release_path(layout, release)).unwrap_or_default()
        };
        let id = |release: &Option<ReleaseId>| release.as_ref().map(ToString::to_string).unwrap_or_default();
        let (origin, provenance) = (self.origin(hello, layout), &hello.provenance);
        let texts = [
            ("RELEASE", id(&self.release)),
            ("PREVIOUS_RELEASE", id(&self.previous)),
            ("REVISION", origin.commit.unwrap_or_default()),
            ("BRANCH", origin.branch.unwrap_or_default()),
            ("STAGE", hello.procedure.stage.clone().unwrap_or_default()),
            ("FIRST_DEPLOY", u8::from(self.previous.is_none()).to_string()),
            ("ROLLBACK", u8::from(self.is_rollback).to_string()),
            ("DEPLOYED_BY", provenance.who.clone()),
            ("DEPLOYED_FROM", provenance.from.clone()),
        ];
        let paths = [
            ("DEPLOY_PATH", layout.root.path().to_owned()),
            ("RELEASE_PATH", path_of(&self.release)),
            ("CURRENT_PATH", layout.current.path()),
            ("SHARED_PATH", layout.shared.path().to_owned()),
            ("CACHE_PATH", cache.path().to_owned()),
            ("PREVIOUS_RELEASE_PATH", path_of(&self.previous)),
        ];
        let texts = texts.into_iter().map(|(name, text)| (name, OsString::from_vec(text.into_bytes())));
        let paths = paths.into_iter().map(|(name, path)| (name, path.into_os_string()));
        Ok(texts.chain(paths).map(|(name, value)| (variable(name), value)).collect())
    }
}

/// Returns the name of a variable.
pub(super) fn variable(name: &str) -> OsString {
    format!("CUTOVER_{name}").into()
}

/// Opens the directory for caches, and makes it if it does not exist.
pub(super) fn cache(layout: &Layout) -> Result<Dir, Error> {
    layout.root.ensure_dir(CACHE, CACHE_MODE).map(|(cache, _)| cache)
}

fn release_path(layout: &Layout, release: &ReleaseId) -> PathBuf {
    layout.releases.path().join(Path::new(release.as_str()))
}
