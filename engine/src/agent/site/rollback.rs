//! The way back: which releases were live before a release, and to which of them a rollback goes.
//!
//! Each record names the release that was live before it (`previous`), so the releases form a tree, and the way back
//! from a release is the way to the root. These are the rules:
//!
//! 1. A step forward (a deploy, a switch, a return) puts a release behind the live one. If it stood elsewhere in the tree,
//!    the releases behind it follow on what it followed on: no release is on a way back twice.
//! 2. A rollback goes to the nearest release on the way back that is good. It moves no release in the tree, so the next
//!    rollback goes one further back. The release that it leaves becomes bad.
//! 3. A release that goes live is good again.
//! 4. A return goes to the release that the last rollback to the live one left.
//! 5. If a release on the way back was removed, the way goes on at the newest one that is older than the one that named
//!    it. If nothing is live, or the live release is damaged, the release that was live last takes its place.
//!
//! No clock decides any of this, and nothing of it needs a write before a rollback, which must work on a full disk.
//! The tests compare these rules with a list of what was live.

use std::collections::BTreeSet;

use crate::error::{Error, ReleaseError};
use crate::release::{Record, ReleaseId};
use crate::rollback::{ReleaseName, RollbackTo};

use super::records::Releases;

impl Releases {
    /// Returns the releases that were live before a release, the nearest first.
    pub(crate) fn way_back<'a>(&'a self, from: &'a Record) -> Vec<&'a Record> {
        let mut way = vec![from];
        let mut at = from;
        while let Some(before) = self.before(at).filter(|before| way.iter().all(|passed| passed.id != before.id)) {
            way.push(before);
            at = before;
        }
        way.remove(0);
        way
    }

    /// Returns the release that was live before another one.
    fn before(&self, record: &Record) -> Option<&Record> {
        let named = self.find(record.previous.as_ref()?).filter(|before| before.was_live());
        let is_older = |older: &&Record| older.sequence < record.sequence && older.was_live();
        named.or_else(|| self.records.iter().rev().find(is_older))
    }

    /// Returns the release that was live last, of those that stand.
    fn last_live(&self) -> Option<&Record> {
        self.records.iter().filter(|record| record.was_live()).max_by_key(|record| record.live_turn)
    }

    /// Returns the release that a rollback goes to: the nearest good one on the way back. If nothing is live, or the
    /// live release is gone, it is the good one that was live last.
    pub(crate) fn rollback_from(&self, live: Option<&ReleaseId>) -> Option<&Record> {
        self.rollback_by(live, 1)
    }

    /// Returns the good release that a rollback by so many steps goes to.
    fn rollback_by(&self, live: Option<&ReleaseId>, steps: u32) -> Option<&Record> {
        let at = (steps as usize).checked_sub(1)?;
        self.goals(live).get(at).copied()
    }

    /// Returns the good releases that a rollback can go to, the nearest first.
    fn goals(&self, live: Option<&ReleaseId>) -> Vec<&Record> {
        let way = match live.and_then(|live| self.find(live)) {
            Some(live) => self.way_back(live),
            None => self.last_live().map_or_else(Vec::new, |last| [vec![last], self.way_back(last)].concat()),
        };
        way.into_iter().filter(|record| !record.is_bad()).collect()
    }

    /// Returns the release that a return goes to: the last one that a rollback left for the live one.
    pub(crate) fn return_from(&self, live: Option<&ReleaseId>) -> Option<&Record> {
        let is_left = |record: &&Record| {
            let bad = record.marks.bad.as_ref();
            bad.and_then(|bad| bad.left_for.as_ref()).is_some_and(|left_for| Some(left_for) == live)
        };
        self.records.iter().filter(is_left).max_by_key(|record| record.live_turn)
    }

    /// Returns the release that a step back left, if a crash came before its mark was written.
    ///
    /// It was live last, its record does not say that it was replaced, and the live release is on its way back. After a
    /// step forward the live release would name it: that is written before the link moves. A step back that went to
    /// a named release elsewhere in the tree is not seen.
    pub(super) fn left_without_mark(&self, live: Option<&ReleaseId>) -> Option<&Record> {
        let live = self.find(live?)?;
        let others = self.records.iter().filter(|record| record.id != live.id && record.was_live());
        let left = others.max_by_key(|record| record.live_turn).filter(|record| record.retired.is_none())?;
        let is_behind = self.way_back(left).iter().any(|record| record.id == live.id);
        (is_behind && live.previous.as_ref() != Some(&left.id)).then_some(left)
    }

