//! A tool is led through a course of deploys, one after the other, since trees are too large to begin anew for each.
//!
//! Tools are led in turn, round by round, and each course begins on an empty filesystem. As elsewhere the first round is
//! observed and the others are timed. Releases are compared with the source in the observed round.

use std::cell::Cell;
use std::path::PathBuf;

use crate::aside::set_aside;
use crate::contest::turns;
use crate::failure::{Context, Result};
use crate::invocation::{Invocation, quoted};
use crate::lab::lab::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::logins::CUTOVER;
use crate::record::sample::Sample;
use crate::record::track::{Mark, Track};
use crate::source::tree::Tree;
use crate::tools::rsync;
use crate::tools::site::{Site, ensure_reused, ensure_state};
use crate::verify::ensure_same;

/// Small files of text are sent: on a line they are better compressed; where none is, it costs next to nothing.
const RSYNC: [&str; 2] = ["-az", "--zc=zstd"];

/// The tool that is led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Cutover,
    Rsync,
}

impl Runner {
    fn tool(self) -> &'static str {
        match self {
            Runner::Cutover => CUTOVER,
            Runner::Rsync => rsync::NAME,
        }
    }
}

/// A tool on its course.
pub(super) struct Course<'a> {
    lab: &'a Lab,
    runner: Runner,
    line: Line,
    tree: &'a Tree,
    place: Place,
    /// How many releases rsync has made.
    releases: Cell<u32>,
}

/// The contender's name at a step, and its run.
pub(super) type Step = (&'static str, Sample);

impl<'a> Course<'a> {
    fn begin(lab: &'a Lab, tree: &'a Tree, runner: Runner, line: Line) -> Result<Course<'a>> {
        lab.renew_server()?;
        let place = lab.place(&format!("course-{}", runner.tool()));
        place.set_aside()?;
        lab.remove_aside()?;
        place.ensure_client()?;
        if runner == Runner::Rsync {
            std::fs::create_dir_all(&place.server).context(|| "Could not create rsync's directory")?;
        }
        Ok(Course { lab, runner, line, tree, place, releases: Cell::new(0) })
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
            Runner::Cutover => Ok(("cutover rollback", Site::at(&self.place).rollback(self.lab, self.line)?)),
            Runner::Rsync => {
                let (place, newest) = (quoted(&self.place.server.to_string_lossy()), self.releases.get());
                Invocation::script(&format!("cd {place} && ln -s {newest} current")).output()?;
                let before = newest.saturating_sub(1);
                let script = format!("cd {place} && ln -s {before} current.new && mv -T current.new current");
                let ssh = self.lab.ssh(&self.lab.ssh_config(self.line)).arg(&script);
                Ok(("ssh, ln and mv", self.lab.measure(&ssh, self.line)?.1))
            }
        }
    }

    /// Brings the server to its state in daily use; see [`crate::tool::Tool::settle`]. The live release becomes the tree
    /// as it is.
    pub(super) fn settle(&self) -> Result<()> {
        if self.runner == Runner::Cutover { Site::at(&self.place).settle(self.lab, self.tree) } else { Ok(()) }
    }

    /// The same after the tree was brought back to what it was before the last update.
    pub(super) fn settle_back(&self) -> Result<()> {
        if self.runner == Runner::Cutover {
            return self.settle();
        }
        set_aside(&self.release_of_rsync())?;
        self.releases.set(self.releases.get() - 1);
        self.lab.remove_aside()
    }

    fn cutover(&self, state: &str, is_reused: Option<bool>) -> Result<Sample> {
        rustix::fs::sync();
        let sample = Site::at(&self.place).deploy(self.lab, self.tree, self.line)?;
        ensure_state(&sample, state)?;
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
        if self.line == Line::Counted { ensure_same(&self.tree.path, &deployed) } else { Ok(()) }
    }
}

/// Collects the steps, each under its job and contender.
#[derive(Debug, Default)]
pub(super) struct Tracks(Vec<Track>);

impl Tracks {
    /// Keeps a step. `job` stands before the contender's name.
    pub(super) fn keep(&mut self, course: &Course<'_>, job: &str, mark: Mark, (contender, sample): Step) {
        let contender = format!("{job}: {contender}");
        let known = self.0.iter().position(|track| track.contender == contender);
        let at = known.unwrap_or_else(|| {
            self.0.push(Track { mark: Some(mark), ..Track::new(course.runner.tool(), &contender) });
            self.0.len() - 1
        });
        self.0[at].keep(sample, course.line == Line::Counted);
    }

    /// Returns them by size, the steps of each in their order.
    pub(super) fn finish(self) -> Vec<Track> {
        self.0
    }
}

/// Leads both tools, in turn, through a course over a tree.
///
/// Where rsync fails, it has no figures here and goes no further; where Cutover fails, both do.
pub(super) fn lead(
    lab: &Lab,
    tree: &Tree,
    tracks: &mut Tracks,
    course: impl Fn(&Course<'_>, &mut Tracks) -> Result<()>,
) -> Result<()> {
    let mut runners = vec![Runner::Cutover, Runner::Rsync];
    let before = tracks.0.len();
    for round in 0..=lab.settings().effort.growth_repeats {
        let line = if round == 0 { Line::Counted } else { Line::Timed };
        let order: Vec<Runner> = turns(round as usize, runners.len()).map(|at| runners[at]).collect();
        for runner in order {
            lab.say(&format!("  {}, {} files, {line}", runner.tool(), tree.files));
            let led = Course::begin(lab, tree, runner, line).and_then(|begun| course(&begun, tracks));
            let Err(failure) = led else { continue };
            if runner == Runner::Cutover {
                return Err(failure);
            }
            lab.say(&format!("  failed: {failure}"));
            runners.retain(|other| *other != runner);
            let own = tracks.0[before..].iter_mut().filter(|track| track.tool == runner.tool());
            own.for_each(|track| track.fail(&failure));
        }
    }
    Ok(())
}
