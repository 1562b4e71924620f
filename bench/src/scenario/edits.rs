//! Changes in a checkout that is edited in place, so that all that was not changed keeps its times: both tools know
//! without reading what is as it was.
//!
//! rsync's counterpart is a new directory beside the old one with hardlinks to what did not change, found by size and
//! mtime.

use crate::contest::{Contender, Job, Moment, installed, race};
use crate::cutover::{self, Cutover};
use crate::difference;
use crate::failure::{Context, Result};
use crate::lab::Lab;
use crate::made::{Edited, rename_directory};
use crate::record::Outcome;
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;
use crate::tool::Change;
use crate::tree::Tree;

/// The rival.
const RSYNC: &str = "rsync -az --link-dest";

/// What a change of one file is compared with, in the same run.
const NOTHING: &str = "nothing changed: ";

/// As many files as the kernel's directory `Documentation` holds.
const RENAMED_FILES: u64 = 8800;

/// B after A, where what is equal in both keeps its mtime.
pub(super) fn next(lab: &Lab) -> Result<Outcome> {
    let (edited, trees) = (Edited::of(lab)?, lab.trees());
    let source = |moment| edited.bring_to(if moment == Moment::Base { &trees.a.path } else { &trees.b.path });
    run(lab, Scenario::NextSameMtimes, &edited, &source, |rows| {
        rows.seconds(RSYNC, rows.on_loopback(Aim::RatioAtMost(1.0 / 8.0)));
        rows.wire(RSYNC, Some(Aim::OursAtMost(290_000.0)));
        rows.beyond_ssh(RSYNC, None);
    })
}

/// One line in one file.
pub(super) fn one_file(lab: &Lab) -> Result<Outcome> {
    // A kilobyte, and the edit: a word at the end of a line.
    lines(lab, Scenario::OneFile, 1, Aim::OursAtMost(1013.0))
}

/// One line in each of many files.
pub(super) fn two_thousand(lab: &Lab) -> Result<Outcome> {
    lines(lab, Scenario::TwoThousand, 2000, Aim::OursAtMost(30_000.0))
}

/// A large directory under another name.
pub(super) fn rename(lab: &Lab) -> Result<Outcome> {
    let edited = Edited::of(lab)?;
    let old = rename_directory(&edited.tree.path, RENAMED_FILES)?;
    let new = old.with_file_name("renamed-by-the-bench");
    let source = |moment| {
        let (from, to) = if moment == Moment::Base { (&new, &old) } else { (&old, &new) };
        if from.exists() { std::fs::rename(from, to).context(|| "Could not rename a directory") } else { Ok(()) }
    };
    let files = Tree::open(&old)?.files;
    let mut outcome = run(lab, Scenario::Rename, &edited, &source, |rows| {
        rows.beyond_ssh(RSYNC, Some(Aim::OursAtMost(2000.0)));
        rows.seconds(RSYNC, None);
        rows.wire(RSYNC, None);
    })?;
    outcome.facts.insert("renamed_files".to_owned(), files);
    Ok(outcome)
}

fn lines(lab: &Lab, scenario: Scenario, count: usize, aim: Aim) -> Result<Outcome> {
    let edited = Edited::of(lab)?;
    let files = edited.choose(count)?;
    let source = |moment| if moment == Moment::Base { edited.restore(&files) } else { edited.edit(&files) };
    let mut outcome = run(lab, scenario, &edited, &source, |rows| {
        rows.beyond_ssh(RSYNC, Some(aim));
        rows.seconds(RSYNC, None);
        rows.seconds(&format!("{NOTHING}cutover deploy"), rows.on_loopback(Aim::RatioAtMost(1.3)));
        rows.wire(RSYNC, None);
    })?;
    outcome.facts.insert("changed_files".to_owned(), files.len() as u64);
    Ok(outcome)
}

fn run(
    lab: &Lab,
    scenario: Scenario,
    edited: &Edited,
    source: &dyn Fn(Moment) -> Result<()>,
    compare: impl FnOnce(&mut Rows<'_>),
) -> Result<Outcome> {
    let tree = &edited.tree;
    let job = Job { source: Some(source), ..Job::next(scenario, tree, tree) };
    let (tools, skipped) = installed(lab, scenario);
    // Of a tree that nobody edits.
    let original = &lab.trees().a;
    let change = Change { base: Some(original), next: original, is_nothing: true };
    let nothing = Job { label: NOTHING, change, ..Job::next(scenario, original, original) };
    let ours = Cutover::default();
    let mut contenders: Vec<Contender<'_>> = tools.iter().map(|tool| Contender::of(lab, &**tool, &job)).collect();
    if scenario == Scenario::OneFile && lab.settings().wants(cutover::NAME) {
        contenders.push(Contender::of(lab, &ours, &nothing));
    }
    let mut tracks = race(lab, &contenders)?;
    tracks.extend(skipped);
    let mut rows = Rows::of(lab, &tracks);
    compare(&mut rows);
    rows.costs(RSYNC);
    let mut outcome = Outcome { rows: rows.finish(), tracks, ..Outcome::default() };
    // What is edited began as A, and stands as it was deployed last.
    difference::note(&mut outcome, &lab.trees().a.path, &tree.path)?;
    Ok(outcome)
}