    /// Returns the goal of a rollback.
    pub(crate) fn goal(&self, to: &RollbackTo, live: Option<&ReleaseId>) -> Result<&Record, Error> {
        match to {
            RollbackTo::Back(steps) => self.rollback_by(live, *steps).ok_or_else(|| self.no_goal(*steps, live).into()),
            RollbackTo::Forward => self.return_from(live).ok_or_else(|| ReleaseError::NothingToReturnTo.into()),
            RollbackTo::Release(name) => {
                let record = self.named(name, live)?;
                let id = record.id.clone();
                match record.was_live() {
                    _ if live == Some(&id) => Err(ReleaseError::NotARollback { id, reason: "is live already" }.into()),
                    false => Err(ReleaseError::NotARollback { id, reason: "was never live" }.into()),
                    true => Ok(record),
                }
            }
        }
    }

    /// Returns the reason why a rollback by so many steps has no goal.
    fn no_goal(&self, wanted: u32, live: Option<&ReleaseId>) -> ReleaseError {
        let good = self.goals(live).len();
        let has_earlier = live.and_then(|live| self.find(live)).is_some_and(|live| !self.way_back(live).is_empty());
        match good {
            0 if has_earlier => ReleaseError::AllBad,
            0 => ReleaseError::NothingToRollBack { left: self.return_from(live).map(|record| record.id.clone()) },
            good => ReleaseError::TooFarBack { good, wanted },
        }
    }

    /// Finds a release by its name, or by the first digits of its commit. If several were made from the commit, it is
    /// the good one that was live last.
    pub(crate) fn named(&self, name: &ReleaseName, live: Option<&ReleaseId>) -> Result<&Record, Error> {
        let by_id = name.id().map(|id| self.known(&id));
        let Some(digits) = name.commit().filter(|_| !matches!(by_id, Some(Ok(_)))) else {
            return by_id.unwrap_or_else(|| Err(ReleaseError::UnknownCommit(name.clone()).into()));
        };
        let commit = |record: &&Record| record.provenance.commit.clone().filter(|commit| commit.starts_with(digits));
        let made: Vec<&Record> = self.records.iter().filter(|record| commit(record).is_some()).collect();
        let commits: BTreeSet<String> = made.iter().filter_map(commit).collect();
        if commits.len() > 1 {
            return Err(ReleaseError::AmbiguousCommit { name: name.clone(), count: commits.len() }.into());
        }
        let last = made
            .into_iter()
            .max_by_key(|record| (record.was_live() && live != Some(&record.id), !record.is_bad(), record.live_turn));
        match (last, by_id) {
            (Some(record), _) => Ok(record),
            (None, Some(unknown)) => unknown,
            (None, None) => Err(ReleaseError::UnknownCommit(name.clone()).into()),
        }
    }

    /// Returns a warning about the migrations that ran since the release `to` was made, if there are any.
    pub(crate) fn migrations_warning(&self, to: &Record, live: Option<&ReleaseId>) -> Option<String> {
        let ran = self.migrations_since(to, live)?;
        Some(format!("The switch to release {} does not undo migrations that ran since: {ran}", to.id))
    }

