//! What a release is to be called, and which second its files are to carry as mtime: proposed to all hosts alike.
//!
//! A host that cannot take the one or the other takes the next that is free there, and says which name it took.

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
    /// Proposes the time that it is now, and the name that was asked for, if one was.
    pub(crate) fn now(request: &DeployRequest) -> Proposal {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        Proposal {
            release: request.release.clone().unwrap_or_else(|| ReleaseId::at(now)),
            // The one before is over: a filesystem that keeps whole seconds can take it too.
            second: u32::try_from(now).unwrap_or(u32::MAX).saturating_sub(1),
        }
    }
}
