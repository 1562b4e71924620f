//! Ctrl-C, SIGTERM and SIGHUP: the first one asks the engine to stop at a safe point, a second one ends the program
//! at once.
//!
//! Ending at once is safe too, because the server publishes only by rename. It only leaves more to clean up.

use std::fs;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use engine::cancel::Cancel;
use engine::threads;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::progress::Progress;
use crate::terminal;

/// The exit code of the received signal, or 0.
static CODE: AtomicU8 = AtomicU8::new(0);

/// The time for which a stopped terminal may delay the end of the program.
const LAST_LINE: Duration = Duration::from_millis(200);

/// The time that the engine gets to tell the server of the first signal, if a second one follows it at once.
const TELLING: Duration = Duration::from_millis(300);

/// The work that a signal asks to stop.
struct Work {
    cancel: Cancel,
    progress: Arc<Progress>,
}

/// The work that is under way. Where there is none, a signal ends the program at once.
static WORK: Mutex<Option<Work>> = Mutex::new(None);

/// Lets the next signal end the program at once, while it waits for a person.
pub(crate) fn release() {
    WORK.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// Handles signals from now on. `last_line` is printed when a signal ends the program at once. If no thread can be
/// had, the first signal ends it at once, without a line.
pub(crate) fn listen(cancel: Cancel, progress: Arc<Progress>, last_line: Option<String>) -> io::Result<()> {
    static IS_LISTENING: AtomicBool = AtomicBool::new(false);
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Work { cancel, progress });
    if IS_LISTENING.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let (tell, is_listening) = mpsc::channel();
    // Signals are only caught once a thread handles them.
    let started = threads::spawn(move || match Signals::new(not_ignored()) {
        Ok(signals) => {
            drop(tell.send(Ok(())));
            handle_signals(signals, last_line.as_deref());
        }
        Err(error) => drop(tell.send(Err(error))),
    });
    if started.is_err() { Ok(()) } else { is_listening.recv().unwrap_or(Ok(())) }
}

fn handle_signals(mut signals: Signals, last_line: Option<&str>) {
    let mut first = None;
    for signal in signals.forever() {
        let code = if signal == SIGINT { 130 } else { 143 };
        let work = WORK.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Work { cancel, progress }) = work.as_ref().filter(|_| CODE.swap(code, Ordering::Relaxed) == 0) else {
            terminal::close();
            let since = first.map_or(TELLING, |first: Instant| first.elapsed());
            std::thread::sleep(TELLING.saturating_sub(since));
            say_last(last_line);
            std::process::exit(code.into());
        };
        cancel.cancel();
        first = Some(Instant::now());
        progress.say("Stopping at the next safe point; interrupt again to stop at once");
    }
}

fn say_last(line: Option<&str>) {
    let Some(line) = line.map(|line| format!("{line}\n")) else { return };
    let (said, wait) = mpsc::channel();
    let say = move || {
        drop(io::stderr().write_all(line.as_bytes()));
        said.send(()).unwrap_or_default();
    };
    if threads::spawn(say).is_ok() {
        wait.recv_timeout(LAST_LINE).unwrap_or_default();
    }
}

/// Returns the exit code of the received signal, if there was one.
pub(crate) fn code() -> Option<u8> {
    Some(CODE.load(Ordering::Relaxed)).filter(|&code| code != 0)
}

/// Returns the signals that the parent does not ignore: `nohup` ignores SIGHUP, and a shell without job control
/// ignores SIGINT in background commands.
fn not_ignored() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored_mask(&status);
    let signals = [SIGINT, SIGTERM, SIGHUP].into_iter();
    signals.filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
}

fn ignored_mask(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        assert_eq!(ignored_mask("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t1\n"), 0x1001);
        assert_eq!(ignored_mask(""), 0);
    }
}