    /// Lists the migrations that ran since the release `to` was made and that a rollback to it does not undo, for
    /// people: `` `migrate` of release 3 ``. None if there are none.
    pub(crate) fn migrations_since(&self, to: &Record, live: Option<&ReleaseId>) -> Option<String> {
        let of_one = |(id, names): (ReleaseId, Vec<String>)| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("{} of release {id}", names.join(", "))
        };
        let ran: Vec<String> = self.migrations_left(to, live).into_iter().map(of_one).collect();
        (!ran.is_empty()).then(|| ran.join(", "))
    }

    /// Returns the migrations that ran since the release `to` was made and that a rollback to it does not undo: each
    /// release with their names. They are those of the releases on the way back from the live one, the newest first, up to
    /// where the way back from `to` meets it. Then come those of newer releases that failed: nobody accepted these.
    fn migrations_left(&self, to: &Record, live: Option<&ReleaseId>) -> Vec<(ReleaseId, Vec<String>)> {
        let meets: Vec<&Record> = [vec![to], self.way_back(to)].concat();
        let way = live.and_then(|live| self.find(live)).map(|live| [vec![live], self.way_back(live)].concat());
        let is_of = |way: &[&Record], record: &Record| way.iter().any(|passed| passed.id == record.id);
        let left: Vec<&Record> = way.into_iter().flatten().take_while(|record| !is_of(&meets, record)).collect();
        // A release that the server left keeps its trial.
        let has_failed = |record: &&Record| {
            let is_newer = record.sequence > to.sequence && !is_of(&meets, record) && !is_of(&left, record);
            is_newer && (!record.was_live() || record.trial.is_some())
        };
        let failed = self.records.iter().rev().filter(has_failed);
        let ran = left.iter().copied().chain(failed).filter(|record| !record.marks.migrations.is_empty());
        ran.map(|record| (record.id.clone(), record.marks.migrations.clone())).collect()
    }
}

