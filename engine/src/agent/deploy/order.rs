//! What a client has ordered, for every step of a deploy.

use std::path::Path;

use crate::target::Policy;
use crate::wire::message::{DeployBegin, Hello, Holding};

/// What is to be made, as the client said first.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    /// What the client opened with.
    pub(crate) hello: &'a Hello,
    /// What is to be made.
    pub(crate) begin: &'a DeployBegin,
    /// The deploy path.
    pub(crate) path: &'a Path,
}

impl<'a> Order<'a> {
    /// Returns what the server keeps to.
    pub(crate) fn policy(&self) -> &'a Policy {
        &self.hello.policy
    }

    /// Returns what the server holds, where the client believes something else.
    pub(super) fn unless_believed(&self, holding: Holding) -> Option<Holding> {
        (holding.mark() != self.begin.believed).then_some(holding)
    }
}
