//! An error of the agent as it crosses the wire: the agent's text, and the hint as data.

use serde::{Deserialize, Serialize};

use crate::command::Mask;

use super::hint::{CheckHint, Hint};
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

impl Refusal {
    /// Returns the error with its causes, as one text.
    pub fn text(&self) -> String {
        [std::slice::from_ref(&self.message), &self.causes[..]].concat().join(": ")
    }

    /// Returns the error without secrets.
    pub(crate) fn masked(self, mask: &Mask) -> Refusal {
        let Refusal { kind, message, causes, hint } = self;
        let causes = causes.into_iter().map(|cause| mask.mask(cause)).collect();
        let hint = hint.map(|hint| match hint {
            Hint::Check(CheckHint::SeeAnswer { url }) => Hint::Check(CheckHint::SeeAnswer { url: mask.mask(url) }),
            hint => hint,
        });
        Refusal { kind, message: mask.mask(message), causes, hint }
    }
}
