//! A tool that deploys a tree to a server: Cutover and whatever it is compared with, behind one interface.
//!
//! A tool in another mode is another tool, with the same [`Tool::name`] and another [`Tool::title`]. Each is given a
//! [`Place`] of its own and keeps nothing elsewhere. What is timed is [`Tool::deploy`] alone: everything that a user has
//! to run for a deploy belongs into it, on both sides.

use std::fs;
use std::path::PathBuf;

use crate::cutover::Cutover;
use crate::failure::{Context, Result};
use crate::lab::{self, Lab, Line};
use crate::record::Sample;
use crate::rsync::Rsync;
use crate::scenario::Scenario;
use crate::tree::Tree;
use crate::verify;

/// Where a tool works.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its directory on the server. It does not stand before the first deploy, and its size is the tool's disk.
    pub(crate) server: PathBuf,
    /// Its directory on the client, for state, caches, repositories and passwords. It does not stand either.
    pub(crate) client: PathBuf,
}

impl Place {
    /// Moves both directories out of the way.
    pub(crate) fn set_aside(&self, lab: &Lab) -> Result<()> {
        lab.set_aside(&self.server)?;
        lab::set_aside(&self.client)
    }

    /// Makes the directory on the client, unless it stands.
    pub(crate) fn ensure_client(&self) -> Result<()> {
        fs::create_dir_all(&self.client).context(|| format!("Could not create `{}`", self.client.display()))
    }
}

/// What a run does to what stands.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    /// What was deployed last, if anything.
    pub(crate) base: Option<&'a Tree>,
    /// What is deployed.
    pub(crate) next: &'a Tree,
    /// Whether `next` holds what `base` did.
    pub(crate) is_nothing: bool,
}

/// A tool in one of its modes.
pub(crate) trait Tool {
    /// The word of `--tools`; the modes of a program share it.
    fn name(&self) -> &'static str;

    /// Its name in tables, with what distinguishes its mode: `rsync -az --zc=zstd`. No other tool has the same.
    fn title(&self) -> String;

    /// What the program says of its version, in a line; none where it is not installed, and then it is skipped.
    fn version(&self) -> Option<String>;

    /// Tells whether it takes part. A mode that is not a tool's best in some scenario stays out of it.
    fn joins(&self, scenario: Scenario) -> bool;

    /// Makes ready for a first deploy, after both directories were removed: what is done once for a server or a client
    /// and not for each deploy. Not timed.
    fn set_up(&self, _lab: &Lab, _place: &Place) -> Result<()> {
        Ok(())
    }

    /// Deploys a tree, as one line given to [`Lab::measure`]; where several commands are needed, a line for `sh -c`.
    /// Not only timed, but also used to bring about what stands before: it begins from whatever it left itself.
    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample>;

    /// Gives the server the past of one in daily use, once the base stands: further releases of it, as far as the next
    /// deploy profits from them. Not timed.
    fn settle(&self, _lab: &Lab, _base: &Tree, _place: &Place) -> Result<()> {
        Ok(())
    }

    /// Returns the directory on the server that holds what was deployed last.
    fn release(&self, lab: &Lab, place: &Place) -> Result<PathBuf>;

    /// Takes the last deploy back, on both sides, if that is cheaper than to begin anew and leaves nothing from which a
    /// repetition would profit; tells whether it did. Not timed.
    fn undo(&self, _lab: &Lab, _place: &Place) -> Result<bool> {
        Ok(false)
    }

    /// Removes what the client remembers: the next deploy is another machine's. Not timed.
    fn forget(&self, _lab: &Lab, place: &Place) -> Result<()> {
        lab::set_aside(&place.client)
    }

    /// Fails unless what was deployed last is the tree. Not timed.
    fn check(&self, lab: &Lab, change: Change<'_>, place: &Place, _sample: &Sample) -> Result<()> {
        verify::ensure_same(lab, &change.next.path, &self.release(lab, place)?)
    }
}

/// Returns all tools, Cutover first and its given variants after it, then in the order of the tables.
pub(crate) fn all(variants: &[Cutover]) -> Vec<Box<dyn Tool>> {
    let mut tools: Vec<Box<dyn Tool>> = vec![Box::new(Cutover::default())];
    tools.extend(variants.iter().map(|variant| Box::new(variant.clone()) as Box<dyn Tool>));
    tools.extend(Rsync::MODES.iter().map(|mode| Box::new(*mode) as Box<dyn Tool>));
    tools
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::contest::slug;

    #[test]
    fn no_two_tools_share_a_directory() {
        let tools = all(&[Cutover::FRESH, Cutover::with("--zstd-level 3")]);
        let directories: HashSet<String> = tools.iter().map(|tool| slug(&tool.title())).collect();
        assert_eq!(directories.len(), tools.len());
    }
}
