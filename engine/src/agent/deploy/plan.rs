//! The plan of a release: what is to be made, and of what.

use crate::agent::classify::Classification;
use crate::agent::staging::Staging;
use crate::agent::store::Store;

use super::spare::SpareChoice;
use super::task::Task;

/// What is to be made, and of what.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// What is to be made.
    pub(super) task: Task<'a>,
    /// Where its files are.
    pub(super) classification: &'a Classification,
    /// The release that is turned into it.
    pub(super) choice: &'a SpareChoice,
    /// The store.
    pub(super) store: &'a Store,
    /// Where it is assembled.
    pub(super) staging: &'a Staging,
}
