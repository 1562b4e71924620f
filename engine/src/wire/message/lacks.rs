//! The files whose content the server lacks, as runs of entries of the manifest.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::wire::bounds::{self, at_most};

/// The files of the new manifest whose content the server lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lacks {
    /// The number of commits that the agent had read before.
    pub(crate) after_commits: u32,
    /// Runs of entries: the number of entries to skip after the run before, and the number in this run.
    #[serde(deserialize_with = "at_most::<{ bounds::RUNS_MAX }, _, _>")]
    pub(crate) runs: Vec<(u32, u32)>,
    /// Entries whose beginning the server has, with its length in bytes.
    #[serde(deserialize_with = "at_most::<{ bounds::PARTIAL_MAX }, _, _>")]
    pub(crate) partial: Vec<(u32, u64)>,
}

impl Lacks {
    /// Packs ascending entries into runs.
    pub(crate) fn pack(entries: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let mut next = 0;
        for entry in entries {
            match runs.last_mut() {
                Some((_, count)) if entry == next => *count += 1,
                _ => runs.push((entry - next, 1)),
            }
            next = entry + 1;
        }
        runs
    }

    /// Returns the entries, and refuses one at or beyond `limit`.
    pub(crate) fn entries(&self, limit: u32) -> Result<Vec<u32>, Error> {
        Lacks::unpack(&self.runs, limit)
    }

    /// Unpacks runs, and refuses an entry at or beyond `limit`.
    pub(crate) fn unpack(runs: &[(u32, u32)], limit: u32) -> Result<Vec<u32>, Error> {
        let beyond = || Error::Protocol("a file beyond the manifest".into());
        let mut entries = Vec::new();
        let mut next = 0_u32;
        for &(skip, count) in runs {
            let first = next.checked_add(skip).ok_or_else(beyond)?;
            next = first.checked_add(count).filter(|&next| next <= limit).ok_or_else(beyond)?;
            entries.extend(first..next);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lacking_entries_read_back() {
        for entries in [vec![], vec![0], vec![0, 1, 2, 7, 9, 10], vec![5]] {
            let lacks = Lacks { runs: Lacks::pack(entries.iter().copied()), ..Lacks::default() };
            assert_eq!(lacks.entries(11).unwrap(), entries);
        }
        let beyond = Lacks { runs: vec![(3, u32::MAX)], ..Lacks::default() };
        assert!(matches!(beyond.entries(10), Err(Error::Protocol(_))));
    }
}
