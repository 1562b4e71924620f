//! The command line, and what it comes to.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::cutover::Cutover;
use crate::failure::{Context, Failure, Result};
use crate::process::Invocation;
use crate::scenario::Scenario;
use crate::shape::Shape;
use crate::tool;
use crate::tree::{Tree, Trees};

/// Timed runs where none are named.
const REPEATS: u32 = 5;
const GROWTH_REPEATS: u32 = 2;

/// Measures Cutover against rsync and others on real trees, over a real sshd.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run scenarios, print a table and keep the raw figures.
    Run(Box<RunArgs>),
    /// Write the figures of kept runs into a document.
    Digest(DigestArgs),
    /// Measure a link itself: what a plain copy over TCP reaches on it. Prints JSON.
    Link(LinkArgs),
}

/// The options of `digest`.
#[derive(Debug, clap::Args)]
pub(crate) struct DigestArgs {
    /// The raw records, in the order in which they are to be told.
    #[arg(value_name = "RUN.json", required = true)]
    pub(crate) records: Vec<PathBuf>,
    /// The Markdown file; what stands between its two marks is replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) into: PathBuf,
    /// One table of what matters most, without aims.
    #[arg(long)]
    pub(crate) brief: bool,
}

/// The options of `link`.
#[derive(Debug, clap::Args)]
pub(crate) struct LinkArgs {
    /// The line's round-trip time, in milliseconds.
    #[arg(long, value_name = "MS", value_parser = parse_rtt, default_value_t = 0.0)]
    rtt: f64,
    /// What the line carries in each direction, in millions of bits a second.
    #[arg(long, value_name = "MBIT", value_parser = parse_rate)]
    rate: Option<f64>,
}

impl LinkArgs {
    /// Returns what the line is made like.
    pub(crate) fn shape(&self) -> Shape {
        Shape { rtt_ms: self.rtt, rate_mbit: self.rate }
    }
}

/// The options of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The scenarios to run; all when none is named.
    #[arg(value_enum, value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// The first version; by default Debian's sources of Linux 6.1 are fetched.
    #[arg(long, value_name = "DIR", requires = "tree_b")]
    tree_a: Option<PathBuf>,
    /// The version after it.
    #[arg(long, value_name = "DIR", requires = "tree_a")]
    tree_b: Option<PathBuf>,
    /// The version after that; without it what needs three versions is skipped.
    #[arg(long, value_name = "DIR", requires = "tree_b")]
    tree_c: Option<PathBuf>,
    /// A server and a directory of yours to deploy to, instead of an sshd that the bench starts on this machine.
    #[arg(long, value_name = "USER@HOST:/PATH", conflicts_with_all = ["rtt", "rate"])]
    target: Option<String>,
    /// The line's round-trip time, in milliseconds: client and server are put into networks of their own.
    #[arg(long, value_name = "MS", value_parser = parse_rtt)]
    rtt: Option<f64>,
    /// What the line carries in each direction, in millions of bits a second.
    #[arg(long, value_name = "MBIT", value_parser = parse_rate)]
    rate: Option<f64>,
    /// The tools to run, separated by commas; all that are installed when none is named.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tools: Vec<String>,
    /// Measure Cutover with these options of `cutover deploy` too, as another contender; may be given several times.
    #[arg(long = "variant", value_name = "OPTIONS", allow_hyphen_values = true)]
    variants: Vec<String>,
    /// Measure also, as another contender, the second deploy ever to a server, which has given up no release yet.
    #[arg(long)]
    fresh: bool,
    /// Where trees are unpacked and everything is deployed to; the filesystem that is measured. [default: bench/work]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Timed runs of each contender, after one that is not timed. [default: 5; 2 in `growth` and `share`]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: Option<u32>,
    /// The most files of a tree in `growth` and `share`. A million take an hour, 20 GB of disk and 3 million inodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..))]
    files_max: u64,
    /// The program to measure. [default: `cutover` beside this program]
    #[arg(long, value_name = "PATH")]
    cutover: Option<PathBuf>,
    /// The name of the run's files. [default: the date and time]
    #[arg(long)]
    name: Option<String>,
    /// Where the run's files go. [default: bench/runs]
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

