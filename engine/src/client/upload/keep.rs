//! What is sent, and is kept in the content cache for the next deploy.

use crate::client::cache::{Cache, CacheWriter};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::hash::Hash;
use crate::wire::block::Block;

use super::Packed;

/// Contents to be kept in the content cache.
pub(super) struct Kept {
    pub(super) contents: Vec<(Hash, u32)>,
    /// The block that holds them, where it is not the one that is sent.
    pub(super) own: Option<Block>,
}

/// Keeps what is sent. Without it the next deploy sends more: no reason for this one to fail.
pub(super) struct Keeper<'a> {
    writer: Option<CacheWriter<'a>>,
    observer: &'a dyn Observer,
}

impl<'a> Keeper<'a> {
    /// Begins.
    pub(super) fn begin(cache: Option<&'a Cache>, observer: &'a dyn Observer) -> Keeper<'a> {
        let mut keeper = Keeper { writer: None, observer };
        keeper.writer = cache.and_then(|cache| keeper.told(cache.begin()));
        keeper
    }

    fn told<T>(&self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.observer.observe(Event::Warning(error.with_cause()))).ok()
    }

    /// Keeps what is worth it of what was sent.
    pub(super) fn keep(&mut self, packed: &Packed) {
        let Some(kept) = &packed.kept else { return };
        let body = kept.own.as_ref().unwrap_or(&packed.block).body();
        if let Some(mut writer) = self.writer.take()
            && self.told(writer.add(body, &kept.contents)).is_some()
        {
            self.writer = Some(writer);
        }
    }

    /// Makes known what was kept.
    pub(super) fn finish(mut self) {
        if let Some(writer) = self.writer.take() {
            self.told(writer.finish());
        }
    }
}
