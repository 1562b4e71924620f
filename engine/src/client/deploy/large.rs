//! Large files in terms of old ones: by their chunks, and between those that both have by signatures of the old file.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crossbeam_channel::Receiver;
use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::chunk::{self, Chunks, KEPT_AVERAGE_LOG, Piece};
use crate::client::scan::Scan;
use crate::client::sending::{Old, Recipe, Sending};
use crate::error::Error;
use crate::hash::Hash;
use crate::report::DeployFailure;
use crate::scan::content;
use crate::signature::{Care, Signature, Signatures};
use crate::wire::bounds::{CHUNKED_MAX, GAPS_MAX, SIGNATURES_BYTES_MAX};
use crate::wire::message::{FromAgent, GAP_BYTES_MAX, GapsOf, ToAgent};

use super::olds::{OldEntry, Olds, Pair};
use super::{Exchange, Outlook, unexpected};

/// Less than this is sent and not asked about.
const GAP_BYTES_MIN: u64 = 4 << 10;

/// Files of this size are cut while they are sent and the agent works, so that their next version needs no question for their chunks. What
/// smaller ones have to ask is little.
const CUT_BYTES_MIN: u64 = 16 << 20;

/// A range of an old file in place of which the new one has something else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// The entry of the new manifest.
    entry: u32,
    /// The piece of its recipe.
    piece: usize,
    /// Where it begins in the old file.
    offset: u64,
    /// Its length in bytes.
    len: u64,
}

/// Finds the gaps of large files, those of one file side by side.
pub(super) fn gaps(olds: &Olds) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (&entry, old) in olds {
        if let Old::Large(recipe) = old {
            gaps.extend(gaps_of(entry, recipe));
        }
    }
    // What is beyond is sent, and not asked about.
    gaps.truncate(GAPS_MAX);
    gaps
}

fn gaps_of(entry: u32, recipe: &Recipe) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut ended = 0;
    for (piece, &what) in recipe.pieces.iter().enumerate() {
        match what {
            Piece::Old { offset, len } => ended = offset + len,
            Piece::New { len: new_len } => {
                let next = match recipe.pieces.get(piece + 1) {
                    Some(&Piece::Old { offset, .. }) => offset,
                    _ => recipe.old_size,
                };
                // Where what follows was moved, about as much as is new.
                let end = if next >= ended { next } else { recipe.old_size.min(ended + new_len) };
                let old_len = end.saturating_sub(ended);
                let is_worth_it = new_len.min(old_len) >= GAP_BYTES_MIN;
                if is_worth_it && new_len.max(old_len) <= GAP_BYTES_MAX {
                    gaps.push(Gap { entry, piece, offset: ended, len: old_len });
                }
            }
        }
    }
    gaps
}

/// Cuts files as they come, until that is over. None of those that have changed.
pub(super) fn cut_until(over: &Cancel, scan: &Scan, files: &Receiver<(u32, Hash)>) -> Vec<(Hash, Chunks)> {
    let cut = |(entry, hash)| Some((hash, cut(scan, entry, hash, KEPT_AVERAGE_LOG, over)?));
    files.iter().filter_map(cut).collect()
}

fn cut(scan: &Scan, entry: u32, hash: Hash, average_log: u8, cancel: &Cancel) -> Option<Chunks> {
    let (found, chunks) = chunk::cut(cancel.reader(open(scan, entry)?), average_log).ok()?;
    (found == hash).then_some(chunks)
}

fn open(scan: &Scan, entry: u32) -> Option<File> {
    content::open(&scan.source, OsStr::from_bytes(&scan.found.manifest.path(entry))).ok()
}

