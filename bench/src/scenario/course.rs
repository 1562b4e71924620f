//! A tool is led through a course of deploys, one after the other, since trees are too large to begin anew for each.
//!
//! Tools are led in turn, round by round, and each course begins on an empty filesystem. As elsewhere the first round is
//! observed and the others are timed. What was deployed is compared with the source in the observed round.

use std::cell::Cell;
use std::path::PathBuf;

use crate::contest::turns;
use crate::cutover::{self, Cutover, Site, ensure_reused};
use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::process::quoted;
use crate::record::{Mark, Sample, Track};
use crate::rsync::{self, Rsync};
use crate::tool::{Place, Tool};
use crate::tree::Tree;
use crate::verify;

/// What is sent is small files of text, and on a line they are better compressed; where none is, it costs next to nothing.
const RSYNC: [&str; 2] = ["-az", "--zc=zstd"];

/// Who is led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    Cutover,
    Rsync,
}

impl Runner {
    const ALL: [Runner; 2] = [Runner::Cutover, Runner::Rsync];

    fn tool(self) -> &'static str {
        match self {
            Runner::Cutover => cutover::NAME,
            Runner::Rsync => rsync::NAME,
        }
    }

    fn version(self) -> Option<String> {
        match self {
            Runner::Cutover => Cutover::default().version(),
            Runner::Rsync => Rsync::MODES[0].version(),
        }
    }
}

/// A tool on its course.
pub(super) struct Course<'a> {
    pub(super) lab: &'a Lab,
    pub(super) runner: Runner,
    pub(super) line: Line,
    tree: &'a Tree,
    place: Place,
    /// How many releases rsync has made.
    releases: Cell<u32>,
}

/// What a step came to, and under which name.
pub(super) type Step = (&'static str, Sample);

impl<'a> Course<'a> {
    fn begin(lab: &'a Lab, tree: &'a Tree, runner: Runner, line: Line) -> Result<Course<'a>> {
        lab.renew_server()?;
        let place = lab.place(&format!("course-{}", runner.tool()));
        place.set_aside(lab)?;
        lab.remove_aside()?;
        place.ensure_client()?;
        if runner == Runner::Rsync {
            lab.make_directory(&place.server)?;
        }
        Ok(Course { lab, runner, line, tree, place, releases: Cell::new(0) })
    }

    /// The deploy path, for what only Cutover has.
    pub(super) fn site(&self) -> Site {
        Site::at(&self.place)
    }

    /// Deploys the tree as it is now, into an empty target.
    pub(super) fn first(&self) -> Result<Step> {
        match self.runner {
            Runner::Cutover => Ok(("cutover deploy", self.cutover("live", None)?)),
            Runner::Rsync => Ok(("rsync -az --zc=zstd", self.next_of_rsync()?)),
        }
    }

    /// Deploys the tree as it is now over what stands.
    pub(super) fn update(&self) -> Result<Step> {
        match self.runner {
            Runner::Cutover => Ok(("cutover deploy", self.cutover("live", Some(true))?)),
            Runner::Rsync => Ok(("rsync -az --zc=zstd --link-dest", self.next_of_rsync()?)),
        }
    }

    /// Deploys what stands again.
    pub(super) fn again(&self) -> Result<Step> {
        match self.runner {
            Runner::Cutover => Ok(("cutover deploy", self.cutover("unchanged", None)?)),
            Runner::Rsync => {
                rustix::fs::sync();
                let options = [RSYNC[0], RSYNC[1], "--delete"];
                let sample = rsync::copy(self.lab, &options, self.tree, &self.release_of_rsync(), self.line)?;
                self.check()?;
                Ok(("rsync -az --zc=zstd", sample))
            }
        }
    }

    /// Goes back to the release before; without Cutover, by the least that anybody could do.
    pub(super) fn rollback(&self) -> Result<Step> {
        rustix::fs::sync();
        match self.runner {
            Runner::Cutover => Ok(("cutover rollback", self.site().rollback(self.lab, self.line)?)),
            Runner::Rsync => {
                let (place, newest) = (quoted(&self.place.server.to_string_lossy()), self.releases.get());
                self.lab.on_server(&format!("cd {place} && ln -s {newest} current"))?;
                let script = format!(
                    "cd {place} && ln -s {} current.new && mv -T current.new current",
                    newest.saturating_sub(1)
                );
                let (_, sample) = self.lab.measure(&self.lab.ssh(self.line).arg(&script), self.line)?;
                Ok(("ssh, ln and mv", sample))
            }
        }
    }

    /// Brings the server to what stands there in daily use; see [`Tool::settle`]. What is live becomes the tree as it is.
    pub(super) fn settle(&self) -> Result<()> {
        if self.runner == Runner::Cutover { self.site().settle(self.lab, self.tree) } else { Ok(()) }
    }

    /// The same after the tree was brought back to what it was before the last update.
    pub(super) fn settle_back(&self) -> Result<()> {
        if self.runner == Runner::Cutover {
            return self.site().settle(self.lab, self.tree);
        }
        self.lab.set_aside(&self.release_of_rsync())?;
        self.releases.set(self.releases.get() - 1);
        self.lab.remove_aside()
    }

    fn cutover(&self, state: &str, is_reused: Option<bool>) -> Result<Sample> {
        rustix::fs::sync();
        let sample = self.site().deploy(self.lab, self.tree, self.line)?;
        cutover::ensure_state(&sample, state)?;
        if let Some(expected) = is_reused {
            ensure_reused(&sample, expected)?;
        }
        self.check()?;
        Ok(sample)
    }

    fn next_of_rsync(&self) -> Result<Sample> {
        let before = format!("--link-dest=../{}", self.releases.get());
        let mut options = RSYNC.to_vec();
        if self.releases.get() > 0 {
            options.push(&before);
        }
        self.releases.set(self.releases.get() + 1);
        rustix::fs::sync();
        let sample = rsync::copy(self.lab, &options, self.tree, &self.release_of_rsync(), self.line)?;
        self.check()?;
        Ok(sample)
    }

    fn release_of_rsync(&self) -> PathBuf {
        self.place.server.join(self.releases.get().to_string())
    }

    fn check(&self) -> Result<()> {
        let deployed = match self.runner {
            Runner::Cutover => self.place.server.join("current"),
            Runner::Rsync => self.release_of_rsync(),
        };
        if self.line == Line::Counted { verify::ensure_same(self.lab, &self.tree.path, &deployed) } else { Ok(()) }
    }
}

