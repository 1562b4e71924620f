//! Draws progress on stderr while the engine works.
//!
//! The engine's threads only count ([`Tally`]); a separate thread draws the counts. A slow terminal, or one stopped
//! with Ctrl-S, delays only that thread.
//!
//! On a terminal each running phase is a bar, and nothing is drawn for the first quarter second. Elsewhere progress
//! is plain lines: one when a phase ends, and one every few seconds while it runs. Some work has no phase, such as a
//! comparison on the server: then the time is shown, but not for a verb that prints while it runs.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::event::{Event, Observer, Phase};
use engine::threads;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::color::{self, Palette};
use crate::progress_text::{self, Layout, Speed};
use crate::tally::{Line, RunningPhase, Tally, Verbosity};

/// A run that is shorter needs no progress.
const NOTHING_DRAWN: Duration = Duration::from_millis(250);

/// The time between two drawings: smooth to the eye, and cheap for the processor.
const FRAME: Duration = Duration::from_millis(100);

/// The time between two plain lines of a phase: short enough to show life in the log of a job, long enough not to
/// fill it. In the beginning lines come more often, for those who watch.
const PLAIN_EVERY: Duration = Duration::from_secs(30);
const PLAIN_AT_FIRST: Duration = Duration::from_secs(5);

/// Work without a phase that is shorter needs no sign of life.
const WORKING: Duration = Duration::from_secs(1);

/// The time that clearing the drawing may take.
const CLEARED: Duration = Duration::from_millis(500);

/// A phase whose total is not known.
const SPINNER: &str = "{prefix:11} {spinner} {wide_msg}";

/// A phase whose total is known, with a bar of this many columns.
const BAR: &str = "{prefix:11} [{bar:24}] {wide_msg}";
const SHORT_BAR: &str = "{prefix:11} [{bar:10}] {wide_msg}";

/// Work without a phase.
const WORK: &str = "{spinner} {wide_msg}";

/// A phase on a narrow terminal.
const TEXT: &str = "{wide_msg}";

/// The observer, and the thread that draws.
pub(crate) struct Progress {
    shared: Arc<Shared>,
    palette: Palette,
    /// None if no thread could be had.
    drawer: Mutex<Option<JoinHandle<()>>>,
}

/// A pause of the drawing.
pub(crate) struct Pause<'a>(&'a Shared);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.pauses -= 1;
            state.is_clear &= state.pauses > 0;
        });
        self.0.changed.notify_all();
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    tally: Tally,
    done: bool,
    /// Whether work without a phase is shown.
    shows_work: bool,
    /// The number of questions that have the terminal.
    pauses: u32,
    /// Whether the drawing was cleared for them.
    is_clear: bool,
}

impl Progress {
    /// Starts to draw.
    pub(crate) fn start(talk: Verbosity, palette: Palette, dumb_terminal: bool) -> Arc<Progress> {
        let on_terminal = io::stderr().is_terminal() && !dumb_terminal;
        let talk = match talk {
            // The bars have already shown the phases.
            Verbosity::Phases if on_terminal => Verbosity::Brief,
            talk => talk,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                tally: Tally::new(talk),
                done: false,
                shows_work: false,
                pauses: 0,
                is_clear: false,
            }),
            changed: Condvar::new(),
        });
        let screen: Box<dyn Screen + Send> = if talk == Verbosity::Quiet {
            Box::new(Silence)
        } else if on_terminal {
            Box::new(Bars::new())
        } else {
            Box::new(Plain::default())
        };
        let seen = Arc::clone(&shared);
        // If no thread can be had, the lines are printed at the end.
        let drawer = threads::spawn(move || seen.draw(screen, palette)).ok();
        Arc::new(Progress { shared, palette, drawer: Mutex::new(drawer) })
    }

    /// Shows from now on that there is work when no phase runs.
    pub(crate) fn show_work(&self) {
        self.shared.with(|state| state.shows_work = true);
    }

    /// Prints a line of brief talk.
    pub(crate) fn say(&self, text: &str) {
        self.shared.with(|state| state.tally.say(Verbosity::Brief, text));
    }

    /// Clears the drawing, and draws nothing until the pause is dropped: a question has the terminal.
    pub(crate) fn pause(&self) -> Pause<'_> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pauses += 1;
        self.shared.changed.notify_all();
        // Without a drawing thread, or with a stopped terminal, the question comes all the same.
        let is_drawn = |state: &mut State| !state.is_clear && !state.done;
        drop(self.shared.changed.wait_timeout_while(state, CLEARED, is_drawn));
        Pause(&self.shared)
    }

    /// Draws the rest and clears the bars.
    pub(crate) fn finish(&self) {
        self.shared.with(|state| state.done = true);
        self.shared.changed.notify_all();
        let drawer = self.drawer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match drawer {
            // The hook has printed a panic of the drawing thread, and the deploy does not depend on that thread.
            Some(drawer) => drop(drawer.join()),
            None => self.shared.draw(Box::new(Silence), self.palette),
        }
    }
}

