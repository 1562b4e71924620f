//! The obstacles that prevent an adoption.

use crate::error::{Error, Refusal};

/// The obstacles that were found.
#[derive(Default)]
pub(super) struct Obstacles(pub(super) Vec<Refusal>);

impl Obstacles {
    /// Adds what a check found.
    pub(super) fn add(&mut self, checked: Result<(), Error>) {
        if let Err(error) = checked {
            self.push(error);
        }
    }

    /// Adds an obstacle, once.
    #[expect(clippy::needless_pass_by_value, reason = "callers make the error in place")]
    pub(super) fn push(&mut self, error: Error) {
        let refusal = error.to_refusal();
        if !self.0.contains(&refusal) {
            self.0.push(refusal);
        }
    }
}
