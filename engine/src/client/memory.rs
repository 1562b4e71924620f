//! The memory of earlier deploys on this machine: the manifest database and the content cache, in the state directory.
//!
//! All of it can be deleted, and may be unusable. Then a deploy is slower and sends more, and is right all the same. So
//! every failure here is only a warning.
//!
//! One memory serves a source and all hosts that it is exchanged with, from any thread. One thread at a time asks the
//! database. The cache is opened when it is first needed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use crate::chunk::Chunks;
use crate::client::cache::Cache;
use crate::client::database::Database;
use crate::error::Error;
use crate::event::{Observer, OkOrWarn};
use crate::hash::Hash;

/// See the module's description.
pub(crate) struct Memory {
    database: Option<Mutex<Database>>,
    cache: OnceLock<Option<Cache>>,
    /// The chunks in the database, for each hash that was asked for.
    chunks: Mutex<HashMap<Hash, Option<Arc<Chunks>>>>,
    state_dir: PathBuf,
    observer: Arc<dyn Observer>,
}

impl Memory {
    /// Opens the memory in a state directory.
    pub(crate) fn open(state_dir: &Path, observer: Arc<dyn Observer>) -> Memory {
        let database = Database::open(state_dir, observer.clone()).ok_or_warn(observer.as_ref()).map(Mutex::new);
        let (cache, chunks) = (OnceLock::new(), Mutex::default());
        Memory { database, cache, chunks, state_dir: state_dir.to_owned(), observer }
    }

    /// Asks or changes the database. None if there is none, or if that fails.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Database) -> Result<T, Error>) -> Option<T> {
        let database = self.database.as_ref()?.lock().expect("no question to the database panics");
        question(&database).ok_or_warn(self.observer.as_ref())
    }

    /// Returns the content cache, if it is usable.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.get_or_init(|| Cache::open(&self.state_dir).ok_or_warn(self.observer.as_ref())).as_ref()
    }

    /// Returns the stored chunks of a file, which are read once.
    pub(crate) fn chunks(&self, hash: &Hash) -> Option<Arc<Chunks>> {
        let read = || self.ask(|database| database.chunks(hash)).flatten().map(Arc::new);
        self.chunks.lock().expect("no question for chunks panics").entry(*hash).or_insert_with(read).clone()
    }

    /// Stores the chunks of large files for their next versions.
    pub(crate) fn keep_chunks(&self, chunks: &[(Hash, Chunks)]) {
        if chunks.is_empty() || self.ask(|database| database.put_chunks(chunks)).is_none() {
            return;
        }
        let mut read = self.chunks.lock().expect("no question for chunks panics");
        chunks.iter().for_each(|(hash, _)| drop(read.remove(hash)));
    }
}
