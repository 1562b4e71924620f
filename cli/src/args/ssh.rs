//! The arguments of `ssh`.

use std::ffi::OsString;

use super::place::PlaceArgs;

/// `ssh`
#[derive(Debug, clap::Args)]
pub(crate) struct SshArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Words for `ssh`
    #[arg(last = true, value_name = "WORDS")]
    pub(crate) words: Vec<OsString>,
}
