//! One file a scenario, but for those that are one job for the tools in turn. A scenario brings the server into a state,
//! lets contenders run, checks their releases, and returns the samples.

mod assembly;
mod cold;
mod course;
mod disk;
mod edits;
mod growth;
mod incompressible;
mod insert;
mod relink;
mod rollback;
mod share;
mod worst;

use crate::contest::{Job, compete};
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::record::scenario::{Outcome, ScenarioRecord};
use crate::scenario::Scenario;
use crate::source::modules::modules;
use crate::tool::Change;

/// Runs a scenario. One that fails does not take the others with it, but it is recorded as failed and gives no figures.
pub(crate) fn run(lab: &Lab, scenario: Scenario) -> ScenarioRecord {
    if lab.trees().c.is_none() && matches!(scenario, Scenario::Disk | Scenario::Rollback) {
        let why = "it needs three versions; name the third with `--tree-c`".to_owned();
        return ScenarioRecord::of(scenario, Outcome::skipped(why));
    }
    match measure(lab, scenario) {
        Ok(outcome) => ScenarioRecord::of(scenario, outcome),
        Err(failure) => {
            lab.say(&format!("  failed: {failure}"));
            ScenarioRecord::failed(scenario, failure.to_string())
        }
    }
}

fn measure(lab: &Lab, scenario: Scenario) -> Result<Outcome> {
    let trees = lab.trees();
    match scenario {
        // Each run begins on an empty filesystem: on one that holds earlier copies, all take longer with each.
        Scenario::First => compete(lab, &Job::first(scenario, &trees.a)).map(Outcome::of),
        Scenario::Next => compete(lab, &Job::next(scenario, &trees.a, &trees.b)).map(Outcome::of),
        Scenario::NextSameMtimes => edits::next(lab),
        Scenario::Unchanged => unchanged(lab),
        Scenario::OneFile | Scenario::TwoThousand => edits::lines(lab, scenario),
        Scenario::Rename => edits::rename(lab),
        Scenario::Insert => insert::run(lab),
        Scenario::Modules => packages(lab),
        Scenario::Cold => cold::run(lab),
        Scenario::Assembly => assembly::run(lab),
        Scenario::Incompressible => incompressible::run(lab),
        Scenario::Worst => worst::run(lab),
        Scenario::Disk => disk::run(lab),
        Scenario::Rollback => rollback::run(lab),
        Scenario::Growth => growth::run(lab),
        Scenario::Share => share::run(lab),
    }
}

/// The same tree again: the client remembers it, rsync finds equal mtimes. Neither reads a file.
fn unchanged(lab: &Lab) -> Result<Outcome> {
    let tree = &lab.trees().a;
    let job = Job::next(Scenario::Unchanged, tree, tree);
    compete(lab, &Job { change: Change { is_nothing: true, ..job.change }, ..job }).map(Outcome::of)
}

/// The packages of a JavaScript application, one of them upgraded, each time installed afresh: all mtimes are new.
fn packages(lab: &Lab) -> Result<Outcome> {
    let [before, after] = match modules(lab.work()) {
        Ok(trees) => trees,
        Err(failure) => return Ok(Outcome::skipped(format!("its packages cannot be had from npm: {failure}"))),
    };
    lab.reserve(8 * before.bytes)?;
    let tracks = compete(lab, &Job::next(Scenario::Modules, &before, &after))?;
    Ok(Outcome::of(tracks).fact("files", after.files).fact("bytes", after.bytes))
}
