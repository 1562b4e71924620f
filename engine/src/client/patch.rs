//! Patches: content in terms of whole content that is at hand.
//!
//! ```text
//! patch    pieces, which together make the content, each: length·2 + 1 and its begin in the whole content, as zigzag of the
//!          distance from the end of the last such piece · length·2, of literals; then all literals
//! ```
//!
//! A patch proves nothing: the reader hashes the content that it makes.

use crate::bytes::{ByteReader, Malformed, put_number, put_signed};
use crate::chunk::Piece;
use crate::signature::Match;

/// The pieces of content: ranges of whole content, and literals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Patch {
    /// No piece is empty, and no two neighbours could be joined.
    pieces: Vec<Piece>,
}

impl Patch {
    /// Describes content of this length by the copies that were found in it, in its order.
    pub(crate) fn of_copies(copies: &[Match], len: usize) -> Patch {
        let mut patch = Patch::default();
        let mut described = 0;
        for copy in copies {
            patch.push(Piece::New { len: (copy.new - described) as u64 });
            patch.push(Piece::Old { offset: copy.old as u64, len: copy.len as u64 });
            described = copy.new + copy.len;
        }
        patch.push(Piece::New { len: (len - described) as u64 });
        patch
    }

    /// Describes the same content in terms of the whole content behind `old`, which is the patch of the content that
    /// this one refers to.
    pub(crate) fn through(&self, old: &Patch) -> Patch {
        let ends: Vec<u64> = ends(&old.pieces).collect();
        let mut through = Patch::default();
        for &piece in &self.pieces {
            match piece {
                Piece::New { .. } => through.push(piece),
                Piece::Old { offset, len } => old.range(&ends, offset, len, |piece| through.push(piece)),
            }
        }
        through
    }

    /// Calls `found` for each piece of a range of the content.
    fn range(&self, ends: &[u64], offset: u64, len: u64, mut found: impl FnMut(Piece)) {
        let first = ends.partition_point(|&end| end <= offset);
        let (mut at, end) = (offset, offset + len);
        for (piece, &piece_end) in self.pieces[first..].iter().zip(&ends[first..]) {
            if at >= end {
                return;
            }
            let (before, len) = (at + piece.len() - piece_end, piece_end.min(end) - at);
            found(match piece {
                Piece::Old { offset, .. } => Piece::Old { offset: offset + before, len },
                Piece::New { .. } => Piece::New { len },
            });
            at += len;
        }
    }

    fn push(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (_, Piece::Old { len: 0, .. } | Piece::New { len: 0 }) => {}
            (Some(Piece::Old { offset, len }), Piece::Old { offset: next, len: more }) if *offset + *len == next => {
                *len += more;
            }
            (Some(Piece::New { len }), Piece::New { len: more }) => *len += more,
            _ => self.pieces.push(piece),
        }
    }

    /// Appends the patch of this content to `out`.
    pub(crate) fn put(&self, content: &[u8], out: &mut Vec<u8>) {
        let mut ended = 0;
        for piece in &self.pieces {
            match *piece {
                Piece::Old { offset, len } => {
                    put_number(out, len * 2 + 1);
                    put_signed(out, offset as i64 - ended as i64);
                    ended = offset + len;
                }
                Piece::New { len } => put_number(out, len * 2),
            }
        }
        for (piece, end) in self.pieces.iter().zip(ends(&self.pieces)) {
            if let Piece::New { len } = piece {
                out.extend_from_slice(&content[(end - len) as usize..end as usize]);
            }
        }
    }

    /// Reads a patch that makes content of `len` bytes out of `whole_len` bytes. Returns its literals.
    pub(crate) fn read<'b>(&mut self, bytes: &'b [u8], whole_len: u64, len: u64) -> Result<&'b [u8], Malformed> {
        self.pieces.clear();
        let mut reader = ByteReader::new(bytes);
        let (mut left, mut ended, mut literals) = (len, 0_u64, 0);
        while left > 0 {
            let tagged = reader.number_within(left * 2 + 1)?;
            let len = tagged / 2;
            // With empty pieces, a patch could have any number of pieces.
            left = left.checked_sub(len).filter(|_| len > 0).ok_or(Malformed)?;
            if tagged % 2 == 1 {
                let offset = ended.checked_add_signed(reader.signed()?).ok_or(Malformed)?;
                ended = offset.checked_add(len).filter(|&end| end <= whole_len).ok_or(Malformed)?;
                self.pieces.push(Piece::Old { offset, len });
            } else {
                literals += len;
                self.pieces.push(Piece::New { len });
            }
        }
        let rest = reader.rest();
        if rest.len() as u64 == literals { Ok(rest) } else { Err(Malformed) }
    }

    /// Makes the content, in `out`.
    pub(crate) fn apply(&self, whole: &[u8], literals: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.clear();
        let mut literals = ByteReader::new(literals);
        for piece in &self.pieces {
            out.extend_from_slice(match *piece {
                Piece::Old { offset, len } => whole.get(offset as usize..(offset + len) as usize).ok_or(Malformed)?,
                Piece::New { len } => literals.take(len as usize)?,
            });
        }
        Ok(())
    }
}

