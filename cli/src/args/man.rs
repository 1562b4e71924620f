//! The arguments of `man`.

use std::path::PathBuf;

/// `man`
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The directory of manual pages, such as `~/.local/share/man`; it gets `man1/` and `man5/`
    pub(crate) directory: PathBuf,
}
