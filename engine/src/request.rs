//! What a caller asks of the engine: where to, what, and how.
//!
//! Each of these is made once, by the caller, and passed on by reference: nothing below copies a field of it. Where a
//! stage has several servers, each has its own [`Context`], and all share a [`DeployRequest`].

use std::path::PathBuf;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::event::Observer;
use crate::release::{Provenance, ReleaseId};
use crate::target::{Policy, Target};

/// What every verb needs.
#[derive(Clone)]
pub struct Context {
    /// Where to, and how.
    pub target: Target,
    /// What the server keeps to.
    pub policy: Policy,
    /// Who does it. The commit is found by the deploy itself.
    pub provenance: Provenance,
    /// The directory of the manifest database and the content cache.
    pub state_dir: PathBuf,
    /// Receives events.
    pub observer: Arc<dyn Observer>,
    /// Interrupts.
    pub cancel: Cancel,
}

/// A source, and what of it is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRequest {
    /// The directory.
    pub directory: PathBuf,
    /// Patterns of gitignore that leave paths out, before those of `.deployignore`.
    pub exclude: Vec<String>,
    /// The config in use, absolute: where it is in the source, it is left out unless a pattern brings it in.
    pub config: Option<PathBuf>,
}

/// What to deploy, and how.
#[derive(Debug, Clone, Default)]
pub struct DeployRequest {
    /// The source.
    pub source: SourceRequest,
    /// A name for the release, instead of the time.
    pub release: Option<ReleaseId>,
    /// Leave the release ready and do not switch.
    pub no_switch: bool,
    /// Make a release even where nothing changed.
    pub force: bool,
    /// Change nothing; report what a deploy would do.
    pub dry_run: bool,
    /// List every directory and hash every file, whatever the last scan knew.
    pub paranoid: bool,
    /// The zstd level of content, from 1 to 19; where none is said, the one that the line has time for.
    pub zstd_level: Option<i32>,
    /// Over how many connections content goes, at most 5; where none is said, as many as the link has use for.
    pub lanes: Option<u32>,
}

/// Where a switch goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchTo {
    /// To this release, ready or earlier.
    Release(ReleaseId),
    /// Back: to the one named, or to the one that was live before.
    Back(Option<ReleaseId>),
}

/// What to clean up.
#[derive(Debug, Clone, Copy, Default)]
pub struct CleanupRequest {
    /// Change nothing; report what would be removed.
    pub dry_run: bool,
}

/// One side of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffSide {
    /// A release.
    Release(ReleaseId),
    /// The live release.
    Live,
    /// The source.
    Source(SourceRequest),
}
