//! The directory of a source, before it is scanned.
//!
//! It is the directory that the request names, or a worktree with a commit of the repository in which that one lies. It
//! must not lie in its own target, nor hold it, unless a pattern leaves the target out: a release would hold itself.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cancel::Cancel;
use crate::client::commit;
use crate::client::tree_lock::TreeLock;
use crate::client::worktree::{Revision, Worktree};
use crate::error::{Error, SourceError};
use crate::event::Observer;
use crate::request::SourceRequest;
use crate::target::Destination;

/// The use of the last scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastScan {
    /// Entries with an equal stat are not read again.
    Trusted,
    /// Every directory is listed and every file is read.
    Ignored,
}

/// The origin of a source: a directory, or a commit of the repository in which the directory lies.
pub(crate) struct SourceOrigin<'a> {
    request: &'a SourceRequest,
    destination: &'a Destination,
    revision: Option<Revision>,
}

impl<'a> SourceOrigin<'a> {
    /// Finds the commit, if the request names one. Changes nothing.
    pub(crate) fn find(
        request: &'a SourceRequest,
        destination: &'a Destination,
        cancel: &Cancel,
    ) -> Result<SourceOrigin<'a>, Error> {
        let revision = request.git_ref.as_deref().map(|name| Revision::find(&request.directory, name, cancel));
        Ok(SourceOrigin { request, destination, revision: revision.transpose()? })
    }

    /// Tells whether the source is a commit.
    pub(crate) fn is_commit(&self) -> bool {
        self.revision.is_some()
    }

    /// Makes the place where builds run. Checks a commit out, into a worktree in the state directory, and removes all
    /// else from there but what `build_keep` matches. A directory stays as it is.
    pub(crate) fn check_out(
        &self,
        state_dir: &Path,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<BuildSite<'a>, Error> {
        let SourceOrigin { request, destination, ref revision } = *self;
        let check_out = |revision: &Revision| revision.check_out(state_dir, &request.build_keep, observer, cancel);
        let (worktree, lock) = revision.as_ref().map(check_out).transpose()?.unzip();
        let source = worktree.as_ref().map_or_else(|| request.directory.clone(), Worktree::source);
        let config = match &worktree {
            Some(worktree) => request.config.as_deref().and_then(|config| worktree.counterpart(config)),
            None => request.config.clone(),
        };
        let of_config = config.as_deref().and_then(Path::parent).filter(|above| source.starts_with(above));
        let directory = of_config.unwrap_or(&source).to_owned();
        Ok(BuildSite { request, destination, directory, source, config, worktree, lock })
    }
}

/// The place where builds run, before the source is scanned.
pub(crate) struct BuildSite<'a> {
    request: &'a SourceRequest,
    destination: &'a Destination,
    /// The directory of the config, or the source if that lies elsewhere.
    pub(crate) directory: PathBuf,
    /// The source, which a build may make.
    pub(crate) source: PathBuf,
    config: Option<PathBuf>,
    worktree: Option<Worktree>,
    /// The lock that keeps other deploys from building there until this one has ended. A directory that is no worktree gets
    /// it with the first build.
    pub(crate) lock: Option<TreeLock>,
}

impl<'a> BuildSite<'a> {
    /// Returns the commit, if the source is one.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.worktree.as_ref().map(|worktree| worktree.commit.as_str())
    }

    /// Returns the branch of the source: as it was asked for, as it is checked out, or as the request names it.
    pub(crate) fn branch(&self) -> Option<String> {
        branch_of(self.request, self.worktree.as_ref(), &[&self.directory, &self.source])
    }

    /// Returns the patterns of what stays until the next build. A directory that is no worktree stays as it is.
    pub(crate) fn kept(&self) -> Option<&'a [String]> {
        self.worktree.as_ref().map(|_| &self.request.build_keep[..])
    }

    /// Finds the directory to scan. Refuses a directory inside its own local target.
    pub(crate) fn settle(self) -> Result<SourceDirectory<'a>, Error> {
        let BuildSite { request, destination, source, config, worktree, lock, .. } = self;
        let path = match &worktree {
            Some(worktree) => worktree.settled_source()?,
            None => std::fs::canonicalize(&source).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::Source(SourceError::Missing(source.clone())),
                _ => Error::Source(SourceError::Unreadable { path: source.display().to_string(), source: error }),
            })?,
        };
        let forbidden = check_overlap(&path, destination)?;
        let branch = branch_of(request, worktree.as_ref(), &[&path]);
        Ok(SourceDirectory { request, path, config, forbidden, worktree, lock, branch })
    }
}

/// See the module's description.
pub(crate) struct SourceDirectory<'a> {
    /// The request.
    pub(crate) request: &'a SourceRequest,
    /// The path, absolute and without symlinks.
    pub(crate) path: PathBuf,
    /// The config in use, if the source may hold it.
    pub(crate) config: Option<PathBuf>,
    /// The directory of the local target, as device and inode.
    pub(crate) forbidden: Option<(u64, u64)>,
    /// The worktree, if the source is a commit.
    pub(crate) worktree: Option<Worktree>,
    /// The lock against other builds, if there is one.
    pub(crate) lock: Option<TreeLock>,
    /// The branch: as it was asked for, as it is checked out, or as the request names it.
    pub(crate) branch: Option<String>,
}

fn branch_of(request: &SourceRequest, worktree: Option<&Worktree>, checkouts: &[&Path]) -> Option<String> {
    let checked_out = || checkouts.iter().find_map(|checkout| commit::branch(checkout));
    let own = worktree.map_or_else(checked_out, |worktree| worktree.branch.clone());
    own.or_else(|| request.branch.clone())
}

/// Returns the device and inode of the local target, if it exists, so that the scan refuses a source that holds it.
fn check_overlap(source: &Path, destination: &Destination) -> Result<Option<(u64, u64)>, Error> {
    let Destination::Local(target) = destination else { return Ok(None) };
    let overlapping =
        || Error::Source(SourceError::Overlapping { source_path: source.to_owned(), target: target.clone() });
    let real = real_path(target);
    if source.starts_with(&real) {
        return Err(overlapping());
    }
    let own = std::fs::metadata(&real).ok();
    if own.is_none() && real.starts_with(source) {
        // The target would be made in the source, and be part of every deploy but the first.
        return Err(overlapping());
    }
    Ok(own.map(|metadata| (metadata.dev(), metadata.ino())))
}

/// Resolves the existing part of a path.
fn real_path(path: &Path) -> PathBuf {
    match (std::fs::canonicalize(path), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real_path(parent).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}
