//! The words and flags of `shared`.

use std::ffi::OsString;

use clap::Subcommand;

use super::place::{PlaceArgs, TargetArg};

/// `shared`
#[derive(Debug, clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct SharedArgs {
    #[command(subcommand)]
    pub(crate) command: SharedCommand,
}

/// The verbs on files in `shared/`.
#[derive(Debug, Subcommand)]
pub(crate) enum SharedCommand {
    /// List the paths in `shared/`, and whether the live release has a link to them
    List(PlaceArgs),
    /// Write a local file to a path in `shared/`
    #[command(override_usage = "cutover shared push [OPTIONS] [STAGE] <FILE> <PATH>")]
    Push(SharedFileArgs),
    /// Fetch a file of `shared/` into a local file
    #[command(override_usage = "cutover shared pull [OPTIONS] [STAGE] <PATH> <FILE>")]
    Pull(SharedFileArgs),
    /// Edit a file of `shared/` with $VISUAL or $EDITOR
    #[command(override_usage = "cutover shared edit [OPTIONS] [STAGE] <PATH>")]
    Edit(SharedFileArgs),
}

impl SharedCommand {
    /// Returns the word of the stage, if there is one, and the target.
    pub(crate) fn stage(&self) -> (Option<&str>, &Option<OsString>) {
        let (args, others) = match self {
            SharedCommand::List(place) => return (place.stage.as_deref(), &place.target.target),
            SharedCommand::Push(args) | SharedCommand::Pull(args) => (args, 2),
            SharedCommand::Edit(args) => (args, 1),
        };
        (args.words.first().filter(|_| args.words.len() > others).map(String::as_str), &args.target.target)
    }
}

/// `shared push`, `shared pull`, `shared edit`
#[derive(Debug, clap::Args)]
pub(crate) struct SharedFileArgs {
    /// As in the usage: a table in cutover.toml (optional if there is only one), a local file (`-` is stdin or stdout),
    /// and a path in `shared/`
    #[arg(value_name = "WORD", required = true, num_args = 1..=3, allow_hyphen_values = false)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
}
