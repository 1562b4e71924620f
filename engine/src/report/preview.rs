//! The forecast of a deploy, for a dry run.

use serde::{Deserialize, Serialize, Serializer};

use crate::error::Refusal;

/// The forecast of a deploy that would make a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewReport {
    /// The files that the live release does not have.
    pub new: SizesReport,
    /// The files whose content, mode or kind differs, with their sizes in the new release.
    pub changed: SizesReport,
    /// The files that only the live release has.
    pub gone: SizesReport,
    /// The content that would be sent.
    pub send: SendReport,
    /// The need of space beside the free space.
    pub space: SpaceReport,
    /// The error with which a deploy would be refused, if that is certain.
    #[serde(serialize_with = "in_words")]
    pub refusal: Option<Refusal>,
}

/// Writes a refusal for people with the word of its id, and for the client as it is.
#[expect(clippy::ref_option, reason = "serde gives it so")]
fn in_words<S: Serializer>(refusal: &Option<Refusal>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Words<'a> {
        id: &'static str,
        message: &'a str,
        causes: &'a [String],
    }
    if !serializer.is_human_readable() {
        return refusal.serialize(serializer);
    }
    let words = refusal.as_ref().map(|Refusal { id, message, causes, .. }| Words { id: id.word(), message, causes });
    words.serialize(serializer)
}

/// The sizes of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizesReport {
    /// The sum, in bytes.
    pub bytes: u64,
    /// The largest of them, the largest first.
    pub largest: Vec<SizedPath>,
}

/// A path with the size of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizedPath {
    /// The path. Bytes that are not UTF-8 or not printable are escaped.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
}

/// The content that the server lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendReport {
    /// The number of files. Equal files count once.
    pub files: u64,
    /// Their bytes before compression, without the parts of large files that the server is known to have.
    pub bytes: u64,
    /// The part of these bytes that has an older version on the server: only the difference to that is sent.
    pub differing_bytes: u64,
}

/// The space that a release needs, beside the free space of its filesystem.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceReport {
    /// Bytes needed.
    pub needed_bytes: u64,
    /// Inodes needed.
    pub needed_inodes: u64,
    /// Bytes free to the user that deploys.
    pub free_bytes: u64,
    /// Inodes free to that user. None if the filesystem does not count them.
    pub free_inodes: Option<u64>,
    /// Bytes that must stay free.
    pub reserve_bytes: u64,
    /// Inodes that must stay free.
    pub reserve_inodes: u64,
    /// Whether the release fits.
    pub fits: bool,
}

/// The paths that a list of the largest has.
const LARGEST: usize = 5;

impl SizesReport {
    /// Counts a file. Of files of one size, the first ones are listed.
    pub(crate) fn add(&mut self, bytes: u64, path: impl FnOnce() -> String) {
        self.bytes += bytes;
        let place = self.largest.partition_point(|other| other.bytes >= bytes);
        if bytes > 0 && place < LARGEST {
            self.largest.insert(place, SizedPath { path: path(), bytes });
            self.largest.truncate(LARGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_of_equal_ones_the_first() {
        let mut sizes = SizesReport::default();
        for (path, bytes) in [("a", 1), ("b", 9), ("c", 0), ("d", 9), ("e", 5), ("f", 7), ("g", 2), ("h", 9)] {
            sizes.add(bytes, || path.to_owned());
        }
        let paths: Vec<&str> = sizes.largest.iter().map(|sized| sized.path.as_str()).collect();
        assert_eq!((sizes.bytes, paths), (42, vec!["b", "d", "h", "f", "e"]));
    }
}
