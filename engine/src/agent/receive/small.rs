//! Receives files that arrive whole, many in one block: as content, or as deltas against old content.

use std::io::Write;

use crate::agent::store::ObjectName;
use crate::delta::{self, Delta};
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::{File as ManifestFile, ObjectKey};
use crate::wire::block::{DELTAS_BYTES_MAX, FileDelta};

use super::receiver::{Contents, Receiver, Reception};
use super::resume::{PARTIAL_BYTES_MIN, UNFINISHED_MODE};

impl Receiver<'_> {
    pub(super) fn files(&self, entries: &[u32], mut content: &[u8]) -> Result<(), Error> {
        let short = || Error::Protocol("a block whose content is not as long as its files".into());
        for &entry in entries {
            let file = self.file(entry)?;
            let size = usize::try_from(file.size).map_err(|_| short())?;
            let (own, rest) = content.split_at_checked(size).ok_or_else(short)?;
            content = rest;
            self.small(entry, file.key, own)?;
        }
        if content.is_empty() { Ok(()) } else { Err(short()) }
    }

    pub(super) fn deltas(&mut self, deltas: &[FileDelta], container: &[u8]) -> Result<(), Error> {
        let mut contents = std::mem::take(&mut self.contents);
        let received = self.deltas_in(&mut contents, deltas, container);
        self.contents = contents;
        received
    }

    /// Receives deltas. If an old file is unfit, all files of the block stay wanted.
    fn deltas_in(&self, contents: &mut Contents, deltas: &[FileDelta], container: &[u8]) -> Result<(), Error> {
        let wrong = |what: &str| Error::Protocol(format!("deltas {what}"));
        let base = self.reception.base.ok_or_else(|| wrong("without a base"))?;
        let (mut old_bytes, mut new_bytes) = (0, 0);
        let mut pairs = Vec::with_capacity(deltas.len());
        for delta in deltas {
            let file = self.file(delta.entry)?;
            let old = base.file(delta.base).ok_or_else(|| wrong("against an entry that is not a file"))?;
            old_bytes += old.size;
            new_bytes += file.size;
            if old_bytes.max(new_bytes) > DELTAS_BYTES_MAX {
                return Err(wrong("of more content than a container may have"));
            }
            pairs.push((file, old));
        }
        let Contents { old: olds, new: news } = contents;
        if olds.len() <= old_bytes as usize {
            olds.resize(old_bytes as usize + 1, 0);
        }
        let mut at = 0;
        for (_, old) in &pairs {
            let end = at + old.size as usize;
            if !self.reception.assembly.store.read_into(*old, &mut olds[at..=end])? {
                return Ok(());
            }
            at = end;
        }
        let mut rest = olds.as_slice();
        let delta = |(file, old): &(ManifestFile, ManifestFile)| {
            let (own, others) = rest.split_at(old.size as usize);
            rest = others;
            Delta { old: own, len: file.size as usize }
        };
        let described: Vec<Delta<'_>> = pairs.iter().map(delta).collect();
        if delta::decode_into(news, container, &described).is_err() {
            return Ok(());
        }
        let mut rest = news.as_slice();
        for (delta, (file, _)) in deltas.iter().zip(&pairs) {
            let (own, others) = rest.split_at(file.size as usize);
            rest = others;
            self.small(delta.entry, file.key, own)?;
        }
        Ok(())
    }

    fn small(&self, entry: u32, key: ObjectKey, content: &[u8]) -> Result<(), Error> {
        let Reception { assembly, wanted, promise, .. } = self.reception;
        let Some(at) = wanted.of_entry(entry) else {
            return Ok(());
        };
        let hash = Hash::of(content);
        let is_promised = promise.includes(entry);
        if wanted.has_arrived(at) || !(is_promised || hash == key.hash) || !self.claim(at) {
            return Ok(());
        }
        let key = ObjectKey { hash, ..key };
        if is_promised {
            if wanted.find(key).is_some() || !promise.add_hash(entry, key) {
                // Two entries share this object, which is one file. They are told apart once all hashes are known.
                wanted.give_back(at);
                return Ok(());
            }
            if assembly.store.has(key)? {
                wanted.arrive(at);
                return Ok(());
            }
        }
        let (name, staged) = (ObjectName { key, copy: 0 }, self.staged());
        // If it may later count as a beginning, another run must be able to write to it.
        let mode = if content.len() as u64 >= PARTIAL_BYTES_MIN { UNFINISHED_MODE } else { u32::from(key.mode) };
        let mut file = staged.create(name, mode)?;
        file.write_all(content).map_err(|e| Error::io("write", staged.path_of(name), e))?;
        self.flush.note(content.len() as u64);
        self.finish(at, file, name)
    }
}
