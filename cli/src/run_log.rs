//! The log of a run on this machine: the lines of `--events`, in a file.
//!
//! It has what the server's journal cannot have: the hooks of a build, what came before the connection, and what the
//! person was told at the end. A log that cannot be written is a warning, and never fails a run.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use engine::error::Error;
use engine::event::{Event, Observer};
use engine::target::Destination;
use serde_json::Value;

use crate::events::{EventLines, line};
use crate::run_verb::RunVerb;
use crate::secrets::Secrets;

/// The log of a run.
pub(crate) struct RunLog {
    file: Arc<engine::RunLog>,
    lines: Arc<EventLines>,
    secrets: Secrets,
}

impl fmt::Debug for RunLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunLog").field(&self.path()).finish()
    }
}

impl RunLog {
    /// Begins the log.
    pub(crate) fn start(
        state_dir: &Path,
        target: &Destination,
        verb: RunVerb,
        secrets: Secrets,
    ) -> Result<Arc<RunLog>, Error> {
        let file = Arc::new(engine::RunLog::create(state_dir, target, verb.name(), secrets.texts())?);
        let written = Arc::clone(&file);
        let lines = EventLines::start(true, secrets.clone(), move |lines| written.add(lines));
        Ok(Arc::new(RunLog { file, lines, secrets }))
    }

    /// Returns the file.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the writer of events.
    pub(crate) fn lines(&self) -> Arc<EventLines> {
        Arc::clone(&self.lines)
    }

    /// Writes the events that wait. Warns if the log is not complete.
    pub(crate) fn finish_events(&self, observer: &dyn Observer) {
        if let Err(error) = self.lines.finish() {
            observer.observe(unwritten(&error));
        }
    }

    /// Writes the last line: the report or the failure.
    pub(crate) fn end(&self, event: &str, object: &str) {
        let mut object: Value = serde_json::from_str(object).unwrap_or_default();
        self.secrets.mask(&mut object);
        // If this cannot be written, the events before it could not either.
        drop(self.file.add(&line(event, &object.to_string())));
    }
}

/// Returns the warning of a log that cannot be written.
pub(crate) fn unwritten(error: &impl fmt::Display) -> Event {
    Event::Warning(format!("The log of this run could not be written: {error}"))
}
