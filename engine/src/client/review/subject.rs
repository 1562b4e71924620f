//! The subject of a review: a scan, and the source that it was made of.

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::client::rules::SourceRules;
use crate::scan::snapshot::Snapshot;

/// A scan to review.
pub(crate) struct Review<'a> {
    /// The source, absolute.
    pub(crate) source: &'a Path,
    /// The source, held.
    pub(crate) held: &'a OwnedFd,
    /// The rules at the beginning of the scan.
    pub(crate) rules: &'a SourceRules,
    /// The result of the scan.
    pub(crate) found: &'a Snapshot,
    /// Whether files that git ignores would be a surprise.
    pub(crate) warns_of_ignored: bool,
}
