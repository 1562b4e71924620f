//! The placement of each file of a release on the server: the copy of its object, and its mtime.
//!
//! A hardlink shares its inode's mtime, and web servers make ETags of mtime and size. So the mtime belongs to the
//! stored object and not to the source: it is the second of the release that brought the content. It is stored beside
//! the manifest and outside of its root, so that further servers can get the same mtimes.
//!
//! Entries that are not linked (symlinks, empty files, directories) have the second of the release in which they last
//! changed. A directory changes with anything in it. So it is equal to that of the release before, and need not be
//! touched if that release is reused.

use crate::bytes::{ByteReader, Malformed, put_number};
use crate::manifest::ENTRIES_MAX;

/// The copy of an object, and its mtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Placement {
    /// The mtime, Unix time in seconds.
    pub(crate) second: u32,
    /// 0 for the object itself, `n` for its further copy `.n`.
    pub(crate) copy: u16,
}

/// One placement for each entry of a manifest. If an entry is not linked, only the second has a meaning.
pub(crate) type Placements = Vec<Placement>;

/// Appends `placements` as runs of equal ones.
pub(crate) fn put_placements(out: &mut Vec<u8>, placements: &[Placement]) {
    for run in placements.chunk_by(|a, b| a == b) {
        put_number(out, run.len() as u64);
        put_number(out, u64::from(run[0].second));
        put_number(out, u64::from(run[0].copy));
    }
}

/// Reads all placements: exactly `count`, if it is known.
pub(crate) fn read_placements(reader: &mut ByteReader<'_>, count: Option<usize>) -> Result<Placements, Malformed> {
    let mut placements = Placements::with_capacity(count.unwrap_or_default());
    let most = count.unwrap_or(ENTRIES_MAX);
    while !reader.rest().is_empty() {
        let run = reader.number_within((most - placements.len()) as u64)? as usize;
        let second = reader.index()?;
        let copy = u16::try_from(reader.number()?).map_err(|_| Malformed)?;
        if run == 0 {
            return Err(Malformed);
        }
        placements.resize(placements.len() + run, Placement { second, copy });
    }
    if count.is_none_or(|count| count == placements.len()) { Ok(placements) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_read_back() {
        let placements: Placements =
            [(7, 0), (7, 0), (9, 1), (7, 0)].map(|(second, copy)| Placement { second, copy }).to_vec();
        let mut out = Vec::new();
        put_placements(&mut out, &placements);
        assert_eq!(read_placements(&mut ByteReader::new(&out), Some(4)), Ok(placements));
        assert_eq!(read_placements(&mut ByteReader::new(&out), None).map(|read| read.len()), Ok(4));
        for wrong in [3, 5] {
            assert_eq!(read_placements(&mut ByteReader::new(&out), Some(wrong)), Err(Malformed));
        }
    }
}
