//! Cutover with a source that is a git checkout: git's own files are left out, and a file `REVISION` is added, which names
//! the commit.

use std::fs;
use std::path::PathBuf;

use crate::failure::{Context, Result};
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::logins::CUTOVER;
use crate::record::sample::Sample;
use crate::scenario::Scenario;
use crate::source::checkout::Checkout;
use crate::source::tree::Tree;
use crate::tool::{Change, Tool};
use crate::tools::cutover::Cutover;

/// Cutover, which is asked to deploy a tree and deploys the checkout of it.
pub(crate) struct FromCheckout {
    checkout: Checkout,
    /// B as it is without git.
    plain: Tree,
}

impl FromCheckout {
    /// Its name in tables.
    pub(crate) const TITLE: &str = "cutover deploy, git checkout";

    /// Makes the checkout, unless it stands.
    pub(crate) fn make(lab: &Lab) -> Result<FromCheckout> {
        let checkout = Checkout::make(lab.work(), lab.trees())?;
        Ok(FromCheckout { checkout, plain: lab.trees().b.clone() })
    }
}

impl Tool for FromCheckout {
    fn name(&self) -> &'static str {
        CUTOVER
    }

    fn title(&self) -> String {
        FromCheckout::TITLE.to_owned()
    }

    fn joins(&self, scenario: Scenario) -> bool {
        scenario == Scenario::Cold
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        let Checkout { before, after } = &self.checkout;
        Cutover::default().deploy(lab, if tree.path == self.plain.path { after } else { before }, place, line)
    }

    fn settle(&self, lab: &Lab, _base: &Tree, place: &Place) -> Result<()> {
        Cutover::default().settle(lab, &self.checkout.before, place)
    }

    fn release(&self, place: &Place) -> Result<PathBuf> {
        Cutover::default().release(place)
    }

    /// Removes the file that names the commit: without it, the release must be B.
    fn check(&self, change: Change<'_>, place: &Place, sample: &Sample) -> Result<()> {
        let revision = self.release(place)?.join("REVISION");
        fs::remove_file(&revision).context(|| format!("Could not remove `{}`", revision.display()))?;
        Cutover::default().check(change, place, sample)
    }
}
