//! What is measured. A scenario brings the server into a state, lets contenders run, checks what they made, and says
//! how their figures compare.

mod assembly;
mod cold;
mod course;
mod disk;
mod edits;
mod first;
mod growth;
mod incompressible;
mod insert;
mod modules;
mod next;
mod peak_disk;
mod resume;
mod rollback;
mod share;
mod three_releases;
mod unchanged;
mod worst;

use clap::ValueEnum;

use crate::cutover;
use crate::failure::Result;
use crate::lab::Lab;
use crate::record::Outcome;

/// The scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// First deploy of A into an empty target.
    First,
    /// B after A, all mtimes new.
    Next,
    /// The same tree again.
    Unchanged,
    /// B after A, mtimes of what is equal kept.
    NextSameMtimes,
    /// One line changed in one file.
    OneFile,
    /// One line changed in each of 2,000 files.
    TwoThousand,
    /// A large directory renamed.
    Rename,
    /// A little put into a large file.
    Insert,
    /// A `node_modules` tree, one dependency upgraded.
    Modules,
    /// B after A by a client that never deployed.
    Cold,
    /// What the server does for B after A, by itself.
    Assembly,
    /// First deploys of random bytes.
    Incompressible,
    /// First deploys of trees that are unlike code.
    Worst,
    /// Disk taken by three releases.
    Disk,
    /// Back to the release before.
    Rollback,
    /// Peak use of the disk by a first deploy.
    PeakDisk,
    /// A deploy cut half-way and repeated; lost state; two clients.
    Resume,
    /// The same work on trees of a thousand files to a million.
    Growth,
    /// None to all files of a tree changed.
    Share,
}

impl Scenario {
    /// All of them, in the order that they are run.
    pub(crate) const ALL: [Scenario; 19] = [
        Scenario::First,
        Scenario::Next,
        Scenario::NextSameMtimes,
        Scenario::Unchanged,
        Scenario::OneFile,
        Scenario::TwoThousand,
        Scenario::Rename,
        Scenario::Insert,
        Scenario::Modules,
        Scenario::Cold,
        Scenario::Assembly,
        Scenario::Incompressible,
        Scenario::Worst,
        Scenario::Disk,
        Scenario::Rollback,
        Scenario::PeakDisk,
        Scenario::Resume,
        Scenario::Growth,
        Scenario::Share,
    ];

    /// Returns the name on the command line and in the records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::First => "first",
            Scenario::Next => "next",
            Scenario::Unchanged => "unchanged",
            Scenario::NextSameMtimes => "next-same-mtimes",
            Scenario::OneFile => "one-file",
            Scenario::TwoThousand => "two-thousand",
            Scenario::Rename => "rename",
            Scenario::Insert => "insert",
            Scenario::Modules => "modules",
            Scenario::Cold => "cold",
            Scenario::Assembly => "assembly",
            Scenario::Incompressible => "incompressible",
            Scenario::Worst => "worst",
            Scenario::Disk => "disk",
            Scenario::Rollback => "rollback",
            Scenario::PeakDisk => "peak-disk",
            Scenario::Resume => "resume",
            Scenario::Growth => "growth",
            Scenario::Share => "share",
        }
    }

    /// Says what it measures, in a line.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Scenario::First => "the first deploy, into an empty target",
            Scenario::Next => "the next version, all mtimes new",
            Scenario::Unchanged => "nothing changed",
            Scenario::NextSameMtimes => "the next version, mtimes of unchanged files equal",
            Scenario::OneFile => "one line in one file",
            Scenario::TwoThousand => "one line in each of 2,000 files",
            Scenario::Rename => "a large directory renamed",
            Scenario::Insert => "1 KB put into the middle of 256 MB of random bytes",
            Scenario::Modules => "node_modules, one dependency upgraded",
            Scenario::Cold => "the next version, by a client that never deployed",
            Scenario::Assembly => "a release of the next version made of what the server holds",
            Scenario::Incompressible => "the first deploy of what cannot be compressed",
            Scenario::Worst => "trees that are unlike code, against the typical one",
            Scenario::Disk => "the disk that three releases take",
            Scenario::Rollback => "back to the release before",
            Scenario::PeakDisk => "the most disk that a first deploy takes while it runs",
            Scenario::Resume => "a deploy cut half-way, a client that forgot, and two clients",
            Scenario::Growth => "what grows with the number of files",
            Scenario::Share => "what grows with the share of the files that changed",
        }
    }

    /// Tells whether something else is deployed over what stands, by tools in turn.
    pub(crate) fn is_update(self) -> bool {
        match self {
            Scenario::Next
            | Scenario::NextSameMtimes
            | Scenario::OneFile
            | Scenario::TwoThousand
            | Scenario::Rename
            | Scenario::Insert
            | Scenario::Modules
            | Scenario::Cold => true,
            Scenario::First
            | Scenario::Unchanged
            | Scenario::Assembly
            | Scenario::Incompressible
            | Scenario::Worst
            | Scenario::Disk
            | Scenario::Rollback
            | Scenario::PeakDisk
            | Scenario::Resume
            | Scenario::Growth
            | Scenario::Share => false,
        }
    }

    /// Tells why it cannot be run here, if it cannot.
    pub(crate) fn skipped(self, lab: &Lab) -> Option<Outcome> {
        match self {
            Scenario::Disk | Scenario::Rollback | Scenario::Resume if lab.trees().c.is_none() => {
                Some(Outcome::skipped("it needs three versions; name the third with `--tree-c`"))
            }
            Scenario::Resume => lab.needs_own_server("nobody counts the bytes after which the client is cut off"),
            Scenario::PeakDisk => lab.needs_own_server("nobody watches the disk"),
            Scenario::Assembly if !lab.settings().wants(cutover::NAME) => {
                Some(Outcome::skipped("it measures Cutover, which was not asked for"))
            }
            Scenario::Assembly => lab.needs_own_server("nothing is timed on it"),
            _ => None,
        }
    }

    /// Runs it.
    pub(crate) fn run(self, lab: &Lab) -> Result<Outcome> {
        match self {
            Scenario::First => first::run(lab),
            Scenario::Next => next::run(lab),
            Scenario::Unchanged => unchanged::run(lab),
            Scenario::NextSameMtimes => edits::next(lab),
            Scenario::OneFile => edits::one_file(lab),
            Scenario::TwoThousand => edits::two_thousand(lab),
            Scenario::Rename => edits::rename(lab),
            Scenario::Insert => insert::run(lab),
            Scenario::Modules => modules::run(lab),
            Scenario::Cold => cold::run(lab),
            Scenario::Assembly => assembly::run(lab),
            Scenario::Incompressible => incompressible::run(lab),
            Scenario::Worst => worst::run(lab),
            Scenario::Disk => disk::run(lab),
            Scenario::Rollback => rollback::run(lab),
            Scenario::PeakDisk => peak_disk::run(lab),
            Scenario::Resume => resume::run(lab),
            Scenario::Growth => growth::run(lab),
            Scenario::Share => share::run(lab),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_called_by_its_recorded_name() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::from_str(scenario.name(), false), Ok(scenario));
        }
    }
}
