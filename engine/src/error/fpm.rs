//! The ways in which PHP-FPM does not empty OPcache.

use std::time::Duration;

use crate::units::Bytes;

use super::hint::FpmRemedy;

/// A reset of OPcache that did not happen. Texts of PHP are escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FpmFault {
    /// Nothing listens on the address.
    #[error("nothing answers there: {reason}")]
    Unreachable {
        /// The reason.
        reason: String,
    },
    /// The socket belongs to others.
    #[error("this user may not connect to it")]
    NotAllowed,
    /// The time was over before the answer was complete.
    #[error("there was no complete answer within {after:?}")]
    TimedOut {
        /// The time limit.
        after: Duration,
    },
    /// The connection ended before the answer did.
    #[error("there was no complete answer: {reason}")]
    Closed {
        /// The reason.
        reason: String,
    },
    /// Another server listens there.
    #[error("what answers there is not PHP-FPM")]
    NotFastCgi,
    /// The pool has no process for it.
    #[error("all its processes are busy")]
    Overloaded,
    /// The answer is too long.
    #[error("its answer is longer than {}", Bytes(*.most))]
    TooLong {
        /// The most that is read.
        most: u64,
    },
    /// The script cannot be opened.
    #[error("it cannot open the script `{script}`{}", says(.text))]
    NoScript {
        /// The script.
        script: String,
        /// The words of PHP.
        text: String,
    },
    /// The pool does not run scripts of this name.
    #[error("it does not run the script `{script}`{}", says(.text))]
    Forbidden {
        /// The script.
        script: String,
        /// The words of PHP.
        text: String,
    },
    /// PHP has no OPcache.
    #[error("its PHP has no OPcache")]
    NoOpcache,
    /// The function is disabled.
    #[error("its PHP has `opcache_reset` disabled")]
    Disabled,
    /// The function may be called by other scripts only.
    #[error("its PHP lets other scripts alone reset OPcache")]
    Restricted,
    /// The script answered something else.
    #[error("it answered with status {status}{}", says(.text))]
    Other {
        /// The status.
        status: u16,
        /// The beginning of the answer.
        text: String,
    },
}

fn says(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl FpmFault {
    /// Returns what mends it.
    pub(super) fn remedy(&self) -> FpmRemedy {
        match self {
            FpmFault::Unreachable { .. } | FpmFault::NotFastCgi => FpmRemedy::CheckAddress,
            FpmFault::NotAllowed => FpmRemedy::AllowUser,
            FpmFault::TimedOut { .. } | FpmFault::Overloaded => FpmRemedy::AddProcesses,
            FpmFault::NoScript { .. } => FpmRemedy::LetRead,
            FpmFault::Forbidden { .. } => FpmRemedy::AllowExtension,
            FpmFault::NoOpcache => FpmRemedy::Install,
            FpmFault::Disabled => FpmRemedy::Enable,
            FpmFault::Restricted => FpmRemedy::WidenApi,
            FpmFault::Closed { .. } | FpmFault::TooLong { .. } | FpmFault::Other { .. } => FpmRemedy::SeeLog,
        }
    }
}
