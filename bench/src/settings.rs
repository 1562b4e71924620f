//! The options of `run`, resolved: below this nothing is optional any more.

use std::path::{Path, PathBuf};

use crate::args::{PlaceArgs, RunArgs, TreeArgs};
use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;
use crate::line::shape::Shape;
use crate::scenario::Scenario;
use crate::source::tree::{Tree, Trees};

/// Timed runs where none are named.
const REPEATS: u32 = 5;
const GROWTH_REPEATS: u32 = 2;

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The scenarios, in the order that they are run.
    pub(crate) scenarios: Vec<Scenario>,
    /// The versions.
    pub(crate) trees: Trees,
    /// The line; none for the loopback.
    pub(crate) shape: Option<Shape>,
    /// Options of `cutover deploy` that are measured too.
    pub(crate) variants: Vec<String>,
    /// How much is done.
    pub(crate) effort: Effort,
    /// The files and directories.
    pub(crate) place: Directories,
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Timed runs of each contender.
    pub(crate) repeats: u32,
    /// The same where trees are large and many.
    pub(crate) growth_repeats: u32,
    /// The most files of a tree that grows.
    pub(crate) files_max: u64,
}

/// The files and directories of the bench.
#[derive(Debug)]
pub(crate) struct Directories {
    /// Where everything happens.
    pub(crate) work: PathBuf,
    /// Where the run is kept.
    pub(crate) runs: PathBuf,
    /// The run's name.
    pub(crate) name: String,
    /// The program to measure.
    pub(crate) cutover: PathBuf,
}

impl Settings {
    /// Finds files and directories that were not named, and fetches the default trees.
    pub(crate) fn resolve(arguments: RunArgs) -> Result<Settings> {
        let place = Directories::resolve(arguments.place)?;
        Ok(Settings {
            scenarios: if arguments.scenarios.is_empty() { Scenario::all() } else { arguments.scenarios },
            trees: trees(&arguments.trees, &place.work)?,
            shape: arguments.line.shape(),
            variants: arguments.variants,
            effort: Effort {
                repeats: arguments.repeats.unwrap_or(REPEATS),
                growth_repeats: arguments.repeats.unwrap_or(GROWTH_REPEATS),
                files_max: arguments.files_max,
            },
            place,
        })
    }
}

impl Directories {
    fn resolve(named: PlaceArgs) -> Result<Directories> {
        let executable = std::env::current_exe().context(|| "Could not find this program's path")?;
        let cutover = named.cutover.unwrap_or_else(|| executable.with_file_name("cutover"));
        let cutover = cutover
            .canonicalize()
            .context(|| format!("There is no program `{}`; run `cargo build --release` first", cutover.display()))?;
        let work = own_directory(named.work, &executable, "work")?;
        if work.to_string_lossy().contains(char::is_whitespace) {
            return Err(Failure::new(format!(
                "`{}` contains a space, which rsync's `-e` cannot carry; name another with `--work`",
                work.display()
            )));
        }
        let runs = own_directory(named.runs, &executable, "runs")?;
        let now = || Invocation::new("date").args(["-u", "+%Y%m%d-%H%M%S"]).text();
        Ok(Directories { work, runs, name: named.name.map_or_else(now, Ok)?, cutover })
    }
}

fn trees(named: &TreeArgs, work: &Path) -> Result<Trees> {
    let (Some(a), Some(b)) = (&named.tree_a, &named.tree_b) else { return Trees::fetch(work) };
    let c = named.tree_c.as_deref().map(Tree::open).transpose()?;
    Ok(Trees { a: Tree::open(a)?, b: Tree::open(b)?, c })
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
