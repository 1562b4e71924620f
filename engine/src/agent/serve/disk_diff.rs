//! `diff --on-disk`: compares one release with its manifest.

use std::path::Path;

use crate::error::{Error, SiteError};
use crate::release::ReleaseId;
use crate::report::DiskDiffReport;
use crate::wire::message::{CheckDepth, Reply};

use super::{Service, depth_of};
use crate::agent::compare::compare_one;
use crate::agent::site::records::Releases;

impl Service<'_> {
    /// Compares a release with its manifest; the live one if none is named.
    pub(super) fn disk_diff(&self, path: &Path, id: Option<&ReleaseId>, depth: CheckDepth) -> Result<Reply, Error> {
        let layout = self.open(path)?;
        let releases = Releases::read(&layout)?;
        let live = layout.current.live()?;
        let id = id.or(live.as_ref()).ok_or_else(|| SiteError::NotSetUp(path.display().to_string()))?;
        let record = releases.known(id)?;
        let (paths, total) = compare_one(&layout, record, depth_of(depth))?;
        let paths_left_out = total - paths.len() as u64;
        Ok(Reply::DiskDiff(DiskDiffReport {
            release: Some(id.clone()),
            live: live.as_ref() == Some(id),
            content: depth == CheckDepth::Content,
            paths,
            paths_left_out,
            warnings: Vec::new(),
        }))
    }
}
