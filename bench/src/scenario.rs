//! The scenarios by name. [`crate::scenarios`] runs them, and [`crate::comparison`] says how their figures compare.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A scenario, in the order that all are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// First deploy of A into an empty target.
    First,
    /// B after A, all mtimes new.
    Next,
    /// B after A, mtimes of equal files kept.
    NextSameMtimes,
    /// The same tree again.
    Unchanged,
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
    /// The server's part of B after A, by itself.
    Assembly,
    /// First deploys of random bytes.
    Incompressible,
    /// First deploys of trees that are unlike code.
    Worst,
    /// Disk taken by three releases.
    Disk,
    /// Back to the release before.
    Rollback,
    /// The same work on trees of a thousand files to a million.
    Growth,
    /// None to all files of a tree changed.
    Share,
}

impl Scenario {
    /// Returns all of them, in the order that they are run.
    pub(crate) fn all() -> Vec<Scenario> {
        Scenario::value_variants().to_vec()
    }

    /// Returns the name on the command line and in the records.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Returns its subject, in a line.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Scenario::First => "the first deploy, into an empty target",
            Scenario::Next => "the next version, all mtimes new",
            Scenario::NextSameMtimes => "the next version, mtimes of unchanged files equal",
            Scenario::Unchanged => "nothing changed",
            Scenario::OneFile => "one line in one file",
            Scenario::TwoThousand => "one line in each of 2,000 files",
            Scenario::Rename => "a large directory renamed",
            Scenario::Insert => "1 KB put into the middle of 256 MB of random bytes",
            Scenario::Modules => "node_modules, one dependency upgraded",
            Scenario::Cold => "the next version, by a client that never deployed",
            Scenario::Assembly => "a release of the next version, all content on the server",
            Scenario::Incompressible => "the first deploy of random bytes",
            Scenario::Worst => "trees that are unlike code, against the typical one",
            Scenario::Disk => "the disk that three releases take",
            Scenario::Rollback => "back to the release before",
            Scenario::Growth => "growth with the number of files",
            Scenario::Share => "growth with the share of changed files",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_recorded_by_its_name_on_the_command_line() {
        for scenario in Scenario::all() {
            assert_eq!(serde_json::to_value(scenario).unwrap(), scenario.name());
        }
    }
}
