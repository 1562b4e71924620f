//! Counts the engine's events: the running phases, their progress, and the lines to print.
//!
//! Pure: it gets events and the time, and draws nothing.

use std::collections::VecDeque;
use std::time::Instant;

use engine::event::{CheckEvent, Event, GoingBack, HookEvent, Phase};
use engine::report::ReleaseSummary;

use crate::failure::printable;
use crate::units::{Age, Bytes, Commit, Count, Counted, Seconds};

/// The amount of output on stderr. Each level includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Warnings.
    Quiet,
    /// Long work, and work that happens once a server.
    Brief,
    /// Each finished phase.
    Phases,
    /// Everything.
    Verbose,
}

/// A line to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Plain talk.
    Info(String),
    /// A warning.
    Warning(String),
}

/// The most lines that wait for a slow terminal. Warnings are always kept; other lines beyond this number are
/// dropped.
const LINES_MAX: usize = 10_000;

/// The last lines of a hook that are shown if it fails and its output was not shown.
const LAST_LINES: usize = 10;

/// A running phase.
#[derive(Debug, Clone)]
pub(crate) struct RunningPhase {
    pub(crate) phase: Phase,
    pub(crate) began: Instant,
    pub(crate) files: u64,
    pub(crate) files_total: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_total: u64,
}

/// The events so far, counted.
#[derive(Debug)]
pub(crate) struct Tally {
    talk: Verbosity,
    /// The running phases, in the order in which they began.
    pub(crate) running: Vec<RunningPhase>,
    /// Whether content was sent already.
    has_sent: bool,
    /// The last lines of the hook that runs, if its output is not shown.
    hidden: VecDeque<Line>,
    /// The lines that were not printed yet.
    pub(crate) lines: VecDeque<Line>,
}

impl Tally {
    pub(crate) fn new(talk: Verbosity) -> Tally {
        Tally { talk, running: Vec::new(), has_sent: false, hidden: VecDeque::new(), lines: VecDeque::new() }
    }

    /// Counts one event.
    pub(crate) fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Began(phase) => {
                self.running(phase, now);
            }
            Event::Progress { phase, files, files_total, bytes, bytes_total } => {
                let running = self.running(phase, now);
                (running.files, running.files_total) = (files, files_total);
                (running.bytes, running.bytes_total) = (bytes, bytes_total);
            }
            Event::Ended(phase) => self.ended(phase, now),
            Event::Hook(event) => self.hook(&event),
            Event::Returning { .. } | Event::Warning(_) => self.warn(&line_of(&event)),
            Event::AgentCopied { .. } | Event::GoingBack(_) | Event::LockWait { .. } | Event::Check(_) => {
                self.say(Verbosity::Brief, line_of(&event));
            }
            Event::Live { .. } | Event::ReleaseRemoved { .. } | Event::Detail(_) => {
                self.say(Verbosity::Verbose, line_of(&event));
            }
            _ => {}
        }
    }

    /// Queues a line, if the level includes it.
    pub(crate) fn say(&mut self, level: Verbosity, text: impl Into<String>) {
        if self.talk >= level && self.lines.len() < LINES_MAX {
            self.lines.push_back(Line::Info(printable(&text.into())));
        }
    }

    fn warn(&mut self, text: &str) {
        self.lines.push_back(Line::Warning(printable(text)));
    }

    fn hook(&mut self, event: &HookEvent) {
        if self.talk < Verbosity::Brief {
            self.hide(event);
        }
        // Of a hook that failed, the failure says how it ended.
        if !matches!(event, HookEvent::Ended { end, .. } if !end.is_success()) {
            self.say(Verbosity::Brief, hook_line(event));
        }
    }

    /// Keeps the last lines of a hook, and shows them if it fails: its error leads to them.
    fn hide(&mut self, event: &HookEvent) {
        match event {
            HookEvent::Began { .. } => self.hidden.clear(),
            HookEvent::Line { .. } => {
                if self.hidden.len() == LAST_LINES {
                    self.hidden.pop_front();
                }
                self.hidden.push_back(Line::Info(printable(&hook_line(event))));
            }
            HookEvent::Ended { end, .. } if end.is_success() => {}
            HookEvent::Ended { .. } => self.lines.append(&mut self.hidden),
        }
    }

    fn running(&mut self, phase: Phase, now: Instant) -> &mut RunningPhase {
        let index = self.running.iter().position(|running| running.phase == phase);
        let index = index.unwrap_or_else(|| {
            self.running.push(RunningPhase { phase, began: now, files: 0, files_total: 0, bytes: 0, bytes_total: 0 });
            self.running.len() - 1
        });
        &mut self.running[index]
    }

    fn ended(&mut self, phase: Phase, now: Instant) {
        let index = self.running.iter().position(|running| running.phase == phase);
        if let Some(index) = index {
            let running = self.running.remove(index);
            // The copy of the agent has a line of its own.
            if phase != Phase::CopyAgent {
                let line = running.ended(now);
                let line = match line.strip_prefix("Sent ") {
                    Some(rest) if self.has_sent => format!("Sent again: {rest}"),
                    _ => line,
                };
                self.say(Verbosity::Phases, line);
                self.has_sent |= phase == Phase::Upload && running.files + running.bytes > 0;
            }
        }
    }
}