/// Puts a release behind the live one. Returns the releases whose record changed.
pub(super) fn step_forward(releases: &mut Releases, id: &ReleaseId, live: Option<&ReleaseId>) -> Vec<ReleaseId> {
    let live = live.and_then(|live| releases.find(live)).or_else(|| releases.last_live());
    let Some(live) = live.map(|record| record.id.clone()).filter(|live| live != id) else { return Vec::new() };
    let above = releases.find(id).and_then(|record| record.previous.clone());
    let mut changed = Vec::new();
    for record in &mut releases.records {
        let is_behind = record.previous.as_ref() == Some(id);
        if record.id == *id && record.previous.as_ref() != Some(&live) {
            record.previous = Some(live.clone());
        } else if record.id != *id && is_behind {
            record.previous.clone_from(&above);
        } else {
            continue;
        }
        changed.push(record.id.clone());
    }
    changed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::Hash;
    use crate::release::{Bad, Marks, Provenance, Trial};

    fn id(number: u64) -> ReleaseId {
        number.to_string().parse().unwrap()
    }

    fn record(number: u64) -> Record {
        Record {
            id: id(number),
            sequence: number,
            root: Hash::of(b""),
            second: number as u32,
            created: 0,
            provenance: Provenance::default(),
            files: 0,
            bytes: 0,
            new_bytes: 0,
            shared: Vec::new(),
            copy_paths: Vec::new(),
            link: crate::link::Link::default(),
            writable: Default::default(),
            went_live: Vec::new(),
            live_turn: 0,
            retired: None,
            previous: None,
            span: None,
            marks: Marks::default(),
            trial: None,
            is_taken_over: false,
        }
    }

    fn bad(left_for: Option<ReleaseId>) -> Bad {
        Bad { reason: "it failed".into(), at: 0, by: "me@here".into(), left_for }
    }

    /// The records of a deploy path, changed as `switch` changes them.
    #[derive(Default)]
    struct Path {
        releases: Releases,
        live: Option<ReleaseId>,
    }

    impl Path {
        fn deploy(&mut self) -> u64 {
            let number = self.releases.records.len() as u64 + 1;
            self.releases.records.push(record(number));
            self.forward(number);
            number
        }

        fn deploy_times(&mut self, times: u64) {
            for _ in 0..times {
                self.deploy();
            }
        }

        fn forward(&mut self, number: u64) {
            let live = self.live.clone();
            step_forward(&mut self.releases, &id(number), live.as_ref());
            // A crash behind the link leaves no mark on the release that was left.
            assert_eq!(self.releases.left_without_mark(Some(&id(number))), None);
            self.make_live(number);
            assert_eq!(self.releases.left_without_mark(Some(&id(number))), None);
            self.retire(live);
        }

        fn retire(&mut self, left: Option<ReleaseId>) {
            if let Some(left) = left.and_then(|left| self.releases.find_mut(&left).ok()) {
                left.retired = Some(0);
            }
        }

        fn back(&mut self, number: u64) {
            let left = self.live.clone().unwrap();
            let is_behind = self.releases.way_back(self.releases.find(&left).unwrap()).contains(&&self.record(number));
            let seen = |path: &Path| path.releases.left_without_mark(Some(&id(number))).map(|record| record.id.clone());
            assert_eq!(seen(self), is_behind.then(|| left.clone()));
            self.make_live(number);
            assert_eq!(seen(self), is_behind.then(|| left.clone()));
            self.retire(Some(left.clone()));
            assert_eq!(seen(self), None);
            self.releases.find_mut(&left).unwrap().leave(bad(Some(id(number))));
        }

        fn record(&self, number: u64) -> Record {
            self.releases.find(&id(number)).unwrap().clone()
        }

        fn make_live(&mut self, number: u64) {
            let turn = self.releases.next_turn();
            self.releases.find_mut(&id(number)).unwrap().go_live(0, turn);
            self.live = Some(id(number));
        }

        fn target(&self) -> Option<u64> {
            self.releases.rollback_from(self.live.as_ref()).map(number_of)
        }

        fn returns_to(&self) -> Option<u64> {
            self.releases.return_from(self.live.as_ref()).map(number_of)
        }
    }

    fn number_of(record: &Record) -> u64 {
        record.sequence
    }

    /// A plain list of what was live, without records: the live release is its last element.
    #[derive(Debug, Default)]
    struct History {
        list: Vec<u64>,
        bad: Vec<u64>,
        /// The releases that rollbacks left, and the ones that they went to.
        left: Vec<(u64, u64)>,
    }

    impl History {
        fn forward(&mut self, number: u64) {
            self.list.retain(|&other| other != number);
            self.list.push(number);
            self.make_good(number);
        }

        fn back(&mut self, number: u64) {
            let left = *self.list.last().unwrap();
            while *self.list.last().unwrap() != number {
                self.list.pop();
            }
            self.make_good(number);
            self.left.retain(|&(other, _)| other != left);
            self.left.push((left, number));
            self.bad.push(left);
        }

        fn make_good(&mut self, number: u64) {
            self.bad.retain(|&other| other != number);
            self.left.retain(|&(other, _)| other != number);
        }

        fn target(&self) -> Option<u64> {
            self.list.iter().rev().skip(1).find(|number| !self.bad.contains(number)).copied()
        }

        fn returns_to(&self) -> Option<u64> {
            let live = self.list.last()?;
            self.left.iter().rev().find(|(_, to)| to == live).map(|&(left, _)| left)
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Change {
        Deploy,
        Switch(usize),
        Rollback,
        RollbackTo(usize),
        Return,
        MarkBad(usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            3 => Just(Change::Deploy),
            2 => any::<usize>().prop_map(Change::Switch),
            3 => Just(Change::Rollback),
            1 => any::<usize>().prop_map(Change::RollbackTo),
            2 => Just(Change::Return),
            1 => any::<usize>().prop_map(Change::MarkBad),
        ]
    }

    fn apply(path: &mut Path, history: &mut History, change: Change) {
        let live = history.list.last().copied();
        match change {
            Change::Deploy => history.forward(path.deploy()),
            Change::Switch(at) => {
                let number = at as u64 % path.releases.records.len().max(1) as u64 + 1;
                if live.is_some_and(|live| live != number) {
                    path.forward(number);
                    history.forward(number);
                }
            }
            Change::Rollback | Change::RollbackTo(_) => {
                let named = match change {
                    Change::RollbackTo(at) => {
                        history.list.split_last().and_then(|(_, list)| list.get(at % list.len().max(1)).copied())
                    }
                    _ => history.target(),
                };
                if let Some(number) = named {
                    path.back(number);
                    history.back(number);
                }
            }
            Change::Return => {
                if let Some(number) = history.returns_to() {
                    path.forward(number);
                    history.forward(number);
                }
            }
            Change::MarkBad(at) => {
                if let Some(&number) = history.list.get(at % history.list.len().max(1)) {
                    path.releases.find_mut(&id(number)).unwrap().marks.bad.get_or_insert(bad(None));
                    history.bad.push(number);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn the_way_back_is_that_of_a_list_of_what_was_live(changes in prop::collection::vec(change(), 1..40)) {
            let (mut path, mut history) = (Path::default(), History::default());
            for change in changes {
                apply(&mut path, &mut history, change);
                prop_assert_eq!(path.target(), history.target(), "{:?}", &history);
                prop_assert_eq!(path.returns_to(), history.returns_to(), "{:?}", &history);
            }
        }

        #[test]
        fn a_rollback_goes_to_a_good_release_whatever_was_removed(
            changes in prop::collection::vec(change(), 1..30),
            removed in prop::collection::vec(any::<bool>(), 30),
        ) {
            let (mut path, mut history) = (Path::default(), History::default());
            changes.into_iter().for_each(|change| apply(&mut path, &mut history, change));
            let target = history.target();
            let live = path.live.clone();
            path.releases.records.retain(|record| {
                !removed[record.sequence as usize - 1] || Some(&record.id) == live.as_ref()
            });
            let stands = |number: u64| path.releases.find(&id(number)).is_some();
            let found = path.target();
            if let Some(found) = found {
                prop_assert!(stands(found) && !history.bad.contains(&found) && live != Some(id(found)));
            }
            // If it stands, and all between, nothing changes.
            let between = history.list.iter().rev().skip(1).take_while(|&&number| Some(number) != target);
            if target.is_some_and(stands) && between.copied().all(stands) {
                prop_assert_eq!(found, target, "{:?}", &history);
            }
        }
    }

    #[test]
    fn a_rollback_after_a_rollback_and_a_deploy_goes_to_the_last_good_release() {
        let mut path = Path::default();
        path.deploy_times(3);
        path.back(2);
        assert_eq!((path.target(), path.returns_to()), (Some(1), Some(3)));
        assert_eq!(path.deploy(), 4);
        assert_eq!((path.target(), path.returns_to()), (Some(2), None));
        path.back(2);
        path.back(1);
        assert_eq!((path.target(), path.returns_to()), (None, Some(2)));
        path.forward(2);
        // Of two releases that were left for one, a return goes to the later one.
        assert_eq!((path.target(), path.returns_to()), (Some(1), Some(4)));
    }

    #[test]
    fn steps_count_good_releases() {
        let mut path = Path::default();
        path.deploy_times(4);
        path.releases.find_mut(&id(3)).unwrap().marks.bad = Some(bad(None));
        let by = |steps| path.releases.rollback_by(path.live.as_ref(), steps).map(number_of);
        assert_eq!([0, 1, 2, 3].map(by), [None, Some(2), Some(1), None]);
    }

    #[test]
    fn migrations_are_those_of_the_releases_that_are_left() {
        let mut path = Path::default();
        path.deploy_times(4);
        for number in [1, 2, 4] {
            path.releases.find_mut(&id(number)).unwrap().marks.migrations = vec![format!("migrate {number}")];
        }
        let check = |path: &Path, to: u64, expected: &[u64]| {
            let to = path.releases.find(&id(to)).unwrap();
            let found = path.releases.migrations_left(to, path.live.as_ref());
            let expected: Vec<_> = expected.iter().map(|&n| (id(n), vec![format!("migrate {n}")])).collect();
            assert_eq!(found, expected);
        };
        check(&path, 3, &[4]);
        check(&path, 2, &[4]);
        check(&path, 1, &[4, 2]);
        path.back(2);
        check(&path, 1, &[2]);
        // A return runs no migration backwards.
        check(&path, 4, &[]);

        // One release that never went live, and one that the server left.
        for number in [5, 6] {
            path.releases.records.push(record(number));
            path.releases.find_mut(&id(number)).unwrap().marks.migrations = vec![format!("migrate {number}")];
        }
        path.forward(6);
        path.back(2);
        let trial = Trial { confirmation: None, back_to: Some(id(2)), marks_bad: true };
        path.releases.find_mut(&id(6)).unwrap().trial = Some(trial);
        check(&path, 1, &[2, 6, 5]);
        // What came after a failure was made for what it left.
        path.deploy();
        path.deploy();
        check(&path, 7, &[]);
        check(&path, 2, &[6, 5]);
    }
}
