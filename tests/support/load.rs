//! Visitors of a site who never stop: they ask for pages, keep things on the server, and look whether a path is there. The
//! first answer that is wrong ends all visits, and fails the test at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::visitor::ask;
use super::wait;

/// Threads that use a site.
#[derive(Default)]
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    counts: Arc<Counters>,
    threads: Vec<JoinHandle<Option<String>>>,
}

#[derive(Default)]
struct Counters {
    answered: AtomicU64,
    kept: AtomicU64,
    longest_micros: AtomicU64,
}

impl Load {
    /// Asks for a page, which must be one of these.
    pub(crate) fn ask(&mut self, port: u16, path: &'static str, pages: &[&str]) {
        self.look(path.to_owned(), pages, move || ask(port, path));
    }

    /// Reads a file, which must have one of these contents.
    pub(crate) fn read(&mut self, path: PathBuf, contents: &[&str]) {
        self.look(path.display().to_string(), contents, move || fs::read_to_string(&path));
    }

    fn look(&mut self, at: String, expected: &[&str], look: impl Fn() -> io::Result<String> + Send + 'static) {
        let expected: Vec<String> = expected.iter().map(|page| (*page).to_owned()).collect();
        self.until_the_end(move |counts| {
            let answer = counts.time(&look).unwrap_or_else(|error| format!("no answer: {error}"));
            counts.answered.fetch_add(1, Ordering::Relaxed);
            (!expected.contains(&answer)).then(|| format!("{at}: {answer}"))
        });
    }

    /// Keeps things on the server, each with the number that it is given. Only one such thread makes sense.
    pub(crate) fn keep(&mut self, keep: impl Fn(u64) -> Result<(), String> + Send + 'static) {
        self.until_the_end(move |counts| {
            let number = counts.kept.load(Ordering::Relaxed);
            let kept = counts.time(|| keep(number));
            counts.kept.fetch_add(u64::from(kept.is_ok()), Ordering::Relaxed);
            kept.err().map(|error| format!("number {number}: {error}"))
        });
    }

    /// Looks whether a path is there. A look that is under way in the moment in which a shared path is given back may meet its
    /// link at both ends: then it fails, and the next one does not.
    pub(crate) fn watch(&mut self, path: PathBuf) {
        self.until_the_end(move |_| {
            let is_loop = |error: &io::Error| error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
            let found = match fs::metadata(&path) {
                Err(error) if is_loop(&error) => fs::metadata(&path),
                found => found,
            };
            Some(format!("{}: {}", path.display(), found.err()?))
        });
    }

    fn until_the_end(&mut self, act: impl Fn(&Counters) -> Option<String> + Send + 'static) {
        let (is_over, counts) = (self.is_over.clone(), self.counts.clone());
        self.threads.push(std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if let Some(failure) = act(&counts) {
                    is_over.store(true, Ordering::Relaxed);
                    return Some(failure);
                }
            }
            None
        }));
    }

    /// Ends the visits once so many pages were answered and so many things kept. Nothing went wrong. Returns how many
    /// things the server kept. Their numbers are those below.
    #[track_caller]
    pub(crate) fn end(self, site: &str, answered_min: u64, kept_min: u64) -> u64 {
        let is_enough = || {
            let is_reached = |count: &AtomicU64, min| count.load(Ordering::Relaxed) >= min;
            let has_failed = self.is_over.load(Ordering::Relaxed);
            has_failed || (is_reached(&self.counts.answered, answered_min) && is_reached(&self.counts.kept, kept_min))
        };
        wait::until("enough visits", || is_enough().then_some(()));
        self.is_over.store(true, Ordering::Relaxed);
        let failures: Vec<String> = self.threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (answered, kept) = (read(&self.counts.answered), read(&self.counts.kept));
        let longest = Duration::from_micros(read(&self.counts.longest_micros));
        assert!(failures.is_empty(), "after {answered} answers and {kept} kept things: {failures:?}");
        if std::env::var_os("CUTOVER_FIGURES").is_some() {
            eprintln!(
                "{site}: {answered} pages were answered and {kept} things kept; none failed; longest {longest:?}"
            );
        }
        kept
    }
}

impl Counters {
    fn time<T>(&self, act: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = act();
        self.longest_micros.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        result
    }
}

/// Asks for a page whose whole answer is this.
pub(crate) fn expect(port: u16, path: &str, expected: &str) -> Result<(), String> {
    match ask(port, path) {
        Ok(answer) if answer == expected => Ok(()),
        other => Err(format!("{path}: {other:?}")),
    }
}

/// Copies a directory with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    super::sshd::run(std::process::Command::new("cp").arg("-R").arg(from.join(".")).arg(to));
}
