//! The verb `hooks`.

use clap::Subcommand;

use super::place::PlaceArgs;

/// `hooks`
#[derive(Debug, clap::Args)]
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
}
