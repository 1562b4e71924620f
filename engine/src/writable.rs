//! The directories that the application writes to, as configured.

use serde::{Deserialize, Serialize};

use crate::path::RelativePath;

/// Directories of a release or in `shared/` that the application writes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writable {
    /// The directories, each with those below it.
    pub directories: Vec<RelativePath>,
    /// Their mode. None: [`Writable::MODE`].
    pub mode: Option<u32>,
    /// Their group, by name. None: it stays.
    pub group: Option<String>,
}

impl Writable {
    /// The mode by default.
    pub const MODE: u32 = 0o775;
}
