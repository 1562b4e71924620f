//! Retention: which releases expire.

use std::collections::HashSet;

use crate::agent::site::records::Releases;
use crate::agent::uptime::Uptime;
use crate::release::{Record, ReleaseId};
use crate::target::Policy;

/// The expired releases.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// The releases to remove now.
    pub(crate) due: Vec<ReleaseId>,
    /// The releases to remove when their grace is over.
    pub(crate) in_grace: Vec<ReleaseId>,
}

/// Decides which releases expire. Releases that were live count. The live release and the one that a rollback goes to
/// always stay. A release that was never live expires when it is older than all that stay.
///
/// The grace is measured with the clock of the boot, which nobody sets. If the release was retired in another boot,
/// the time of day decides. A time in the future comes from a wrong clock: then no grace is known to run.
pub(crate) fn retention(
    releases: &Releases,
    live: Option<&ReleaseId>,
    policy: &Policy,
    now: u64,
    uptime: Option<&Uptime>,
) -> Retention {
    let mut retention = Retention::default();
    let Some(live) = live.and_then(|live| releases.find(live)) else {
        return retention;
    };
    let mut kept: HashSet<&ReleaseId> =
        [Some(live), releases.rollback_from(Some(&live.id))].into_iter().flatten().map(|r| &r.id).collect();
    for record in releases.records.iter().rev().filter(|record| record.was_live()) {
        if kept.len() >= policy.keep_releases as usize {
            break;
        }
        kept.insert(&record.id);
    }
    let oldest_kept =
        releases.records.iter().find(|record| kept.contains(&record.id)).map_or(0, |record| record.sequence);
    let goes = |record: &&Record| !kept.contains(&record.id) && (record.was_live() || record.sequence < oldest_kept);
    for record in releases.records.iter().filter(goes) {
        let by_uptime = record.span.as_ref().zip(uptime).and_then(|(span, now)| span.is_in_grace(policy.grace, now));
        let last_used = record.retired.unwrap_or(record.created);
        let by_time = last_used <= now && last_used.saturating_add(policy.grace.as_secs()) > now;
        let list = if by_uptime.unwrap_or(by_time) { &mut retention.in_grace } else { &mut retention.due };
        list.push(record.id.clone());
    }
    retention
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hash::Hash;
    use crate::release::{Marks, Provenance};

    /// Releases `1`, `2`, …. Each went live at its number times 100, except those in `ready`.
    fn releases(count: u64, ready: &[u64]) -> Releases {
        let record = |n: u64| Record {
            id: n.to_string().parse().unwrap(),
            sequence: n,
            root: Hash::of(b""),
            second: n as u32,
            created: n * 100,
            provenance: Provenance::default(),
            files: 0,
            bytes: 0,
            new_bytes: 0,
            shared: Vec::new(),
            copy_paths: Vec::new(),
            writable: Default::default(),
            went_live: if ready.contains(&n) { vec![] } else { vec![n * 100] },
            live_turn: if ready.contains(&n) { 0 } else { n },
            retired: (n < count && !ready.contains(&n)).then_some(n * 100 + 100),
            previous: (n > 1).then(|| (n - 1).to_string().parse().unwrap()),
            span: None,
            marks: Marks::default(),
            confirmation: None,
        };
        Releases { records: (1..=count).map(record).collect(), ..Releases::default() }
    }

    fn check(releases: &Releases, live: &str, keep: u32, grace: u64, now: u64, due: &[&str], in_grace: &[&str]) {
        let policy = Policy { keep_releases: keep, grace: Duration::from_secs(grace), ..Policy::default() };
        let live = live.parse().unwrap();
        let found = retention(releases, Some(&live), &policy, now, None);
        let text = |ids: &[ReleaseId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((text(&found.due), text(&found.in_grace)), (due.map_owned(), in_grace.map_owned()));
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }
    impl MapOwned for [&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn the_newest_that_were_live_stay() {
        check(&releases(5, &[]), "5", 3, 0, 10_000, &["1", "2"], &[]);
        check(&releases(3, &[]), "3", 3, 0, 10_000, &[], &[]);
    }

    #[test]
    fn the_live_one_and_where_a_rollback_goes_always_stay() {
        check(&releases(5, &[]), "5", 1, 0, 10_000, &["1", "2", "3"], &[]);
        check(&releases(5, &[]), "2", 2, 0, 10_000, &["3", "4", "5"], &[]);
    }

    #[test]
    fn a_release_that_was_never_live_takes_no_place() {
        check(&releases(5, &[4]), "5", 3, 0, 10_000, &["1"], &[]);
        check(&releases(5, &[1]), "5", 3, 0, 10_000, &["1", "2"], &[]);
    }

    #[test]
    fn what_was_live_a_moment_ago_stays_for_its_grace() {
        check(&releases(5, &[]), "5", 3, 60, 330, &["1"], &["2"]);
        // A retirement in the future comes from a wrong clock.
        check(&releases(5, &[]), "5", 3, 60, 150, &["1", "2"], &[]);
    }
}
