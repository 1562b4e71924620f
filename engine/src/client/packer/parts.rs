//! The parts in which a large file travels.

use crate::chunk::Piece;
use crate::client::outgoing_file::OutgoingFile;
use crate::wire::block::{BLOCK_ITEMS_MAX, PACKED_BYTES_MAX, Range};

/// Returns the pieces of a file behind the beginning that the server has.
pub(super) fn pieces_after(outgoing: &OutgoingFile, size: u64) -> Vec<Piece> {
    let whole = [Piece::New { len: size }];
    let pieces = outgoing.recipe().map_or(&whole[..], |recipe| &recipe.pieces);
    let mut skip = outgoing.skip;
    let mut rest = Vec::new();
    for &piece in pieces {
        let len = piece.len();
        let cut = skip.min(len);
        skip -= cut;
        if cut < len {
            rest.push(match piece {
                Piece::Old { offset, len } => Piece::Old { offset: offset + cut, len: len - cut },
                Piece::New { len } => Piece::New { len: len - cut },
            });
        }
    }
    rest
}

/// Divides pieces into parts. A part has no more ranges and no more sent content than fit a block.
pub(super) fn parts(pieces: &[Piece]) -> Vec<Vec<Range>> {
    let mut parts = Vec::new();
    let (mut part, mut room) = (Vec::new(), PACKED_BYTES_MAX as u64);
    for &piece in pieces {
        let mut piece = Some(piece);
        while let Some(rest) = piece {
            let is_full = part.len() == BLOCK_ITEMS_MAX || (room == 0 && matches!(rest, Piece::New { .. }));
            if is_full {
                parts.push(std::mem::take(&mut part));
                room = PACKED_BYTES_MAX as u64;
            }
            piece = match rest {
                Piece::Old { offset, len } => {
                    part.push(Range::Old { offset, len });
                    None
                }
                Piece::New { len } => {
                    let step = len.min(room);
                    part.push(Range::Sent { len: step });
                    room -= step;
                    (step < len).then(|| Piece::New { len: len - step })
                }
            };
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::outgoing_file::{OldVersion, Recipe};
    use crate::manifest::ObjectKey;

    #[test]
    fn what_the_server_has_of_a_file_is_not_sent() {
        let recipe = Recipe {
            old: ObjectKey { hash: crate::hash::Hash::of(b""), mode: 0o444 },
            old_size: 15,
            pieces: vec![Piece::Old { offset: 5, len: 10 }, Piece::New { len: 10 }],
        };
        let check = |skip, recipe: Option<&Recipe>, expected: &[Piece]| {
            let outgoing = OutgoingFile { entry: 0, skip, old: recipe.cloned().map(OldVersion::Large) };
            assert_eq!(pieces_after(&outgoing, 20), expected);
        };
        check(0, None, &[Piece::New { len: 20 }]);
        check(7, None, &[Piece::New { len: 13 }]);
        check(7, Some(&recipe), &[Piece::Old { offset: 12, len: 3 }, Piece::New { len: 10 }]);
        check(12, Some(&recipe), &[Piece::New { len: 8 }]);
        check(20, Some(&recipe), &[]);
    }

    #[test]
    fn parts_hold_no_more_than_a_block() {
        let block = PACKED_BYTES_MAX as u64;
        let pieces = [Piece::New { len: block + 1 }, Piece::Old { offset: 0, len: 9 * block }, Piece::New { len: 1 }];
        let expected = [
            vec![Range::Sent { len: block }],
            vec![Range::Sent { len: 1 }, Range::Old { offset: 0, len: 9 * block }, Range::Sent { len: 1 }],
        ];
        assert_eq!(parts(&pieces), expected);
    }

    #[test]
    fn parts_hold_no_more_ranges_than_a_block() {
        // A file of 30 GB whose chunks all moved.
        let pieces: Vec<Piece> = (0..480_000).rev().map(|at| Piece::Old { offset: at << 17, len: 1 << 16 }).collect();
        let parts = parts(&pieces);
        assert!(parts.iter().all(|part| part.len() <= BLOCK_ITEMS_MAX));
        let ranges: Vec<Range> = parts.concat();
        assert_eq!(ranges.len(), pieces.len());
        assert_eq!(ranges.last(), Some(&Range::Old { offset: 0, len: 1 << 16 }));
    }
}
