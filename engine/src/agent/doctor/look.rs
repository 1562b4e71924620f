//! The result of one subject.

use crate::report::Finding;

/// The result of one subject.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The findings.
    pub(super) findings: Vec<Finding>,
    /// Facts, each a short text.
    pub(super) facts: Vec<String>,
}

impl Look {
    /// Returns a result with a fact and no findings.
    pub(super) fn fact(fact: impl Into<String>) -> Look {
        Look { facts: vec![fact.into()], ..Look::default() }
    }

    /// Adds a finding.
    pub(super) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}
