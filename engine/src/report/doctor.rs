//! The result of an examination of a target: what was checked, and what was found.
//!
//! A finding is data: the facts, without the words of any program. The command words it, names the next step, and links
//! a page by the finding's id (`cli/src/doctor`).

mod finding;
mod subject;

use serde::{Deserialize, Serialize};

pub use finding::{Finding, FindingId};
pub use subject::{CacheRemedy, Severity, Subject};

/// A subject that was examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// The subject.
    pub subject: Subject,
    /// Facts about it, each a short text.
    pub facts: Vec<String>,
    /// The reason why it was not examined, if it was not.
    pub skipped: Option<String>,
}

/// The result of an examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The user on the server, by name, or by number if it has no name.
    pub user: String,
    /// The subjects.
    pub examined: Vec<Examined>,
    /// The findings.
    pub findings: Vec<Finding>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}