impl Observer for Progress {
    fn observe(&self, event: Event) {
        self.shared.with(|state| state.tally.take(event, Instant::now()));
    }
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Draws until the end. The lock is never held while a terminal is written to.
    fn draw(&self, mut screen: Box<dyn Screen + Send>, palette: Palette) {
        let began = Instant::now();
        let mut last_phase = began;
        loop {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self
                .changed
                .wait_timeout_while(state, FRAME, |state| !state.done && (state.pauses == 0) != state.is_clear);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.pauses > 0 && !state.done {
                drop(state);
                screen.clear();
                self.with(|state| state.is_clear = state.pauses > 0);
                self.changed.notify_all();
                continue;
            }
            let lines = std::mem::take(&mut state.tally.lines);
            let running = state.tally.running.clone();
            let done = state.done;
            let is_work = state.shows_work && running.is_empty();
            drop(state);
            for line in lines {
                let text = match line {
                    Line::Info(text) => format!("{text}\n"),
                    Line::Warning(text) => format!("{} {text}\n", palette.warning("Warning:")),
                };
                screen.line(&text);
            }
            if done {
                return screen.clear();
            }
            if !is_work {
                last_phase = Instant::now();
            }
            screen.draw(&running, began.elapsed());
            screen.draw_work(Some(last_phase.elapsed()).filter(|&time| is_work && time >= WORKING));
        }
    }
}

/// The place where progress is drawn.
trait Screen {
    /// Writes a line that stays.
    fn line(&mut self, text: &str) {
        write_stderr(text);
    }

    /// Draws the running phases.
    fn draw(&mut self, running: &[RunningPhase], since_start: Duration);

    /// Draws that there is work without a phase, and for how long there is.
    fn draw_work(&mut self, _time: Option<Duration>) {}

    /// Clears the drawing.
    fn clear(&mut self) {}
}

/// `--quiet`.
struct Silence;

impl Screen for Silence {
    fn draw(&mut self, _running: &[RunningPhase], _since_start: Duration) {}
}

/// A log.
#[derive(Default)]
struct Plain {
    last: Duration,
    /// The lines about work without a phase.
    work_lines: u32,
}

impl Screen for Plain {
    fn draw(&mut self, running: &[RunningPhase], since_start: Duration) {
        let every = if since_start < PLAIN_EVERY { PLAIN_AT_FIRST } else { PLAIN_EVERY };
        if since_start - self.last < every {
            return;
        }
        self.last = since_start;
        for running in running {
            let speed = Speed::mean(running, running.began.elapsed().as_secs_f64());
            self.line(&progress_text::plain(running, speed));
        }
    }

    fn draw_work(&mut self, time: Option<Duration>) {
        let Some(time) = time else {
            self.work_lines = 0;
            return;
        };
        if time >= PLAIN_EVERY * (self.work_lines + 1) {
            self.work_lines += 1;
            self.line(&format!("{}\n", progress_text::work(time)));
        }
    }
}

/// A terminal.
struct Bars {
    all: MultiProgress,
    bars: HashMap<Phase, (ProgressBar, &'static str)>,
    /// Work without a phase.
    work: Option<ProgressBar>,
    hidden: bool,
    /// Returns the columns of the terminal.
    columns: fn() -> usize,
}

impl Bars {
    fn new() -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Bars { all, bars: HashMap::new(), work: None, hidden: true, columns }
    }

