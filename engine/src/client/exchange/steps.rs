//! The order of the steps.
//!
//! ```text
//! announce   hello; with a flight behind it, if that is little and a base is known: tree, content, commit
//! tree       the manifest, as its difference from the base that the agent says it takes
//! lacks      the agent says which content it lacks
//! upload     that content
//! commit     all was sent
//! done       the agent has made the release, and switched to it unless it was asked not to
//! ```
//!
//! A needless step is left out: after a flight with the right base the agent only says that it is done. If content does
//! not arrive as it should, the agent lacks it again after the commit, and it is sent again.

use crossbeam_channel::unbounded;

use crate::error::Error;
use crate::report::DeployFailure;
use crate::threads;
use crate::wire::message::{DeployDone, FromAgent, Reply};

use super::answer::Answer;
use super::forecast::Forecast;
use super::host::Outcome;
use super::state::Exchange;

impl Exchange<'_> {
    /// Goes through all steps.
    fn converse(&mut self, forecast: Forecast) -> Result<DeployDone, DeployFailure> {
        let mut tree = self.announce(forecast)?;
        loop {
            match self.answer(&mut tree)? {
                Answer::TakesBase(base) => tree = self.send_tree(base.as_ref())?,
                Answer::StoresNothing => tree = self.send_all()?,
                Answer::WantsHashes => self.send_hashes(&tree)?,
                Answer::Lacks(lacks) => self.send_lacking(&lacks, &mut tree)?,
                Answer::Done(done) => return Ok(*done),
            }
        }
    }

    /// Exchanges the source. Meanwhile large files are cut, for their next versions.
    pub(crate) fn run(mut self, forecast: Forecast) -> Result<Outcome, DeployFailure> {
        let (source, over) = (self.source, &self.host.context.cancel.part());
        let (cutter, to_cut) = unbounded();
        self.cutter = Some(cutter);
        let (result, chunks);
        // Moved in, so that the end of the conversation, however it comes, ends the cutting.
        let cutting = move || source.cut_until(over, &to_cut);
        (chunks, (self, result)) = threads::beside(cutting, move || {
            let result = self.converse(forecast);
            // A file that was not cut by then costs a question next time. The deploy does not wait for it.
            over.cancel();
            self.cutter = None;
            (self, result)
        });
        source.keep();
        source.memory().keep_chunks(&chunks);
        let mut done = match result {
            Err(failure) if matches!(failure.error, Error::LineLost { .. }) => self.final_answer(failure)?,
            other => other.map_err(|failure| self.conversation.settle(failure))?,
        };
        if let Some(preview) = &mut done.preview {
            preview.send = std::mem::take(&mut self.to_send);
        }
        let holding_after = done.holding.take();
        let holding = holding_after.unwrap_or_else(|| self.holding.after(done.release.as_ref(), &done.removed));
        Ok(Outcome { done, holding, zstd_levels: self.zstd_levels })
    }

    /// Returns the agent's last answer. A write fails if the agent has answered and gone.
    fn final_answer(&mut self, failure: DeployFailure) -> Result<DeployDone, DeployFailure> {
        let mut answer = self.conversation.wait();
        loop {
            match answer {
                Ok(FromAgent::Done(Reply::Deploy(done))) => return Ok(*done),
                Ok(message) => {
                    if let FromAgent::Ready { holding: Some(holding), .. } = message {
                        self.holding = holding;
                    }
                    answer = self.conversation.next();
                }
                Err(last) if !matches!(last.error, Error::LineLost { .. }) => {
                    return Err(self.conversation.settle(last));
                }
                Err(lost) => {
                    return Err(self.conversation.settle(DeployFailure { error: failure.error, live: lost.live }));
                }
            }
        }
    }
}
