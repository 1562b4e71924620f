//! The time of day. It may be wrong, and may be set: code that must not depend on it uses [`super::uptime`].

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns Unix time in seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
