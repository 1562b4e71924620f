//! A lock that a person takes, for example for a freeze: it outlives the command, and keeps deploys out until somebody
//! removes it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::Time;

/// The longest message, in bytes: a few sentences.
const MESSAGE_BYTES_MAX: usize = 500;

/// The message of a manual lock: the reason, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LockMessage(String);

/// The text cannot be the message of a manual lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotALockMessage {
    /// It has no text.
    #[error("The message is empty: it tells others why nobody may deploy")]
    Empty,
    /// It is too long.
    #[error("The message has {0} bytes, and may have {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    /// It holds a line break or another control character.
    #[error("The message holds the control character `{}`: it must be one line of text", .0.escape_debug())]
    Control(char),
}

impl FromStr for LockMessage {
    type Err = NotALockMessage;

    fn from_str(text: &str) -> Result<LockMessage, NotALockMessage> {
        let text = text.trim();
        match text.chars().find(|character| character.is_control()) {
            _ if text.is_empty() => Err(NotALockMessage::Empty),
            _ if text.len() > MESSAGE_BYTES_MAX => Err(NotALockMessage::TooLong(text.len())),
            Some(control) => Err(NotALockMessage::Control(control)),
            None => Ok(LockMessage(text.to_owned())),
        }
    }
}

impl TryFrom<String> for LockMessage {
    type Error = NotALockMessage;

    fn try_from(text: String) -> Result<LockMessage, NotALockMessage> {
        text.parse()
    }
}

impl From<LockMessage> for String {
    fn from(message: LockMessage) -> String {
        message.0
    }
}

/// A manual lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualLock {
    /// The user that took it.
    pub who: String,
    /// The host that the user took it from.
    pub from: String,
    /// The time at which it was taken, in Unix seconds.
    pub since: u64,
    /// The reason.
    pub message: String,
}

impl fmt::Display for ManualLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ManualLock { who, from, since, message } = self;
        write!(f, "{who}@{from} since {}: {message}", Time(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_that_is_neither_empty_nor_long() {
        let check = |text: &str, expected: Result<&str, NotALockMessage>| {
            let found = text.parse::<LockMessage>().map(String::from);
            assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        };
        check(" freeze – bis Montag ", Ok("freeze – bis Montag"));
        check("", Err(NotALockMessage::Empty));
        check(" \t\n", Err(NotALockMessage::Empty));
        check("one\ntwo", Err(NotALockMessage::Control('\n')));
        check("\x1b[2J", Err(NotALockMessage::Control('\x1b')));
        check(&"x".repeat(500), Ok(&"x".repeat(500)));
        check(&"x".repeat(501), Err(NotALockMessage::TooLong(501)));
        assert!(postcard::from_bytes::<LockMessage>(&postcard::to_stdvec("\x1b").unwrap()).is_err());
    }
}
