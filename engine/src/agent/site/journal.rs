//! The journal of a run: `.cutover/journals/<number>`, one line of JSON for each piece of news.
//!
//! The agent begins it, and the runner continues it, also when the connection is lost. So the output and the result of
//! a hook can be read afterwards. The number is the fencing number of the run: no two runs have the same one.
//!
//! Lines are appended with one write each and are not synced: a power cut may lose the last ones. A journal that cannot
//! be written stops nothing. The newest journals stay.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::disk::{Dir, TextFile};
use crate::error::Error;
use crate::news::News;
use crate::release::{Provenance, ReleaseId};

use crate::agent::clock::now_millis;
use crate::agent::json::to_json;

const JOURNALS: &[u8] = b"journals";

/// The journals that stay.
const KEPT: usize = 100;

/// The mode of their directory: output of hooks may tell more than others should know.
const MODE: u32 = 0o700;

/// A line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct JournalLine {
    /// The time, in milliseconds of Unix time.
    pub(crate) at: u64,
    /// The entry.
    #[serde(flatten)]
    pub(crate) entry: JournalEntry,
}

/// An entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JournalEntry {
    /// The run began.
    Begun(RunHead),
    /// News of the run.
    News(News),
    /// The run ended.
    Ended(RunResult),
}

/// The beginning of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunHead {
    /// The verb.
    pub(crate) verb: String,
    /// The person who runs it.
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
}

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunResult {
    /// The error, if the run failed.
    pub(crate) error: Option<String>,
    /// The live release after it.
    pub(crate) live: Option<ReleaseId>,
    /// The live release before it.
    pub(crate) previous: Option<ReleaseId>,
    /// Whether the client heard of it.
    pub(crate) is_heard: bool,
}

/// The journal of one run. It begins with the first entry: a run without news leaves none.
#[derive(Debug)]
pub(crate) struct Journal {
    private: Dir,
    number: u64,
    /// The head. None: another process has begun the journal.
    head: Option<RunHead>,
    file: OnceLock<Option<TextFile>>,
}

impl Journal {
    /// Makes the journal of a new run.
    pub(crate) fn new(private: &Dir, number: u64, head: RunHead) -> Result<Journal, Error> {
        Ok(Journal { private: private.duplicate()?, number, head: Some(head), file: OnceLock::new() })
    }

    /// Continues the journal of another process.
    pub(crate) fn of_other(private: &Dir, number: u64) -> Result<Journal, Error> {
        Ok(Journal { private: private.duplicate()?, number, head: None, file: OnceLock::new() })
    }

    /// Tells whether it has an entry.
    pub(crate) fn has_begun(&self) -> bool {
        self.file.get().is_some()
    }

    /// Adds an entry. A full disk loses it.
    pub(crate) fn add(&self, entry: JournalEntry) {
        if let Some(file) = self.file.get_or_init(|| self.open().ok()) {
            file.add(&line(entry)).unwrap_or_default();
        }
    }

    /// Opens the file, and removes the oldest journals.
    fn open(&self) -> Result<TextFile, Error> {
        let journals = self.private.ensure_dir(JOURNALS, MODE)?.0;
        let Some(head) = &self.head else { return journals.open_text(&file_name(self.number)) };
        let mut numbers = numbers(&journals)?;
        numbers.sort_unstable();
        for old in numbers.iter().rev().skip(KEPT - 1) {
            journals.remove_file(&file_name(*old))?;
        }
        let file = journals.open_text(&file_name(self.number))?;
        file.add(&line(JournalEntry::Begun(head.clone()))).unwrap_or_default();
        Ok(file)
    }
}

fn line(entry: JournalEntry) -> String {
    to_json(&JournalLine { at: now_millis(), entry })
}

fn file_name(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Returns the numbers of the journals.
fn numbers(journals: &Dir) -> Result<Vec<u64>, Error> {
    let number = |name: Vec<u8>| std::str::from_utf8(&name).ok()?.parse().ok();
    Ok(journals.names()?.into_iter().filter_map(number).collect())
}