/// Collects what steps came to, each under its job and contender.
#[derive(Debug, Default)]
pub(super) struct Tracks(Vec<Track>);

impl Tracks {
    /// Keeps a step. `job` is what stands before the contender's name.
    pub(super) fn keep(&mut self, course: &Course<'_>, job: &str, mark: Mark, (contender, sample): Step) {
        let contender = format!("{job}: {contender}");
        let known = self.0.iter().position(|track| track.contender == contender);
        let at = known.unwrap_or_else(|| {
            let (tool, version) = (course.runner.tool().to_owned(), course.runner.version());
            self.0.push(Track { tool, contender, version, mark: Some(mark), ..Track::default() });
            self.0.len() - 1
        });
        let track = &mut self.0[at];
        if course.line == Line::Counted { track.observed.push(sample) } else { track.timed.push(sample) }
    }

    /// Returns them by what grows, the steps of each in their order.
    pub(super) fn finish(self) -> Vec<Track> {
        self.0
    }
}

/// Leads all tools that were asked for, in turn, through a course over a tree.
///
/// One that fails has no figures here and goes no further; where Cutover fails, all do.
pub(super) fn lead(
    lab: &Lab,
    tree: &Tree,
    tracks: &mut Tracks,
    course: impl Fn(&Course<'_>, &mut Tracks) -> Result<()>,
) -> Result<()> {
    let wanted = |runner: &Runner| lab.settings().wants(runner.tool()) && runner.version().is_some();
    let mut runners: Vec<Runner> = Runner::ALL.into_iter().filter(wanted).collect();
    let before = tracks.0.len();
    for round in 0..=lab.settings().growth_repeats {
        let line = if round == 0 { Line::Counted } else { Line::Timed };
        let order: Vec<Runner> = turns(round as usize, runners.len()).map(|at| runners[at]).collect();
        for runner in order {
            lab.say(&format!("  {}, {} files, {line}", runner.tool(), tree.files));
            let led = Course::begin(lab, tree, runner, line).and_then(|begun| course(&begun, tracks));
            match led {
                Err(failure) if runner == Runner::Cutover => return Err(failure),
                Err(failure) => {
                    lab.say(&format!("  failed: {failure}"));
                    runners.retain(|other| *other != runner);
                    let own = tracks.0[before..].iter_mut().filter(|track| track.tool == runner.tool());
                    own.for_each(|track| track.fail(&failure));
                }
                Ok(()) => {}
            }
        }
    }
    Ok(())
}
