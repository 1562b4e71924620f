//! Failures of hooks. The user mends the command.

use crate::command::CommandEnd;
use crate::hook::HookPhase;
use crate::release::ReleaseId;

use super::fpm::FpmFault;
use super::hint::HookHint;
use super::id::ErrorId;

/// A hook failed, or nobody confirmed the release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// A hook failed.
    #[error("The hook `{name}` ({}) failed: {end}", phase.name())]
    Failed {
        /// The hook.
        name: String,
        /// Its phase.
        phase: HookPhase,
        /// The way in which its command ended.
        end: CommandEnd,
        /// Whether its release is good and stays live: then the hook can be run alone.
        stays_live: bool,
    },
    /// The command of a hook could not be run.
    #[error("The hook `{name}` ({}) could not be run", phase.name())]
    NotRun {
        /// The hook.
        name: String,
        /// Its phase.
        phase: HookPhase,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether its release is good and stays live: then the hook can be run alone.
        stays_live: bool,
    },
    /// A hook could not reset OPcache.
    #[error("The hook `{name}` ({}) did not reset OPcache of `{address}`: {fault}", phase.name())]
    NotReset {
        /// The hook.
        name: String,
        /// Its phase.
        phase: HookPhase,
        /// The address of PHP-FPM.
        address: String,
        /// The reason.
        fault: FpmFault,
        /// Whether its release is good and stays live: then the hook can be run alone.
        stays_live: bool,
    },
    /// A hook removed the directory of its release.
    #[error("The hook `{name}` ({}) removed the directory of release {release}", phase.name())]
    RemovedRelease {
        /// The hook.
        name: String,
        /// Its phase.
        phase: HookPhase,
        /// The release.
        release: ReleaseId,
    },
    /// The client did not confirm the release in time.
    #[error("The release was not confirmed within {seconds} s")]
    NotConfirmed {
        /// The time for it, in seconds.
        seconds: u64,
    },
    /// The runner ended before its work was done.
    #[error("The process that ran the hooks on the server ended before they were done")]
    RunnerEnded {
        /// Whether the release is good and stays live: then the rest of the hooks can be run alone.
        stays_live: bool,
    },
}

impl HookError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            HookError::Failed { .. } => ErrorId::HookFailed,
            HookError::NotRun { .. } => ErrorId::HookNotRun,
            HookError::NotReset { .. } => ErrorId::OpcacheNotReset,
            HookError::RemovedRelease { .. } => ErrorId::HookRemovedRelease,
            HookError::NotConfirmed { .. } => ErrorId::NotConfirmed,
            HookError::RunnerEnded { .. } => ErrorId::RunnerEnded,
        }
    }

    /// Returns the next step.
    pub(super) fn hint(&self) -> HookHint {
        match self {
            HookError::Failed { name, phase, stays_live, .. } if *stays_live || is_at_end(*phase) => {
                HookHint::RunHook { name: name.clone() }
            }
            HookError::NotRun { name, phase, stays_live, .. } if *stays_live || is_at_end(*phase) => {
                HookHint::RunWithKeys { name: name.clone() }
            }
            HookError::NotReset { name, phase, fault, stays_live, .. } => HookHint::MendFpm {
                remedy: fault.remedy(),
                alone: (*stays_live || is_at_end(*phase)).then(|| name.clone()),
            },
            HookError::Failed { .. } => HookHint::SeeOutput,
            HookError::NotRun { .. } => HookHint::MendKeys,
            HookError::RemovedRelease { .. } => HookHint::KeepRelease,
            HookError::NotConfirmed { .. } => HookHint::AllowMoreTime,
            HookError::RunnerEnded { stays_live: true } => HookHint::RunRest,
            HookError::RunnerEnded { .. } => HookHint::SeeJournal,
        }
    }
}

/// Tells whether the release stays live if a hook of this phase fails.
fn is_at_end(phase: HookPhase) -> bool {
    matches!(phase, HookPhase::AfterDeploy | HookPhase::AfterRollback)
}
