//! The requests of a caller: the target, the content, and the options.
//!
//! The caller makes each request once and passes it on by reference: nothing below copies a field of it. If a stage has
//! several servers, each has its own [`Context`], and all share a [`DeployRequest`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::event::Observer;
use crate::path::RelativePath;
use crate::pin::PinTerms;
use crate::procedure::Procedure;
use crate::release::{Provenance, ReleaseId};
use crate::rollback::Rollback;
use crate::target::{Policy, Target};

/// The parameters that every verb needs.
#[derive(Clone)]
pub struct Context {
    /// The destination, and the way to it.
    pub target: Target,
    /// The configuration of the deploy path.
    pub policy: Policy,
    /// The hooks and checks of the stage.
    pub procedure: Procedure,
    /// The way to the lock.
    pub lock: LockRequest,
    /// The person who runs the verb. A deploy finds the commit itself.
    pub provenance: Provenance,
    /// The directory of the manifest database and the content cache.
    pub state_dir: PathBuf,
    /// Receives events.
    pub observer: Arc<dyn Observer>,
    /// The request to stop.
    pub cancel: Cancel,
}

/// The way in which a verb comes by the lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRequest {
    /// The longest time to wait for another run. None: do not wait.
    pub wait: Option<Duration>,
    /// Interrupt another run, unless it has begun to switch or runs a hook.
    pub interrupt: bool,
    /// Go past a manual lock.
    pub passes_manual: bool,
}

/// A source, and the paths to leave out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRequest {
    /// The directory.
    pub directory: PathBuf,
    /// Gitignore patterns that leave paths out, checked before those of `.deployignore`.
    pub exclude: Vec<String>,
    /// The config in use, absolute. If it lies in the source, it is left out unless a pattern brings it in.
    pub config: Option<PathBuf>,
    /// Leave out the paths that git ignores.
    pub gitignore: bool,
    /// Make no file that names the commit.
    pub no_revision: bool,
    /// Deploy a commit of the repository in which the directory lies, by any name that git knows. The directory is then
    /// the one at the same path in the commit.
    pub git_ref: Option<String>,
    /// The branch to note for a checkout without one, as a CI makes it.
    pub branch: Option<String>,
    /// Gitignore patterns of untracked files that stay in the working directory of such commits between two deploys.
    pub build_keep: Vec<String>,
}

/// The content to deploy, and the options.
#[derive(Debug, Clone, Default)]
pub struct DeployRequest {
    /// The source.
    pub source: SourceRequest,
    /// A name for the release, instead of the time.
    pub release: Option<ReleaseId>,
    /// Leave the release ready and do not switch.
    pub no_switch: bool,
    /// Make a release even if nothing changed.
    pub force: bool,
    /// Change nothing; report what a deploy would do.
    pub dry_run: bool,
    /// Do not compare the need of the release with the free space.
    pub no_space_check: bool,
    /// List every directory and hash every file, whatever the last scan knew.
    pub paranoid: bool,
    /// The zstd level of content, from 1 to 19. None: the level that the line has time for.
    pub zstd_level: Option<i32>,
    /// The number of connections for content, at most 5. None: as many as the link has use for.
    pub lanes: Option<u32>,
}

/// The site to adopt.
#[derive(Debug, Clone, Default)]
pub struct AdoptRequest {
    /// Its path on the server: a directory, or the deploy path of another tool. The destination of the context is the
    /// deploy path that it gets.
    pub site: PathBuf,
    /// The paths that become shared, beside those of the configuration.
    pub share: Vec<RelativePath>,
    /// The paths that stay in the release, whatever their names say.
    pub keep: Vec<RelativePath>,
    /// Link files and do not copy them.
    pub link: bool,
}

/// The goal of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchTo {
    /// This release, ready or earlier.
    Release(ReleaseId),
    /// A rollback.
    Back(Rollback),
}

/// The pin to set or to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRequest {
    /// The release.
    pub release: ReleaseId,
    /// The terms of the pin. None: the release is unpinned.
    pub pin: Option<PinTerms>,
}

/// The web server to ask which release it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebCheckRequest {
    /// The address of the site.
    pub url: String,
    /// The headers of the requests.
    pub headers: BTreeMap<String, String>,
    /// The directory of the release that the site shows. None: the release itself.
    pub root: Option<RelativePath>,
    /// A page, from the root of the site, that shows the release or the commit of the code that runs.
    pub version_file: Option<String>,
}

/// The options of a switch.
#[derive(Debug, Clone, Copy, Default)]
pub struct SwitchRequest {
    /// Switch to the release even if it differs from its manifest.
    pub force: bool,
}

/// The comparison of the releases with their manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusCheck {
    /// None.
    #[default]
    Nothing,
    /// Every entry, without reading content.
    Entries,
    /// Every entry and all content.
    Content,
}

/// The options of an examination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DoctorRequest {
    /// Read all objects, and not only a sample.
    pub full: bool,
    /// The user whose rights are examined, instead of the users of the web server.
    pub web_user: Option<String>,
    /// The source of the next deploy. None: its size is not known.
    pub source: Option<SourceRequest>,
}

/// The options of a cleanup.
#[derive(Debug, Clone, Copy, Default)]
pub struct CleanupRequest {
    /// Change nothing; report what would be removed.
    pub dry_run: bool,
    /// Remove the adopted directory too, so that the adoption cannot be undone any more.
    pub original: bool,
}

/// The comparison of one release with its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskDiffRequest {
    /// The release. None: the live one.
    pub release: Option<ReleaseId>,
    /// Read the content of all files.
    pub content: bool,
}

/// A side of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffSide {
    /// A release.
    Release(ReleaseId),
    /// The live release.
    Live,
    /// The source.
    Source(SourceRequest),
}
