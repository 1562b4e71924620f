//! Runs rsync, the tool that people deploy with, in the mode that fits the scenario best.

use std::fs;
use std::path::{Path, PathBuf};

use crate::aside::set_aside;
use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;
use crate::lab::lab::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::sample::{Payload, Sample};
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

/// What becomes of the version before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// It is written over, as a live tree would be.
    Nothing,
    /// It stays beside the new directory, which shares what did not change.
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

    /// Returns the options as they are written in tables.
    fn words(&self) -> String {
        let words = self.options.iter().filter(|option| **option != "--delete");
        let words: Vec<&str> = words.copied().chain((self.keeps == Keeps::Releases).then_some("--link-dest")).collect();
        words.join(" ")
    }

    /// Returns the newest release's number, 0 when there is none.
    fn newest(place: &Place) -> Result<u32> {
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
    let (stdout, sample) = lab.measure(&invocation(lab, options, tree, to, line), line)?;
    with_payload(sample, &stdout)
}

fn invocation(lab: &Lab, options: &[&str], tree: &Tree, to: &Path, line: Line) -> Invocation {
    let rsync = Invocation::new(NAME).args(options).args(["--stats", "-e"]);
    let rsync = rsync.arg(format!("ssh -F {}", lab.ssh_config(line).display()));
    rsync.arg(tree.content()).arg(lab.remote(&to.join("")))
}

fn with_payload(mut sample: Sample, stdout: &str) -> Result<Sample> {
    let payload = parse_stats(stdout);
    sample.payload = Some(payload.ok_or_else(|| Failure::new(format!("`{}` printed no stats", sample.command)))?);
    Ok(sample)
}

fn parse_stats(stdout: &str) -> Option<Payload> {
    let field = |name: &str| -> Option<u64> {
        let text = stdout.lines().find_map(|line| line.strip_prefix(name))?;
        text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    Some(Payload { sent_bytes: field("Total bytes sent:")?, received_bytes: field("Total bytes received:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_read_with_their_commas() {
        let payload =
            parse_stats("Number of files: 3\nTotal bytes sent: 1,234,567\nTotal bytes received: 89\n").unwrap();
        assert_eq!((payload.sent_bytes, payload.received_bytes), (1_234_567, 89));
        assert!(parse_stats("Total bytes sent: 1\n").is_none());
    }
}
