//! The chunks of the source's large files.
//!
//! The database keeps chunks by content, so that the next version of a file is described without a question to the
//! server.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::chunk::{self, Chunks, KEPT_AVERAGE_LOG};
use crate::client::outgoing_file::OutgoingFile;
use crate::error::Error;
use crate::hash::Hash;

use super::Source;

/// The least size of a file that is cut while it is sent and the agent works, so that its next version needs no
/// question for chunks. For smaller files the question costs little.
const CUT_BYTES_MIN: u64 = 16 << 20;

/// The key of a large file to cut: its hash, and the binary logarithm of the average length of its chunks.
pub(crate) type CutKey = (Hash, u8);

impl Source<'_> {
    /// Chooses the large files to cut while they are sent, by entry and hash: whole files whose chunks are unknown.
    pub(crate) fn to_cut(&self, outgoing_files: &[OutgoingFile]) -> Vec<(u32, Hash)> {
        let is_whole = |outgoing: &&OutgoingFile| outgoing.skip == 0 && outgoing.old.is_none();
        let large = |outgoing: &OutgoingFile| {
            let file = self.manifest().file(outgoing.entry).filter(|file| file.size >= CUT_BYTES_MIN)?;
            self.memory().chunks(&file.key.hash).is_none().then_some((outgoing.entry, file.key.hash))
        };
        outgoing_files.iter().filter(is_whole).filter_map(large).collect()
    }

    /// Cuts files as they come, until `over`. Leaves out changed files.
    pub(crate) fn cut_until(&self, over: &Cancel, files: &Receiver<(u32, Hash)>) -> Vec<(Hash, Chunks)> {
        let cut = |(entry, hash)| Some((hash, self.cut(entry, hash, KEPT_AVERAGE_LOG, over)?));
        files.iter().filter_map(cut).collect()
    }

    /// Returns the chunks of files, of the given average: stored ones, or cut now. Leaves out changed files.
    pub(crate) fn chunks(
        &self,
        files: impl Iterator<Item = (u32, CutKey)>,
        cancel: &Cancel,
    ) -> Result<HashMap<CutKey, Arc<Chunks>>, Error> {
        let (mut own, mut unknown) = (HashMap::new(), HashMap::new());
        for (entry, key) in files {
            let (hash, average_log) = key;
            match self.memory().chunks(&hash).filter(|chunks| chunks.average_log == average_log) {
                Some(chunks) => drop(own.insert(key, chunks)),
                None => drop(unknown.insert(key, entry)),
            }
        }
        let unknown: Vec<(CutKey, u32)> = unknown.into_iter().collect();
        let cut = |(key, entry): (CutKey, u32)| Some((key, self.cut(entry, key.0, key.1, cancel)?));
        let found: Vec<(CutKey, Chunks)> = unknown.into_par_iter().filter_map(cut).collect();
        cancel.check()?;
        let to_keep = found.iter().filter(|((_, average_log), _)| *average_log == KEPT_AVERAGE_LOG);
        self.memory().keep_chunks(&to_keep.map(|((hash, _), chunks)| (*hash, chunks.clone())).collect::<Vec<_>>());
        own.extend(found.into_iter().map(|(key, chunks)| (key, Arc::new(chunks))));
        Ok(own)
    }

    fn cut(&self, entry: u32, hash: Hash, average_log: u8, cancel: &Cancel) -> Option<Chunks> {
        let (found, chunks) = chunk::cut(cancel.reader(self.open(entry)?), average_log).ok()?;
        (found == hash).then_some(chunks)
    }
}
