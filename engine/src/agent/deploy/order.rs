//! The order of a client, for every step of a deploy.

use std::path::Path;

use crate::target::Policy;
use crate::wire::message::{DeployBegin, Hello, Holding};

/// The order of a client.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    /// Its first message.
    pub(crate) hello: &'a Hello,
    /// The release that it asks for.
    pub(crate) begin: &'a DeployBegin,
    /// The deploy path.
    pub(crate) path: &'a Path,
}

impl<'a> Order<'a> {
    /// Returns the policy of the deploy path.
    pub(crate) fn policy(&self) -> &'a Policy {
        &self.hello.policy
    }

    /// Returns the holding of the server, if the client believes another one.
    pub(super) fn unless_believed(&self, holding: Holding) -> Option<Holding> {
        (holding.mark() != self.begin.believed).then_some(holding)
    }
}
