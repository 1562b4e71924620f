//! What is measured. A scenario brings the server into a state, lets contenders run, checks what they made, and says
//! how their figures compare.

mod disk;
mod first;
mod next;
mod peak_disk;
mod resume;
mod rollback;
mod three_releases;
mod unchanged;

use clap::ValueEnum;

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
    /// Disk taken by three releases.
    Disk,
    /// Back to the release before.
    Rollback,
    /// Peak use of the disk by a first deploy.
    PeakDisk,
    /// A deploy cut half-way and repeated; lost state; two clients.
    Resume,
}

impl Scenario {
    /// All of them, in the order that they are run.
    pub(crate) const ALL: [Scenario; 7] = [
        Scenario::First,
        Scenario::Next,
        Scenario::Unchanged,
        Scenario::Disk,
        Scenario::Rollback,
        Scenario::PeakDisk,
        Scenario::Resume,
    ];

    /// Returns the name on the command line and in the records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::First => "first",
            Scenario::Next => "next",
            Scenario::Unchanged => "unchanged",
            Scenario::Disk => "disk",
            Scenario::Rollback => "rollback",
            Scenario::PeakDisk => "peak-disk",
            Scenario::Resume => "resume",
        }
    }

    /// Says what it measures, in a line.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Scenario::First => "the first deploy, into an empty target",
            Scenario::Next => "the next version, all mtimes new",
            Scenario::Unchanged => "nothing changed",
            Scenario::Disk => "the disk that three releases take",
            Scenario::Rollback => "back to the release before",
            Scenario::PeakDisk => "the most disk that a first deploy takes while it runs",
            Scenario::Resume => "a deploy cut half-way, a client that forgot, and two clients",
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
            _ => None,
        }
    }

    /// Runs it.
    pub(crate) fn run(self, lab: &Lab) -> Result<Outcome> {
        match self {
            Scenario::First => first::run(lab),
            Scenario::Next => next::run(lab),
            Scenario::Unchanged => unchanged::run(lab),
            Scenario::Disk => disk::run(lab),
            Scenario::Rollback => rollback::run(lab),
            Scenario::PeakDisk => peak_disk::run(lab),
            Scenario::Resume => resume::run(lab),
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
