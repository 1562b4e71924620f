//! First deploys of what nobody can compress: pictures, archives, what is encrypted.

use crate::contest::{Job, compete};
use crate::failure::Result;
use crate::lab::Lab;
use crate::made::{self, Content, File};
use crate::record::Outcome;
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;

/// The rival, without compression.
const RSYNC: &str = "rsync -a";

/// Sizes of files, in turn.
const SIZES: [u64; 7] = [4_000, 20_000, 100_000, 500_000, 2_000_000, 10_000_000, 40_000_000];

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    lab.reserve(4 * 400_000_000)?;
    let mut outcome = Outcome::default();
    for (label, bytes) in [("400 MB: ", 400_000_000), ("100 MB: ", 100_000_000)] {
        let path = made::path(lab, &format!("incompressible-{}", bytes / 1_000_000))?;
        let tree = made::ensure_files(&path, files(bytes).into_iter())?;
        let job = Job { label, ..Job::first(Scenario::Incompressible, &tree) };
        let tracks = compete(lab, &job)?;
        let ours = format!("{label}cutover deploy");
        let mut rows = Rows::of(lab, &tracks).about(&ours).prefix(label);
        let aim = if bytes == 400_000_000 {
            rows.on_line(80.0, 1000.0, Aim::RatioAtMost(1.0 / 2.0))
        } else {
            rows.on_loopback(Aim::RatioAtMost(1.0))
        };
        rows.seconds(RSYNC, aim);
        rows.durable_seconds(RSYNC, None);
        rows.wire(RSYNC, None);
        rows.costs(RSYNC);
        outcome.rows.extend(rows.finish());
        outcome.tracks.extend(tracks);
    }
    Ok(outcome)
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
