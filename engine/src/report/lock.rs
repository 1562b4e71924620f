//! The holders of the lock, and the results of the verbs about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manual_lock::ManualLock;
use crate::units::Time;

/// The holder of the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// The user that deploys.
    pub who: String,
    /// The host that the deploy runs on.
    pub from: String,
    /// The time since which the lock is held, in Unix seconds.
    pub since: u64,
    /// The agent's process on the server.
    pub pid: u32,
    /// The verb.
    pub verb: String,
    /// The commit of the source of a deploy.
    pub commit: Option<String>,
    /// The job of the CI that runs the verb: its address or its name.
    pub job: Option<String>,
    /// The hook that runs now.
    pub hook: Option<String>,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockHolder { who, from, since, pid, verb, commit, job, hook } = self;
        write!(f, "{who}@{from} since {}: {verb}", Time(*since))?;
        if let Some(commit) = commit {
            write!(f, " of {}", commit.get(..12).unwrap_or(commit))?;
        }
        write!(f, " (process {pid})")?;
        if let Some(hook) = hook {
            write!(f, ", in the hook `{hook}`")?;
        }
        job.as_ref().map_or(Ok(()), |job| write!(f, ", {job}"))
    }
}

/// The result of `lock status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The holder of the lock.
    pub lock: Option<LockHolder>,
    /// The manual lock.
    pub manual_lock: Option<ManualLock>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// The result of `lock acquire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquireReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The manual lock that was taken.
    pub manual_lock: ManualLock,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// The result of `unlock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlockReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The manual lock that was removed, if there was one.
    pub removed: Option<ManualLock>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}
