//! Keeps sent content in the content cache, for the next deploy.

use crate::client::cache::{Cache, CacheWriter};
use crate::client::packer::PackedBlock;
use crate::event::{Observer, OkOrWarn};

/// A keeper of sent content. Without it the next deploy sends more, which is no reason for this one to fail.
pub(crate) struct CacheKeeper<'a> {
    writer: Option<CacheWriter<'a>>,
    observer: &'a dyn Observer,
}

impl<'a> CacheKeeper<'a> {
    /// Begins.
    pub(crate) fn begin(cache: Option<&'a Cache>, observer: &'a dyn Observer) -> CacheKeeper<'a> {
        CacheKeeper { writer: cache.and_then(|cache| cache.begin().ok_or_warn(observer)), observer }
    }

    /// Keeps the files of a block that are worth it.
    pub(crate) fn keep(&mut self, packed: &PackedBlock) {
        for kept in &packed.kept {
            let body = kept.own.as_ref().unwrap_or(&packed.block).body();
            if let Some(mut writer) = self.writer.take()
                && writer.add(body, &kept.files).ok_or_warn(self.observer).is_some()
            {
                self.writer = Some(writer);
            }
        }
    }

    /// Publishes the kept content.
    pub(crate) fn finish(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.finish().ok_or_warn(self.observer);
        }
    }
}
