//! Checks that the disk has space for a release, before any content is asked for.
//!
//! The need is computed from the manifest ([`demand`]). The configuration may keep some space free beside that. XFS and
//! Btrfs free the space of removed files a moment later, or at a sync. So a lack of space is only certain after a sync.
//!
//! A spare that is turned into the release gives its directories back, and its files if they are inodes of their own.
//! Its manifest is read only if the space is too short without that.
//!
//! Other programs may take the space meanwhile. Then a write fails, and the live release stays.

mod demand;
mod remedy;

use rustix::process::geteuid;

use crate::accounts::Accounts;
use crate::disk::Free;
use crate::error::{Error, Shortage, SiteError, SpaceRemedy};
use crate::min_free::MinFree;
use crate::report::SpaceReport;

use super::site::layout::Layout;
use super::trash::Spare;

pub(crate) use demand::{Demand, Need};
pub(crate) use remedy::with_remedy;

/// The space that a release needs and that must stay free.
#[derive(Clone, Copy)]
pub(crate) struct SpaceCheck<'a> {
    /// The release.
    pub(crate) demand: Demand<'a>,
    /// The spare that is turned into it.
    pub(crate) spare: Option<&'a Spare>,
    /// The space that stays free.
    pub(crate) min_free: MinFree,
}

impl SpaceCheck<'_> {
    /// Fails if there is not enough space.
    pub(crate) fn run(&self, layout: &Layout) -> Result<(), Error> {
        let free = layout.root.free()?;
        let need = self.demand.need(free.costs)?;
        if self.compare(&free, need).is_ok() {
            return Ok(());
        }
        let need = match self.spare {
            Some(spare) => need.without(self.demand.kept_of(layout, spare, free.costs)?),
            None => need,
        };
        if self.compare(&free, need).is_ok() {
            return Ok(());
        }
        layout.root.sync_filesystem()?;
        self.compare(&layout.root.free()?, need)
    }

    /// Returns the need and the free space, for a dry run.
    pub(crate) fn report(&self, layout: Option<&Layout>, free: &Free) -> Result<SpaceReport, Error> {
        let whole = self.demand.need(free.costs)?;
        let need = match (layout, self.spare) {
            (Some(layout), Some(spare)) => whole.without(self.demand.kept_of(layout, spare, free.costs)?),
            _ => whole,
        };
        Ok(report(need, free, self.min_free))
    }

    fn compare(&self, free: &Free, need: Need) -> Result<(), Error> {
        check(&report(need, free, self.min_free))
    }
}

/// Fails if a need is greater than the free space.
pub(crate) fn check(space: &SpaceReport) -> Result<(), Error> {
    let remedy = SpaceRemedy::default();
    match lack(space) {
        Some(Lack::Bytes(shortage)) => Err(SiteError::NoSpace { shortage, user: user_name(), remedy }.into()),
        Some(Lack::Inodes(shortage)) => Err(SiteError::NoInodes { shortage, user: user_name(), remedy }.into()),
        None => Ok(()),
    }
}

/// Returns a need beside the free space.
pub(crate) fn report(need: Need, free: &Free, min_free: MinFree) -> SpaceReport {
    let (reserve_bytes, reserve_inodes) = (min_free.bytes(free.total_bytes), min_free.inodes(free.total_inodes));
    let fits_inodes = free.inodes.is_none_or(|free| need.inodes.saturating_add(reserve_inodes) <= free);
    SpaceReport {
        needed_bytes: need.bytes,
        needed_inodes: need.inodes,
        free_bytes: free.bytes,
        free_inodes: free.inodes,
        reserve_bytes,
        reserve_inodes,
        fits: need.bytes.saturating_add(reserve_bytes) <= free.bytes && fits_inodes,
    }
}

/// What is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Bytes.
    Bytes(Shortage),
    /// Inodes.
    Inodes(Shortage),
}

/// Returns what is short.
pub(crate) fn lack(space: &SpaceReport) -> Option<Lack> {
    let &SpaceReport { needed_bytes, needed_inodes, free_bytes, free_inodes, reserve_bytes, reserve_inodes, .. } =
        space;
    let short = |needed: u64, reserve: u64, free: u64| {
        (needed.saturating_add(reserve) > free).then_some(Shortage { needed, free, reserve })
    };
    let bytes = short(needed_bytes, reserve_bytes, free_bytes).map(Lack::Bytes);
    bytes.or_else(|| short(needed_inodes, reserve_inodes, free_inodes?).map(Lack::Inodes))
}

/// Returns the name of this user, or the number if it has no name.
fn user_name() -> String {
    let user = geteuid().as_raw();
    Accounts::read().user_shown(user)
}
