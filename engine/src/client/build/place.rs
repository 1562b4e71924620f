//! The directory of the builds of one source, in the state directory: `builds/<hash of its path>/`.
//!
//! ```text
//! lock              see `tree_lock`
//! cache/            for caches of builds, which no deploy removes
//! print-<hash>      one for each hook: the print of what it depended on when it last succeeded
//! results-<hash>    what it made up to then, as parts of hashes of 8 bytes
//! ```

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cancel::Cancel;
use crate::client::tree_lock::TreeLock;
use crate::disk::{self, Dir};
use crate::error::Error;
use crate::event::Observer;
use crate::hash::Hash;
use crate::hook::Hook;

use super::look::Entry;

/// The directory of builds in the state directory.
const BUILDS: &str = "builds";

/// The lock of a directory that is no worktree, which has its own.
const LOCK: &[u8] = b"lock";

/// See the module's description.
pub(super) struct BuildPlace {
    dir: Dir,
    /// The directory for caches.
    pub(super) cache: PathBuf,
}

impl BuildPlace {
    pub(super) fn open(state_dir: &Path, source: &Path) -> Result<BuildPlace, Error> {
        let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
        let name = Hash::of(source.as_os_str().as_bytes()).to_string();
        let path = state_dir.join(BUILDS).join(&name[..16]);
        let cache = path.join("cache");
        disk::create_private_path(&cache)?;
        Ok(BuildPlace { dir: Dir::open(&path)?, cache })
    }

    /// Locks `directory`, whose builds these are.
    pub(super) fn lock(&self, directory: &Path, observer: &dyn Observer, cancel: &Cancel) -> Result<TreeLock, Error> {
        let tree = format!("`{}` for a build", directory.display());
        TreeLock::take(&self.dir, LOCK, &tree, observer, cancel)
    }

    /// Returns the print of what a hook depended on when it last succeeded.
    pub(super) fn last_print(&self, hook: &Hook) -> Option<Hash> {
        let bytes = self.dir.read(&name("print", hook)).ok()??;
        Some(Hash::from_bytes(bytes.try_into().ok()?))
    }

    /// Forgets the print of a hook that is to run: one that fails may leave less than was there before.
    pub(super) fn forget_print(&self, hook: &Hook) -> Result<(), Error> {
        self.dir.remove_file(&name("print", hook)).map(drop)
    }

    pub(super) fn keep_print(&self, hook: &Hook, print: Hash) -> Result<(), Error> {
        self.dir.replace(&name("print", hook), print.as_bytes())
    }

    /// Returns what a hook has made.
    pub(super) fn results(&self, hook: &Hook) -> Vec<Entry> {
        let bytes = self.dir.read(&name("results", hook)).ok().flatten().unwrap_or_default();
        bytes.as_chunks().0.iter().map(|&part| Entry(part)).collect()
    }

    pub(super) fn keep_results(&self, hook: &Hook, results: &[Entry]) -> Result<(), Error> {
        let bytes: Vec<u8> = results.iter().flat_map(|entry| entry.0).collect();
        self.dir.replace(&name("results", hook), &bytes)
    }
}

fn name(kind: &str, hook: &Hook) -> Vec<u8> {
    format!("{kind}-{}", &Hash::of(hook.name.as_bytes()).to_string()[..16]).into_bytes()
}
