//! A tool is led through a course of deploys, one after the other, since trees are too large to begin anew for each.
//!
//! Tools are led in turn, round by round, and each course begins on an empty filesystem. As elsewhere the first round is
//! observed and the others are timed. Releases are compared with the source in the observed round.

use crate::contest::turns;
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::logins::CUTOVER;
use crate::record::sample::Sample;
use crate::record::track::{Mark, Track};
use crate::scenarios::relink::{self, link, relink};
use crate::source::tree::Tree;
use crate::tool::{Change, Tool};
use crate::tools::cutover::Cutover;
use crate::tools::rsync::{self, Rsync};
use crate::tools::site::Site;
use crate::verify::ensure_same;

/// Stands behind the name of rsync where there is a release to link to.
const LINK_DEST: &str = " --link-dest";

/// A tool on its course.
pub(super) struct Course<'a> {
    lab: &'a Lab,
    tool: &'a dyn Tool,
    line: Line,
    tree: &'a Tree,
    place: Place,
}

/// The contender's name at a step, and its run.
pub(super) type Step = (String, Sample);

impl<'a> Course<'a> {
    fn begin(lab: &'a Lab, tree: &'a Tree, tool: &'a dyn Tool, line: Line) -> Result<Course<'a>> {
        lab.renew_server()?;
        let place = lab.place(&format!("course-{}", tool.name()));
        place.set_aside()?;
        lab.remove_aside()?;
        place.ensure_client()?;
        tool.set_up(&place)?;
        Ok(Course { lab, tool, line, tree, place })
    }

    fn is_cutover(&self) -> bool {
        self.tool.name() == CUTOVER
    }

    /// Deploys the tree as it is now, into an empty target.
    pub(super) fn first(&self) -> Result<Step> {
        let sample = self.deploy(Change { base: None, next: self.tree, is_nothing: false })?;
        Ok((self.tool.title().replace(LINK_DEST, ""), sample))
    }

    /// Deploys the tree as it is now over the last release.
    pub(super) fn update(&self) -> Result<Step> {
        let sample = self.deploy(Change { base: Some(self.tree), next: self.tree, is_nothing: false })?;
        Ok((self.tool.title(), sample))
    }

    /// Deploys the same again. rsync goes over the release that stands: it has nothing to link there.
    pub(super) fn again(&self) -> Result<Step> {
        let change = Change { base: Some(self.tree), next: self.tree, is_nothing: true };
        let sample = if self.is_cutover() {
            self.deploy(change)?
        } else {
            rustix::fs::sync();
            let options = [Rsync::COURSE.options(), &["--delete"]].concat();
            let sample = rsync::copy(self.lab, &options, self.tree, &self.tool.release(&self.place)?, self.line)?;
            self.check(change, &sample)?;
            sample
        };
        Ok((self.tool.title().replace(LINK_DEST, ""), sample))
    }

    /// Goes back to the release before.
    pub(super) fn rollback(&self) -> Result<Step> {
        rustix::fs::sync();
        if self.is_cutover() {
            return Ok(("cutover rollback".to_owned(), Site::at(&self.place).rollback(self.lab, self.line)?));
        }
        let newest = Rsync::newest(&self.place)?;
        link(&self.place.server, &newest.to_string())?;
        let before = newest.saturating_sub(1).to_string();
        Ok((relink::TITLE.to_owned(), relink(self.lab, self.line, &self.place.server, &before)?))
    }

    /// Brings the server to its state in daily use; see [`Tool::settle`]. The live release becomes the tree as it is.
    pub(super) fn settle(&self) -> Result<()> {
        self.tool.settle(self.lab, self.tree, &self.place)
    }

    /// The same after the tree was brought back to its state before the last update.
    pub(super) fn settle_back(&self) -> Result<()> {
        if self.tool.undo(&self.place)? { self.lab.remove_aside() } else { self.settle() }
    }

    fn deploy(&self, change: Change<'_>) -> Result<Sample> {
        rustix::fs::sync();
        let sample = self.tool.deploy(self.lab, self.tree, &self.place, self.line)?;
        self.check(change, &sample)?;
        Ok(sample)
    }

    fn check(&self, change: Change<'_>, sample: &Sample) -> Result<()> {
        self.tool.check(change, &self.place, sample)?;
        if self.line != Line::Counted {
            return Ok(());
        }
        ensure_same(&self.tree.path, &self.tool.release(&self.place)?)
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
            self.0.push(Track { mark: Some(mark), ..Track::new(course.tool.name(), &contender) });
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
    let cutover = Cutover::default();
    let mut tools: Vec<&dyn Tool> = vec![&cutover, &Rsync::COURSE];
    let before = tracks.0.len();
    for round in 0..=lab.settings().effort.growth_repeats {
        let line = if round == 0 { Line::Counted } else { Line::Timed };
        let order: Vec<&dyn Tool> = turns(round as usize, tools.len()).map(|at| tools[at]).collect();
        for tool in order {
            lab.say(&format!("  {}, {} files, {line}", tool.name(), tree.files));
            let led = Course::begin(lab, tree, tool, line).and_then(|begun| course(&begun, tracks));
            let Err(failure) = led else { continue };
            if tool.name() == CUTOVER {
                return Err(failure);
            }
            lab.say(&format!("  failed: {failure}"));
            tools.retain(|other| other.name() != tool.name());
            let own = tracks.0[before..].iter_mut().filter(|track| track.tool == tool.name());
            own.for_each(|track| track.fail(&failure));
        }
    }
    Ok(())
}
