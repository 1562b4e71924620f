//! The ways out of a lack of space: what a cleanup would free now, and with the fewest releases.

use std::time::Duration;

use crate::agent::prune::{self, CleanupOptions};
use crate::agent::reporter::Reporter;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::error::{Error, SiteError, SpaceRemedy};
use crate::report::CleanupReport;
use crate::target::Policy;

/// Adds the ways out to the error of a lack of space. Other errors stay as they are. A way that cannot be found is left
/// out: the first error matters.
pub(crate) fn with_remedy(error: Error, layout: &mut Layout, policy: &Policy, reporter: &dyn Reporter) -> Error {
    let of: fn(&CleanupReport) -> u64 = match &error {
        Error::Site(SiteError::NoSpace { .. }) => |report| report.freed_bytes,
        Error::Site(SiteError::NoInodes { .. }) => |report| report.freed_inodes,
        _ => return error,
    };
    let mut freed = |policy: &Policy| {
        let mut releases = Releases::read(layout)?;
        let options = CleanupOptions { sweep: true, ..CleanupOptions::default() };
        prune::cleanup(layout, &mut releases, policy, &options, reporter).map(|report| of(&report))
    };
    let cleanup = freed(policy).unwrap_or_default();
    let fewest = freed(&Policy { keep_releases: 1, grace: Duration::ZERO, ..policy.clone() }).unwrap_or_default();
    let found = SpaceRemedy { cleanup, fewest };
    match error {
        Error::Site(SiteError::NoSpace { shortage, user, .. }) => {
            SiteError::NoSpace { shortage, user, remedy: found }.into()
        }
        Error::Site(SiteError::NoInodes { shortage, user, .. }) => {
            SiteError::NoInodes { shortage, user, remedy: found }.into()
        }
        other => other,
    }
}
