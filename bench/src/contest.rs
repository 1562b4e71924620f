//! Contenders run in turn: A B C, B C A, C A B.
//!
//! In turn, because a machine's speed drifts; one block after the other would give the drift to one of them. Each round begins
//! with another, as what runs first finds what the round before has left. The first round is watched: it gives bytes, memory
//! and disk. The rounds after it give seconds and have nothing beside them.
//!
//! What stands before a run is read once, on both sides: some have it deployed just before and others long ago, and it is in
//! the caches for all or for none.
//!
//! A contender that fails has no figures and leaves the contest, and the others go on; where Cutover fails, all do.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use crate::aside::read_files;
use crate::failure::Result;
use crate::lab::lab::Lab;
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

/// A step of a contender; it may be taken many times.
pub(crate) type Step<'a, In, Out> = Box<dyn Fn(In) -> Result<Out> + 'a>;

/// Looks at what a run has made.
pub(crate) type Check<'a> = Box<dyn Fn(&Sample) -> Result<()> + 'a>;

/// One tool in one mode, or something else that is run.
pub(crate) struct Contender<'a> {
    /// The program.
    pub(crate) tool: &'static str,
    /// Its name in the table.
    pub(crate) name: String,
    /// Brings everything into the state that each run begins with. Not timed.
    pub(crate) prepare: Step<'a, (), ()>,
    /// Reads what the run begins with, so that it is in the caches. Not timed.
    pub(crate) warm: Step<'a, (), ()>,
    /// The run.
    pub(crate) run: Step<'a, Line, Sample>,
    /// Fails when the result is wrong. Not timed.
    pub(crate) check: Check<'a>,
    /// Makes room when the result was looked at. Not timed.
    pub(crate) finish: Step<'a, (), ()>,
    /// The directory on the server of which the size is wanted.
    pub(crate) place: Option<Place>,
}

/// What is deployed, and what each run begins with.
pub(crate) struct Job<'a> {
    /// In which scenario.
    pub(crate) scenario: Scenario,
    /// Stands before the contenders' names, and tells their directories from those of another job of the scenario.
    pub(crate) label: &'a str,
    /// What stands on the server, if anything, and what is deployed.
    pub(crate) change: Change<'a>,
    /// Makes the sources what they are before the deploy, or what they are for it: trees that change in place.
    pub(crate) source: Option<&'a dyn Fn(Moment) -> Result<()>>,
    /// What else is done to the client before each run.
    pub(crate) client: Client,
}

/// What the sources are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// What stands before is deployed.
    Base,
    /// The run.
    Next,
}

/// The client that a run begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// The one that deployed what stands.
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

impl<'a> Contender<'a> {
    /// A tool that does the job.
    pub(crate) fn of(lab: &'a Lab, tool: &'a dyn Tool, job: &'a Job<'a>) -> Contender<'a> {
        Contender::with(lab, tool, job, "", |_| Ok(()))
    }

    /// The same with something done to its directories before each run, and the words for it.
    pub(crate) fn with(
        lab: &'a Lab,
        tool: &'a dyn Tool,
        job: &'a Job<'a>,
        words: &str,
        then: impl Fn(&Place) -> Result<()> + 'a,
    ) -> Contender<'a> {
        let name = format!("{}{}{words}", job.label, tool.title());
        let place = lab.place(&format!("{}-{name}", job.scenario.name()));
        let work = Rc::new(Work { lab, tool, job, place: place.clone(), stands: Cell::new(false) });
        let [prepared, warmed, ran, checked, finished] = [(); 5].map(|()| Rc::clone(&work));
        Contender {
            tool: tool.name(),
            name,
            prepare: Box::new(move |()| {
                prepared.prepare()?;
                then(&prepared.place)
            }),
            warm: Box::new(move |()| warmed.warm()),
            run: Box::new(move |line| tool.deploy(lab, job.change.next, &ran.place, line)),
            check: Box::new(move |sample| tool.check(job.change, &checked.place, sample)),
            finish: Box::new(move |()| finished.finish()),
            place: Some(place),
        }
    }

    /// A run that needs nothing before it and leaves nothing.
    pub(crate) fn simple(tool: &'static str, name: &str, run: impl Fn(Line) -> Result<Sample> + 'a) -> Contender<'a> {
        Contender {
            tool,
            name: name.to_owned(),
            prepare: Box::new(|()| Ok(())),
            warm: Box::new(|()| Ok(())),
            run: Box::new(run),
            check: Box::new(|_| Ok(())),
            finish: Box::new(|()| Ok(())),
            place: None,
        }
    }

    fn round(&self, lab: &Lab, line: Line) -> Result<(Sample, Option<u64>)> {
        (self.prepare)(())?;
        lab.say(&format!("  {}, {line}", self.name));
        // What was prepared is written out before the clock starts; else the run would wait for it.
        rustix::fs::sync();
        (self.warm)(())?;
        let mut sample = (self.run)(line)?;
        sample.syncfs_seconds = Some(lab.sync_server()?);
        (self.check)(&sample)?;
        let disk_bytes = match &self.place {
            Some(place) if line == Line::Counted => Some(disk_bytes(&place.server)?),
            _ => None,
        };
        (self.finish)(())?;
        Ok((sample, disk_bytes))
    }
}

