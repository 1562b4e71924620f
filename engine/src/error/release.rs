//! Refusals about releases. The user names another release, or waits for another run.

use std::time::Duration;

use crate::pin::Day;
use crate::release::ReleaseId;
use crate::rollback::ReleaseName;
use crate::units::Span;

use super::hint::ReleaseHint;
use super::id::ErrorId;
use super::kind::Kind;

/// A release cannot be made, switched to or reused now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A release or a directory of that name exists.
    #[error("There is a release {0} already")]
    Exists(ReleaseId),
    /// No such release exists.
    #[error("There is no release {0}")]
    Unknown(ReleaseId),
    /// No run has that number.
    #[error("Run {0} has no journal")]
    UnknownRun(u64),
    /// No run has a journal yet.
    #[error("No run has a journal yet")]
    NoRuns,
    /// No earlier release exists to go back to.
    #[error("No release was live before, so there is nothing to roll back to")]
    NothingToRollBack {
        /// The release that the last rollback left.
        left: Option<ReleaseId>,
    },
    /// The release to roll back to is live, or was never live.
    #[error("A rollback cannot go to release {id}: it {reason}")]
    NotARollback {
        /// The release.
        id: ReleaseId,
        /// `is live already`, `was never live`.
        reason: &'static str,
    },
    /// No release is left of a commit.
    #[error("No release was made from commit `{0}`")]
    UnknownCommit(ReleaseName),
    /// A removed release cannot be made again.
    #[error("Release {id} was removed, and {lacking} of its {files} files are no longer on the server")]
    ContentGone {
        /// The release.
        id: ReleaseId,
        /// The files whose content is missing or was changed.
        lacking: usize,
        /// All its files.
        files: usize,
        /// The commit that has its source.
        commit: Option<String>,
    },
    /// Several commits begin like this.
    #[error("`{name}` is the beginning of {count} commits of releases")]
    AmbiguousCommit {
        /// The beginning.
        name: ReleaseName,
        /// The number of commits.
        count: usize,
    },
    /// Fewer good releases were live before.
    #[error("Only {good} good {} live before this one, not {wanted}", if *.good == 1 { "release was" } else { "releases were" })]
    TooFarBack {
        /// The releases that can be gone back to.
        good: usize,
        /// The releases to go back by.
        wanted: u32,
    },
    /// All earlier releases are marked bad.
    #[error("Each release that was live before this one is marked bad")]
    AllBad,
    /// No rollback to the live release left another one.
    #[error("No rollback led to the live release, so there is nothing to return to")]
    NothingToReturnTo,
    /// A rollback would leave releases whose migrations it does not undo.
    #[error("A rollback to release {to} does not undo migrations that ran since: {ran}")]
    MigrationsRan {
        /// The goal.
        to: ReleaseId,
        /// The migrations, each with its release.
        ran: String,
    },
    /// The last day of a pin is over.
    #[error("A pin until {until} would be over already: on the server it is {today}")]
    PinIsOver {
        /// The last day.
        until: Day,
        /// The day on the server.
        today: Day,
    },
    /// A spare cannot be turned into a new release.
    #[error("Release {id} cannot be reused: {reason}")]
    NotReused {
        /// The spare.
        id: ReleaseId,
        /// The reason.
        reason: String,
    },
    /// Another run holds the lock.
    #[error("Another run is at work: {holder}")]
    Locked {
        /// Its user, host, start and verb.
        holder: String,
    },
    /// Another run still holds the lock after the time that this one was to wait.
    #[error("Another run is still at work after {}: {holder}", Span(*waited))]
    StillLocked {
        /// Its user, host, start and verb.
        holder: String,
        /// The time.
        waited: Duration,
    },
    /// This run was started by a hook of the run that holds the lock.
    #[error("This command runs inside the hook `{hook}`, whose run has the lock")]
    InsideHook {
        /// The hook.
        hook: String,
    },
    /// A hook lives on whose run was killed.
    #[error("The hook `{hook}` still runs (process {pid}), although its run was ended: {holder}")]
    HookRuns {
        /// The hook.
        hook: String,
        /// Its process, which leads a group.
        pid: u32,
        /// The user, host, start and verb of its run.
        holder: String,
    },
    /// The holder of the lock shows no sign of life, and cannot be ended.
    #[error("Another run has the lock and has been silent for {}: {holder}. It could not be ended: {reason}", Span(*silence))]
    Stuck {
        /// Its user, host, start and verb.
        holder: String,
        /// The time since its last sign of life.
        silence: Duration,
        /// The reason why it could not be ended.
        reason: String,
        /// The directory that it has locked.
        path: String,
    },
    /// The holder of the lock cannot be interrupted.
    #[error("Could not interrupt the run of {holder}: {reason}")]
    NotInterrupted {
        /// Its user, host, start and verb.
        holder: String,
        /// The reason.
        reason: String,
    },
    /// Another run interrupted this one.
    #[error("{by} interrupted this {interrupted} with a {verb}")]
    InterruptedBy {
        /// The verb of this run.
        interrupted: String,
        /// The user and host of that run.
        by: String,
        /// Its verb.
        verb: String,
    },
    /// A person has locked the deploy path.
    #[error("The deploy path is locked by {held}")]
    LockedManually {
        /// The user, host, time and message.
        held: String,
    },
    /// Somebody removed the lock while this run held it.
    #[error("The lock `{0}` was removed or replaced while this run held it: another run may be at work")]
    LockLost(String),
}

