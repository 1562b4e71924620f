//! An error of the agent as it crosses the wire: the agent's text, and the hint as data.

use serde::{Deserialize, Serialize};

use super::hint::Hint;
use super::kind::Kind;

/// An error of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind, which decides the exit code.
    pub kind: Kind,
    /// The failed action, and its object.
    pub message: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    /// The next step.
    pub hint: Option<Hint>,
}
