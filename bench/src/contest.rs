//! Contenders run in turn: A B C, B C A, C A B.
//!
//! In turn, because a machine's speed drifts; one block after the other would give the drift to one of them. Each round begins
//! with another, as the first of a round finds traces of the round before. The first round is watched: it gives bytes, memory
//! and disk. The rounds after it give seconds and have nothing beside them.
//!
//! The release that stands before a run is read once, and the client's state: some have it deployed just before and others long ago, and it is in
//! the caches for all or for none.
//!
//! A contender that fails has no figures and leaves the contest, and the others go on; where Cutover fails, all do.

use std::cell::Cell;
use std::path::Path;

use crate::aside::{read_files, remove};
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::logins::CUTOVER;
use crate::record::sample::Sample;
use crate::record::track::Track;
use crate::scenario::Scenario;
use crate::source::tree::Tree;
use crate::tool::{Change, Tool};
use crate::tools::joining;
use crate::usage::du_bytes;
use crate::verify::ensure_same;

/// One tool in one mode, or something else that is run. Only [`Contender::run`] is timed.
pub(crate) trait Contender {
    /// The program.
    fn tool(&self) -> &'static str;

    /// Its name in the table.
    fn name(&self) -> String;

    /// Brings everything into the state that each run begins with.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// Reads the release and the state that the run begins with, so that they are in the caches.
    fn warm(&self) -> Result<()> {
        Ok(())
    }

    /// The run.
    fn run(&self, line: Line) -> Result<Sample>;

    /// Fails when the result is wrong.
    fn check(&self, _sample: &Sample) -> Result<()> {
        Ok(())
    }

    /// Makes room when the result was looked at.
    fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// Returns the directory on the server of which the size is wanted.
    fn directory(&self) -> Option<&Path> {
        None
    }
}

/// A deploy, and the state that each run of it begins with.
pub(crate) struct Job<'a> {
    /// In which scenario.
    pub(crate) scenario: Scenario,
    /// Stands before the contenders' names, and tells their directories from those of another job of the scenario.
    pub(crate) label: &'a str,
    /// The trees.
    pub(crate) change: Change<'a>,
    /// Prepares sources that change in place: for the base, or for the run.
    pub(crate) source: Option<&'a dyn Fn(Moment) -> Result<()>>,
    /// The client of each run.
    pub(crate) client: Client,
}

/// The deploy that sources are prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Of the base.
    Base,
    /// Of the run.
    Next,
}

/// The client that a run begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// The one that deployed the base.
    Same,
    /// One that never deployed.
    New,
}

impl<'a> Job<'a> {
    /// The first deploy of a tree.
    pub(crate) fn first(scenario: Scenario, tree: &'a Tree) -> Job<'a> {
        let change = Change { base: None, next: tree, is_nothing: false };
        Job { scenario, label: "", change, source: None, client: Client::Same }
    }

    /// One tree after another.
    pub(crate) fn next(scenario: Scenario, base: &'a Tree, next: &'a Tree) -> Job<'a> {
        let change = Change { base: Some(base), next, is_nothing: false };
        Job { scenario, label: "", change, source: None, client: Client::Same }
    }
}

/// A tool at its job.
pub(crate) struct Deploy<'a> {
    lab: &'a Lab,
    tool: &'a dyn Tool,
    job: &'a Job<'a>,
    name: String,
    place: Place,
    /// Removed from the client's state before each run.
    without: Option<&'a str>,
    /// Whether the base stands as a run needs it.
    stands: Cell<bool>,
}

impl<'a> Deploy<'a> {
    /// A tool that does the job.
    pub(crate) fn of(lab: &'a Lab, tool: &'a dyn Tool, job: &'a Job<'a>) -> Deploy<'a> {
        Deploy::named(lab, tool, job, format!("{}{}", job.label, tool.title()))
    }

    /// The same with a directory of the client's state removed before each run, and the words for it.
    pub(crate) fn without(self, directory: &'a str, words: &str) -> Deploy<'a> {
        let Deploy { lab, tool, job, name, .. } = self;
        Deploy { without: Some(directory), ..Deploy::named(lab, tool, job, name + words) }
    }

    fn named(lab: &'a Lab, tool: &'a dyn Tool, job: &'a Job<'a>, name: String) -> Deploy<'a> {
        let place = lab.place(&format!("{}-{name}", job.scenario.name()));
        Deploy { lab, tool, job, name, place, without: None, stands: Cell::new(false) }
    }

    fn source(&self, moment: Moment) -> Result<()> {
        self.job.source.map_or(Ok(()), |source| source(moment))
    }

    fn begin(&self) -> Result<()> {
        let Deploy { lab, tool, job, place, .. } = self;
        // A first deploy begins on an empty filesystem each time: on one that holds earlier copies, all take longer.
        if job.change.base.is_none() {
            lab.renew_server()?;
        }
        place.set_aside()?;
        place.ensure_client()?;
        tool.set_up(place)?;
        let Some(base) = job.change.base else { return Ok(()) };
        self.source(Moment::Base)?;
        tool.deploy(lab, base, place, Line::Direct)?;
        tool.settle(lab, base, place)
    }
}

