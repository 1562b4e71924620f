//! A failure of the bench: the deed that could not be done, and the cause.
//!
//! One type is enough here. Nobody handles these failures by kind: a scenario that fails is reported as failed, and the
//! bench ends with an error.

use std::error::Error;
use std::fmt;

/// The result of everything in the bench.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Something that could not be done, and its cause.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Makes a failure without a further cause.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), cause: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut cause: Option<&dyn Error> = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = cause {
            write!(f, "\nCaused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Names the deed at which an error came.
pub(crate) trait Context<T> {
    /// Turns the error into a [`Failure`]; the text is made only when it is needed.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|cause| Failure { what: what().into(), cause: Some(cause.into()) })
    }
}
