//! A place to work at, as the words and flags of a verb name it. `settings` resolves it.

use std::ffi::OsString;

/// The place: the stage that is named, or the only one; a target replaces the destination and keeps the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The stage, where one is named.
    pub(crate) stage: Option<String>,
    /// The target, where one is given.
    pub(crate) target: Option<OsString>,
}
