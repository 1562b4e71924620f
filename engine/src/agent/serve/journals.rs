//! `log`: sends the journal of a run, and its further lines while it is at work.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, ReleaseError};
use crate::journal::{JournalEntry, JournalLine};
use crate::wire::bounds;
use crate::wire::message::{FromAgent, Reply};

use super::Service;
use crate::agent::site::journal;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;

/// The time between two looks for further lines.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The time without a line after which the lock is looked at: a run that was killed writes no last line.
const SILENCE: Duration = Duration::from_secs(2);

impl Service<'_> {
    /// Sends the journal of a run, or of the newest one.
    pub(super) fn journal(&self, path: &Path, run: Option<u64>, follow: bool) -> Result<Reply, Error> {
        let layout = self.open(path)?;
        let number = match run {
            Some(number) => number,
            None => journal::newest(&layout.private)?.ok_or(ReleaseError::NoRuns)?.run,
        };
        let file = journal::open_to_read(&layout.private, number)?.ok_or(ReleaseError::UnknownRun(number))?;
        let mut lines = Lines { file, rest: Vec::new(), has_ended: false };
        if follow {
            self.follow(&layout, number, &mut lines)?;
        } else {
            self.send_lines(&mut lines)?;
        }
        let summary = journal::run(&layout.private, number)?.ok_or(ReleaseError::UnknownRun(number))?;
        Ok(Reply::Journal(summary))
    }

    /// Sends lines until the run has ended, or no longer holds the lock.
    fn follow(&self, layout: &Layout, number: u64, lines: &mut Lines) -> Result<(), Error> {
        // The first look at the lock comes at once: most runs have ended.
        let mut heard = None::<Instant>;
        loop {
            let is_due = heard.is_none_or(|heard| heard.elapsed() >= SILENCE);
            // Looked at before the lines are read: a run writes its last line before it ends.
            let is_over = is_due && !Lock::is_held_by(&layout.private, number)?;
            let has_news = self.send_lines(lines)?;
            if lines.has_ended || is_over {
                return Ok(());
            }
            if has_news || is_due {
                heard = Some(Instant::now());
            }
            self.conversation.check_client()?;
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Sends the lines that are complete. Tells whether there were any.
    fn send_lines(&self, lines: &mut Lines) -> Result<bool, Error> {
        let news = lines.read()?;
        for line in news.lines() {
            let line = bounds::cut_off(line.to_owned(), bounds::REPORTED_TEXT_BYTES_MAX);
            self.conversation.send(&FromAgent::JournalLine(line))?;
        }
        Ok(!news.is_empty())
    }
}

/// The lines of a journal that were not read yet.
struct Lines {
    file: File,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    /// Whether the last line that was read is the end of the run.
    has_ended: bool,
}

impl Lines {
    /// Reads the lines that are complete.
    fn read(&mut self) -> Result<String, Error> {
        self.file.read_to_end(&mut self.rest).map_err(|error| Error::io("read", "the journal", error))?;
        let complete = memchr::memrchr(b'\n', &self.rest).map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..complete).collect();
        let lines = String::from_utf8_lossy(&lines).into_owned();
        if let Some(last) = lines.lines().next_back() {
            let parsed = serde_json::from_str::<JournalLine>(last);
            self.has_ended = matches!(parsed, Ok(JournalLine { entry: JournalEntry::Ended(_), .. }));
        }
        Ok(lines)
    }
}
