//! The target from the command line.

use std::ffi::OsString;

/// The target from the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TargetArg {
    /// The server and path to deploy to; needs no config
    ///
    /// `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.
    #[arg(long, value_name = "DEST")]
    pub(crate) target: Option<OsString>,
}