/// The options of `run`, resolved.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The scenarios, in the order that they are run.
    pub(crate) scenarios: Vec<Scenario>,
    /// The tools to run; all when there are none.
    pub(crate) tools: Vec<String>,
    /// What of Cutover is measured too.
    pub(crate) variants: Vec<Cutover>,
    /// The versions.
    pub(crate) trees: Trees,
    /// Where everything happens.
    pub(crate) work: PathBuf,
    /// A server of the user's.
    pub(crate) target: Option<String>,
    /// What the line is made like, if like anything.
    pub(crate) shape: Option<Shape>,
    /// Timed runs of each contender.
    pub(crate) repeats: u32,
    /// The same where trees are large and many.
    pub(crate) growth_repeats: u32,
    /// The most files of a tree that grows.
    pub(crate) files_max: u64,
    /// The program to measure.
    pub(crate) cutover: PathBuf,
    /// The run's name.
    pub(crate) name: String,
    /// Where its files go.
    pub(crate) runs: PathBuf,
}

impl Settings {
    /// Tells whether a tool is to be run.
    pub(crate) fn wants(&self, tool: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|name| name == tool)
    }
}

impl RunArgs {
    /// Finds what was not named, and fetches the default trees.
    pub(crate) fn resolve(self) -> Result<Settings> {
        let executable = std::env::current_exe().context(|| "Could not find this program's path")?;
        let cutover = self.cutover.unwrap_or_else(|| executable.with_file_name("cutover"));
        let cutover = cutover
            .canonicalize()
            .context(|| format!("There is no program `{}`; run `cargo build --release` first", cutover.display()))?;
        let work = own_directory(self.work, &executable, "work")?;
        let runs = own_directory(self.runs, &executable, "runs")?;
        if work.to_string_lossy().contains(char::is_whitespace) {
            return Err(Failure::new(format!(
                "`{}` contains a space, which rsync's `-e` cannot carry; name another with `--work`",
                work.display()
            )));
        }
        let tools = tool::all(&[]);
        if let Some(unknown) = self.tools.iter().find(|name| tools.iter().all(|tool| tool.name() != **name)) {
            let mut names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
            names.dedup();
            return Err(Failure::new(format!("There is no tool `{unknown}`; there are {}", names.join(", "))));
        }
        let trees = match (self.tree_a, self.tree_b) {
            (Some(a), Some(b)) => {
                let c = self.tree_c.as_deref().map(Tree::open).transpose()?;
                Trees { a: Tree::open(&a)?, b: Tree::open(&b)?, c }
            }
            _ => Trees::fetch(&work)?,
        };
        let shape = (self.rtt.is_some() || self.rate.is_some())
            .then(|| Shape { rtt_ms: self.rtt.unwrap_or(0.0), rate_mbit: self.rate });
        let fresh = self.fresh.then_some(Cutover::FRESH);
        let variants = fresh.into_iter().chain(self.variants.iter().map(|options| Cutover::with(options)));
        let name = match self.name {
            Some(name) => name,
            None => Invocation::new("date").args(["-u", "+%Y%m%d-%H%M%S"]).text()?,
        };
        Ok(Settings {
            scenarios: if self.scenarios.is_empty() { Scenario::ALL.to_vec() } else { self.scenarios },
            tools: self.tools,
            variants: variants.collect(),
            trees,
            work,
            target: self.target,
            shape,
            repeats: self.repeats.unwrap_or(REPEATS),
            growth_repeats: self.repeats.unwrap_or(GROWTH_REPEATS),
            files_max: self.files_max,
            cutover,
            name,
            runs,
        })
    }
}

fn parse_rtt(text: &str) -> std::result::Result<f64, String> {
    in_range(text, 0.0, 10_000.0)
}

fn parse_rate(text: &str) -> std::result::Result<f64, String> {
    in_range(text, 0.01, 100_000.0)
}

fn in_range(text: &str, least: f64, most: f64) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("not a number from {least} to {most}"))
}

/// Returns the named directory, or the bench's own in the workspace that this program was built from; makes it.
fn own_directory(named: Option<PathBuf>, executable: &Path, default: &str) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path,
        None => workspace(executable)?.join("bench").join(default),
    };
    std::fs::create_dir_all(&path).context(|| format!("Could not create `{}`", path.display()))?;
    path.canonicalize().context(|| format!("Could not resolve `{}`", path.display()))
}

fn workspace(executable: &Path) -> Result<&Path> {
    let found = executable.ancestors().find(|path| path.join("bench/Cargo.toml").is_file());
    found.ok_or_else(|| {
        Failure::new(format!(
            "`{}` does not lie in the workspace; name directories with `--work` and `--runs`",
            executable.display()
        ))
    })
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
}
