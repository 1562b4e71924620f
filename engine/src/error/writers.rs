//! Other users who may write to a directory.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Other users who may write to a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writers {
    /// The members of a group, by its name or number.
    Group(String),
    /// Every user.
    All,
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Writers::Group(group) => write!(f, "The group `{group}`"),
            Writers::All => f.write_str("Everyone"),
        }
    }
}
