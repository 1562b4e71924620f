//! The place to work at, from the words and flags of a verb. `settings` resolves it.

use std::ffi::OsString;

/// The place: the named stage, or the only one. A target replaces the stage's destination and keeps its other keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The stage, if one is named.
    pub(crate) stage: Option<String>,
    /// The target, if one is named.
    pub(crate) target: Option<OsString>,
}
