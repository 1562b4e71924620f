//! The arguments of `deploy`.

use std::path::PathBuf;
use std::time::Duration;

use engine::release::ReleaseId;

use super::{PlaceArgs, TakeLockArgs};
use crate::duration;
use crate::keys;

/// `deploy`
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The directory to deploy [default: `source` of the config, then the config's or the working directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// Deploy this commit of the source's git repository, and not the working directory [default: `ref` of the config]
    #[arg(long = "ref", value_name = "REF", value_parser = keys::git_ref)]
    pub(crate) git_ref: Option<String>,
    /// Name the release, such as `v1.2`; the name has a digit [default: the time in UTC]
    #[arg(long, value_name = "ID")]
    pub(crate) release: Option<ReleaseId>,
    /// Leave the release ready; `cutover switch` makes it live
    #[arg(long)]
    pub(crate) no_switch: bool,
    /// Make a release even if nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// Change nothing; show what a deploy would do
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// List every directory and hash every file, instead of relying on the last scan
    #[arg(long)]
    pub(crate) paranoid: bool,
    /// Run no hooks, neither here nor on the server
    #[arg(long)]
    pub(crate) skip_hooks: bool,
    /// Deploy even if the disk of the server seems to be too small
    #[arg(long)]
    pub(crate) no_space_check: bool,
    /// Keep a release this long after it was last live [default: `grace` of the config, then 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
    /// Pack at this level, from 1 to 19 [default: `zstd_level` of the config, then as high as the connection leaves
    /// time for]
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    pub(crate) zstd_level: Option<i32>,
    /// Send over this many connections, 1 to 5 [default: as many as make the upload faster]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=5))]
    pub(crate) lanes: Option<u32>,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}
