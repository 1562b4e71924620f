//! Lets contenders run in turn: A B A B.
//!
//! In turn, because a machine's speed drifts; one block after the other would give the drift to one of them. The first
//! round is watched: it gives bytes, memory and disk and warms the caches. The rounds after it give seconds and have
//! nothing beside them.
//!
//! A contender that fails has no figures and leaves the contest, and the others go on; where Cutover fails, all do.

use std::cell::Cell;

use crate::cutover;
use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::{Sample, Track};
use crate::scenario::Scenario;
use crate::tool::{self, Change, Place, Tool};
use crate::tree::Tree;

/// A step of a contender; it may be taken many times.
pub(crate) type Step<'a, In, Out> = Box<dyn Fn(In) -> Result<Out> + 'a>;

/// Looks at what a run has made.
pub(crate) type Check<'a> = Box<dyn Fn(&Sample) -> Result<()> + 'a>;

/// One tool in one mode, or something else that is run.
pub(crate) struct Contender<'a> {
    /// The word of `--tools`.
    pub(crate) tool: &'static str,
    /// Its name in the table.
    pub(crate) name: String,
    /// What the program says of its version.
    pub(crate) version: Option<String>,
    /// Brings everything into the state that each run begins with. Not timed.
    pub(crate) prepare: Step<'a, (), ()>,
    /// The run.
    pub(crate) run: Step<'a, Line, Sample>,
    /// Fails when the result is wrong. Not timed.
    pub(crate) check: Check<'a>,
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
        let place = lab.place(&slug(&format!("{}-{name}", job.scenario.name())));
        let (prepared, ran, checked) = (place.clone(), place.clone(), place.clone());
        let is_begun = Cell::new(false);
        Contender {
            tool: tool.name(),
            name,
            version: tool.version(),
            prepare: Box::new(move |()| {
                begin(lab, tool, job, &prepared, &is_begun)?;
                if job.client == Client::New {
                    tool.forget(lab, &prepared)?;
                }
                then(&prepared)
            }),
            run: Box::new(move |line| tool.deploy(lab, job.change.next, &ran, line)),
            check: Box::new(move |sample| tool.check(lab, job.change, &checked, sample)),
            place: Some(place),
        }
    }

    fn round(&self, lab: &Lab, line: Line) -> Result<Sample> {
        (self.prepare)(())?;
        lab.say(&format!("  {}, {line}", self.name));
        // What was prepared is written out before the clock starts; else the run would wait for it.
        rustix::fs::sync();
        let mut sample = (self.run)(line)?;
        sample.syncfs_seconds = lab.sync_server()?;
        (self.check)(&sample)?;
        Ok(sample)
    }

    fn observe(&self, lab: &Lab, track: &mut Track) -> Result<()> {
        track.observed.push(self.round(lab, Line::Counted)?);
        if let Some(place) = &self.place {
            track.disk_bytes = Some(lab.disk_bytes(&place.server)?);
        }
        Ok(())
    }
}

/// Brings about what stands before a run.
fn begin(lab: &Lab, tool: &dyn Tool, job: &Job<'_>, place: &Place, is_begun: &Cell<bool>) -> Result<()> {
    let source = |moment| job.source.map_or(Ok(()), |source| source(moment));
    // A first deploy begins on an empty filesystem each time; see `Lab::renew_server`.
    let may_stand = is_begun.replace(true) && job.change.base.is_some();
    let stands = may_stand && (job.change.is_nothing || tool.undo(lab, place)?);
    if !stands {
        if job.change.base.is_none() {
            lab.renew_server()?;
        }
        lab.set_aside(&place.server)?;
        crate::lab::set_aside(&place.client)?;
        place.ensure_client()?;
        tool.set_up(lab, place)?;
        if let Some(base) = job.change.base {
            source(Moment::Base)?;
            tool.deploy(lab, base, place, Line::Direct)?;
        }
    }
    source(Moment::Next)
}

/// Returns the tools that were asked for, that take part and are installed, and empty tracks for those that are not.
pub(crate) fn installed(lab: &Lab, scenario: Scenario) -> (Vec<Box<dyn Tool>>, Vec<Track>) {
    let (mut installed, mut skipped) = (Vec::new(), Vec::new());
    for tool in tool::all() {
        if !tool.joins(scenario) || !lab.settings().wants(tool.name()) {
            continue;
        }
        if tool.version().is_some() {
            installed.push(tool);
        } else {
            let reason = format!("{} is not installed", tool.name());
            skipped.push(Track::skipped(tool.name(), tool.title(), reason));
        }
    }
    (installed, skipped)
}

/// Lets all tools that take part do the job; returns a track for each.
pub(crate) fn compete(lab: &Lab, job: &Job<'_>) -> Result<Vec<Track>> {
    let (tools, skipped) = installed(lab, job.scenario);
    let contenders: Vec<Contender<'_>> = tools.iter().map(|tool| Contender::of(lab, &**tool, job)).collect();
    let mut tracks = race(lab, &contenders)?;
    tracks.extend(skipped);
    Ok(tracks)
}

/// Runs all of them, one observed round and then the timed ones, and returns a track for each, in their order.
pub(crate) fn race(lab: &Lab, contenders: &[Contender<'_>]) -> Result<Vec<Track>> {
    let mut tracks: Vec<Track> = contenders.iter().map(Track::of).collect();
    for round in 0..=lab.repeats() {
        for (contender, track) in contenders.iter().zip(&mut tracks).filter(|(_, track)| track.failure.is_none()) {
            let done = if round == 0 {
                contender.observe(lab, track)
            } else {
                contender.round(lab, Line::Timed).map(|sample| track.timed.push(sample))
            };
            match done {
                Err(failure) if contender.tool == cutover::NAME => return Err(failure),
                Err(failure) => {
                    lab.say(&format!("  failed: {failure}"));
                    track.fail(&failure);
                }
                Ok(()) => {}
            }
        }
    }
    Ok(tracks)
}

/// Makes a name for a directory.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_makes_a_directorys_name() {
        assert_eq!(slug("next-rsync -rlpzc --link-dest=../x"), "next-rsync-rlpzc-link-dest-x");
    }
}
