//! The paths of one kind of finding: how many there are, and some of them by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path::Shown;

/// The number of examples in a warning.
const EXAMPLES: usize = 3;

/// The number of paths of one kind, and some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paths {
    pub(super) number: usize,
    examples: Vec<String>,
}

impl Paths {
    pub(super) fn of(paths: &[Vec<u8>]) -> Paths {
        let examples = paths.iter().take(EXAMPLES).map(|path| format!("`{}`", Shown(path))).collect();
        Paths { number: paths.len(), examples }
    }

    pub(super) fn add(&mut self, example: String) {
        self.number += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }

    pub(super) fn add_if(&mut self, is_so: bool, path: impl Fn() -> Vec<u8>) {
        if is_so {
            self.add(format!("`{}`", Shown(&path())));
        }
    }

    pub(super) fn count(&self, one: &str, several: &str) -> String {
        if self.number == 1 { one.to_owned() } else { several.replace("{}", &self.number.to_string()) }
    }
}

/// Shows the examples, and the number of further paths.
impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.examples.join(", "))?;
        match self.number - self.examples.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
