//! Reasons that a deploy path cannot be used: its content, write permissions, mounts, free space. The administrator
//! of the server mends them.

use std::path::PathBuf;

use crate::units::{Bytes, Count};

use super::hint::SiteHint;
use super::id::ErrorId;
use super::shortage::{Shortage, SpaceRemedy};
use super::writers::Writers;

/// The deploy path cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The deploy path has content that Cutover did not make.
    #[error("The deploy path `{path}` is not empty and was not made by Cutover: it holds `{found}`")]
    NotOurs {
        /// The deploy path.
        path: String,
        /// One name of that content.
        found: String,
    },
    /// The deploy path is missing or empty.
    #[error("Nothing was deployed to `{0}` yet")]
    NotSetUp(String),
    /// Releases are there, and none is live.
    #[error("No release of `{0}` is live")]
    NothingLive(String),
    /// The deploy path is missing or empty, so it has no `shared/`.
    #[error("`{0}` has no `shared/` yet")]
    NoShared(String),
    /// `current` is a directory or a file.
    #[error("`{0}` is not a symlink, so it cannot be switched")]
    CurrentNotSymlink(String),
    /// `current` points to something other than a release of this deploy path.
    #[error("`{path}` leads to `{target}`, which is no release of this deploy path")]
    CurrentForeign {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// `current_path` names another place than that of the existing link to the live release.
    #[error("`current_path` is `{}`, but the link to the live release is at `{}`", wanted.display(), known.display())]
    CurrentElsewhere {
        /// The existing link.
        known: PathBuf,
        /// The configured place.
        wanted: PathBuf,
    },
    /// A directory above the deployed or executed files belongs to another user.
    #[error("`{path}` belongs to `{owner}`, who could put other files in the place of what is deployed or run there")]
    OtherOwner {
        /// The directory.
        path: String,
        /// The owner's name, or number if it has no name.
        owner: String,
    },
    /// Others may write to a directory above the deployed or executed files.
    #[error("{by} may write to `{path}`, and so put other files in the place of what is deployed or run there")]
    OthersWrite {
        /// The directory.
        path: String,
        /// The others.
        by: Writers,
    },
    /// A directory of Cutover was replaced by a symlink, or a path in `shared/` leads through one.
    #[error("`{0}` is a symlink or lies behind one, and could lead elsewhere")]
    SymlinkInside(String),
    /// Something is mounted within a directory of Cutover.
    #[error("Something is mounted at `{0}`, and is left as it is")]
    MountedInside(String),
    /// It is unknown whether something is mounted on a directory, so nothing in it is changed.
    #[error(
        "Cannot tell whether something is mounted at `{0}`: this kernel has no `openat2`, and `/proc` does not say"
    )]
    MountsUnknown(String),
    /// A deploy path lies within another one.
    #[error("The deploy path `{path}` lies within the deploy path `{outer}`")]
    WithinAnother {
        /// The deploy path.
        path: String,
        /// The deploy path around it.
        outer: String,
    },
    /// A part of the deploy path is on another filesystem or mount, so files cannot be linked or renamed to it.
    #[error(
        "`{path}` is another filesystem or mount than `{deploy_path}`: releases are linked and renamed between the two"
    )]
    OtherFilesystem {
        /// The part.
        path: String,
        /// The deploy path.
        deploy_path: String,
    },
    /// A path leads through a symlink to nothing.
    #[error("`{path}` is a symlink to `{target}`, which does not exist")]
    DanglingLink {
        /// The link.
        path: String,
        /// The target of the link.
        target: String,
    },
    /// A declared shared directory is behind a symlink, and does not exist.
    #[error("The shared directory `{0}` does not exist. It lies behind a symlink, where Cutover makes nothing")]
    MissingBehindLink(String),
    /// A directory is needed, and the path is something else.
    #[error("`{0}` is not a directory")]
    NotDirectory(String),
    /// A declared shared path does not exist.
    #[error("The shared path `{0}` does not exist")]
    SharedMissing(String),
    /// A path is both in `shared/` and in the release.
    #[error("`{0}` is both in the release and in `shared/`")]
    SharedConflict(String),
    /// A declared shared path is a file in the source.
    #[error("`{0}` is a file in the source, but the configuration declares it shared")]
    SharedDeclared(String),
    /// The filesystem cannot share blocks between files.
    #[error("The filesystem of `{0}` has no reflinks, and the configuration asks for them")]
    NoReflinks(String),
    /// A path in `shared/` appeared while a deploy made it.
    #[error("`{0}` appeared while the deploy was about to make it")]
    SharedAppeared(String),
    /// A file in `shared/` has other content than its writer knows.
    #[error("`{0}` was changed on the server meanwhile, and is left as it is")]
    SharedChanged(String),
    /// A file in `shared/` belongs to another user.
    #[error("`{path}` belongs to `{owner}`, who could lose access to a new file in its place")]
    SharedOwner {
        /// The file.
        path: String,
        /// Its owner.
        owner: String,
    },
    /// A path in `shared/` that was to be read or written is no file.
    #[error("`{0}` is not a file")]
    SharedNotFile(String),
    /// A file in `shared/` is too large to be read or written by itself.
    #[error("`{path}` is larger than {}, the most that is read or written as a shared file", Bytes(*most))]
    SharedTooLarge {
        /// The file.
        path: String,
        /// The most bytes.
        most: u64,
    },
    /// A directory of the configuration is a file in the release.
    #[error("`{0}` is in `writable_dirs` and is a file in the release")]
    WritableFile(String),
    /// A group of the configuration does not exist.
    #[error("The server has no group `{0}`, which `writable_group` names")]
    GroupUnknown(String),
    /// The user that deploys cannot give files to a group.
    #[error("`{user}` is not in the group `{group}` on the server, so it cannot give directories to it")]
    NotInGroup {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// Too little disk space is free.
    #[error("Not enough space on the server: {}", shortage.text(user, |bytes| Bytes(bytes).to_string()))]
    NoSpace {
        /// The bytes.
        shortage: Shortage,
        /// The user that deploys.
        user: String,
        /// The ways out.
        remedy: SpaceRemedy,
    },
    /// Too few inodes are free.
    #[error("Not enough inodes on the server: {}", shortage.text(user, |inodes| Count(inodes).to_string()))]
    NoInodes {
        /// The inodes.
        shortage: Shortage,
        /// The user that deploys.
        user: String,
        /// The ways out.
        remedy: SpaceRemedy,
    },
    /// The store was written by another version of Cutover.
    #[error("The store is of format {found}, and this version of Cutover knows format {known}")]
    StoreFormat {
        /// The format of the store.
        found: u64,
        /// The format of this version.
        known: u32,
    },
}

