//! Events as lines of JSON, as they happen: on stdout with `--events`, and in the log of a run.
//!
//! The engine's threads only queue lines; a separate thread writes them. A reader that does not read delays that thread
//! alone. If too many lines wait, the progress and the output of hooks are dropped and counted.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::event::{CheckEvent, Event, HookEvent, Observer, Phase};
use engine::moment::Moment;
use engine::threads;
use serde_json::{Value, json};

use crate::json;
use crate::secrets::Secrets;

/// The time between two lines of progress of one phase.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// The most lines that wait for a slow reader. Warnings and the steps of a run are always kept.
const LINES_MAX: usize = 10_000;

/// Writes lines somewhere.
type Write = dyn Fn(&str) -> io::Result<()> + Send + Sync;

/// Writes events.
pub(crate) struct EventLines {
    shared: Arc<Shared>,
    is_verbose: bool,
    secrets: Secrets,
    /// None if no thread could be had.
    writer: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    write: Box<Write>,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<String>,
    dropped: u64,
    progress: HashMap<Phase, LastProgress>,
    done: bool,
}

/// The last progress of a phase.
struct LastProgress {
    printed: Instant,
    /// The event that was left out since then.
    waiting: Option<Event>,
}

impl EventLines {
    /// Starts to write. `is_verbose` says whether details are written too.
    pub(crate) fn start(
        is_verbose: bool,
        secrets: Secrets,
        write: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Arc<EventLines> {
        let (queue, changed) = (Mutex::default(), Condvar::default());
        let shared = Arc::new(Shared { queue, changed, write: Box::new(write) });
        let seen = Arc::clone(&shared);
        // If no thread can be had, the lines are written at the end.
        let writer = threads::spawn(move || seen.write_all()).ok();
        Arc::new(EventLines { shared, is_verbose, secrets, writer: Mutex::new(writer) })
    }

    /// Writes the lines that wait. Returns the error that ended the writing.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.shared.lock().done = true;
        self.shared.changed.notify_all();
        match self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The hook has printed a panic of that thread, and the run does not depend on it.
            Some(writer) => writer.join().unwrap_or(Ok(())),
            None => self.shared.write_all(),
        }
    }

    /// Writes a line that is no event of the engine.
    pub(crate) fn tell(&self, event: &str, mut fields: Value) {
        self.secrets.mask(&mut fields);
        self.shared.lock().lines.push_back(line(event, &fields.to_string()));
        self.shared.changed.notify_all();
    }
}

impl Observer for EventLines {
    fn observe(&self, event: Event) {
        if matches!(event, Event::Detail(_)) && !self.is_verbose {
            return;
        }
        if let Event::Progress { phase, .. } = event {
            // There may be one for each file, and most are left out.
            self.shared.lock().progress(phase, event, Instant::now());
            return self.shared.changed.notify_all();
        }
        let Some((name, mut fields)) = fields(&event) else { return };
        self.secrets.mask(&mut fields);
        let fields = fields.to_string();
        let mut queue = self.shared.lock();
        // Lines are in the order of their times.
        let line = line(name, &fields);
        match event {
            Event::Ended(phase) => {
                queue.last_progress(phase);
                queue.lines.push_back(line);
            }
            Event::Hook(HookEvent::Line { .. }) | Event::Detail(_) => queue.push_or_drop(line),
            _ => queue.lines.push_back(line),
        }
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until the end. The lock is never held during a write.
    fn write_all(&self) -> io::Result<()> {
        loop {
            let mut queue = self.lock();
            while queue.lines.is_empty() && !queue.done {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let (lines, is_done) = (queue.take(), queue.done);
            drop(queue);
            if !lines.is_empty() {
                (self.write)(&lines)?;
            }
            if is_done {
                return Ok(());
            }
        }
    }
}

impl Queue {
    fn push_or_drop(&mut self, line: String) {
        if self.lines.len() < LINES_MAX {
            self.lines.push_back(line);
        } else {
            self.dropped += 1;
        }
    }

    fn progress(&mut self, phase: Phase, event: Event, now: Instant) {
        match self.progress.get_mut(&phase) {
            Some(last) if now.duration_since(last.printed) < PROGRESS_EVERY => last.waiting = Some(event),
            _ => {
                self.progress.insert(phase, LastProgress { printed: now, waiting: None });
                self.push_progress(&event);
            }
        }
    }

    /// Queues the progress that was left out, at the end of a phase.
    fn last_progress(&mut self, phase: Phase) {
        if let Some(event) = self.progress.remove(&phase).and_then(|last| last.waiting) {
            self.push_progress(&event);
        }
    }

    fn push_progress(&mut self, event: &Event) {
        if let Some((name, fields)) = fields(event) {
            self.push_or_drop(line(name, &fields.to_string()));
        }
    }

    fn take(&mut self) -> String {
        let mut text: String = self.lines.drain(..).collect();
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            text += &line("dropped", &json!({ "lines": dropped }).to_string());
        }
        text
    }
}

/// Returns the time for `at`.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { millis: since.as_millis() as u64 }
}

