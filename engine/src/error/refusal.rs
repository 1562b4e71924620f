//! An error as it crosses the wire: what the agent could not do, in its own words, and the hint as data.

use serde::{Deserialize, Serialize};

use super::hint::Hint;
use super::kind::Kind;

/// An error of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind, which decides the exit code.
    pub kind: Kind,
    /// What could not be done, and to what.
    pub message: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<Hint>,
}
