//! The verb `hooks`.

use clap::Subcommand;

use super::lock::TakeLockArgs;
use super::place::PlaceArgs;

/// `hooks`
#[derive(Debug, clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct HooksArgs {
    #[command(subcommand)]
    pub(crate) verb: HooksVerb,
}

/// The verbs of `hooks`.
#[derive(Debug, Subcommand)]
pub(crate) enum HooksVerb {
    /// List the hooks and checks in the order of a deploy
    ///
    /// Reads the configuration, and asks no server. It does not show values of `env`.
    #[command(after_long_help = "\
Example:
  cutover hooks list production")]
    List(PlaceArgs),
    /// Run one hook of the server by its name, in the live release
    ///
    /// It runs as in a deploy: with the same variables, under the lock, in a process that outlives the connection. Its
    /// conditions (`when`, `if_changed`) do not count.
    #[command(after_long_help = "\
Example:
  cutover hooks run restart production")]
    Run(RunHookArgs),
}

/// `hooks run`
#[derive(Debug, clap::Args)]
pub(crate) struct RunHookArgs {
    /// The hook
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}