/// Returns a line: the event, the time, and the fields of an object of JSON.
pub(crate) fn line(event: &str, object: &str) -> String {
    line_at(event, now(), object)
}

/// As [`line`], of an event at this time.
pub(crate) fn line_at(event: &str, at: Moment, object: &str) -> String {
    let object = json::on_one_line(object.trim());
    let fields = object.trim_start_matches('{');
    let comma = if fields.starts_with('}') { "" } else { "," };
    format!("{{\"event\":\"{event}\",\"at\":{at}{comma}{fields}\n")
}

/// Returns the name of an event and its fields. The names are a contract: `docs/configuration.md` lists them.
pub(crate) fn fields(event: &Event) -> Option<(&'static str, Value)> {
    let found = match event {
        Event::Began(phase) => ("began", json!({ "phase": phase })),
        Event::Progress { phase, files, files_total, bytes, bytes_total } => (
            "progress",
            json!({
                "phase": phase,
                "files": files,
                "files_total": files_total,
                "bytes": bytes,
                "bytes_total": bytes_total,
            }),
        ),
        Event::Ended(phase) => ("ended", json!({ "phase": phase })),
        Event::AgentCopied { bytes, is_lent } => ("agent_copied", json!({ "bytes": bytes, "lent": is_lent })),
        Event::GoingBack(ends) => ("going_back", json!({ "from": ends.from, "to": ends.to })),
        Event::LockWait { holder } => ("lock_wait", json!({ "holder": holder })),
        Event::Live { release } => ("live", json!({ "release": release })),
        Event::ReleaseRemoved { release } => ("removed", json!({ "release": release })),
        Event::Hook(hook) => of_hook(hook),
        Event::Check(check) => of_check(check),
        Event::Returning { from, to } => ("returning", json!({ "from": from, "to": to })),
        Event::Warning(text) => ("warning", json!({ "text": text })),
        Event::Detail(text) => ("detail", json!({ "text": text })),
        _ => return None,
    };
    Some(found)
}

fn of_hook(event: &HookEvent) -> (&'static str, Value) {
    match event {
        HookEvent::Began { name, phase } => ("hook_began", json!({ "hook": name, "phase": phase })),
        HookEvent::Line { name, text } => ("hook_line", json!({ "hook": name, "text": text })),
        HookEvent::Ended { name, end, seconds } => (
            "hook_ended",
            json!({
                "hook": name,
                "ok": end.is_success(),
                "end": end.to_string(),
                "seconds": (f64::from(*seconds) * 1000.0).round() / 1000.0,
            }),
        ),
    }
}

fn of_check(event: &CheckEvent) -> (&'static str, Value) {
    match event {
        CheckEvent::Failed { name, attempt, reason } => {
            ("check_failed", json!({ "check": name, "try": attempt, "reason": reason }))
        }
        CheckEvent::Passed { name } => ("check_passed", json!({ "check": name })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(queue: &mut Queue) -> Vec<String> {
        let text = queue.take();
        let objects = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.map(|object| object["event"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_line_is_an_object_with_its_event_and_its_time_first() {
        let object: Value = serde_json::from_str(&line("live", "{\"release\":\"7\"}")).unwrap();
        assert_eq!((object["event"].as_str(), object["release"].as_str()), (Some("live"), Some("7")));
        assert!(object["at"].as_f64().unwrap() > 1.7e9);
        assert!(line("live", "{\"release\":\"7\"}\n").starts_with("{\"event\":\"live\",\"at\":"));
        assert_eq!(serde_json::from_str::<Value>(&line("done", "{}")).unwrap().as_object().unwrap().len(), 2);
    }

    #[test]
    fn progress_is_printed_four_times_a_second_and_at_the_end_of_its_phase() {
        let mut queue = Queue::default();
        let began = Instant::now();
        for files in 0..20 {
            let event = Event::Progress { phase: Phase::Scan, files, files_total: 0, bytes: 0, bytes_total: 0 };
            queue.progress(Phase::Scan, event, began + Duration::from_millis(files * 50));
        }
        assert_eq!(queue.lines.len(), 4);
        queue.last_progress(Phase::Scan);
        let text = queue.take();
        assert!(text.lines().last().unwrap().contains("\"files\":19,"), "{text}");
        queue.last_progress(Phase::Scan);
        assert_eq!(queue.take(), "");
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_memory() {
        let mut queue = Queue::default();
        for _ in 0..LINES_MAX + 7 {
            queue.push_or_drop(line("hook_line", "{}"));
        }
        queue.lines.push_back(line("live", "{}"));
        let found = names(&mut queue);
        assert_eq!(found.len(), LINES_MAX + 2);
        assert_eq!(&found[LINES_MAX..], ["live", "dropped"]);
    }
}
