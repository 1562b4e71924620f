//! The arguments of the verbs that name a release: `switch`, `rollback`, `pin`, `unpin` and `diff`.

use engine::pin::Day;

use super::lock::TakeLockArgs;
use super::place::TargetArg;
use crate::words;

/// A release and a stage
#[derive(Debug, clap::Args)]
pub(crate) struct ReleaseArgs {
    /// The release
    #[arg(value_name = "ID")]
    first: String,
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    second: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
}

/// `switch`
#[derive(Debug, clap::Args)]
pub(crate) struct SwitchArgs {
    #[command(flatten)]
    pub(crate) release: ReleaseArgs,
    /// Switch to the release even if it was changed on the server
    #[arg(long)]
    pub(crate) force: bool,
    /// Run no hooks
    #[arg(long)]
    pub(crate) skip_hooks: bool,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}

/// `rollback`
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The release to go back to [default: the one that was live before]
    #[arg(value_name = "ID")]
    first: Option<String>,
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    second: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
    /// The release, by its name or its commit, or -N for the Nth good release back
    #[arg(long, value_name = "ID|COMMIT|-N", allow_hyphen_values = true, conflicts_with = "forward")]
    pub(crate) to: Option<String>,
    /// Return to the release that the last rollback left
    #[arg(long)]
    pub(crate) forward: bool,
    /// Why the release that is left is bad [default: that it was rolled back]
    #[arg(long, value_name = "TEXT", value_parser = words::note, conflicts_with = "forward")]
    pub(crate) reason: Option<String>,
    /// Go back to the release even if it was changed on the server
    #[arg(long)]
    pub(crate) force: bool,
    /// Run no hooks
    #[arg(long)]
    pub(crate) skip_hooks: bool,
    /// End another deploy, unless it has begun to switch or runs a hook
    #[arg(long)]
    pub(crate) interrupt: bool,
    /// Go back although somebody keeps deploys out with `cutover lock acquire`
    #[arg(long)]
    pub(crate) pass_lock: bool,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}

/// `pin`
#[derive(Debug, clap::Args)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    pub(crate) release: ReleaseArgs,
    /// The last day of the pin, in UTC [default: no end]
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<Day>,
    /// Why it is pinned
    #[arg(long, value_name = "TEXT", value_parser = words::note)]
    pub(crate) note: Option<String>,
}

impl ReleaseArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [Some(&self.first), self.second.as_ref()].into_iter().flatten().map(String::as_str).collect()
    }
}

impl RollbackArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [&self.first, &self.second].into_iter().flatten().map(String::as_str).collect()
    }
}

/// `diff`
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    first: Option<String>,
    /// The side to compare: a release, `live` or `source`
    #[arg(value_name = "A")]
    second: Option<String>,
    /// The side to compare it with: a release, `live` or `source`
    #[arg(value_name = "B")]
    third: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
    /// Compare the files of one release on the server with its manifest; exit code 4 if they differ
    #[arg(long)]
    pub(crate) on_disk: bool,
    /// With `--on-disk`, read all files
    #[arg(long, requires = "on_disk")]
    pub(crate) content: bool,
}

impl DiffArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [&self.first, &self.second, &self.third].into_iter().flatten().map(String::as_str).collect()
    }
}
