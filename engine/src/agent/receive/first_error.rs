//! The first error of any receiver. It ends all of them.

use std::sync::Mutex;

use crate::error::Error;

/// The first error of any receiver.
#[derive(Default)]
pub(crate) struct FirstError(Mutex<Option<Error>>);

impl FirstError {
    /// Keeps an error if it is the first.
    pub(crate) fn put(&self, error: Error) {
        self.0.lock().expect("no receiver panics").get_or_insert(error);
    }

    /// Fails with the error, if there was one.
    pub(crate) fn take(&self) -> Result<(), Error> {
        self.0.lock().expect("no receiver panics").take().map_or(Ok(()), Err)
    }

    /// Fails if there was an error, and leaves that error for [`FirstError::take`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_some() { Err(Error::Interrupted) } else { Ok(()) }
    }

    pub(super) fn is_some(&self) -> bool {
        self.0.lock().expect("no receiver panics").is_some()
    }
}
