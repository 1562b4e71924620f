//! Changes in a checkout that is edited in place, so that unchanged files keep their times: both tools know them
//! without reading.
//!
//! rsync's counterpart is a new directory beside the old one with hardlinks to unchanged files, found by size and
//! mtime.

use std::fs;

use crate::contest::{Deploy, Job, Moment, race};
use crate::failure::{Context, Result};
use crate::lab::laboratory::Lab;
use crate::record::scenario::Outcome;
use crate::record::track::Track;
use crate::scenario::Scenario;
use crate::source::edited::{Edited, rename_directory};
use crate::source::tree::Tree;
use crate::tool::Change;
use crate::tools::cutover::Cutover;
use crate::tools::joining;

/// Stands before a change of nothing, which is measured beside one of a file.
const NOTHING: &str = "nothing changed: ";

/// As many files as the kernel's directory `Documentation` holds.
const RENAMED_FILES: u64 = 8800;

/// B after A, where equal files keep their mtimes.
pub(super) fn next(lab: &Lab) -> Result<Outcome> {
    let (edited, trees) = (Edited::of(lab.work(), &lab.trees().a)?, lab.trees());
    let source = |moment| edited.bring_to(if moment == Moment::Base { &trees.a.path } else { &trees.b.path });
    run(lab, Scenario::NextSameMtimes, &edited, &source).map(Outcome::of)
}

/// A large directory under another name.
pub(super) fn rename(lab: &Lab) -> Result<Outcome> {
    let edited = Edited::of(lab.work(), &lab.trees().a)?;
    let old = rename_directory(&edited.tree.path, RENAMED_FILES)?;
    let new = old.with_file_name("renamed-by-the-bench");
    let source = |moment| {
        let (from, to) = if moment == Moment::Base { (&new, &old) } else { (&old, &new) };
        if from.exists() { fs::rename(from, to).context(|| "Could not rename a directory") } else { Ok(()) }
    };
    let files = Tree::open(&old)?.files;
    let tracks = run(lab, Scenario::Rename, &edited, &source)?;
    Ok(Outcome::of(tracks).fact("renamed_files", files))
}

/// One line in one file, or in each of many.
pub(super) fn lines(lab: &Lab, scenario: Scenario) -> Result<Outcome> {
    let edited = Edited::of(lab.work(), &lab.trees().a)?;
    let files = edited.choose(if scenario == Scenario::OneFile { 1 } else { 2000 })?;
    let source = |moment| if moment == Moment::Base { edited.restore(&files) } else { edited.edit(&files) };
    let tracks = run(lab, scenario, &edited, &source)?;
    Ok(Outcome::of(tracks).fact("changed_files", files.len() as u64))
}

fn run(lab: &Lab, scenario: Scenario, edited: &Edited, source: &dyn Fn(Moment) -> Result<()>) -> Result<Vec<Track>> {
    let tree = &edited.tree;
    let job = Job { source: Some(source), ..Job::next(scenario, tree, tree) };
    // Of a tree that nobody edits.
    let original = &lab.trees().a;
    let change = Change { base: Some(original), next: original, is_nothing: true };
    let nothing = Job { label: NOTHING, change, ..Job::next(scenario, original, original) };
    let (tools, ours) = (joining(scenario, &lab.settings().variants), Cutover::default());
    let mut contenders: Vec<Deploy<'_>> = tools.iter().map(|tool| Deploy::of(lab, &**tool, &job)).collect();
    if scenario == Scenario::OneFile {
        contenders.push(Deploy::of(lab, &ours, &nothing));
    }
    race(lab, &contenders)
}
