//! The arguments of `agent`.

use std::path::PathBuf;

/// `agent`
#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    /// Run as a lane of a running agent
    #[arg(long, conflicts_with = "from")]
    pub(crate) lane: bool,
    /// Run as the runner of a running agent
    #[arg(long, conflicts_with_all = ["from", "lane"])]
    pub(crate) runner: bool,
    /// The directory where relative paths begin
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
}