/// A tool at its job.
struct Work<'a> {
    lab: &'a Lab,
    tool: &'a dyn Tool,
    job: &'a Job<'a>,
    place: Place,
    /// Whether what stands before a run stands.
    stands: Cell<bool>,
}

impl Work<'_> {
    /// Brings about what stands before a run.
    fn prepare(&self) -> Result<()> {
        let Work { lab, tool, job, place, stands } = self;
        if !stands.get() {
            // A first deploy begins on an empty filesystem each time; see `Lab::renew_server`.
            if job.change.base.is_none() {
                lab.renew_server()?;
            }
            place.set_aside()?;
            place.ensure_client()?;
            tool.set_up(place)?;
            if let Some(base) = job.change.base {
                self.source(Moment::Base)?;
                tool.deploy(lab, base, place, Line::Direct)?;
                tool.settle(lab, base, place)?;
            }
        }
        self.source(Moment::Next)?;
        if job.client == Client::New { tool.forget(place) } else { Ok(()) }
    }

    /// Reads the release that stands, and what the client keeps.
    fn warm(&self) -> Result<()> {
        let Work { tool, job, place, .. } = self;
        if job.change.base.is_some() {
            read_files(&tool.release(place)?)?;
        }
        read_files(&place.client)
    }

    /// Goes back to what stands before a run if that is cheap, else to nothing: copies of all tools and rounds would not
    /// find room beside each other.
    fn finish(&self) -> Result<()> {
        let Work { lab, tool, job, place, stands } = self;
        let is_as_before = job.change.is_nothing || (job.change.base.is_some() && tool.undo(place)?);
        stands.set(is_as_before && job.client == Client::Same);
        if !stands.get() {
            place.set_aside()?;
            lab.remove_aside()?;
        }
        Ok(())
    }

    fn source(&self, moment: Moment) -> Result<()> {
        self.job.source.map_or(Ok(()), |source| source(moment))
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
    let contenders: Vec<Contender<'_>> = tools.iter().map(|tool| Contender::of(lab, &**tool, job)).collect();
    race(lab, &contenders)
}

/// Runs all of them, one observed round and then the timed ones, and returns a track for each, in their order.
pub(crate) fn race(lab: &Lab, contenders: &[Contender<'_>]) -> Result<Vec<Track>> {
    let mut tracks: Vec<Track> =
        contenders.iter().map(|contender| Track::new(contender.tool, &contender.name)).collect();
    for round in 0..=lab.settings().effort.repeats {
        for index in turns(round as usize, contenders.len()) {
            let (contender, track) = (&contenders[index], &mut tracks[index]);
            if track.failure.is_some() {
                continue;
            }
            let line = if round == 0 { Line::Counted } else { Line::Timed };
            match contender.round(lab, line) {
                Err(failure) if contender.tool == CUTOVER => return Err(failure),
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
