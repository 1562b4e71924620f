//! The link between a file of a release and its object.

use serde::{Deserialize, Serialize};

/// The way in which the files of a release get their content from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// A file is a hardlink to its object.
    #[default]
    Hardlink,
    /// A file has its own inode, and shares its blocks with its object.
    Reflink,
}
