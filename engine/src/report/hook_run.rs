//! The result of `hooks run`.

use serde::{Deserialize, Serialize};

use crate::release::ReleaseId;

/// A hook that was run by hand, and succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRunReport {
    /// The hook.
    pub hook: String,
    /// The live release, in which it ran.
    pub release: ReleaseId,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}