impl ReleaseError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            ReleaseError::Exists(_) => ErrorId::ReleaseExists,
            ReleaseError::Unknown(_) => ErrorId::ReleaseUnknown,
            ReleaseError::UnknownRun(_) | ReleaseError::NoRuns => ErrorId::RunUnknown,
            ReleaseError::NothingToRollBack { .. }
            | ReleaseError::TooFarBack { .. }
            | ReleaseError::NothingToReturnTo => ErrorId::NothingToRollBack,
            ReleaseError::NotARollback { .. } => ErrorId::NotARollback,
            ReleaseError::UnknownCommit(_) | ReleaseError::AmbiguousCommit { .. } => ErrorId::CommitOfNoRelease,
            ReleaseError::ContentGone { .. } => ErrorId::ContentGone,
            ReleaseError::AllBad => ErrorId::AllReleasesBad,
            ReleaseError::MigrationsRan { .. } => ErrorId::MigrationsRan,
            ReleaseError::PinIsOver { .. } => ErrorId::PinIsOver,
            ReleaseError::NotReused { .. } => ErrorId::ReleaseNotReused,
            ReleaseError::Locked { .. } | ReleaseError::StillLocked { .. } => ErrorId::AnotherRun,
            ReleaseError::InsideHook { .. } => ErrorId::InsideAHook,
            ReleaseError::HookRuns { .. } => ErrorId::HookStillRuns,
            ReleaseError::Stuck { .. } => ErrorId::LockStuck,
            ReleaseError::NotInterrupted { .. } => ErrorId::NotInterrupted,
            ReleaseError::InterruptedBy { .. } => ErrorId::InterruptedByAnother,
            ReleaseError::LockedManually { .. } => ErrorId::DeploysLocked,
            ReleaseError::LockLost(_) => ErrorId::LockLost,
        }
    }

    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            ReleaseError::Locked { .. }
            | ReleaseError::StillLocked { .. }
            | ReleaseError::InsideHook { .. }
            | ReleaseError::HookRuns { .. }
            | ReleaseError::Stuck { .. }
            | ReleaseError::NotInterrupted { .. }
            | ReleaseError::InterruptedBy { .. }
            | ReleaseError::LockedManually { .. }
            | ReleaseError::LockLost(_) => Kind::Locked,
            ReleaseError::Exists(_)
            | ReleaseError::UnknownRun(_)
            | ReleaseError::NoRuns
            | ReleaseError::Unknown(_)
            | ReleaseError::NothingToRollBack { .. }
            | ReleaseError::UnknownCommit(_)
            | ReleaseError::ContentGone { .. }
            | ReleaseError::AmbiguousCommit { .. }
            | ReleaseError::TooFarBack { .. }
            | ReleaseError::AllBad
            | ReleaseError::NothingToReturnTo
            | ReleaseError::MigrationsRan { .. }
            | ReleaseError::PinIsOver { .. }
            | ReleaseError::NotARollback { .. }
            | ReleaseError::NotReused { .. } => Kind::Refused,
        }
    }

    /// Returns the next step, if there is one.
    pub(super) fn hint(&self) -> Option<ReleaseHint> {
        match self {
            ReleaseError::Exists(_) => Some(ReleaseHint::ChooseName),
            ReleaseError::Unknown(_)
            | ReleaseError::UnknownCommit(_)
            | ReleaseError::TooFarBack { .. }
            | ReleaseError::NotARollback { .. } => Some(ReleaseHint::SeeReleases),
            ReleaseError::ContentGone { commit, .. } => Some(ReleaseHint::DeployCommit { commit: commit.clone() }),
            ReleaseError::AmbiguousCommit { .. } => Some(ReleaseHint::NameMoreDigits),
            ReleaseError::NothingToRollBack { left: Some(left) } => Some(ReleaseHint::Return { left: left.clone() }),
            ReleaseError::NothingToRollBack { left: None } | ReleaseError::NothingToReturnTo => {
                Some(ReleaseHint::SwitchToAny)
            }
            ReleaseError::AllBad => Some(ReleaseHint::NameBad),
            ReleaseError::MigrationsRan { .. } => Some(ReleaseHint::AcceptMigrations),
            ReleaseError::PinIsOver { .. } => Some(ReleaseHint::NameLaterDay),
            ReleaseError::UnknownRun(_) => Some(ReleaseHint::SeeRuns),
            ReleaseError::NoRuns => Some(ReleaseHint::DeployFirst),
            ReleaseError::NotReused { .. } => None,
            ReleaseError::Locked { .. } | ReleaseError::NotInterrupted { .. } => Some(ReleaseHint::Wait),
            ReleaseError::StillLocked { .. } => Some(ReleaseHint::WaitLonger),
            ReleaseError::InsideHook { .. } => Some(ReleaseHint::LeaveHook),
            ReleaseError::HookRuns { pid, .. } => Some(ReleaseHint::WaitForHook { pid: *pid }),
            ReleaseError::Stuck { path, .. } => Some(ReleaseHint::SeeHolder { path: path.clone() }),
            ReleaseError::InterruptedBy { .. } => Some(ReleaseHint::DeployAgain),
            ReleaseError::LockedManually { .. } => Some(ReleaseHint::Unlock),
            ReleaseError::LockLost(_) => Some(ReleaseHint::SeeStatus),
        }
    }
}
