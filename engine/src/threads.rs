//! Threads: as many as the system allows.
//!
//! A server may let a user have few processes and threads (`ulimit -u`, `pids.max`), and have many processors all the
//! same. So rayon's pool is made once. It has as many threads as can be started while some are left for work that needs
//! a thread of its own. Every other thread is asked for, and may be refused. Then the thread at hand does the work, or
//! leaves it out if it is optional. Work that cannot be done without the thread fails with [`Error::NoThread`].

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::Duration;

use rustix::system::uname;

use crate::error::Error;

/// The stack of a thread that may walk a tree: a thread of the pool, or an agent in this process. A walk takes 5 KiB of
/// it for each of [`crate::manifest::LEVELS_MAX`] nested directories. While a thread waits for another one, it may
/// begin a second path of as many.
const STACK_BYTES: usize = 8 << 20;

/// The threads that are left beside the pool. The two sides of a local target need this many at once, with one that
/// packs and one that receives.
const OTHER_THREADS: usize = 12;

/// The size of a pool that is made without a check. The check takes half a millisecond, which is more than the pool
/// saves if nothing has changed.
const FEW_THREADS: usize = 4;

/// The stack of a thread that only waits.
const WAITING_STACK_BYTES: usize = 64 << 10;

/// A thread that has ended counts for a moment longer. So a refused one is tried again: this often, after this time.
const TRIES: u32 = 10;
const RETRY_AFTER: Duration = Duration::from_millis(2);

/// Starts a thread.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    let work = Work::new(work);
    retry(|| Builder::new().stack_size(STACK_BYTES).spawn(work.once())).map_err(no_thread)
}

/// Starts a thread in a scope that joins it.
pub(crate) fn spawn_scoped<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let work = Work::new(work);
    retry(|| Builder::new().spawn_scoped(scope, work.once())).map_err(no_thread)
}

/// Does one thing on a thread of its own while another is done here. If no thread is to be had, it does one after the
/// other.
pub(crate) fn beside<A: Send, B>(other: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let other = Work::new(other);
        let started = retry(|| Builder::new().spawn_scoped(scope, other.once()));
        let done = here();
        let other = match started {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => other.once()(),
        };
        (other, done)
    })
}

/// Makes rayon's pool, once. Call it before rayon gets any work: rayon panics if it cannot have all its threads.
pub(crate) fn start_pool() -> Result<(), Error> {
    static SIZE: OnceLock<Result<(), i32>> = OnceLock::new();
    let started = SIZE.get_or_init(|| make_pool().map_err(|error| error.raw_os_error().unwrap_or_default()));
    started.map_err(|code| no_thread(io::Error::from_raw_os_error(code)))
}

fn make_pool() -> io::Result<()> {
    let usual = usual_threads();
    let threads = match usual {
        0..=FEW_THREADS => usual,
        _ => available_threads(usual + OTHER_THREADS)?.saturating_sub(OTHER_THREADS).max(1),
    };
    let start = |thread: rayon::ThreadBuilder| {
        let work = Work::new(|| thread.run());
        retry(|| Builder::new().stack_size(STACK_BYTES).spawn(work.once())).map(drop)
    };
    match rayon::ThreadPoolBuilder::new().num_threads(threads).spawn_handler(start).build_global() {
        Ok(()) => Ok(()),
        // The caller of the engine has made a pool already, which will do.
        Err(error) => match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(error) => Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or_default())),
            None => Ok(()),
        },
    }
}

/// Returns the number of threads that rayon would start: one a processor, or the number that its own variable says.
fn usual_threads() -> usize {
    let pool = rayon::ThreadPoolBuilder::new().spawn_handler(|_| Ok(())).build();
    pool.map_or(1, |pool| pool.current_num_threads())
}

/// Returns how many of the wanted threads can be had at once: at least one, or the reason for none.
fn available_threads(wanted: usize) -> io::Result<usize> {
    let is_over = Arc::new((Mutex::new(false), Condvar::new()));
    let mut threads = Vec::new();
    let mut refused = None;
    while threads.len() < wanted && refused.is_none() {
        let is_over = is_over.clone();
        let wait = move || drop(is_over.1.wait_while(lock(&is_over.0), |is_over| !*is_over));
        match Builder::new().stack_size(WAITING_STACK_BYTES).spawn(wait) {
            Ok(thread) => threads.push(thread),
            Err(error) => refused = Some(error),
        }
    }
    *lock(&is_over.0) = true;
    is_over.1.notify_all();
    let count = threads.len();
    // They do nothing that could panic.
    threads.into_iter().for_each(|thread| drop(thread.join()));
    match refused {
        Some(error) if count == 0 => Err(error),
        _ => Ok(count),
    }
}

/// A thread's work, until some thread takes it.
struct Work<W>(Arc<Mutex<Option<W>>>);

impl<W> Work<W> {
    fn new(work: W) -> Work<W> {
        Work(Arc::new(Mutex::new(Some(work))))
    }

    /// Returns a closure that does the work. Only one of them may be called.
    fn once<T>(&self) -> impl FnOnce() -> T + use<W, T>
    where
        W: FnOnce() -> T,
    {
        let work = self.0.clone();
        move || {
            let taken = lock(&work).take();
            taken.expect("one thread is started, and takes it once")()
        }
    }
}

fn retry<T>(spawn: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 1;
    loop {
        match spawn() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && tries < TRIES => {
                std::thread::sleep(RETRY_AFTER);
                tries += 1;
            }
            other => return other,
        }
    }
}

fn no_thread(source: io::Error) -> Error {
    Error::NoThread { host: uname().nodename().to_string_lossy().into_owned(), source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_threads_are_counted_as_can_be_had() {
        assert_eq!(available_threads(5).unwrap(), 5);
        assert!(usual_threads() >= 1);
    }

    #[test]
    fn two_things_are_done_beside_each_other() {
        let (sender, receiver) = crossbeam_channel::bounded(0);
        let (other, here) = beside(move || sender.send(7).is_ok(), || receiver.recv());
        assert_eq!((other, here), (true, Ok(7)));
    }

    #[test]
    fn what_cannot_be_started_is_tried_again_and_no_longer_than_it_makes_sense() {
        let tries = std::cell::Cell::new(0);
        let spawn = |at: u32, kind| {
            tries.set(0);
            retry(|| {
                tries.set(tries.get() + 1);
                if tries.get() == at { Ok(at) } else { Err(io::Error::from(kind)) }
            })
            .is_ok()
        };
        assert!(spawn(3, ErrorKind::WouldBlock) && tries.get() == 3);
        assert!(!spawn(TRIES + 1, ErrorKind::WouldBlock) && tries.get() == TRIES);
        assert!(!spawn(2, ErrorKind::OutOfMemory) && tries.get() == 1);
    }
}