/// Returns the line for an event. The progress of a phase has none.
pub(crate) fn line_of(event: &Event) -> String {
    match event {
        Event::Began(phase) => doing(*phase).to_owned(),
        Event::AgentCopied { bytes, is_lent } => {
            let done = if *is_lent {
                "Copied the agent to a temporary directory of the server"
            } else {
                "Copied the agent to the server"
            };
            format!("{done} ({})", Bytes(*bytes))
        }
        Event::GoingBack(ends) => going(ends),
        Event::LockWait { holder } => format!("Waiting for the lock of {holder}"),
        Event::Live { release } => format!("Release {release} is live"),
        Event::ReleaseRemoved { release } => format!("Removed release {release}"),
        Event::Hook(event) => hook_line(event),
        Event::Check(event) => check_line(event),
        Event::Returning { from, to } => format!("Release {from} failed: switching back to release {to}"),
        Event::Warning(text) | Event::Detail(text) => text.clone(),
        _ => String::new(),
    }
}

/// Returns the line for news of a hook.
fn hook_line(event: &HookEvent) -> String {
    match event {
        HookEvent::Began { name, phase } => format!("Running hook {name} ({})", phase.name()),
        HookEvent::Line { name, text } => format!("[{name}] {text}"),
        HookEvent::Ended { name, end, seconds } if end.is_success() => {
            format!("Hook {name} is done in {}", Seconds((*seconds).into()))
        }
        HookEvent::Ended { name, end, .. } => format!("Hook {name} failed: {end}"),
    }
}

/// Returns the line for news of a check.
fn check_line(event: &CheckEvent) -> String {
    match event {
        CheckEvent::Failed { name, attempt, reason } => format!("Check {name}, try {attempt}: {reason}"),
        CheckEvent::Passed { name } => format!("Check {name} passed"),
    }
}

/// Returns the word for a phase that runs.
pub(crate) fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Connect => "Connecting",
        Phase::CopyAgent => "Copying the agent",
        Phase::Scan => "Scanning",
        Phase::Lock => "Waiting for the lock",
        Phase::Upload => "Sending",
        Phase::Copy => "Copying the site",
        Phase::Assemble => "Assembling",
        Phase::Sync => "Syncing",
        Phase::Hooks => "Running hooks",
        Phase::Switch => "Switching",
        Phase::Cleanup => "Cleaning up",
        Phase::Check => "Reading objects",
    }
}

/// Describes the two ends of a rollback.
pub(crate) fn going(ends: &GoingBack) -> String {
    let end = |release: &ReleaseSummary| {
        let commit = release.commit.as_deref().map_or(String::new(), |commit| format!("commit {}, ", Commit(commit)));
        format!("{} ({commit}made {} ago by {})", release.id, Age(release.age), release.who)
    };
    let from = ends.from.as_ref().map_or(String::new(), |from| format!(" from {}", end(from)));
    format!("Going{from} to {}", end(&ends.to))
}

