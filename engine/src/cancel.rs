//! The request to stop: a signal handler sets it, and the engine checks it between steps.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::Error;

/// A request to stop, shared between the caller and the engine. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    is_set: AtomicBool,
    /// The whole that this is a part of.
    above: Option<Cancel>,
    /// The time at which it is cancelled by itself.
    until: Option<Instant>,
}

impl Cancel {
    /// Asks the engine to stop at the next safe point.
    pub fn cancel(&self) {
        self.0.is_set.store(true, Ordering::Relaxed);
    }

    /// Returns [`Error::Interrupted`] once [`Cancel::cancel`] was called.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_set.load(Ordering::Relaxed)
            || self.0.until.is_some_and(|until| Instant::now() >= until)
            || self.0.above.as_ref().is_some_and(Cancel::is_cancelled)
    }

    /// Returns the request to stop one part of the work. The whole or that part alone can be cancelled.
    pub(crate) fn part(&self) -> Cancel {
        self.part_until(None)
    }

    /// Returns the request to stop one part of the work, which is also cancelled at a time.
    pub(crate) fn part_until(&self, until: Option<Instant>) -> Cancel {
        Cancel(Arc::new(CancelState { is_set: AtomicBool::new(false), above: Some(self.clone()), until }))
    }

    /// Wraps a reader so that it fails once this is cancelled.
    pub(crate) fn reader<R: Read>(&self, reader: R) -> CancelReader<'_, R> {
        CancelReader { reader, cancel: self }
    }
}

/// A reader that fails once its [`Cancel`] is cancelled.
pub(crate) struct CancelReader<'a, R> {
    reader: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for CancelReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Not `ErrorKind::Interrupted`: readers would read again.
        self.cancel.check().map_err(io::Error::other)?;
        self.reader.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_part_is_cancelled_with_the_whole_or_alone() {
        let whole = Cancel::default();
        let (one, other) = (whole.part(), whole.part());
        one.cancel();
        assert_eq!([&whole, &one, &other].map(|cancel| cancel.check().is_err()), [false, true, false]);
        whole.cancel();
        assert!(other.check().is_err());
    }

    #[test]
    fn a_part_with_a_time_is_cancelled_at_that_time() {
        let whole = Cancel::default();
        let after = |time| whole.part_until(Some(Instant::now() + Duration::from_secs(time))).check().is_err();
        assert_eq!([0, 60].map(after), [true, false]);
        assert!(whole.check().is_ok());
    }

    #[test]
    fn what_is_cancelled_is_read_no_further() {
        let cancel = Cancel::default();
        let mut reader = cancel.reader(io::repeat(7));
        reader.read_exact(&mut [0; 9]).unwrap();
        cancel.cancel();
        // A reader that reads again after a signal would do so for ever.
        assert!(io::copy(&mut reader, &mut io::sink()).is_err());
    }
}
