//! Goes back from a release that failed after its switch.
//!
//! The switch comes first: a site that works is worth more than any message. Then the release that is live again is
//! compared with its manifest, and edits are named. They do not stop the way back: else the broken release would stay live.

use crate::error::Error;
use crate::news::News;
use crate::release::{Provenance, ReleaseId, Trial};

use crate::agent::compare::{Depth, Stop, compare_releases};
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::switch::{self, Step, Switch};

/// A way back from the live release.
pub(super) struct WayBack<'a> {
    /// The release to go back to.
    pub(super) to: &'a ReleaseId,
    /// The reason for which the live release becomes bad.
    pub(super) reason: &'a str,
    /// The person whose run goes back.
    pub(super) provenance: &'a Provenance,
    /// The trial of the release that is live then.
    pub(super) trial: Option<&'a Trial>,
}

/// Goes back. Runs no hooks.
pub(super) fn take_back(reporter: &dyn Reporter, site: &mut Site, way: &WayBack<'_>) -> Result<(), Error> {
    let WayBack { to, reason, provenance, trial } = *way;
    let live = site.layout.current.live()?;
    let migrations = site.releases.find(to).and_then(|to| site.releases.migrations_warning(to, live.as_ref()));
    if let Some(from) = live {
        reporter.tell(News::Returning { from, to: to.clone() });
    }
    let Site { lock, layout, releases } = site;
    let back = Switch { id: to, step: Step::Back { reason }, verb: "return", provenance, trial };
    let switched = switch::switch(layout, lock, releases, back)?;
    reporter.live(to);
    switched.warnings.into_iter().chain(migrations).for_each(|warning| reporter.warn(warning));
    warn_of_edits(reporter, site, to);
    Ok(())
}

/// Names the differences between a release and its manifest.
fn warn_of_edits(reporter: &dyn Reporter, site: &Site, id: &ReleaseId) {
    let record = site.releases.known(id);
    let compared = record.and_then(|record| compare_releases(&site.layout, &[record], Depth::Stat, &Stop::default()));
    match compared {
        Ok(compared) => compared.warnings().into_iter().for_each(|warning| reporter.warn(warning)),
        Err(error) => reporter.warn(error.with_cause()),
    }
}
