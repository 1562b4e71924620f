//! A tool that deploys a tree to a server: Cutover and rsync, behind one interface.
//!
//! A tool in another mode is another tool, with the same [`Tool::name`] and another [`Tool::title`]. Each is given a
//! [`Place`] of its own and keeps nothing elsewhere. [`Tool::deploy`] alone is timed: all commands that a user has
//! to run for a deploy belong into it, on both sides.

use std::path::PathBuf;

use crate::aside::set_aside;
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::sample::Sample;
use crate::scenario::Scenario;
use crate::source::tree::Tree;

/// The step from the last release to the next one.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The tree that was deployed last, if any was.
    pub(crate) base: Option<&'a Tree>,
    /// The tree that is deployed.
    pub(crate) next: &'a Tree,
    /// Whether both are equal.
    pub(crate) is_nothing: bool,
}

/// A tool in one of its modes.
pub(crate) trait Tool {
    /// The program; its modes share it.
    fn name(&self) -> &'static str;

    /// Its name in tables, with its mode: `rsync -az --zc=zstd`. No other tool has the same.
    fn title(&self) -> String;

    /// Tells whether it takes part. A mode that is not a tool's best in some scenario stays out of it.
    fn joins(&self, scenario: Scenario) -> bool;

    /// Makes ready for a first deploy, after both directories were removed: steps that are taken once for a server or a
    /// client and not for each deploy. Not timed.
    fn set_up(&self, _place: &Place) -> Result<()> {
        Ok(())
    }

    /// Deploys a tree, as one line given to [`Lab::measure`].
    /// Not only timed, but also used to deploy the base: it begins with the state that it left itself.
    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample>;

    /// Gives the server the past of one in daily use, once the base stands: further releases of it, as far as the next
    /// deploy profits from them. Not timed.
    fn settle(&self, _lab: &Lab, _base: &Tree, _place: &Place) -> Result<()> {
        Ok(())
    }

    /// Returns the directory on the server that holds the last release.
    fn release(&self, place: &Place) -> Result<PathBuf>;

    /// Takes the last deploy back, on both sides, if that is cheaper than to begin anew and leaves nothing from which a
    /// repetition would profit; tells whether it did. Not timed.
    fn undo(&self, _place: &Place) -> Result<bool> {
        Ok(false)
    }

    /// Removes the client's memory: the next deploy is another machine's. Not timed.
    fn forget(&self, place: &Place) -> Result<()> {
        set_aside(&place.client)
    }

    /// Fails unless the tool's own report is as it should be. The release is compared with the tree
    /// afterwards. Not timed.
    fn check(&self, _change: Change<'_>, _place: &Place, _sample: &Sample) -> Result<()> {
        Ok(())
    }
}
