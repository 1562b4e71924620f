//! Cutover as a contender: `cutover deploy`, without any option or with some.

use std::path::PathBuf;

use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::logins::CUTOVER;
use crate::record::sample::Sample;
use crate::scenario::Scenario;
use crate::source::tree::Tree;
use crate::tool::{Change, Tool};
use crate::tools::site::{Site, ensure_reused, ensure_state};

/// The directory of the content that it sent, in its state directory.
pub(crate) const CONTENT_CACHE: &str = "content";

/// Cutover with some options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cutover {
    options: Vec<String>,
}

impl Cutover {
    /// Takes options of `cutover deploy`, separated by spaces.
    pub(crate) fn with(options: &str) -> Cutover {
        Cutover { options: options.split_whitespace().map(str::to_owned).collect() }
    }
}

impl Tool for Cutover {
    fn name(&self) -> &'static str {
        CUTOVER
    }

    fn title(&self) -> String {
        let words = ["cutover", "deploy"].into_iter().chain(self.options.iter().map(String::as_str));
        words.collect::<Vec<_>>().join(" ")
    }

    fn joins(&self, _scenario: Scenario) -> bool {
        true
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        Site::at(place).deploy_with(lab, tree, line, &self.options)
    }

    /// A release that was given up waits for the next deploy, on any server that was deployed to some times. Here it holds
    /// the live tree.
    fn settle(&self, lab: &Lab, base: &Tree, place: &Place) -> Result<()> {
        Site::at(place).settle(lab, base)
    }

    fn release(&self, place: &Place) -> Result<PathBuf> {
        Ok(place.server.join("current"))
    }

    fn check(&self, change: Change<'_>, _place: &Place, sample: &Sample) -> Result<()> {
        if change.base.is_some() && !change.is_nothing {
            ensure_reused(sample, true)?;
        }
        ensure_state(sample, if change.is_nothing { "unchanged" } else { "live" })
    }
}
