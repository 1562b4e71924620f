//! The arguments of the verbs about the configuration.

use clap::Subcommand;

use super::place::PlaceArgs;

/// `config`
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

/// The verbs of `config`.
#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) enum ConfigVerb {
    /// Show the settings of a stage as they count, and where each comes from
    ///
    /// A value is that of a flag, of the stage, of the top of the file, or the default, in this order. Asks no server.
    /// Secrets are not shown.
    #[command(after_long_help = "\
Examples:
  cutover config show production
  cutover config show production --resolved --json")]
    Show(ShowArgs),
    /// Print a JSON schema of cutover.toml
    ///
    /// For editors: they complete the keys and show mistakes while you type.
    #[command(after_long_help = "\
Example:
  cutover config schema > cutover.schema.json")]
    Schema,
}

/// `config show`
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Replace variables by their values, and make paths absolute
    #[arg(long)]
    pub(crate) resolved: bool,
}
