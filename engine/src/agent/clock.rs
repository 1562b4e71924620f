//! The time of day. It may be wrong, and may be set: code that must not depend on it uses [`super::uptime`].

use std::time::{SystemTime, UNIX_EPOCH};

use crate::moment::Moment;

/// The most that the second of a release may be ahead of this clock, in seconds: clocks that are set at all differ by less.
/// Until that time has come, a web server reports its own time as the mtime, or one in the future.
pub(crate) const AHEAD_SECONDS_MAX: u32 = 60;

/// Returns Unix time in seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Returns the moment.
pub(crate) fn now_exactly() -> Moment {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    Moment { millis }
}
