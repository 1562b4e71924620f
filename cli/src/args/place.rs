//! The place to work at: a stage, or a target.

use std::ffi::OsString;

use crate::failure::Failure;
use crate::place::Place;
use crate::words;

/// The place to work at.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PlaceArgs {
    /// A table in cutover.toml; optional if there is only one
    pub(crate) stage: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
}

/// The target from the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TargetArg {
    /// The server and path to deploy to; needs no config
    ///
    /// `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.
    #[arg(long, value_name = "DEST")]
    pub(crate) target: Option<OsString>,
}

impl PlaceArgs {
    /// Parses the stage.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        Ok(Place { stage: words::stage(self.stage.as_deref())?, target: self.target.target.clone() })
    }
}
