//! The gaps of large files: new ranges between the chunks that they share with old files, described by signatures of
//! the old ranges there.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::chunk::Piece;
use crate::client::outgoing_file::{OldVersion, Recipe};
use crate::error::Error;
use crate::report::DeployFailure;
use crate::signature::{Signature, SignatureKind, Signatures};
use crate::wire::bounds::{GAPS_MAX, SIGNATURES_BYTES_MAX};
use crate::wire::message::{FileGaps, FromAgent, GAP_BYTES_MAX, ToAgent};

use super::old_versions::OldVersions;
use super::state::{Exchange, unexpected};

/// The least bytes of a gap. Smaller ones are sent without a question.
const GAP_BYTES_MIN: u64 = 4 << 10;

/// A range of an old file that the new file replaces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// The entry in the new manifest.
    entry: u32,
    /// The number of the piece in its recipe.
    piece: usize,
    /// The begin in the old file.
    offset: u64,
    /// The length in bytes.
    len: u64,
}

/// Finds the gaps of large files. Those of one file lie side by side.
pub(super) fn gaps(old_versions: &OldVersions) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (&entry, old) in old_versions {
        if let OldVersion::Large(recipe) = old {
            gaps.extend(gaps_of(entry, recipe));
        }
    }
    // Gaps beyond the limit are sent without a question.
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
                // If the next piece was moved, about as much as is new.
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

impl Exchange<'_> {
    /// Asks the agent to sign gaps.
    pub(super) fn want_gaps(&self, gaps: &[Gap], old_versions: &OldVersions) -> Result<(), Error> {
        let of_file = |gaps: &[Gap]| {
            let Some(OldVersion::Large(recipe)) = old_versions.get(&gaps[0].entry) else { return None };
            let ranges = gaps.iter().map(|gap| (gap.offset, gap.len)).collect();
            Some(FileGaps { hash: recipe.old.hash, mode: recipe.old.mode, ranges })
        };
        if gaps.is_empty() {
            return Ok(());
        }
        let by_file = gaps.chunk_by(|one, next| one.entry == next.entry).filter_map(of_file).collect();
        self.conversation.send(&ToAgent::WantGaps(by_file))
    }

    /// Receives the signatures of gaps, if any were asked for, and drops them: the agent takes another base.
    pub(super) fn drop_gaps(&self, gaps: &[Gap]) -> Result<(), DeployFailure> {
        if gaps.is_empty() {
            return Ok(());
        }
        let FromAgent::GapSignatures { length } = self.conversation.next()? else { return Err(unexpected()) };
        self.conversation.parts(length, SIGNATURES_BYTES_MAX as u64).map(drop)
    }

    /// Receives the signatures of gaps, and describes the new ranges there in terms of them.
    pub(super) fn close_gaps(
        &self,
        gaps: &[Gap],
        length: u64,
        old_versions: &mut OldVersions,
    ) -> Result<(), DeployFailure> {
        let bytes = self.conversation.parts(length, SIGNATURES_BYTES_MAX as u64)?;
        let lens: Vec<usize> = gaps.iter().map(|gap| gap.len as usize).collect();
        let signatures = Signatures::read(bytes, &lens, SignatureKind::Range)
            .map_err(|reason| Error::Protocol(format!("a list of signatures that {reason}")))?;
        let mut at = 0;
        for gaps in gaps.chunk_by(|one, next| one.entry == next.entry) {
            if let Some(OldVersion::Large(recipe)) = old_versions.get_mut(&gaps[0].entry)
                && let Some(file) = self.source.open(gaps[0].entry)
            {
                let signature = |gap| signatures.get(at + gap);
                recipe.pieces = close(&recipe.pieces, gaps, &file, signature, &self.host.context.cancel)?;
            }
            at += gaps.len();
        }
        Ok(())
    }
}

/// Describes the pieces at gaps by the signatures of these, found by number. A range that cannot be read now stays new:
/// the upload will report the error.
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

/// Describes the range of the file at `begin` by the signature of a gap.
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
