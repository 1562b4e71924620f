//! The flags of the verbs about the deploy path as a whole: `setup`, `releases`, `status`, `du`, `cleanup`.

use std::time::Duration;

use super::{PlaceArgs, TakeLockArgs};
use crate::duration;

/// `setup`
#[derive(Debug, clap::Args)]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `releases`
#[derive(Debug, clap::Args)]
pub(crate) struct ReleasesArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// List removed releases too that a rollback may make again
    #[arg(long)]
    pub(crate) all: bool,
}

/// `status`
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Compare the releases with what was deployed; exit code 4 if one differs
    #[arg(long)]
    pub(crate) check: bool,
    /// The same, and read all files
    #[arg(long)]
    pub(crate) content: bool,
}

/// `du`
#[derive(Debug, clap::Args)]
pub(crate) struct DuArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `cleanup`
#[derive(Debug, clap::Args)]
pub(crate) struct CleanupArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Change nothing; show what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep a release this long after it was last live [default: `grace` of the config, then 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
    /// Remove the adopted directory too; `adopt --undo` cannot go back any more
    #[arg(long)]
    pub(crate) original: bool,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}
