//! What a run tells while it works: the one way from a step to the user.
//!
//! A conversation tells it to the client. Nothing that cannot be told stops a run, but for one thing: a switch does not begin
//! where nobody is there who could learn of it. Behind the switch everything is done to its end, whoever listens.

use crate::error::Error;
use crate::event::Phase;
use crate::release::ReleaseId;

/// Is told how a run goes.
pub(crate) trait Reporter: Sync {
    /// A phase began.
    fn began(&self, phase: Phase);

    /// A phase ended.
    fn ended(&self, phase: Phase);

    /// So many files of a phase are done.
    fn progress(&self, phase: Phase, files: u64, files_total: u64);

    /// Something that the user should know, and that stops nothing.
    fn warn(&self, warning: String);

    /// The lock of a run that died was taken over; `holder` says whose it was.
    fn lock_taken_over(&self, holder: String);

    /// The switch to a release is about to begin. Fails where nobody would hear what came of it: a switch cannot be taken
    /// back.
    fn begin_switch(&self, to: &ReleaseId) -> Result<(), Error>;

    /// A release is live.
    fn live(&self, release: &ReleaseId);

    /// A release was removed.
    fn removed(&self, release: &ReleaseId);
}

/// Tells nobody, in tests.
#[cfg(test)]
pub(crate) struct Silent;

#[cfg(test)]
impl Reporter for Silent {
    fn began(&self, _: Phase) {}
    fn ended(&self, _: Phase) {}
    fn progress(&self, _: Phase, _: u64, _: u64) {}
    fn warn(&self, _: String) {}
    fn lock_taken_over(&self, _: String) {}
    fn begin_switch(&self, _: &ReleaseId) -> Result<(), Error> {
        Ok(())
    }
    fn live(&self, _: &ReleaseId) {}
    fn removed(&self, _: &ReleaseId) {}
}
