//! Compares the free space with what the next deploy needs if the server has none of its content.
//!
//! The client sends sums of its source, and not its manifest. So this is an estimate, by the costs of the filesystem; a deploy
//! computes the need itself, before it sends anything (`space`). Too little space is an error only where the first deploy
//! cannot fit: the disk has not even space for the bytes of the files, or inodes for their names. In any other case it is a
//! warning.

use crate::agent::staging;
use crate::disk::{Dir, Free};
use crate::error::Error;
use crate::report::Finding;
use crate::units::{Bytes, Count};
use crate::wire::message::Need;

use super::look::Look;
use super::place::{Ours, Place, nearest};

/// Inodes for records, the log and the directories in which content arrives.
const MARGIN_INODES: u64 = 64;

pub(super) fn look(place: &Place<'_>, ours: Option<&Ours>) -> Result<Look, Error> {
    let free = Dir::open(nearest(place.path))?.free()?;
    let stage = match ours {
        None => Stage::First { received: 0 },
        Some(ours) if ours.releases.records.is_empty() => {
            Stage::First { received: staging::usage(&ours.layout)?.bytes }
        }
        Some(_) => Stage::Later,
    };
    Ok(compare(free, place.order.need, stage))
}

/// What was deployed before.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Nothing. An interrupted deploy may have left so many bytes.
    First { received: u64 },
    /// Releases are there, and most of the content.
    Later,
}

fn compare(free: Free, need: Option<Need>, stage: Stage) -> Look {
    let inodes = free.inodes.map_or(String::new(), |inodes| format!(" and {} inodes", Count(inodes)));
    let mut look = Look::fact(format!("{}{inodes} free", Bytes(free.bytes)));
    let Some(need) = need else { return look };
    let (about, names) = estimate(free, need);
    look.facts.push(format!("a deploy of which all content is new needs about {}", Bytes(about)));
    let least = match stage {
        Stage::First { received } => Some(need.bytes.saturating_sub(received)),
        Stage::Later => None,
    };
    if let Some(needed) = least.filter(|&least| least > free.bytes) {
        look.find(Finding::NotEnoughSpace { needed, free: free.bytes });
    } else if about > free.bytes {
        look.find(Finding::SpaceTight { needed: about, free: free.bytes });
    }
    let Some(free) = free.inodes else { return look };
    if let Some(needed) = least.map(|_| names).filter(|&names| names > free) {
        look.find(Finding::NotEnoughInodes { needed, free });
    } else if names.saturating_add(MARGIN_INODES) > free {
        look.find(Finding::InodesTight { needed: names.saturating_add(MARGIN_INODES), free });
    }
    look
}

/// Returns about how many bytes a deploy needs, and how many inodes at least. A file fills at most a block more than its
/// size.
fn estimate(free: Free, need: Need) -> (u64, u64) {
    let of_files = need.bytes.saturating_add(need.objects.saturating_mul(free.costs.file(1)));
    let of_others = need.others.saturating_mul(free.costs.directory(1, 16));
    let bytes = of_files.saturating_add(of_others).saturating_add(free.costs.margin_bytes());
    (bytes, need.objects.saturating_add(need.others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{CostKind, Costs};

    fn free(bytes: u64, inodes: Option<u64>) -> Free {
        let costs = Costs { kind: CostKind::Blocks, block_bytes: 4096 };
        Free { bytes, inodes, total_bytes: 1 << 40, total_inodes: 1 << 20, costs }
    }

    #[test]
    fn only_a_first_deploy_that_cannot_fit_is_an_error() {
        let need = Need { bytes: 100 << 20, objects: 1000, others: 100 };
        let check = |bytes: u64, inodes: Option<u64>, stage: Stage, expected: &[&str]| {
            let found = compare(free(bytes, inodes), Some(need), stage).findings;
            let ids: Vec<&str> = found.iter().map(|found| found.id().id).collect();
            assert_eq!(ids, expected, "{bytes} {inodes:?} {stage:?}");
        };
        let first = Stage::First { received: 0 };
        check(1 << 30, Some(100_000), first, &[]);
        check(1 << 30, None, first, &[]);
        check((100 << 20) - 1, Some(100_000), first, &["not-enough-space"]);
        // The bytes fit, and perhaps not their blocks.
        check(100 << 20, Some(100_000), first, &["space-tight"]);
        check(50 << 20, Some(1000), Stage::Later, &["space-tight", "inodes-tight"]);
        check(1 << 30, Some(1099), first, &["not-enough-inodes"]);
        check(1 << 30, Some(1163), first, &["inodes-tight"]);
        check(1 << 30, Some(1164), first, &[]);
        // Half of it is there already.
        check(50 << 20, None, Stage::First { received: 50 << 20 }, &["space-tight"]);
        check(50 << 20, None, Stage::First { received: (50 << 20) - 1 }, &["not-enough-space"]);
        assert_eq!(compare(free(0, Some(0)), None, first).findings, []);
    }

    #[test]
    fn the_facts_have_thousands_apart() {
        let facts = compare(free(5_000_000_000, Some(1_310_720)), None, Stage::Later).facts;
        assert_eq!(facts, ["5.0 GB and 1,310,720 inodes free"]);
    }
}
