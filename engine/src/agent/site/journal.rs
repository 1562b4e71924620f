//! The journal of a run: `.cutover/journals/<number>`, one line of JSON for each piece of news.
//!
//! The agent begins it, and the runner continues it, also when the connection is lost. So the output and the result of
//! a hook can be read afterwards. The number is the fencing number of the run: no two runs have the same one.
//!
//! Lines are appended with one write each and are not synced: a power cut may lose the last ones. A journal that cannot
//! be written stops nothing. A line that a full disk cut off stays, and the next one begins on a line of its own. The
//! newest journals stay.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use crate::disk::{Dir, TextFile};
use crate::error::Error;
use crate::journal::{JournalEntry, JournalLine, RunHead, RunResult};
use crate::release::ReleaseId;
use crate::report::RunSummary;

use super::journals::{self, JOURNALS, numbers};
use super::layout::Layout;
use crate::agent::clock::now_exactly;
use crate::agent::json::to_json;

/// The journals that stay.
const KEPT: usize = 100;

/// The mode of their directory: output of hooks may tell more than others should know.
const MODE: u32 = 0o700;

/// The journal of one run. It begins with the first entry: a run without news leaves none.
#[derive(Debug)]
pub(crate) struct Journal {
    private: Dir,
    number: u64,
    /// The head. None: another process has begun the journal.
    head: Option<RunHead>,
    /// The release that was live when the run began.
    live_before: Option<ReleaseId>,
    file: OnceLock<Option<TextFile>>,
}

impl Journal {
    /// Makes the journal of a new run.
    pub(crate) fn new(layout: &Layout, number: u64, head: RunHead) -> Result<Journal, Error> {
        Journal::make(layout, number, Some(head))
    }

    /// Continues the journal of another process.
    pub(crate) fn of_other(layout: &Layout, number: u64) -> Result<Journal, Error> {
        Journal::make(layout, number, None)
    }

    fn make(layout: &Layout, number: u64, head: Option<RunHead>) -> Result<Journal, Error> {
        let private = layout.private.duplicate()?;
        // A link that leads elsewhere is refused later, where it matters.
        let live_before = layout.current.live().unwrap_or_default();
        Ok(Journal { private, number, head, live_before, file: OnceLock::new() })
    }

    /// Makes it stand, with its head.
    pub(crate) fn ensure_begun(&self) {
        self.file.get_or_init(|| self.open().ok());
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

    /// Ends it.
    pub(crate) fn end(&self, error: Option<String>, live: Option<ReleaseId>, is_heard: bool) {
        let previous = self.live_before.clone();
        self.add(JournalEntry::Ended(RunResult { error, live, previous, is_heard }));
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
    to_json(&JournalLine { at: now_exactly(), entry })
}

fn file_name(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Returns the runs that have a journal, the newest first.
pub(crate) fn runs(private: &Dir) -> Result<Vec<RunSummary>, Error> {
    let Some(journals) = journals::open(private)? else { return Ok(Vec::new()) };
    let mut numbers = numbers(&journals)?;
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    let summaries = numbers.into_iter().map(|number| summary(&journals, number));
    Ok(summaries.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Returns a run by its number, if it has a journal.
pub(crate) fn run(private: &Dir, number: u64) -> Result<Option<RunSummary>, Error> {
    journals::open(private)?.map_or(Ok(None), |journals| summary(&journals, number))
}

/// Returns the newest run that has a journal. One whose first line a full disk cut off is passed over.
pub(crate) fn newest(private: &Dir) -> Result<Option<RunSummary>, Error> {
    let Some(journals) = journals::open(private)? else { return Ok(None) };
    let mut numbers = numbers(&journals)?;
    numbers.sort_unstable();
    for number in numbers.into_iter().rev() {
        if let Some(newest) = summary(&journals, number)? {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

/// Opens a journal for reading.
pub(crate) fn open_to_read(private: &Dir, number: u64) -> Result<Option<File>, Error> {
    journals::open(private)?.map_or(Ok(None), |journals| journals.open_file(&file_name(number)))
}

/// The bytes at each end of a journal in which its first and its last line are looked for.
const END_BYTES: u64 = 16 << 10;

/// Returns the summary of a journal. A journal whose first line cannot be read has none.
fn summary(journals: &Dir, number: u64) -> Result<Option<RunSummary>, Error> {
    let name = file_name(number);
    let Some(file) = journals.open_file(&name)? else { return Ok(None) };
    let ends = || -> io::Result<(String, String)> {
        let length = file.metadata()?.len();
        let read = |at: u64| {
            let mut bytes = vec![0; usize::try_from(END_BYTES.min(length - at)).unwrap_or_default()];
            file.read_exact_at(&mut bytes, at)?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok((read(0)?, read(length.saturating_sub(END_BYTES))?))
    };
    let (first, last) = ends().map_err(|error| Error::io("read", journals.path_of(&name), error))?;
    let line = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<JournalLine>(text).ok());
    // Behind the last line may be one that was cut off.
    let (first, last) = (line(first.lines().next()), last.lines().rev().find_map(|text| line(Some(text))));
    let Some(JournalLine { at: began, entry: JournalEntry::Begun(head) }) = first else { return Ok(None) };
    let result = match last {
        Some(JournalLine { at, entry: JournalEntry::Ended(result) }) => Some((at, result)),
        _ => None,
    };
    let (ended, result) = result.map_or((None, RunResult::default()), |(at, result)| (Some(at), result));
    let RunResult { error, live, previous, is_heard } = result;
    let RunHead { verb, provenance } = head;
    let who = provenance.person();
    Ok(Some(RunSummary { run: number, began, ended, verb, who, previous, live, error, is_heard }))
}
