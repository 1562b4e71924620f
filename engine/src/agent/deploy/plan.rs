//! The plan of a release: the task, and everything that the steps work with.

use crate::agent::classify::Classification;
use crate::agent::staging::Staging;
use crate::agent::store::Store;

use super::spare::SpareChoice;
use super::task::Task;

/// The plan of a release.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// The release to make.
    pub(super) task: Task<'a>,
    /// The place of each file's content.
    pub(super) classification: &'a Classification,
    /// The spare to reuse, if there is one.
    pub(super) choice: &'a SpareChoice,
    /// The store.
    pub(super) store: &'a Store,
    /// The staging of this run.
    pub(super) staging: &'a Staging,
}
