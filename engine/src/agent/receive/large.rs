//! A large file while it arrives. Each part is written to its place at once.
//!
//! The file is hashed from its beginning. A part that arrives early lies behind a hole, and is read again when the
//! beginning has reached it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;

use crate::disk::NewFile;
use crate::file_range::FileRange;
use crate::hasher::Hasher;
use crate::wire::block::Range;

/// A large file while it arrives.
pub(super) struct LargeFile {
    pub(super) file: NewFile,
    pub(super) hasher: Hasher,
    /// The length of the beginning that has arrived whole and is hashed, in bytes.
    pub(super) hashed: u64,
    /// The ranges that were written beyond the beginning: from offset to end.
    pub(super) ahead: BTreeMap<u64, u64>,
}

impl LargeFile {
    /// Continues a file with a hashed beginning.
    pub(super) fn new(file: NewFile, hasher: Hasher, hashed: u64) -> LargeFile {
        LargeFile { file, hasher, hashed, ahead: BTreeMap::new() }
    }

    /// Returns the end of a part if it fits: the range was not written yet and lies within the file.
    pub(super) fn end_of_part(&self, offset: u64, len: u64, size: u64) -> Option<u64> {
        let end = offset.checked_add(len).filter(|&end| end <= size)?;
        let before = self.ahead.range(..end).next_back().map_or(self.hashed, |(_, &end)| end.max(self.hashed));
        (before <= offset).then_some(end)
    }

    /// Writes the ranges of a part. Returns whether all of them could be read: an old object on a bad sector counts
    /// as missing.
    pub(super) fn write_ranges(
        &mut self,
        mut at: u64,
        old: Option<&File>,
        ranges: &[Range],
        mut content: &[u8],
    ) -> std::io::Result<bool> {
        for range in ranges {
            match *range {
                Range::Sent { len } => {
                    let Some((own, rest)) = content.split_at_checked(len as usize) else {
                        return Ok(false);
                    };
                    content = rest;
                    self.write(own, at)?;
                    at += len;
                }
                Range::Old { offset, len } => {
                    let Some(old) = old else { return Ok(false) };
                    let mut range = FileRange::new(old, offset..offset.saturating_add(len));
                    let end = at + len;
                    while at < end {
                        let Ok(Some(step)) = range.next() else { return Ok(false) };
                        self.write(step, at)?;
                        at += step.len() as u64;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Writes content to its place, and hashes it if the beginning ends there.
    fn write(&mut self, content: &[u8], at: u64) -> std::io::Result<()> {
        if at == self.hashed {
            self.hasher.update(content);
            self.hashed += content.len() as u64;
        }
        self.file.put_at(content, at)
    }

    /// Remembers that a part was written, and hashes all ranges that the beginning has reached.
    pub(super) fn note(&mut self, offset: u64, end: u64) -> std::io::Result<()> {
        if end > self.hashed.max(offset) {
            self.put_ahead(offset, end);
        }
        while let Some((offset, end)) = self.ahead.first_key_value().map(|(&offset, &end)| (offset, end)) {
            if offset > self.hashed {
                break;
            }
            self.ahead.remove(&offset);
            self.hashed += self.file.range(self.hashed..end).hash_into(&mut self.hasher)?;
            if self.hashed < end {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Remembers a range beyond the beginning, joined with the ranges next to it.
    fn put_ahead(&mut self, mut offset: u64, mut end: u64) {
        if let Some((&before, _)) = self.ahead.range(..offset).next_back().filter(|&(_, &ended)| ended == offset) {
            self.ahead.remove(&before);
            offset = before;
        }
        if let Some(ended) = self.ahead.remove(&end) {
            end = ended;
        }
        self.ahead.insert(offset, end);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn ranges_that_touch_each_other_are_one() {
        let mut large = LargeFile::new(tempfile::tempfile().unwrap().into(), Hasher::new(), 0);
        for (offset, end) in [(10, 20), (30, 40), (60, 70), (40, 50), (20, 30)] {
            large.put_ahead(offset, end);
        }
        assert_eq!(large.ahead, BTreeMap::from([(10, 50), (60, 70)]));
    }

    /// A file that is open only for writing stands in for a disk that cannot be read.
    #[test]
    fn a_range_of_an_object_that_cannot_be_read_is_not_to_be_had() {
        let place = tempfile::tempdir().unwrap();
        let old = std::fs::OpenOptions::new().write(true).create_new(true).open(place.path().join("old")).unwrap();
        old.write_all_at(b"content", 0).unwrap();
        let mut large = LargeFile::new(tempfile::tempfile().unwrap().into(), Hasher::new(), 0);
        let ranges = [Range::Sent { len: 4 }, Range::Old { offset: 0, len: 7 }];
        assert!(!large.write_ranges(0, Some(&old), &ranges, b"sent").unwrap());
        let old = File::open(place.path().join("old")).unwrap();
        assert!(large.write_ranges(4, Some(&old), &ranges[1..], b"").unwrap());
        assert_eq!(large.hashed, 11);
    }
}
