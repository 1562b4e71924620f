//! The base: the release that a new one is described against. The client names one, the agent takes one.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::release::ReleaseId;

/// A release that new ones are described against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseName {
    /// The release.
    pub(crate) release: ReleaseId,
    /// The root of its manifest.
    pub(crate) root: Hash,
}

/// What a manifest is described against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Against {
    /// Nothing: all of it follows.
    Nothing,
    /// The base that the client named when it began.
    Named,
    /// The base that the agent said it takes.
    Taken,
}

/// The base that the agent takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Taken {
    /// None.
    Nothing,
    /// None, and nothing is stored either: all content is lacking.
    Empty,
    /// The one that the client named.
    Named,
    /// Another.
    Another(BaseName),
}
