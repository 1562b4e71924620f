//! Back to the release before, on a target that holds three.
//!
//! rsync has no such thing. Beside it stands the least that anybody could do over SSH, a new link renamed over the old
//! one: nearly all of it is the cost of one SSH login.

use std::fs;
use std::path::PathBuf;

use crate::contest::{Contender, race};
use crate::failure::{Context, Failure, Result};
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::record::logins::CUTOVER;
use crate::record::sample::Sample;
use crate::record::scenario::Outcome;
use crate::scenarios::relink::{self, link, relink};
use crate::tools::site::{Site, text_of};
use crate::verify::ensure_same;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let three = ThreeReleases::create(lab)?;
    let links = lab.server("links");
    fs::create_dir_all(&links).context(|| format!("Could not create `{}`", links.display()))?;
    link(&links, "releases/2")?;
    let tracks = race(lab, &[Rollback::Cutover(lab, &three), Rollback::Link(lab, links)])?;
    ensure_same(&lab.trees().b.path, &three.site.current())?;
    Ok(Outcome::of(tracks))
}

/// A way back.
enum Rollback<'a> {
    Cutover(&'a Lab, &'a ThreeReleases),
    Link(&'a Lab, PathBuf),
}

impl Contender for Rollback<'_> {
    fn tool(&self) -> &'static str {
        if matches!(self, Rollback::Cutover(..)) { CUTOVER } else { "ssh" }
    }

    fn name(&self) -> String {
        if matches!(self, Rollback::Cutover(..)) { "cutover rollback".to_owned() } else { relink::TITLE.to_owned() }
    }

    fn prepare(&self) -> Result<()> {
        if let Rollback::Cutover(lab, three) = self { three.bring_live(lab) } else { Ok(()) }
    }

    fn run(&self, line: Line) -> Result<Sample> {
        match self {
            Rollback::Cutover(lab, three) => three.site.rollback(lab, line),
            Rollback::Link(lab, links) => relink(lab, line, links, "releases/1"),
        }
    }

    fn check(&self, _sample: &Sample) -> Result<()> {
        if let Rollback::Cutover(_, three) = self { three.ensure_before() } else { Ok(()) }
    }
}

/// A target that holds A, B and C: a server after a while.
struct ThreeReleases {
    site: Site,
    /// The name of B's release.
    before: String,
    /// The name of C's, which is live at first.
    live: String,
}

impl ThreeReleases {
    /// Deploys all three, each verified.
    fn create(lab: &Lab) -> Result<ThreeReleases> {
        let site = Site::new(lab, "three");
        let mut releases = Vec::new();
        for tree in lab.trees().all() {
            lab.say(&format!("  deploying {}", tree.name));
            let sample = site.deploy(lab, tree, Line::Direct)?;
            site.ensure_live(&sample, "live", tree)?;
            releases.push(text_of(&sample, "release")?.to_owned());
        }
        let [_, before, live] = <[String; 3]>::try_from(releases)
            .map_err(|releases| Failure::new(format!("Three deploys made other than three releases: {releases:?}")))?;
        Ok(ThreeReleases { site, before, live })
    }

    fn bring_live(&self, lab: &Lab) -> Result<()> {
        if self.current()? == self.live { Ok(()) } else { self.site.switch(lab, &self.live).map(drop) }
    }

    fn current(&self) -> Result<String> {
        let link = self.site.current();
        let target = fs::read_link(&link).context(|| format!("Could not read `{}`", link.display()))?;
        Ok(target.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    fn ensure_before(&self) -> Result<()> {
        let found = self.current()?;
        if found == self.before {
            return Ok(());
        }
        Err(Failure::new(format!("`current` leads to {found} after a rollback, not to {}", self.before)))
    }
}