impl Contender for Deploy<'_> {
    fn tool(&self) -> &'static str {
        self.tool.name()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn prepare(&self) -> Result<()> {
        if !self.stands.get() {
            self.begin()?;
        }
        self.source(Moment::Next)?;
        if self.job.client == Client::New {
            self.tool.forget(&self.place)?;
        }
        self.without.map_or(Ok(()), |directory| remove(&self.place.client.join(directory)))
    }

    /// Reads the release that stands, and the client's state.
    fn warm(&self) -> Result<()> {
        if self.job.change.base.is_some() {
            read_files(&self.tool.release(&self.place)?)?;
        }
        read_files(&self.place.client)
    }

    fn run(&self, line: Line) -> Result<Sample> {
        self.tool.deploy(self.lab, self.job.change.next, &self.place, line)
    }

    fn check(&self, sample: &Sample) -> Result<()> {
        self.tool.check(self.job.change, &self.place, sample)?;
        ensure_same(&self.job.change.next.path, &self.tool.release(&self.place)?)
    }

    /// Goes back to the base if that is cheap, else to nothing: copies of all tools and rounds would not
    /// find room beside each other.
    fn finish(&self) -> Result<()> {
        let Deploy { lab, tool, job, place, stands, .. } = self;
        let is_as_before = job.change.is_nothing || (job.change.base.is_some() && tool.undo(place)?);
        stands.set(is_as_before && job.client == Client::Same);
        if !stands.get() {
            place.set_aside()?;
            lab.remove_aside()?;
        }
        Ok(())
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.place.server)
    }
}

/// Returns the disk that a directory takes, once all is written out: blocks are allocated then, and not before.
pub(crate) fn disk_bytes(directory: &Path) -> Result<u64> {
    rustix::fs::sync();
    du_bytes(directory)
}

/// Lets all tools that take part do the job; returns a track for each.
pub(crate) fn compete(lab: &Lab, job: &Job<'_>) -> Result<Vec<Track>> {
    let tools = joining(job.scenario, &lab.settings().variants);
    let contenders: Vec<Deploy<'_>> = tools.iter().map(|tool| Deploy::of(lab, &**tool, job)).collect();
    race(lab, &contenders)
}

/// Runs all of them, one observed round and then the timed ones, and returns a track for each, in their order.
pub(crate) fn race(lab: &Lab, contenders: &[impl Contender]) -> Result<Vec<Track>> {
    let mut tracks: Vec<Track> =
        contenders.iter().map(|contender| Track::new(contender.tool(), &contender.name())).collect();
    for round in 0..=lab.settings().effort.repeats {
        for index in turns(round as usize, contenders.len()) {
            let (contender, track) = (&contenders[index], &mut tracks[index]);
            if track.failure.is_some() {
                continue;
            }
            let line = if round == 0 { Line::Counted } else { Line::Timed };
            match round_of(lab, contender, line) {
                Err(failure) if contender.tool() == CUTOVER => return Err(failure),
                Err(failure) => {
                    lab.say(&format!("  failed: {failure}"));
                    track.fail(&failure);
                }
                Ok((sample, disk_bytes)) => {
                    track.disk_bytes = disk_bytes.or(track.disk_bytes);
                    track.keep(sample, round == 0);
                }
            }
        }
    }
    Ok(tracks)
}

fn round_of(lab: &Lab, contender: &impl Contender, line: Line) -> Result<(Sample, Option<u64>)> {
    contender.prepare()?;
    lab.say(&format!("  {}, {line}", contender.name()));
    // Writes are finished before the clock starts; else the run would wait for them.
    rustix::fs::sync();
    contender.warm()?;
    let mut sample = contender.run(line)?;
    sample.syncfs_seconds = Some(lab.sync_server()?);
    contender.check(&sample)?;
    let directory = contender.directory().filter(|_| line == Line::Counted);
    let disk_bytes = directory.map(disk_bytes).transpose()?;
    contender.finish()?;
    Ok((sample, disk_bytes))
}

/// Returns the order of a round.
pub(crate) fn turns(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (round + turn) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another() {
        let rounds: Vec<Vec<usize>> = (0..4).map(|round| turns(round, 3).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        assert_eq!(turns(1, 0).count(), 0);
    }
}
