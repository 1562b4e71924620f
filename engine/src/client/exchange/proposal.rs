//! The name of a release, and the second that its files carry as mtime: proposed to all hosts alike.
//!
//! If a host cannot use the name or the second, it uses the next that is free there, and reports the name.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::release::ReleaseId;
use crate::request::DeployRequest;

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    /// The name.
    pub(crate) release: ReleaseId,
    /// The second, as Unix time.
    pub(crate) second: u32,
}

impl Proposal {
    /// Proposes the present time, and the requested name, if there is one.
    pub(crate) fn now(request: &DeployRequest) -> Proposal {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        Proposal {
            release: request.release.clone().unwrap_or_else(|| ReleaseId::at(now)),
            // The second before: it is over, so a filesystem that keeps whole seconds can use it too.
            second: u32::try_from(now).unwrap_or(u32::MAX).saturating_sub(1),
        }
    }
}
