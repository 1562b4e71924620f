//! The translation of another tool's configuration.

use crate::init::draft::Draft;

/// The translation of a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Imported {
    /// What was translated, and what was not.
    pub(crate) draft: Draft,
    /// The preset that the configuration builds on.
    pub(crate) preset: Option<&'static str>,
    /// Whether the other tool migrates the database in a deploy.
    pub(crate) migrates: bool,
    /// The files that were read.
    pub(crate) files: Vec<String>,
}
