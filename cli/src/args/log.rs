//! The arguments of `log`.

use super::place::TargetArg;

/// `log`
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The number of a run [default: list all]
    #[arg(value_name = "RUN")]
    first: Option<String>,
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    second: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
    /// Show the named run, or the newest one, until it has ended
    #[arg(long)]
    pub(crate) follow: bool,
}

impl LogArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [&self.first, &self.second].into_iter().flatten().map(String::as_str).collect()
    }
}