impl SiteError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            SiteError::NotOurs { .. } => ErrorId::DeployPathNotEmpty,
            SiteError::NotSetUp(_) | SiteError::NothingLive(_) | SiteError::NoShared(_) => ErrorId::NothingDeployed,
            SiteError::CurrentNotSymlink(_) => ErrorId::CurrentNotALink,
            SiteError::CurrentForeign { .. } => ErrorId::CurrentLeadsElsewhere,
            SiteError::CurrentElsewhere { .. } => ErrorId::CurrentPathChanged,
            SiteError::OtherOwner { .. } => ErrorId::OtherOwner,
            SiteError::OthersWrite { .. } => ErrorId::OthersMayWrite,
            SiteError::SymlinkInside(_) => ErrorId::SymlinkInside,
            SiteError::MountedInside(_) | SiteError::MountsUnknown(_) => ErrorId::MountedInside,
            SiteError::WithinAnother { .. } => ErrorId::DeployPathInAnother,
            SiteError::OtherFilesystem { .. } => ErrorId::OtherFilesystem,
            SiteError::DanglingLink { .. } | SiteError::MissingBehindLink(_) => ErrorId::LinkLeadsNowhere,
            SiteError::NotDirectory(_) => ErrorId::NotADirectory,
            SiteError::SharedMissing(_) => ErrorId::SharedMissing,
            SiteError::SharedConflict(_) => ErrorId::SharedConflict,
            SiteError::SharedDeclared(_) => ErrorId::SharedInSource,
            SiteError::NoReflinks(_) => ErrorId::NoReflinks,
            SiteError::SharedAppeared(_) => ErrorId::SharedAppeared,
            SiteError::SharedChanged(_) => ErrorId::SharedChanged,
            SiteError::SharedOwner { .. } => ErrorId::SharedOwner,
            SiteError::SharedNotFile(_) | SiteError::SharedTooLarge { .. } => ErrorId::SharedNotAFile,
            SiteError::WritableFile(_) => ErrorId::WritableIsAFile,
            SiteError::GroupUnknown(_) | SiteError::NotInGroup { .. } => ErrorId::WritableGroup,
            SiteError::NoSpace { .. } => ErrorId::NotEnoughSpace,
            SiteError::NoInodes { .. } => ErrorId::NotEnoughInodes,
            SiteError::StoreFormat { .. } => ErrorId::StoreFormat,
        }
    }

    /// Returns the next step.
    pub(super) fn hint(&self) -> SiteHint {
        match self {
            SiteError::NotOurs { .. } => SiteHint::ChooseEmptyPath,
            SiteError::NotSetUp(_) => SiteHint::DeployFirst,
            SiteError::NothingLive(_) => SiteHint::MakeLive,
            SiteError::NoShared(_) => SiteHint::SetUpFirst,
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
            SiteError::SharedChanged(_) => SiteHint::LookAgain,
            SiteError::SharedOwner { owner, .. } => SiteHint::EditAsOwner { owner: owner.clone() },
            SiteError::SharedNotFile(_) | SiteError::SharedTooLarge { .. } => SiteHint::CopyByHand,
            SiteError::WritableFile(_) => SiteHint::NameWritable,
            SiteError::GroupUnknown(group) => SiteHint::MakeGroup { group: group.clone() },
            SiteError::NotInGroup { user, group } => SiteHint::JoinGroup { user: user.clone(), group: group.clone() },
            SiteError::SharedAppeared(_) => SiteHint::DeployOnceMore,
            SiteError::NoSpace { remedy, .. } => SiteHint::FreeSpaceOnServer(*remedy),
            SiteError::NoInodes { remedy, .. } => SiteHint::FreeInodesOnServer(*remedy),
            SiteError::NoReflinks(_) => SiteHint::UseHardlinks,
            SiteError::StoreFormat { .. } => SiteHint::UseOtherVersion,
        }
    }
}
