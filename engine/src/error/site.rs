//! What a deploy path cannot be used for: what stands there, who may write there, what is mounted, what is free. The person
//! who cares for the server mends it.

use std::path::PathBuf;

use crate::units::Bytes;

use super::hint::SiteHint;
use super::writers::Writers;

/// The deploy path cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The deploy path holds something that Cutover did not make.
    #[error("The deploy path `{path}` is not empty and was not made by Cutover: it holds `{found}`")]
    NotOurs {
        /// The deploy path.
        path: String,
        /// One of the things that stand there.
        found: String,
    },
    /// There is nothing at the deploy path yet.
    #[error("Nothing was deployed to `{0}` yet")]
    NotSetUp(String),
    /// `current` is a directory or a file.
    #[error("`{0}` is not a symlink, so it cannot be switched")]
    CurrentNotSymlink(String),
    /// `current` leads to something that is not a release here.
    #[error("`{path}` leads to `{target}`, which is no release of this deploy path")]
    CurrentForeign {
        /// The link.
        path: String,
        /// What it points at.
        target: String,
    },
    /// The link to the live release is wanted at another place than where it stands.
    #[error("`current_path` is `{}`, and the link to the live release stands at `{}`", wanted.display(), known.display())]
    CurrentElsewhere {
        /// Where it stands.
        known: PathBuf,
        /// Where it is wanted.
        wanted: PathBuf,
    },
    /// A directory on the way to what is deployed or executed belongs to another user.
    #[error("`{path}` belongs to `{owner}`, who could put other files in the place of what is deployed or run there")]
    OtherOwner {
        /// The directory.
        path: String,
        /// The owner's name, or number where there is no name.
        owner: String,
    },
    /// Others may write to a directory on the way to what is deployed or executed.
    #[error("{by} may write to `{path}`, and so put other files in the place of what is deployed or run there")]
    OthersWrite {
        /// The directory.
        path: String,
        /// Who may write.
        by: Writers,
    },
    /// A directory that Cutover owns was replaced by a symlink, or a path in `shared/` leads through one.
    #[error("`{0}` is a symlink or lies behind one, and could lead elsewhere")]
    SymlinkInside(String),
    /// Something is mounted in a tree of ours.
    #[error("Something is mounted at `{0}`, and is left as it is")]
    MountedInside(String),
    /// It cannot be told whether something is mounted on a directory, so nothing in it is changed.
    #[error(
        "Cannot tell whether something is mounted at `{0}`: this kernel has no `openat2`, and `/proc` does not say"
    )]
    MountsUnknown(String),
    /// A deploy path lies within another one.
    #[error("The deploy path `{path}` lies within the deploy path `{outer}`")]
    WithinAnother {
        /// The deploy path.
        path: String,
        /// The one that it lies in.
        outer: String,
    },
    /// A part of the deploy path is where files cannot be linked or renamed to from the others.
    #[error(
        "`{path}` is another filesystem or mount than `{deploy_path}`: releases are linked and renamed between the two"
    )]
    OtherFilesystem {
        /// The part.
        path: String,
        /// The directory that it is in.
        deploy_path: String,
    },
    /// A path leads through a symlink to nothing.
    #[error("`{path}` is a symlink to `{target}`, which does not exist")]
    DanglingLink {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A declared shared directory lies behind a symlink, and is not there.
    #[error("The shared directory `{0}` does not exist. It lies behind a symlink, where Cutover makes nothing")]
    MissingBehindLink(String),
    /// Something other than a directory stands where one is needed.
    #[error("`{0}` is not a directory")]
    NotDirectory(String),
    /// A file of `shared_files` is not there.
    #[error("The shared file `{0}` does not exist")]
    SharedMissing(String),
    /// A path is both in `shared/` and in the release.
    #[error("`{0}` is both in the release and in `shared/`")]
    SharedConflict(String),
    /// A path that is to be shared, and that the source has as a file.
    #[error("`{0}` stands in the source, and the configuration says that it is shared")]
    SharedDeclared(String),
    /// There is not room enough, in bytes.
    #[error("Not enough space on the server: {} are needed and {} are free", Bytes(*needed), Bytes(*free))]
    NoSpace {
        /// Bytes needed.
        needed: u64,
        /// Bytes free to this user.
        free: u64,
    },
    /// There are not inodes enough.
    #[error("Not enough inodes on the server: {needed} are needed and {free} are free")]
    NoInodes {
        /// Inodes needed.
        needed: u64,
        /// Inodes free to this user.
        free: u64,
    },
    /// The store was written by another version of Cutover.
    #[error("The store is of format {found}, and this version of Cutover knows format {known}")]
    StoreFormat {
        /// The number found.
        found: u64,
        /// The number known.
        known: u32,
    },
}

impl SiteError {
    /// Returns what to do next.
    pub(super) fn hint(&self) -> SiteHint {
        match self {
            SiteError::NotOurs { .. } => SiteHint::ChooseEmptyPath,
            SiteError::NotSetUp(_) => SiteHint::DeployFirst,
            SiteError::CurrentNotSymlink(path) => SiteHint::LeaveServed { path: path.clone() },
            SiteError::CurrentForeign { path, .. } => SiteHint::LeaveServedLink { path: path.clone() },
            SiteError::CurrentElsewhere { known, .. } => {
                SiteHint::KeepCurrentPath { known: known.display().to_string() }
            }
            SiteError::OtherOwner { owner, .. } => SiteHint::LogInAsOwner { owner: owner.clone() },
            SiteError::OthersWrite { path, by } => SiteHint::TakeRight { path: path.clone(), by: by.clone() },
            SiteError::SymlinkInside(path) => SiteHint::ReplaceByDirectory { path: path.clone() },
            SiteError::MountedInside(_) => SiteHint::Unmount,
            SiteError::MountsUnknown(_) => SiteHint::MountProc,
            SiteError::WithinAnother { .. } => SiteHint::ChooseBeside,
            SiteError::OtherFilesystem { .. } => SiteHint::KeepOneFilesystem,
            SiteError::DanglingLink { target, .. } => SiteHint::MountOrMake { target: target.clone() },
            SiteError::MissingBehindLink(path) => SiteHint::MakeShared { path: path.clone() },
            SiteError::NotDirectory(path) => SiteHint::MoveAway { path: path.clone() },
            SiteError::SharedMissing(path) => SiteHint::PutShared { path: path.clone() },
            SiteError::SharedDeclared(path) => SiteHint::LeaveOutShared { path: path.clone() },
            SiteError::SharedConflict(path) => SiteHint::RemoveOne { path: path.clone() },
            SiteError::NoSpace { .. } | SiteError::NoInodes { .. } => SiteHint::FreeOnServer,
            SiteError::StoreFormat { .. } => SiteHint::UseOtherVersion,
        }
    }
}
