//! First deploys of files that nobody can compress, like pictures, archives and encrypted files.

use crate::contest::{Job, compete};
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::record::scenario::Outcome;
use crate::scenario::Scenario;
use crate::source::made;
use crate::source::random::{Content, File, ensure_files};

/// Sizes of files, in turn.
const SIZES: [u64; 7] = [4_000, 20_000, 100_000, 500_000, 2_000_000, 10_000_000, 40_000_000];

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    lab.reserve(4 * 400_000_000)?;
    let mut tracks = Vec::new();
    for (label, bytes) in [("400 MB: ", 400_000_000), ("100 MB: ", 100_000_000)] {
        let path = made::path(lab.work(), &format!("incompressible-{}", bytes / 1_000_000))?;
        let tree = ensure_files(&path, files(bytes).into_iter())?;
        tracks.extend(compete(lab, &Job { label, ..Job::first(Scenario::Incompressible, &tree) })?);
    }
    Ok(Outcome::of(tracks))
}

/// Files of mixed sizes that come to so many bytes.
fn files(bytes: u64) -> Vec<File> {
    let mut files = Vec::new();
    let mut left = bytes;
    while left > 0 {
        let number = files.len();
        let length = SIZES[number % SIZES.len()].min(left);
        let path = format!("{:02}/{number:04}.bin", number % 16);
        files.push(File { path, bytes: length, content: Content::Random(number as u64) });
        left -= length;
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_to_the_bytes_and_no_two_are_alike() {
        let files = files(400_000_000);
        assert_eq!(files.iter().map(|file| file.bytes).sum::<u64>(), 400_000_000);
        let seeds: std::collections::HashSet<String> = files.iter().map(|file| format!("{:?}", file.content)).collect();
        assert_eq!(seeds.len(), files.len());
    }
}
