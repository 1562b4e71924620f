//! The public verbs: what a program can do with the engine.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::event::Observer;
use crate::release::{Provenance, ReleaseId};
use crate::report::{
    CleanupReport, DeployFailure, DeployReport, DiffReport, ReleasesReport, SetupReport, StatusReport, SwitchReport,
};
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

/// What to deploy, and how.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    /// The directory.
    pub source: PathBuf,
    /// Patterns of gitignore that leave paths out, before those of `.deployignore`.
    pub exclude: Vec<String>,
    /// A name for the release, instead of the time.
    pub release: Option<ReleaseId>,
    /// Leave the release ready and do not switch.
    pub no_switch: bool,
    /// Make a release even where nothing changed.
    pub force: bool,
    /// Change nothing; report what a deploy would do.
    pub dry_run: bool,
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
    /// The source, with patterns that leave paths out.
    Source {
        /// The directory.
        source: PathBuf,
        /// As in [`DeployRequest::exclude`].
        exclude: Vec<String>,
    },
}

/// Makes the directories of the deploy path.
pub fn setup(_context: &Context) -> Result<SetupReport, Error> {
    Err(Error::Bug("not built yet".into()))
}

/// Deploys.
pub fn deploy(_context: &Context, _request: &DeployRequest) -> Result<DeployReport, DeployFailure> {
    Err(Error::Bug("not built yet".into()).into())
}

/// Lists the releases.
pub fn releases(_context: &Context) -> Result<ReleasesReport, Error> {
    Err(Error::Bug("not built yet".into()))
}

/// Tells what is live and how the server stands.
pub fn status(_context: &Context) -> Result<StatusReport, Error> {
    Err(Error::Bug("not built yet".into()))
}

/// Points `current` at another release.
pub fn switch(_context: &Context, _to: &SwitchTo) -> Result<SwitchReport, DeployFailure> {
    Err(Error::Bug("not built yet".into()).into())
}

/// Removes releases by retention, then objects that no release names.
pub fn cleanup(_context: &Context, _request: CleanupRequest) -> Result<CleanupReport, Error> {
    Err(Error::Bug("not built yet".into()))
}

/// Compares two sides, from manifests alone.
pub fn diff(_context: &Context, _before: &DiffSide, _after: &DiffSide) -> Result<DiffReport, Error> {
    Err(Error::Bug("not built yet".into()))
}

/// Serves as the agent over the given streams until the client is done. `program` is the running binary, whose hash
/// the greeting carries.
pub fn serve_agent(
    _input: impl Read + Send,
    _output: impl Write + Send,
    _program: &std::path::Path,
) -> Result<(), Error> {
    Err(Error::Bug("not built yet".into()))
}
