//! The end of a command.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The way in which a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandEnd {
    /// With exit code 0.
    Done,
    /// With another exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It took longer than it may, and was ended.
    TimedOut,
    /// It was ended because the run was interrupted.
    Stopped,
}

impl CommandEnd {
    /// Returns whether the command did its work.
    pub fn is_success(self) -> bool {
        self == CommandEnd::Done
    }
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandEnd::Done => f.write_str("it succeeded"),
            CommandEnd::Code(code) => write!(f, "it ended with exit code {code}"),
            CommandEnd::Signal(signal) => write!(f, "it was ended by signal {signal}"),
            CommandEnd::TimedOut => f.write_str("it took longer than its `timeout` and was ended"),
            CommandEnd::Stopped => f.write_str("it was stopped"),
        }
    }
}
