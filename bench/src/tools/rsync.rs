//! Runs rsync, the tool that people deploy with, in the mode that fits the scenario best.

use std::fs;
use std::path::{Path, PathBuf};

use crate::aside::set_aside;
use crate::failure::{Context, Result};
use crate::invocation::Invocation;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::sample::Sample;
use crate::scenario::Scenario;
use crate::source::tree::Tree;
use crate::tool::Tool;

/// The program.
pub(crate) const NAME: &str = "rsync";

/// rsync with some options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rsync {
    options: &'static [&'static str],
    keeps: Keeps,
    scenarios: &'static [Scenario],
}

/// The fate of the version before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// It is written over, as a live tree would be.
    Nothing,
    /// It stays beside the new directory, which shares unchanged files.
    Releases,
}

impl Rsync {
    /// The modes, each where it is rsync's best. Where mtimes say nothing, `-c` is needed, and `-t` must be left out:
    /// mtimes that differ would make it copy instead of link.
    pub(crate) const MODES: [Rsync; 4] = [
        Rsync {
            options: &["-a", "--delete"],
            keeps: Keeps::Nothing,
            scenarios: &[
                Scenario::First,
                Scenario::Unchanged,
                Scenario::Disk,
                Scenario::Insert,
                Scenario::Incompressible,
            ],
        },
        Rsync { options: &["-az", "--zc=zstd", "--delete"], keeps: Keeps::Nothing, scenarios: &[Scenario::First] },
        Rsync {
            options: &["-rlpzc"],
            keeps: Keeps::Releases,
            scenarios: &[Scenario::Next, Scenario::Disk, Scenario::Modules, Scenario::Cold],
        },
        Rsync {
            options: &["-az"],
            keeps: Keeps::Releases,
            scenarios: &[
                Scenario::NextSameMtimes,
                Scenario::OneFile,
                Scenario::TwoThousand,
                Scenario::Rename,
                Scenario::Insert,
            ],
        },
    ];

    /// The mode of a course over made trees: small files of text are better compressed on a line; where there is none, it
    /// costs next to nothing.
    pub(crate) const COURSE: Rsync = Rsync { options: &["-az", "--zc=zstd"], keeps: Keeps::Releases, scenarios: &[] };

    /// Returns the options.
    pub(crate) fn options(&self) -> &'static [&'static str] {
        self.options
    }

    /// Returns the options as they are written in tables.
    fn words(&self) -> String {
        let words = self.options.iter().filter(|option| **option != "--delete");
        let words: Vec<&str> = words.copied().chain((self.keeps == Keeps::Releases).then_some("--link-dest")).collect();
        words.join(" ")
    }

    /// Returns the newest release's number, 0 when there is none.
    pub(crate) fn newest(place: &Place) -> Result<u32> {
        let directory = &place.server;
        let entries = fs::read_dir(directory).context(|| format!("Could not read `{}`", directory.display()))?;
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(numbers.max().unwrap_or(0))
    }
}

impl Tool for Rsync {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> String {
        format!("rsync {}", self.words())
    }

    fn joins(&self, scenario: Scenario) -> bool {
        self.scenarios.contains(&scenario)
    }

    fn set_up(&self, place: &Place) -> Result<()> {
        match self.keeps {
            Keeps::Nothing => Ok(()),
            Keeps::Releases => fs::create_dir_all(&place.server).context(|| "Could not create rsync's directory"),
        }
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        if self.keeps == Keeps::Nothing {
            return copy(lab, self.options, tree, &place.server, line);
        }
        let newest = Rsync::newest(place)?;
        let before = format!("--link-dest=../{newest}");
        let mut options = self.options.to_vec();
        if newest > 0 {
            options.push(&before);
        }
        copy(lab, &options, tree, &place.server.join((newest + 1).to_string()), line)
    }

    fn release(&self, place: &Place) -> Result<PathBuf> {
        match self.keeps {
            Keeps::Nothing => Ok(place.server.clone()),
            Keeps::Releases => Ok(place.server.join(Rsync::newest(place)?.to_string())),
        }
    }

    fn undo(&self, place: &Place) -> Result<bool> {
        if self.keeps == Keeps::Nothing {
            return Ok(false);
        }
        set_aside(&place.server.join(Rsync::newest(place)?.to_string())).map(|()| true)
    }
}

/// Copies the content of a tree into a directory on the server, with the given options.
pub(crate) fn copy(lab: &Lab, options: &[&str], tree: &Tree, to: &Path, line: Line) -> Result<Sample> {
    let shell = format!("ssh -F {}", lab.ssh_config(line).display());
    let rsync = Invocation::new(NAME).args(options).args(["-e", &shell]);
    let (_, sample) = lab.measure(&rsync.arg(tree.content()).arg(lab.remote(&to.join(""))), line)?;
    Ok(sample)
}
