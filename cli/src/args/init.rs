//! The arguments of `init`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;

use super::place::TargetArg;
use crate::init::{Origin, preset_names};
use crate::words;

/// `init`
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) target: TargetArg,
    /// What is usual for a framework [default: found from the files here]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(preset_names()))]
    pub(crate) preset: Option<String>,
    /// The name of the stage [default: production]
    #[arg(long, value_name = "NAME", value_parser = stage)]
    pub(crate) stage: Option<String>,
    /// Translate the configuration of another tool
    #[arg(long, value_name = "TOOL", value_enum)]
    pub(crate) from: Option<Origin>,
    /// A file of that tool; repeatable [default: the usual places of the tool]
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(crate) file: Vec<PathBuf>,
    /// Write no file, and print the config
    #[arg(long)]
    pub(crate) print: bool,
}

fn stage(name: &str) -> Result<String, String> {
    words::check_stage(name).map(|()| name.to_owned()).map_err(str::to_owned)
}