    fn update(&mut self, running: &RunningPhase, columns: usize) {
        let layout = Layout::of(columns);
        let (done, total) = running.done();
        let template = match layout {
            Layout::Text => TEXT,
            Layout::Bar(_) if total == 0 => SPINNER,
            Layout::Bar(24..) => BAR,
            Layout::Bar(_) => SHORT_BAR,
        };
        let all = &self.all;
        let (bar, drawn) = self.bars.entry(running.phase).or_insert_with(|| {
            // Whatever is set on a bar that is drawn draws it, so a new one gets its style before it has a place.
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            (all.add(bar.with_style(style(template)).with_prefix(running.doing())), template)
        });
        if *drawn != template {
            bar.set_style(style(template));
            *drawn = template;
        }
        if total > 0 && bar.length() != Some(total) {
            bar.set_length(total);
        }
        bar.set_position(done);
        let per_second = bar.per_sec() as u64;
        let left = (total > done && per_second > 0).then(|| bar.eta().as_secs_f64());
        bar.set_message(layout.text(running, Speed { per_second, left }, columns));
        bar.tick();
    }
}

impl Screen for Bars {
    fn line(&mut self, text: &str) {
        self.all.suspend(|| write_stderr(text));
    }

    fn draw(&mut self, running: &[RunningPhase], since_start: Duration) {
        if self.hidden && since_start >= NOTHING_DRAWN {
            self.hidden = false;
            self.all.set_draw_target(ProgressDrawTarget::stderr());
        }
        let all = &self.all;
        self.bars.retain(|phase, (bar, _)| {
            let runs = running.iter().any(|running| running.phase == *phase);
            if !runs {
                bar.finish_and_clear();
                all.remove(bar);
            }
            runs
        });
        let columns = (self.columns)();
        for running in running {
            self.update(running, columns);
        }
    }

    fn draw_work(&mut self, time: Option<Duration>) {
        let Some(time) = time else {
            if let Some(bar) = self.work.take() {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
            return;
        };
        let all = &self.all;
        let bar = self.work.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            all.add(bar.with_style(style(WORK)))
        });
        bar.set_message(progress_text::work(time));
        bar.tick();
    }

    fn clear(&mut self) {
        self.draw_work(None);
        self.draw(&[], Duration::ZERO);
    }
}

/// Returns the columns of the terminal.
fn columns() -> usize {
    const USUAL: usize = 80;
    color::columns(io::stderr()).unwrap_or(USUAL)
}

fn style(template: &'static str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are constant and right");
    style.progress_chars("=> ").tick_chars("-\\|/ ")
}

/// If nobody reads stderr, the deploy goes on.
fn write_stderr(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps all that is written to it.
    #[derive(Debug, Clone, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _lines: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _lines: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_is_never_drawn_in_another_style() {
        let terminal = Terminal::default();
        let mut bars = Bars::new();
        bars.hidden = false;
        bars.columns = || 80;
        bars.all.set_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let running = |phase, files, files_total| RunningPhase {
            phase,
            began: Instant::now(),
            files,
            files_total,
            bytes: 0,
            bytes_total: 0,
        };
        for running in [
            running(Phase::Scan, 0, 0),
            running(Phase::Scan, 5, 0),
            running(Phase::Assemble, 1, 4),
            running(Phase::Sync, 0, 0),
            running(Phase::Sync, 1, 4),
        ] {
            bars.draw(&[running], NOTHING_DRAWN);
        }
        bars.clear();
        let drawn = terminal.0.lock().unwrap().clone();
        for part in
            ["Scanning", "5 files", "Assembling  [======>", "1 of 4 files", "Syncing     \\ ", "Syncing     [======>"]
        {
            assert!(drawn.contains(part), "{part:?}: {drawn}");
        }
        // The own bar of indicatif.
        assert!(!drawn.contains(['█', '░']) && !drawn.contains("0/0"), "{drawn}");
    }

    #[test]
    fn work_without_a_phase_is_shown_with_its_time() {
        let terminal = Terminal::default();
        let mut bars = Bars::new();
        bars.hidden = false;
        bars.all.set_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let drawn = || terminal.0.lock().unwrap().clone();
        bars.draw_work(None);
        assert_eq!(drawn(), "");
        bars.draw_work(Some(Duration::from_secs(12)));
        assert!(drawn().contains("Working, 12 s"), "{}", drawn());
        bars.draw_work(None);
        assert!(bars.work.is_none());
    }
}
