//! The command line, as it was typed. [`crate::settings`] resolves the options of `run`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::line::shape::Shape;
use crate::scenario::Scenario;

/// Measures Cutover against rsync on real trees, over a real sshd.
#[derive(Debug, Parser)]
#[command(name = "cutover-bench", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run scenarios, keep their samples and print their tables.
    Run(Box<RunArgs>),
    /// Write the figures of kept runs into documents; without a document, print the whole tables.
    Digest(DigestArgs),
    /// Measure a link itself, by a plain copy over TCP. Prints JSON.
    Link(LineArgs),
}

/// The options of `digest`.
#[derive(Debug, clap::Args)]
pub(crate) struct DigestArgs {
    /// The records, in the order in which they are to be told.
    #[arg(value_name = "RUN.json", required = true)]
    pub(crate) records: Vec<PathBuf>,
    /// A Markdown file that gets a table of each run, between its two marks.
    #[arg(long, value_name = "FILE.md")]
    pub(crate) tables: Option<PathBuf>,
    /// A Markdown file that gets one short table of all runs, between its two marks.
    #[arg(long, value_name = "FILE.md")]
    pub(crate) summary: Option<PathBuf>,
    /// The picture of that short table.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) picture: Option<PathBuf>,
}

/// The line between client and server.
#[derive(Debug, clap::Args)]
pub(crate) struct LineArgs {
    /// The line's round-trip time, in milliseconds: client and server are put into networks of their own.
    #[arg(long, value_name = "MS", value_parser = parse_rtt)]
    rtt: Option<f64>,
    /// Millions of bits a second that the line carries in each direction.
    #[arg(long, value_name = "MBIT", value_parser = parse_rate)]
    rate: Option<f64>,
}

impl LineArgs {
    /// Returns the line; none for the loopback.
    pub(crate) fn shape(&self) -> Option<Shape> {
        let is_named = self.rtt.is_some() || self.rate.is_some();
        is_named.then(|| Shape { rtt_ms: self.rtt.unwrap_or(0.0), rate_mbit: self.rate })
    }
}

/// The versions that are deployed.
#[derive(Debug, clap::Args)]
pub(crate) struct TreeArgs {
    /// The first version; by default Debian's sources of Linux 6.1 are fetched.
    #[arg(long, value_name = "DIR", requires = "tree_b")]
    pub(crate) tree_a: Option<PathBuf>,
    /// The version after it.
    #[arg(long, value_name = "DIR", requires = "tree_a")]
    pub(crate) tree_b: Option<PathBuf>,
    /// The version after that; without it, scenarios that need three versions are skipped.
    #[arg(long, value_name = "DIR", requires = "tree_b")]
    pub(crate) tree_c: Option<PathBuf>,
}

/// Files and directories of the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Where trees are unpacked and everything is deployed to; the filesystem that is measured. [default: bench/work]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
    /// Where the run is kept. [default: bench/runs]
    #[arg(long, value_name = "DIR")]
    pub(crate) runs: Option<PathBuf>,
    /// The run's name. [default: the date and time]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The program to measure. [default: `cutover` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) cutover: Option<PathBuf>,
}

/// The options of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The scenarios to run; all when none is named.
    #[arg(value_enum, value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<Scenario>,
    #[command(flatten)]
    pub(crate) trees: TreeArgs,
    #[command(flatten)]
    pub(crate) line: LineArgs,
    /// Measure Cutover with these options of `cutover deploy` too, as another contender; may be given several times.
    #[arg(long = "variant", value_name = "OPTIONS", allow_hyphen_values = true)]
    pub(crate) variants: Vec<String>,
    /// Timed runs of each contender, after one that is not timed. [default: 5; 2 in `growth` and `share`]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeats: Option<u32>,
    /// The most files of a tree in `growth` and `share`. A million take an hour, 20 GB of disk and 3 million inodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..))]
    pub(crate) files_max: u64,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

fn parse_rtt(text: &str) -> Result<f64, String> {
    in_range(text, 0.0, 10_000.0)
}

fn parse_rate(text: &str) -> Result<f64, String> {
    in_range(text, 0.01, 100_000.0)
}

fn in_range(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("not a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_within_reason() {
        assert_eq!(parse_rtt("0.5"), Ok(0.5));
        assert_eq!(parse_rate("1000"), Ok(1000.0));
        for wrong in ["-1", "NaN", "inf", "ten", ""] {
            assert!(parse_rtt(wrong).is_err(), "{wrong}");
        }
        assert!(parse_rate("0").is_err());
    }

    #[test]
    fn without_time_and_rate_there_is_the_loopback() {
        let shape = |words: &[&str]| match Args::parse_from(["bench", "run"].iter().chain(words)).command {
            Verb::Run(arguments) => arguments.line.shape(),
            other => panic!("{other:?}"),
        };
        assert_eq!(shape(&[]), None);
        assert_eq!(shape(&["next", "--rate", "10"]), Some(Shape { rtt_ms: 0.0, rate_mbit: Some(10.0) }));
    }
}
