//! The base: the release that a new one is described against. The client proposes one, and the agent chooses.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::release::ReleaseId;

/// The name of a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseName {
    /// The release.
    pub(crate) release: ReleaseId,
    /// The root of its manifest.
    pub(crate) root: Hash,
}

/// The manifest that a tree is encoded against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TreeBase {
    /// None: the whole tree follows.
    Nothing,
    /// The base that the client proposed in its hello.
    Proposed,
    /// The base that the agent chose.
    Chosen,
}

/// The base that the agent chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AgentBase {
    /// None.
    Nothing,
    /// None, and the store is empty: all content is lacking.
    Empty,
    /// The base that the client proposed.
    Proposed,
    /// Another base.
    Another(BaseName),
}
