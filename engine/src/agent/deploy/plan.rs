//! The plan of a release: what is to be made, and of what.

use crate::agent::classify::Classified;
use crate::agent::staging::Staging;
use crate::agent::store::Store;

use super::spare::Choice;
use super::task::Task;

/// What is to be made, and of what.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// What is to be made.
    pub(super) task: Task<'a>,
    /// Where its files are.
    pub(super) classified: &'a Classified,
    /// The release that is turned into it.
    pub(super) choice: &'a Choice,
    /// The store.
    pub(super) store: &'a Store,
    /// Where it is assembled.
    pub(super) staging: &'a Staging,
}
