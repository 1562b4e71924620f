//! The results of `adopt`.

use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::path::RelativePath;
use crate::release::ReleaseId;

use super::preview::SpaceReport;

/// The kind of a path on the server that the source lacks, or has with another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundKind {
    /// The configuration names it as shared.
    Declared,
    /// The caller names it as shared.
    Named,
    /// Files that people uploaded.
    Uploads,
    /// Backups.
    Backups,
    /// Configuration and secrets.
    Config,
    /// Logs.
    Logs,
    /// Caches and sessions.
    Cache,
    /// A database in a file.
    Database,
    /// A socket, a fifo or a device, which no release can have.
    Socket,
    /// A file that a running program has open for writing.
    Open,
    /// What a build makes: dependencies, bundles.
    Built,
    /// Files that only the server has, and that each release gets from the one before.
    Carried,
    /// Configuration and the like that the source has too, with another content.
    Differs,
    /// Anything else.
    Leftover,
}

impl FoundKind {
    /// Returns whether such a path becomes shared.
    pub fn is_shared(self) -> bool {
        !matches!(self, FoundKind::Built | FoundKind::Carried | FoundKind::Differs | FoundKind::Leftover)
    }
}

/// A path on the server, with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPath {
    /// The path in the site.
    pub path: RelativePath,
    /// Its kind.
    pub kind: FoundKind,
    /// Whether it is a directory.
    pub directory: bool,
    /// The number of files in it that the source does not have.
    pub files: u64,
    /// The sum of their sizes, in bytes.
    pub bytes: u64,
}

/// What stands at the path of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundSite {
    /// A directory that is overwritten in place.
    Directory,
    /// The deploy path of another tool.
    Tool {
        /// The tool.
        tool: String,
        /// Its releases, in order.
        releases: Vec<ReleaseId>,
        /// The live one.
        live: ReleaseId,
    },
    /// An adopted site whose adoption is not finished.
    Begun,
}

/// The answer to a look at a site, before anything changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyReport {
    /// The path of the site, absolute.
    pub site: String,
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// What stands at the site.
    pub found: FoundSite,
    /// What prevents the adoption.
    pub obstacles: Vec<Refusal>,
    /// The paths that the source does not have, or that the configuration shares, sorted.
    pub paths: Vec<FoundPath>,
    /// Further leftovers, which are only counted.
    pub paths_left_out: u64,
    /// The files of the release.
    pub files: u64,
    /// The sum of their sizes, in bytes.
    pub bytes: u64,
    /// The files of the release that the source has too.
    pub files_of_source: u64,
    /// The files of the source.
    pub source_files: u64,
    /// Files of the release that belong to another user than the one that adopts, by owner: their number, and one of them.
    pub owners: Vec<(String, u64, String)>,
    /// Directories of the release that belong to another user, by owner: their number, and one of them.
    pub directory_owners: Vec<(String, u64, String)>,
    /// The programs that run in the site, as `name (process)`, as far as the user may see them.
    pub running: Vec<String>,
    /// The files of the release that they have open for writing.
    pub written: Vec<String>,
    /// The databases that become shared while a program has them open and that have no `-wal`: it cannot write to them until it
    /// is restarted.
    pub held: Vec<String>,
    /// Files of the release that have another size than in the source.
    pub differing_files: u64,
    /// One of them.
    pub differing_example: Option<String>,
    /// Databases that stay in the release, where nobody can write to them.
    pub databases: Vec<String>,
    /// Users and groups to which an ACL of the site gives rights. A release has no ACL.
    pub acl_names: Vec<String>,
    /// The directory that holds the deploy path, if a web server seems to serve it.
    pub served_above: Option<String>,
    /// Files of the release that not everybody may read.
    pub private_files: u64,
    /// One of them.
    pub private_example: Option<String>,
    /// The user that adopts.
    pub user: String,
    /// Whether the filesystem shares blocks, so that a copy takes no space.
    pub reflinks: bool,
    /// The space that copies and directories need, and what is free. None: only the last step is left.
    pub space: Option<SpaceReport>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// The result of an adoption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptReport {
    /// The path of the site, absolute: now the link to the live release, or the deploy path of the other tool.
    pub site: String,
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The tool whose deploy path was taken over. None: a directory was adopted.
    pub tool: Option<String>,
    /// The live release.
    pub release: ReleaseId,
    /// Its files and symlinks.
    pub files: u64,
    /// The sum of the sizes of its files.
    pub bytes: u64,
    /// The objects that came into the store.
    pub objects_new: u64,
    /// Whether files were linked and not copied.
    pub linked: bool,
    /// The paths that are shared now.
    pub shared: Vec<String>,
    /// The shared paths that this run moved.
    pub shared_now: Vec<String>,
    /// The place of the old directory.
    pub original: Option<String>,
    /// Paths of the old directory that changed during the exchange. What they have now is not in the release.
    pub changed: Vec<String>,
    /// The number of further ones, which are not named.
    pub changed_left_out: u64,
    /// The releases that were taken over.
    pub releases: Vec<ReleaseId>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// The result of undoing an adoption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoReport {
    /// The path of the site, absolute.
    pub site: String,
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// Whether nothing was changed, and the report says what would be.
    pub dry_run: bool,
    /// The tool that gets its deploy path back. None: the site is a directory again.
    pub tool: Option<String>,
    /// The release that was live. None: an earlier run left it.
    pub left: Option<ReleaseId>,
    /// The shared paths that moved back.
    pub shared: Vec<String>,
    /// The releases of Cutover that remain among those of the tool.
    pub remaining: Vec<ReleaseId>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}
