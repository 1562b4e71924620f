//! `diff`: compares two sides by their manifests, or a release with its manifest.

use std::sync::Arc;

use crate::client::{Memory, query::NamedManifest};
use crate::error::Error;
use crate::manifest::diff::{Difference, compare};
use crate::manifest::{Manifest, moves};
use crate::path::Shown;
use crate::release::ReleaseId;
use crate::report::{Change, ChangedPath, DiffReport, DiskDiffReport, SizesReport};
use crate::request::{Context, DiffSide, DiskDiffRequest};
use crate::threads;
use crate::wire::Install;
use crate::wire::message::{CheckDepth, Reply, Request};

use super::mismatch;

/// The memory for the list of a comparison, in bytes: a million paths of 60 bytes. Names are short, but the paths that
/// they make need not be: those of a forged manifest would take gigabytes.
const LISTED_BYTES_MAX: usize = 128 << 20;

/// Compares two sides by their manifests alone: no content is sent.
pub fn diff(context: &Context, before: &DiffSide, after: &DiffSide) -> Result<DiffReport, Error> {
    context.with_warnings(|context| {
        threads::start_pool()?;
        let ((before, old), (after, new)) = sides(context, before, after)?;
        let report = Listing::of(&old, &new).into_report();
        Ok(DiffReport { before, after, ..report })
    })
}

/// Compares a release on the server with its manifest.
pub fn diff_on_disk(context: &Context, request: &DiskDiffRequest) -> Result<DiskDiffReport, Error> {
    let depth = if request.content { CheckDepth::Content } else { CheckDepth::Entries };
    let request = Request::DiskDiff { release: request.release.clone(), depth };
    context.with_warnings(|context| match context.ask(request, Install::Vanish)? {
        Reply::DiskDiff(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

fn sides(context: &Context, before: &DiffSide, after: &DiffSide) -> Result<(NamedManifest, NamedManifest), Error> {
    let wanted: Vec<Option<ReleaseId>> = [before, after]
        .iter()
        .filter_map(|side| match side {
            DiffSide::Release(id) => Some(Some(id.clone())),
            DiffSide::Live => Some(None),
            DiffSide::Source(_) => None,
        })
        .collect();
    let memory = Memory::open(&context.state_dir, context.observer.clone());
    let received = if wanted.is_empty() { Vec::new() } else { context.manifests(wanted, &memory)? };
    let mut received = received.into_iter();
    let mut side = |side: &DiffSide| match side {
        DiffSide::Source(request) => Ok(("source".to_owned(), Arc::new(context.scan_for_diff(request, &memory)?))),
        DiffSide::Release(_) | DiffSide::Live => received.next().ok_or_else(mismatch),
    };
    Ok((side(before)?, side(after)?))
}

/// The differences of two manifests, as far as they are listed, and the sums of the rest.
#[derive(Default)]
struct Listing {
    listed: Vec<Difference>,
    rest: DiffReport,
}

impl Listing {
    fn of(old: &Manifest, new: &Manifest) -> Listing {
        let mut listing = Listing::default();
        let mut room = LISTED_BYTES_MAX;
        compare(Some(old), new, |difference| {
            let size = difference.path.len() + size_of::<Difference>() + size_of::<ChangedPath>();
            match room.checked_sub(size).filter(|_| listing.rest.paths_left_out == 0) {
                Some(left) => {
                    room = left;
                    listing.listed.push(difference);
                }
                None => {
                    listing.rest.paths_left_out += 1;
                    count(&mut listing.rest, &difference, difference.change);
                }
            }
        });
        listing
    }

    /// Joins the two paths of each file that moved.
    fn into_report(self) -> DiffReport {
        let Listing { listed, rest: mut report } = self;
        let moves = moves::find(&listed);
        let mut is_left = vec![false; listed.len()];
        moves.iter().for_each(|found| is_left[found.from] = true);
        let mut moves = moves.iter().peekable();
        for (at, difference) in listed.iter().enumerate() {
            let from = moves.next_if(|found| found.to == at).map(|found| &listed[found.from]);
            if is_left[at] {
                continue;
            }
            let change = if from.is_some() { Change::Moved } else { difference.change };
            count(&mut report, difference, change);
            report.paths.push(ChangedPath {
                path: Shown(&difference.path).to_string(),
                from: from.map(|from| Shown(&from.path).to_string()),
                change,
                bytes_before: from.unwrap_or(difference).bytes_before,
                bytes_after: difference.bytes_after,
            });
        }
        report
    }
}

/// Counts a difference.
fn count(report: &mut DiffReport, difference: &Difference, change: Change) {
    let DiffReport { new, changed, gone, moved, .. } = report;
    let (number, sizes, bytes): (_, &mut SizesReport, _) = match change {
        Change::New => (&mut report.files_new, new, difference.bytes_after),
        Change::Removed => (&mut report.files_removed, gone, difference.bytes_before),
        Change::Moved => (&mut report.files_moved, moved, difference.bytes_after),
        Change::Content | Change::Mode | Change::Kind => (&mut report.files_changed, changed, difference.bytes_after),
    };
    *number += 1;
    sizes.add(bytes.unwrap_or(0), || Shown(&difference.path).to_string());
}