impl RunningPhase {
    /// Returns a description of the phase, for a line while it runs.
    pub(crate) fn doing(&self) -> &'static str {
        doing(self.phase)
    }

    /// Returns the number that is done and that of all: of bytes if the phase knows how many there are, else of files.
    /// 0: not known.
    pub(crate) fn done(&self) -> (u64, u64) {
        match self.bytes_total {
            0 => (self.files, self.files_total),
            total => (self.bytes, total),
        }
    }

    /// Returns the files: `1,200 of 1,828 files`. None if none were counted.
    pub(crate) fn files_text(&self) -> Option<String> {
        match (self.files, self.files_total) {
            (0, 0) => None,
            (files, 0) => Some(Counted(files, "file").to_string()),
            (files, total) => Some(format!("{} of {}", Count(files), Counted(total, "file"))),
        }
    }

    /// Returns the bytes: `10.0 MB of 12.3 MB`. None if none were counted.
    pub(crate) fn bytes_text(&self) -> Option<String> {
        match (self.bytes, self.bytes_total) {
            (0, 0) => None,
            (bytes, 0) => Some(Bytes(bytes).to_string()),
            (bytes, total) => Some(format!("{} of {}", Bytes(bytes), Bytes(total))),
        }
    }

    /// Returns the line at the end of the phase.
    fn ended(&self, now: Instant) -> String {
        let done = match self.phase {
            Phase::Connect => "Connected",
            Phase::CopyAgent => "Copied the agent",
            Phase::Scan => "Scanned",
            Phase::Lock => "Got the lock",
            Phase::Upload => "Sent",
            Phase::Copy => "Copied the site",
            Phase::Assemble => "Assembled",
            Phase::Sync => "Made it durable",
            Phase::Hooks => "Ran hooks",
            Phase::Switch => "Switched",
            Phase::Cleanup => "Cleaned up",
            Phase::Check => "Read objects",
        };
        let mut line = done.to_owned();
        if self.files > 0 {
            line += &format!(" {}", Counted(self.files, "file"));
        }
        if self.bytes > 0 {
            line += &format!("{} {}", if self.files > 0 { "," } else { "" }, Bytes(self.bytes));
        }
        let seconds = now.saturating_duration_since(self.began).as_secs_f64();
        line + &format!(" in {}", Seconds(seconds))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::CommandEnd;
    use engine::hook::HookPhase;

    use super::*;

    fn progress(phase: Phase, files: u64, bytes: u64) -> Event {
        Event::Progress { phase, files, files_total: 1828, bytes, bytes_total: 12_345_678 }
    }

    /// Counts the events a second apart, and checks the lines.
    fn check(talk: Verbosity, events: Vec<Event>, expected: &[Line]) {
        let mut tally = Tally::new(talk);
        let start = Instant::now();
        for (second, event) in events.into_iter().enumerate() {
            tally.take(event, start + Duration::from_secs(second as u64));
        }
        assert_eq!(Vec::from(tally.lines), expected, "{talk:?}");
    }

    fn deploy() -> Vec<Event> {
        vec![
            Event::Began(Phase::Upload),
            Event::Warning("`a` has setuid\x1b".into()),
            progress(Phase::Upload, 1828, 12_345_678),
            Event::Ended(Phase::Upload),
            Event::Began(Phase::Switch),
            Event::Ended(Phase::Switch),
            Event::Detail("one lane".into()),
        ]
    }

    #[test]
    fn each_level_says_more_and_warnings_are_always_said() {
        let warning = Line::Warning("`a` has setuid\\u{1b}".into());
        let sent = Line::Info("Sent 1,828 files, 12.3 MB in 3.00 s".into());
        let switched = Line::Info("Switched in 1.00 s".into());
        let detail = Line::Info("one lane".into());
        check(Verbosity::Quiet, deploy(), std::slice::from_ref(&warning));
        check(Verbosity::Brief, deploy(), std::slice::from_ref(&warning));
        check(Verbosity::Phases, deploy(), &[warning.clone(), sent.clone(), switched.clone()]);
        check(Verbosity::Verbose, deploy(), &[warning, sent, switched, detail]);
    }

    #[test]
    fn the_last_lines_of_a_hook_that_fails_are_shown_to_those_who_asked_for_nothing() {
        let of = |name: &str, code: i32| {
            let name = || name.to_owned();
            let mut events = vec![Event::Hook(HookEvent::Began { name: name(), phase: HookPhase::Build })];
            let line = |number: usize| Event::Hook(HookEvent::Line { name: name(), text: number.to_string() });
            events.extend((0..LAST_LINES + 2).map(line));
            let end = if code == 0 { CommandEnd::Done } else { CommandEnd::Code(code) };
            events.push(Event::Hook(HookEvent::Ended { name: name(), end, seconds: 0.1 }));
            events
        };
        let events: Vec<Event> = of("one", 0).into_iter().chain(of("two", 3)).collect();
        let expected: Vec<Line> = (2..LAST_LINES + 2).map(|number| Line::Info(format!("[two] {number}"))).collect();
        check(Verbosity::Quiet, events, &expected);
    }

    #[test]
    fn both_ends_of_a_rollback_are_told() {
        let summary = |id: &str, commit: Option<&str>, age| ReleaseSummary {
            id: id.parse().unwrap(),
            commit: commit.map(str::to_owned),
            age,
            who: "anna@desk".into(),
        };
        let (from, to) = (summary("3", None, 42), summary("2", Some("0123456789abcdef"), 7200));
        let ends = |from| Event::GoingBack(Box::new(GoingBack { from, to: to.clone() }));
        let events = vec![ends(Some(from)), ends(None)];
        let expected = [
            "Going from 3 (made 42 s ago by anna@desk) to 2 (commit 0123456789ab, made 2 h ago by anna@desk)",
            "Going to 2 (commit 0123456789ab, made 2 h ago by anna@desk)",
        ];
        check(Verbosity::Brief, events, &expected.map(|line| Line::Info(line.into())));
    }

    #[test]
    fn a_second_upload_is_told_apart() {
        let upload = |files, bytes| {
            [Event::Began(Phase::Upload), progress(Phase::Upload, files, bytes), Event::Ended(Phase::Upload)]
        };
        let events = upload(1828, 12_345_678).into_iter().chain(upload(1, 3)).collect();
        let expected = ["Sent 1,828 files, 12.3 MB in 2.00 s", "Sent again: 1 file, 3 B in 2.00 s"];
        check(Verbosity::Phases, events, &expected.map(|line| Line::Info(line.into())));
    }

    #[test]
    fn a_slow_terminal_loses_talk_and_no_warning() {
        let mut tally = Tally::new(Verbosity::Verbose);
        for number in 0..LINES_MAX + 1 {
            tally.take(Event::Detail(number.to_string()), Instant::now());
        }
        tally.take(Event::Warning("full".into()), Instant::now());
        assert_eq!(tally.lines.len(), LINES_MAX + 1);
        assert_eq!(tally.lines.back(), Some(&Line::Warning("full".into())));
    }

    #[test]
    fn the_copy_of_the_agent_is_shown_while_it_lasts_and_said_once() {
        let mut tally = Tally::new(Verbosity::Phases);
        let now = Instant::now();
        let copying =
            Event::Progress { phase: Phase::CopyAgent, files: 0, files_total: 0, bytes: 5, bytes_total: 2000 };
        tally.take(copying, now);
        let running = tally.running(Phase::CopyAgent, now);
        assert_eq!((running.doing(), running.bytes_text()), ("Copying the agent", Some("5 B of 2.0 kB".to_owned())));
        tally.take(Event::Ended(Phase::CopyAgent), now);
        assert!(tally.running.is_empty());
        tally.take(Event::AgentCopied { bytes: 2000, is_lent: false }, now);
        tally.take(Event::AgentCopied { bytes: 2000, is_lent: true }, now);
        let expected = [
            "Copied the agent to the server (2.0 kB)",
            "Copied the agent to a temporary directory of the server (2.0 kB)",
        ];
        assert_eq!(Vec::from(tally.lines), expected.map(|line| Line::Info(line.into())));
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        let mut tally = Tally::new(Verbosity::Brief);
        let now = Instant::now();
        assert_eq!(tally.running(Phase::Connect, now).files_text(), None);
        assert_eq!(tally.running(Phase::Connect, now).bytes_text(), None);
        tally.take(progress(Phase::Upload, 1, 999), now);
        let upload = tally.running(Phase::Upload, now);
        assert_eq!(upload.files_text().as_deref(), Some("1 of 1,828 files"));
        assert_eq!(upload.bytes_text().as_deref(), Some("999 B of 12.3 MB"));
        let scan = tally.running(Phase::Scan, now);
        (scan.files, scan.bytes) = (1, 2000);
        assert_eq!(scan.files_text().zip(scan.bytes_text()), Some(("1 file".into(), "2.0 kB".into())));
    }
}
