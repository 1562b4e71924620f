//! Reports of a run: the one way from a step to the user.
//!
//! A conversation sends them to the client. A report that cannot be sent stops nothing, with one exception: a switch
//! does not begin if the client has gone, as nobody would learn of it. After the switch all steps run to their end,
//! with or without a client.

use crate::error::Error;
use crate::event::Phase;
use crate::news::News;
use crate::release::ReleaseId;

/// A receiver of reports.
pub(crate) trait Reporter: Sync {
    /// Reports news.
    fn tell(&self, news: News);

    /// Reports how many files of a phase are done.
    fn progress(&self, phase: Phase, files: u64, files_total: u64);

    /// Reports that the switch to a release is about to begin. Fails if the client would not learn the result: a
    /// switch cannot be taken back.
    fn begin_switch(&self, to: &ReleaseId) -> Result<(), Error>;

    /// Reports that a phase began.
    fn began(&self, phase: Phase) {
        self.tell(News::Began(phase));
    }

    /// Reports that a phase ended.
    fn ended(&self, phase: Phase) {
        self.tell(News::Ended(phase));
    }

    /// Reports something that the user should know and that stops nothing.
    fn warn(&self, warning: String) {
        self.tell(News::Warning(warning));
    }

    /// Reports that a release is live.
    fn live(&self, release: &ReleaseId) {
        self.tell(News::Live(release.clone()));
    }

    /// Reports that a release was removed.
    fn removed(&self, release: &ReleaseId) {
        self.tell(News::Removed(release.clone()));
    }
}

/// A reporter for tests that drops everything.
#[cfg(test)]
pub(crate) struct Silent;

#[cfg(test)]
impl Reporter for Silent {
    fn tell(&self, _: News) {}
    fn progress(&self, _: Phase, _: u64, _: u64) {}
    fn begin_switch(&self, _: &ReleaseId) -> Result<(), Error> {
        Ok(())
    }
}