/// Returns the end of each piece in the content.
fn ends(pieces: &[Piece]) -> impl Iterator<Item = u64> {
    pieces.iter().scan(0, |end, piece| {
        *end += piece.len();
        Some(*end)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::DeltaEncoder;

    fn patch(old: &[u8], new: &[u8]) -> Patch {
        Patch::of_copies(DeltaEncoder::new().add(old, new), new.len())
    }

    fn put(patch: &Patch, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        patch.put(content, &mut bytes);
        bytes
    }

    /// Makes content of so many bytes by a patch that is read.
    fn made(bytes: &[u8], whole: &[u8], len: usize) -> Result<Vec<u8>, Malformed> {
        let (mut patch, mut made) = (Patch::default(), b"of the last one".to_vec());
        let literals = patch.read(bytes, whole.len() as u64, len as u64)?;
        patch.apply(whole, literals, &mut made)?;
        Ok(made)
    }

    /// Lines, some of which occur again.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let line =
            prop::sample::select(vec![&b"a line that is long enough to be found\n"[..], b"another one\n", b"\0", b""]);
        let numbered = (line, 0..50_u8).prop_map(|(line, number)| [&[number; 20], line].concat());
        prop::collection::vec(numbered, 0..40).prop_map(|lines| lines.concat())
    }

    /// A text after some edits.
    fn edited(old: Vec<u8>) -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let edit = (any::<prop::sample::Index>(), 0..90_usize, text());
        prop::collection::vec(edit, 0..4).prop_map(move |edits| {
            let mut new = old.clone();
            for (at, removed, inserted) in edits {
                let at = at.index(new.len() + 1);
                let end = new.len().min(at + removed);
                new.splice(at..end, inserted);
            }
            (old.clone(), new)
        })
    }

    fn pair() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        text().prop_flat_map(edited)
    }

    proptest! {
        #[test]
        fn whatever_was_edited_reads_back((old, new) in pair()) {
            let bytes = put(&patch(&old, &new), &new);
            prop_assert_eq!(made(&bytes, &old, new.len()), Ok(new));
        }

        #[test]
        fn a_patch_through_another_makes_of_the_whole_what_both_make_one_after_the_other(
            (whole, old, new) in pair().prop_flat_map(|(whole, old)| {
                edited(old).prop_map(move |(old, new)| (whole.clone(), old, new))
            }),
        ) {
            let through = patch(&old, &new).through(&patch(&whole, &old));
            let bytes = put(&through, &new);
            prop_assert_eq!(made(&bytes, &whole, new.len()), Ok(new));
            let is_one = |pair: &[Piece]| match *pair {
                [Piece::Old { offset, len }, Piece::Old { offset: next, .. }] => offset + len == next,
                [Piece::New { .. }, Piece::New { .. }] => true,
                _ => false,
            };
            prop_assert!(!through.pieces.windows(2).any(is_one));
            prop_assert!(through.pieces.iter().all(|piece| piece.len() > 0));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic_or_exceed_what_was_said(
            bytes in prop::collection::vec(any::<u8>(), 0..60), whole in text(), len in 0..3000_usize,
        ) {
            if let Ok(made) = made(&bytes, &whole, len) {
                prop_assert_eq!(made.len(), len);
            }
        }

        #[test]
        fn what_was_altered_is_an_error_or_as_long_as_it_should_be(
            (old, new) in pair(), at in any::<prop::sample::Index>(), bit in 0..8_u32,
        ) {
            let mut bytes = put(&patch(&old, &new), &new);
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            if let Ok(made) = made(&bytes, &old, new.len()) {
                prop_assert_eq!(made.len(), new.len());
            }
        }
    }

    #[test]
    fn an_edit_of_an_edit_takes_little_more_than_both() {
        let whole: Vec<u8> = (0..2000_u32)
            .flat_map(|line| format!("{:x} {line}\n", line.wrapping_mul(0x9e37_79b9)).into_bytes())
            .collect();
        let (mut old, mut new) = (whole.clone(), Vec::new());
        old.splice(1000..1010, *b"the first edit");
        new.extend_from_slice(&old);
        // At the place of the first one, and elsewhere.
        new.splice(1004..1006, *b"second");
        new.splice(9000..9000, *b"and another");
        let through = patch(&old, &new).through(&patch(&whole, &old));
        let bytes = put(&through, &new);
        assert!(bytes.len() < 60, "{}", bytes.len());
        assert_eq!(made(&bytes, &whole, new.len()), Ok(new));
    }

    #[test]
    fn what_is_no_patch_of_this_content_is_malformed() {
        let whole = [b"content of some length, ".repeat(9), b"and its end".to_vec()].concat();
        let patch = Patch { pieces: vec![Piece::New { len: 3 }, Piece::Old { offset: 100, len: 50 }] };
        let content = [&b"new"[..], &whole[100..150]].concat();
        let bytes = put(&patch, &content);
        assert_eq!(made(&bytes, &whole, 53), Ok(content));
        for (bytes, whole, len) in [
            (&bytes[..], &whole[..149], 53),
            (&bytes, &whole, 52),
            (&bytes, &whole, 54),
            (&bytes[..bytes.len() - 1], &whole, 53),
            (&[&bytes[..], b"x"].concat(), &whole, 53),
            // Pieces that are empty, before the beginning, or longer than a number.
            (&[0, 0], &whole, 1),
            (&[1, 0], &whole, 1),
            (&[3, 1], &whole, 1),
            (&[0xff; 10], &whole, 1),
        ] {
            assert_eq!(made(bytes, whole, len), Err(Malformed));
        }
    }
}
