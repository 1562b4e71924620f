//! The verbs that are runs: each has a log on this machine, and the webhook is told of some.

/// The verb of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunVerb {
    Deploy,
    Switch,
    Rollback,
    Cleanup,
    HooksRun,
    Adopt,
    AdoptUndo,
}

impl RunVerb {
    /// Returns its words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RunVerb::Deploy => "deploy",
            RunVerb::Switch => "switch",
            RunVerb::Rollback => "rollback",
            RunVerb::Cleanup => "cleanup",
            RunVerb::HooksRun => "hooks run",
            RunVerb::Adopt => "adopt",
            RunVerb::AdoptUndo => "adopt --undo",
        }
    }

    /// Returns whether the webhook is told of it.
    pub(crate) fn is_told(self) -> bool {
        matches!(self, RunVerb::Deploy | RunVerb::Switch | RunVerb::Rollback)
    }
}