impl Outlook<'_> {
    /// Chooses the large files that are to be cut while they are sent: whole ones whose chunks are not known.
    pub(super) fn to_cut(self, sendings: &[Sending]) -> Vec<(u32, Hash)> {
        let is_whole = |sending: &&Sending| sending.skip == 0 && sending.old.is_none();
        let large = |sending: &Sending| {
            let file = self.scan.found.manifest.file(sending.entry).filter(|file| file.size >= CUT_BYTES_MIN)?;
            self.kept_chunks(&file.key.hash).is_none().then_some((sending.entry, file.key.hash))
        };
        sendings.iter().filter(is_whole).filter_map(large).collect()
    }

    /// Describes large files. `asked` are the chunks of those whose old ones this side does not know, in order.
    pub(super) fn add_recipes(
        &self,
        pairs: &[Pair],
        asked: &[Option<Rc<Chunks>>],
        olds: &mut Olds,
    ) -> Result<(), Error> {
        let mut asked = asked.iter();
        let with_chunks = |pair: &Pair| {
            let chunks = self.kept_chunks(&pair.old.file.key.hash).or_else(|| asked.next().cloned().flatten());
            Some((*pair, chunks?))
        };
        let large: Vec<(Pair, Rc<Chunks>)> =
            pairs.iter().filter(|pair| pair.is_large()).filter_map(with_chunks).collect();
        let own = self.own_chunks(large.iter().map(|(pair, old)| (pair.entry, pair.file.key.hash, old.average_log)))?;
        for (pair, chunks) in large {
            let old = pair.old.file;
            if let Some(own) = own.get(&(pair.file.key.hash, chunks.average_log)) {
                let pieces = chunk::pieces(&chunks.list, &own.list);
                olds.insert(pair.entry, Old::Large(Recipe { old: old.key, old_size: old.size, pieces }));
            }
        }
        Ok(())
    }

    /// Returns the chunks of files of the source, of the given average: kept ones, or cut now. None of those that have
    /// changed.
    fn own_chunks(
        &self,
        files: impl Iterator<Item = (u32, Hash, u8)>,
    ) -> Result<HashMap<(Hash, u8), Rc<Chunks>>, Error> {
        let (mut own, mut unknown) = (HashMap::new(), HashMap::new());
        for (entry, hash, average_log) in files {
            match self.kept_chunks(&hash).filter(|chunks| chunks.average_log == average_log) {
                Some(chunks) => drop(own.insert((hash, average_log), chunks)),
                None => drop(unknown.insert((hash, average_log), entry)),
            }
        }
        let unknown: Vec<((Hash, u8), u32)> = unknown.into_iter().collect();
        let (scan, cancel) = (self.scan, &self.deploy.cancel);
        let cut =
            |((hash, average_log), entry)| Some(((hash, average_log), cut(scan, entry, hash, average_log, cancel)?));
        let found: Vec<((Hash, u8), Chunks)> = unknown.into_par_iter().filter_map(cut).collect();
        cancel.check()?;
        let to_keep = found.iter().filter(|((_, average_log), _)| *average_log == KEPT_AVERAGE_LOG);
        self.keep_chunks(&to_keep.map(|((hash, _), chunks)| (*hash, chunks.clone())).collect::<Vec<_>>());
        own.extend(found.into_iter().map(|(of, chunks)| (of, Rc::new(chunks))));
        Ok(own)
    }

    /// Keeps the chunks of large files for their next versions.
    pub(super) fn keep_chunks(&self, chunks: &[(Hash, Chunks)]) {
        if let Some(database) = self.memory.database.filter(|_| !chunks.is_empty()) {
            self.deploy.told(database.put_chunks(chunks));
            let mut read = self.memory.kept_chunks.borrow_mut();
            chunks.iter().for_each(|(hash, _)| drop(read.remove(hash)));
        }
    }

    /// Returns the chunks of a file as far as they are kept, which is read once.
    pub(super) fn kept_chunks(&self, hash: &Hash) -> Option<Rc<Chunks>> {
        let read = || self.deploy.told(self.memory.database?.chunks(hash))?.map(Rc::new);
        self.memory.kept_chunks.borrow_mut().entry(*hash).or_insert_with(read).clone()
    }
}

