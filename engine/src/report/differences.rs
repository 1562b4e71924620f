//! The differences of releases from their manifests.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::release::ReleaseId;

/// The way in which a path of a release differs from the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// The size, the mtime or the content of a file.
    Content,
    /// The mode.
    Mode,
    /// The owner or the group.
    Owner,
    /// The file is another one, which shares nothing with the store.
    Replaced,
    /// The path is gone.
    Missing,
    /// The manifest does not have the path.
    Added,
    /// The path is something else: a directory and not a file, for example.
    Kind,
    /// The symlink leads elsewhere.
    Target,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DifferenceKind::Content => "content",
            DifferenceKind::Mode => "mode",
            DifferenceKind::Owner => "owner",
            DifferenceKind::Replaced => "replaced",
            DifferenceKind::Missing => "missing",
            DifferenceKind::Added => "added",
            DifferenceKind::Kind => "kind",
            DifferenceKind::Target => "target",
        })
    }
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// The path in the release. Bytes that are not UTF-8 or not printable are escaped.
    pub path: String,
    /// The way in which it differs.
    pub kind: DifferenceKind,
}

/// Differences that one release has, or several alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// The releases.
    pub releases: Vec<ReleaseId>,
    /// The first differences, by path.
    pub paths: Vec<Difference>,
    /// The number of all differences.
    pub total: u64,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Difference { path, kind }) in self.paths.iter().enumerate() {
            write!(f, "{}`{path}` ({kind})", if at == 0 { "" } else { ", " })?;
        }
        match self.total.saturating_sub(self.paths.len() as u64) {
            0 => Ok(()),
            further => write!(f, " and {further} more"),
        }
    }
}

/// The result of comparing releases with their manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// The releases that were compared.
    pub releases: Vec<ReleaseId>,
    /// Whether the content of the files was read.
    pub content: bool,
    /// The differences.
    pub differences: Vec<Differences>,
}

/// A path of a release that differs from the manifest, with its sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskDifference {
    /// The path in the release. Bytes that are not UTF-8 or not printable are escaped.
    pub path: String,
    /// The way in which it differs.
    pub kind: DifferenceKind,
    /// The size that the manifest has, for files.
    pub bytes_before: Option<u64>,
    /// The size on the disk, for files.
    pub bytes_after: Option<u64>,
}

/// The result of `diff --on-disk`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskDiffReport {
    /// The release.
    pub release: Option<ReleaseId>,
    /// Whether it is live.
    pub live: bool,
    /// Whether the content of the files was read.
    pub content: bool,
    /// The differences, by path. A server lists about ten thousand.
    pub paths: Vec<DiskDifference>,
    /// The number of further differences.
    pub paths_left_out: u64,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differences_are_named_and_the_rest_is_counted() {
        let difference = |path: &str, kind| Difference { path: path.into(), kind };
        let paths = vec![difference("a", DifferenceKind::Content), difference("b", DifferenceKind::Mode)];
        let check = |total, expected: &str| {
            let differences = Differences { releases: Vec::new(), paths: paths.clone(), total };
            assert_eq!(differences.to_string(), expected);
        };
        check(2, "`a` (content), `b` (mode)");
        check(7, "`a` (content), `b` (mode) and 5 more");
    }
}
