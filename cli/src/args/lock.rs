//! The arguments about the lock: the verbs `lock` and `unlock`, and the flags of the verbs that take it.

use std::time::Duration;

use clap::Subcommand;
use engine::LockRequest;
use engine::manual_lock::LockMessage;

use crate::duration;

use super::place::PlaceArgs;

/// The time that `--lock-wait` waits without a value.
const USUAL_WAIT: &str = "15m";

/// The flags of every verb that takes the lock.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TakeLockArgs {
    /// Wait for another deploy, at most this long [default without a value: 15m]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration::parse,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = USUAL_WAIT
    )]
    pub(crate) lock_wait: Option<Duration>,
}

impl TakeLockArgs {
    /// Returns the wishes of the user.
    pub(crate) fn request(&self) -> LockRequest {
        LockRequest { wait: self.lock_wait, ..LockRequest::default() }
    }
}

/// `lock`
#[derive(Debug, clap::Args)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) verb: LockVerb,
}

/// The verbs of `lock`.
#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) enum LockVerb {
    /// Keep deploys out until `cutover unlock`
    ///
    /// It waits for no deploy: if one is at work, it is refused, unless `--lock-wait` is given.
    #[command(after_long_help = "\
Example:
  cutover lock acquire production -m \"freeze until Monday\"")]
    Acquire(AcquireArgs),
    /// Show who is at work, and who keeps deploys out
    Status(PlaceArgs),
    /// Let deploys in again, whoever keeps them out
    Release(UnlockArgs),
}

/// `lock acquire`
#[derive(Debug, clap::Args)]
pub(crate) struct AcquireArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The reason, which others are told
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) message: LockMessage,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}

/// `unlock`
#[derive(Debug, clap::Args)]
pub(crate) struct UnlockArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}

impl LockArgs {
    /// Returns the place.
    pub(crate) fn place(&self) -> &PlaceArgs {
        match &self.verb {
            LockVerb::Acquire(AcquireArgs { place, .. })
            | LockVerb::Status(place)
            | LockVerb::Release(UnlockArgs { place, .. }) => place,
        }
    }
}