impl Exchange<'_> {
    /// Asks for the chunks of files of the base. Of those beyond [`CHUNKED_MAX`] there are none: they are sent whole.
    pub(super) fn ask_chunks(&self, olds: &[OldEntry]) -> Result<Vec<Option<Rc<Chunks>>>, DeployFailure> {
        if olds.is_empty() {
            return Ok(Vec::new());
        }
        let olds = &olds[..olds.len().min(CHUNKED_MAX)];
        self.talk.send(&ToAgent::WantChunks(olds.iter().map(|old| old.index).collect()))?;
        let read =
            |(list, old): (Option<Vec<u8>>, &OldEntry)| chunk::from_bytes_of(&list?, old.file.size).ok().map(Rc::new);
        match self.talk.wait()? {
            FromAgent::Chunks(lists) if lists.len() == olds.len() => {
                Ok(lists.into_iter().zip(olds).map(read).collect())
            }
            _ => Err(unexpected()),
        }
    }

    /// Asks the agent to sign gaps.
    pub(super) fn want_gaps(&self, gaps: &[Gap], olds: &Olds) -> Result<(), Error> {
        let of_file = |gaps: &[Gap]| {
            let Some(Old::Large(recipe)) = olds.get(&gaps[0].entry) else { return None };
            let ranges = gaps.iter().map(|gap| (gap.offset, gap.len)).collect();
            Some(GapsOf { hash: recipe.old.hash, mode: recipe.old.mode, ranges })
        };
        if gaps.is_empty() {
            return Ok(());
        }
        let by_file = gaps.chunk_by(|one, next| one.entry == next.entry).filter_map(of_file).collect();
        self.talk.send(&ToAgent::WantGaps(by_file))
    }

    /// Hears the signatures of gaps, where any were asked for, and has no use for them: the agent takes another base.
    pub(super) fn drop_gaps(&self, gaps: &[Gap]) -> Result<(), DeployFailure> {
        if gaps.is_empty() {
            return Ok(());
        }
        let FromAgent::GapSignatures { length } = self.talk.next()? else { return Err(unexpected()) };
        self.talk.parts(length, SIGNATURES_BYTES_MAX as u64).map(drop)
    }

    /// Hears the signatures of gaps, and describes what the new files have there in terms of them.
    pub(super) fn close_gaps(&self, gaps: &[Gap], length: u64, olds: &mut Olds) -> Result<(), DeployFailure> {
        let bytes = self.talk.parts(length, SIGNATURES_BYTES_MAX as u64)?;
        let lens: Vec<usize> = gaps.iter().map(|gap| gap.len as usize).collect();
        let signatures = Signatures::read(bytes, &lens, Care::Range)
            .map_err(|reason| Error::Protocol(format!("a list of signatures that {reason}")))?;
        let mut at = 0;
        for gaps in gaps.chunk_by(|one, next| one.entry == next.entry) {
            if let Some(Old::Large(recipe)) = olds.get_mut(&gaps[0].entry)
                && let Some(file) = open(self.outlook.scan, gaps[0].entry)
            {
                let signature = |gap| signatures.get(at + gap);
                recipe.pieces = close(&recipe.pieces, gaps, &file, signature, &self.outlook.deploy.cancel)?;
            }
            at += gaps.len();
        }
        Ok(())
    }
}

/// Describes the pieces at gaps by signatures of those, found by their number. What cannot be read now stays new: the
/// upload will tell.
fn close(
    pieces: &[Piece],
    gaps: &[Gap],
    file: &File,
    signature: impl Fn(usize) -> Option<Signature> + Sync,
    cancel: &Cancel,
) -> Result<Vec<Piece>, Error> {
    let begins = pieces.iter().scan(0, |end, piece| Some(std::mem::replace(end, *end + piece.len())));
    let begins: Vec<u64> = begins.collect();
    let close = |(number, gap): (usize, &Gap)| {
        cancel.check()?;
        let (begin, len) = (begins[gap.piece], pieces[gap.piece].len() as usize);
        Ok((gap.piece, signature(number).and_then(|signature| describe(&signature, gap, file, begin, len))))
    };
    let closed = gaps.par_iter().enumerate().map(close).collect::<Result<Vec<_>, Error>>()?;
    let mut closed = closed.into_iter().peekable();
    let mut described = Vec::with_capacity(pieces.len());
    for (number, &piece) in pieces.iter().enumerate() {
        match closed.next_if(|(piece, _)| *piece == number) {
            Some((_, Some(closed))) => described.extend(closed),
            _ => described.push(piece),
        }
    }
    Ok(described)
}

/// Describes what the file has at a place by the signature of a gap.
fn describe(signature: &Signature, gap: &Gap, file: &File, begin: u64, len: usize) -> Option<Vec<Piece>> {
    let mut content = vec![0; len];
    file.read_exact_at(&mut content, begin).ok()?;
    let (mut pieces, mut done) = (Vec::new(), 0);
    signature.search(&content, |found| {
        push_new(&mut pieces, (found.new - done) as u64);
        pieces.push(Piece::Old { offset: gap.offset + found.old as u64, len: found.len as u64 });
        done = found.new + found.len;
    });
    push_new(&mut pieces, (len - done) as u64);
    Some(pieces)
}

fn push_new(pieces: &mut Vec<Piece>, len: u64) {
    if len > 0 {
        pieces.push(Piece::New { len });
    }
}
