//! The arguments of `adopt`.

use std::path::PathBuf;

use engine::path::RelativePath;

use super::{PlaceArgs, TakeLockArgs};

/// `adopt`
#[derive(Debug, clap::Args)]
pub(crate) struct AdoptArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The deploy path that the site gets [default: `deploy_path` of a stage with `current_path`, else `.NAME.cutover`
    /// beside the site]
    #[arg(long, value_name = "PATH")]
    pub(crate) deploy_path: Option<PathBuf>,
    /// The source to compare the site with [default: `source` of the config, then the config's or the working directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// Share this path of the site too
    #[arg(long, value_name = "PATH", value_parser = relative)]
    pub(crate) share: Vec<RelativePath>,
    /// Leave this path in the release, though its name looks like uploads, configuration, logs or caches
    #[arg(long, value_name = "PATH", value_parser = relative)]
    pub(crate) keep: Vec<RelativePath>,
    /// Link the files into the store and do not copy them, where there is no space for copies: they become read-only
    #[arg(long)]
    pub(crate) link: bool,
    /// Change nothing; show what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Give the site back: restore the directory, or the deploy path of the other tool, as it was
    #[arg(long, conflicts_with_all = ["source", "share", "keep", "link"])]
    pub(crate) undo: bool,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}

fn relative(text: &str) -> Result<RelativePath, String> {
    RelativePath::parse(text.as_bytes()).map_err(|reason| format!("{reason}: write it as it stands in the site"))
}
