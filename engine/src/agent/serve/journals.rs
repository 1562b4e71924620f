//! `log`: sends the journal of a run, and its further lines while it is at work.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, ReleaseError};
use crate::report::RunSummary;
use crate::wire::bounds;
use crate::wire::message::{FromAgent, Reply};

use super::Service;
use crate::agent::site::journal;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;

/// The time between two looks for further lines.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Service<'_> {
    /// Sends the journal of a run, or of the newest one.
    pub(super) fn journal(&self, path: &Path, run: Option<u64>, follow: bool) -> Result<Reply, Error> {
        let layout = self.open(path)?;
        let number = match run {
            Some(number) => number,
            None => journal::newest(&layout.private)?.ok_or(ReleaseError::NoRuns)?.run,
        };
        let mut file = journal::open_to_read(&layout.private, number)?.ok_or(ReleaseError::UnknownRun(number))?;
        let mut rest = Vec::new();
        loop {
            // Looked at before the lines are read: a run writes its last line before it ends.
            let is_at_work = follow && is_at_work(&layout, number)?;
            self.send_lines(&mut file, &mut rest)?;
            if !is_at_work {
                break;
            }
            self.conversation.check_client()?;
            std::thread::sleep(LOOK_EVERY);
        }
        let summary = summary(&layout, number)?.ok_or(ReleaseError::UnknownRun(number))?;
        Ok(Reply::Journal(summary))
    }

    /// Sends the lines that are complete. `rest` is the beginning of one that is not.
    fn send_lines(&self, file: &mut File, rest: &mut Vec<u8>) -> Result<(), Error> {
        file.read_to_end(rest).map_err(|error| Error::io("read", "the journal", error))?;
        let complete = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        let lines: Vec<u8> = rest.drain(..complete).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            let line = bounds::cut_off(line.to_owned(), bounds::REPORTED_TEXT_BYTES_MAX);
            self.conversation.send(&FromAgent::JournalLine(line))?;
        }
        Ok(())
    }
}

fn summary(layout: &Layout, number: u64) -> Result<Option<RunSummary>, Error> {
    Ok(journal::runs(&layout.private)?.into_iter().find(|summary| summary.run == number))
}

/// Tells whether a run has not ended and somebody holds the lock.
fn is_at_work(layout: &Layout, number: u64) -> Result<bool, Error> {
    let is_open = summary(layout, number)?.is_some_and(|summary| summary.ended.is_none());
    Ok(is_open && Lock::holder(&layout.private)?.is_some())
}
