//! A target that holds A, B and C, with C live: what a server looks like after a while.

use crate::cutover::{Site, text_of};
use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::Sample;

/// The target, and its releases' names.
pub(super) struct ThreeReleases {
    /// The target.
    pub(super) site: Site,
    /// The names, oldest first.
    pub(super) ids: Vec<String>,
    /// The deploys that made them.
    pub(super) deploys: Vec<Sample>,
}

impl ThreeReleases {
    /// Deploys all three, each verified.
    pub(super) fn create(lab: &Lab) -> Result<ThreeReleases> {
        let mut releases = ThreeReleases { site: Site::new(lab, "three"), ids: Vec::new(), deploys: Vec::new() };
        for tree in lab.trees().all() {
            lab.say(&format!("  deploying {}", tree.name));
            let sample = releases.site.deploy(lab, tree, Line::Direct)?;
            releases.site.ensure_live(lab, &sample, "live", tree)?;
            releases.ids.push(text_of(&sample, "release")?.to_owned());
            releases.deploys.push(sample);
        }
        Ok(releases)
    }
}
