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

/// The bad releases that stay, the newest: one is enough to find the fault, and a rollback can be taken back.
const BAD_KEPT: usize = 1;

/// Decides which releases expire. The live release and the one that a rollback goes to always stay, and so do pinned
/// ones, which take no place. Good releases that were live count. Of the bad ones the newest stays. A release that was
/// never live expires when it is older than all that stay, or when as many of its kind are newer.
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
    let kept = counted(releases, live, policy, now);
    let oldest_kept =
        releases.records.iter().find(|record| kept.contains(&record.id)).map_or(0, |record| record.sequence);
    let newest_bad = releases.records.iter().rev().filter(|record| record.is_bad() && !kept.contains(&record.id));
    let newest_bad: HashSet<&ReleaseId> = newest_bad.take(BAD_KEPT).map(|record| &record.id).collect();
    let unused = releases.records.iter().rev().filter(|record| is_unused(record) && !record.is_pinned(now));
    let newest_unused: HashSet<&ReleaseId> =
        unused.take(policy.keep_releases as usize).map(|record| &record.id).collect();
    let expires =
        |record: &Record| !is_unused(record) || record.sequence < oldest_kept || !newest_unused.contains(&record.id);
    let stays = |record: &Record| kept.contains(&record.id) || newest_bad.contains(&record.id) || record.is_pinned(now);
    let goes = |record: &&Record| !stays(record) && expires(record);
    for record in releases.records.iter().filter(goes) {
        let by_uptime = record.span.as_ref().zip(uptime).and_then(|(span, now)| span.is_in_grace(policy.grace, now));
        let last_used = record.retired.unwrap_or(record.created);
        let by_time = last_used <= now && last_used.saturating_add(policy.grace.as_secs()) > now;
        let list = if by_uptime.unwrap_or(by_time) { &mut retention.in_grace } else { &mut retention.due };
        list.push(record.id.clone());
    }
    retention
}

/// Tells whether a release was never live and may become so: it waits for a switch, or its deploy failed before that.
fn is_unused(record: &Record) -> bool {
    !record.was_live() && !record.is_bad()
}

/// Returns the live release, the one that a rollback goes to, and then the newest good ones that were live, up to
/// `keep_releases`.
fn counted<'a>(releases: &'a Releases, live: &'a Record, policy: &Policy, now: u64) -> HashSet<&'a ReleaseId> {
    let always = [Some(live), releases.rollback_from(Some(&live.id))].into_iter().flatten();
    let mut kept: HashSet<&ReleaseId> = always.clone().map(|record| &record.id).collect();
    let mut places = always.filter(|record| !record.is_pinned(now)).count();
    let counts = |record: &&Record| record.was_live() && !record.is_bad() && !record.is_pinned(now);
    for record in releases.records.iter().rev().filter(counts) {
        if places >= policy.keep_releases as usize {
            break;
        }
        places += usize::from(kept.insert(&record.id));
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hash::Hash;
    use crate::pin::Pin;
    use crate::release::{Bad, Marks, Provenance};

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
            link: crate::link::Link::default(),
            writable: Default::default(),
            went_live: if ready.contains(&n) { vec![] } else { vec![n * 100] },
            live_turn: if ready.contains(&n) { 0 } else { n },
            retired: (n < count && !ready.contains(&n)).then_some(n * 100 + 100),
            previous: (n > 1).then(|| (n - 1).to_string().parse().unwrap()),
            span: None,
            marks: Marks::default(),
            trial: None,
            is_taken_over: false,
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
        // Deploys that failed one after the other.
        check(&releases(6, &[3, 4, 5, 6]), "2", 2, 0, 10_000, &["3", "4"], &[]);
    }

    fn with_bad(mut releases: Releases, bad: &[&str]) -> Releases {
        for id in bad {
            let mark = Bad { reason: String::new(), at: 0, by: String::new(), left_for: None };
            releases.find_mut(&id.parse().unwrap()).unwrap().marks.bad = Some(mark);
        }
        releases
    }

    fn with_pinned(mut releases: Releases, pinned: &[&str], until: Option<&str>) -> Releases {
        for id in pinned {
            let pin = Pin { until: until.map(|day| day.parse().unwrap()), note: None, by: String::new() };
            releases.find_mut(&id.parse().unwrap()).unwrap().marks.pinned = Some(pin);
        }
        releases
    }

    #[test]
    fn a_bad_release_takes_no_place_and_the_newest_stays() {
        check(&with_bad(releases(6, &[]), &["4", "5"]), "6", 3, 0, 10_000, &["1", "4"], &[]);
        check(&with_bad(releases(6, &[]), &["5"]), "6", 3, 0, 10_000, &["1", "2"], &[]);
        // Two that failed before they were live.
        check(&with_bad(releases(6, &[4, 5]), &["4", "5"]), "6", 3, 0, 10_000, &["1", "4"], &[]);
        // A bad one that is live, because nothing could be gone back to, is not the one that stays for its fault.
        check(&with_bad(releases(3, &[]), &["2", "3"]), "3", 1, 0, 10_000, &[], &[]);
    }

    #[test]
    fn a_pinned_release_stays_and_takes_no_place_until_its_day_is_over() {
        check(&with_pinned(releases(6, &[]), &["1", "5"], None), "6", 3, 0, 10_000, &["2"], &[]);
        let until = with_pinned(releases(6, &[]), &["1"], Some("1970-01-02"));
        check(&until, "6", 3, 0, 2 * 86_400 - 1, &["2", "3"], &[]);
        check(&until, "6", 3, 0, 2 * 86_400, &["1", "2", "3"], &[]);
        // An old pinned release keeps no release that was never live.
        check(&with_pinned(releases(6, &[2]), &["1"], None), "6", 3, 0, 10_000, &["2", "3"], &[]);
    }

    #[test]
    fn what_was_live_a_moment_ago_stays_for_its_grace() {
        check(&releases(5, &[]), "5", 3, 60, 330, &["1"], &["2"]);
        // A retirement in the future comes from a wrong clock.
        check(&releases(5, &[]), "5", 3, 60, 150, &["1", "2"], &[]);
    }
}
