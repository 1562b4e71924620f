//! Reasons that a directory on the server cannot be taken over, or given back.

mod hint;

use super::group_use::GroupNotUsed;
use super::id::ErrorId;
use super::shortage::Shortage;
use crate::units::{Bytes, Count};

/// A site cannot be adopted as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// Nothing is there.
    #[error("There is no site to adopt: `{0}` does not exist")]
    NotFound(String),
    /// The path is neither a directory nor a link to a release.
    #[error("`{0}` is neither a directory nor a link to a release")]
    NotDirectory(String),
    /// It is adopted already.
    #[error("`{site}` is the link to the live release of `{deploy_path}` already")]
    IsAdopted {
        /// The link.
        site: String,
        /// The deploy path.
        deploy_path: String,
    },
    /// The deploy path would lie in the site, or the other way round.
    #[error(
        "The deploy path `{deploy_path}` lies in the site `{site}`, or the site in the deploy path: the name of the site becomes a link"
    )]
    Within {
        /// The site.
        site: String,
        /// The deploy path.
        deploy_path: String,
    },
    /// The site is a mount point, which cannot be exchanged.
    #[error("`{0}` is a mount point, and a mount point cannot be exchanged with a link")]
    IsMountPoint(String),
    /// The name of the site is too long: a link beside it needs a longer one.
    #[error("The name of `{site}` is too long: at most {most} bytes are possible")]
    NameTooLong {
        /// The site.
        site: String,
        /// The longest name, in bytes.
        most: usize,
    },
    /// Something is mounted in the site.
    #[error("Something is mounted at `{0}`, which can be neither copied nor moved")]
    HasMount(String),
    /// The site and the deploy path are on two filesystems.
    #[error("`{site}` and `{deploy_path}` are on two filesystems, so they cannot be exchanged")]
    OtherFilesystem {
        /// The site.
        site: String,
        /// The deploy path.
        deploy_path: String,
    },
    /// The filesystem cannot exchange two names.
    #[error("The filesystem of `{0}` cannot exchange two names in one step")]
    NoExchange(String),
    /// The directory that holds the site does not let this user exchange names.
    #[error("`{user}` may not exchange names in `{parent}`, which holds the site")]
    ParentNotWritable {
        /// The directory.
        parent: String,
        /// The user.
        user: String,
        /// The user's group. None: others would lose rights if the directory got it.
        group: Option<String>,
    },
    /// The directory that holds the site lets only owners exchange their names.
    #[error("`{parent}` has the sticky bit, and `{site}` belongs to `{owner}` and not to `{user}`")]
    ParentSticky {
        /// The directory.
        parent: String,
        /// The site.
        site: String,
        /// The owner of the site.
        owner: String,
        /// The user.
        user: String,
    },
    /// This user may not change names in a directory.
    #[error("`{user}` may not move names out of `{path}`, which belongs to `{owner}`")]
    NotWritable {
        /// The directory.
        path: String,
        /// The user.
        user: String,
        /// Its owner.
        owner: String,
    },
    /// This user may not read files.
    #[error("`{user}` may not read {} that would be in the release, such as `{path}` of `{owner}`", files(*count))]
    Unreadable {
        /// One of the paths.
        path: String,
        /// The number of paths.
        count: u64,
        /// The user.
        user: String,
        /// The owner of the named one.
        owner: String,
        /// The site.
        site: String,
    },
    /// A web server enters the site by an access list, which no release has.
    #[error("`{name}` may enter `{site}` by an ACL only, and a release has no ACL")]
    ReadByAcl {
        /// The site.
        site: String,
        /// The user or the group.
        name: String,
        /// A group that could have the right.
        group: Option<String>,
    },
    /// Only the owner may enter the site, and a release belongs to the user that adopts.
    #[error("Only its owner `{owner}` may enter `{site}`, and a release belongs to `{user}`")]
    OwnerLockedOut {
        /// The site.
        site: String,
        /// Its owner.
        owner: String,
        /// The user.
        user: String,
        /// A group of the owner.
        group: Option<String>,
    },
    /// A web server may enter the site by its group, which this user may not give to a release.
    #[error("`{site}` is readable by the group `{group}`, and `{user}`, who is not in it, cannot give it to a release")]
    GroupNotGiven {
        /// The site.
        site: String,
        /// Its group.
        group: String,
        /// The user.
        user: String,
    },
    /// Somebody reads a path of the site by a right that its copy in a release would not have.
    #[error(
        "{reader} may read `{path}`{}, and not its copy in a release, which belongs to `{user}` and the group `{release_group}`",
        further(*count)
    )]
    ReaderLockedOut {
        /// The reader, as the beginning of a sentence.
        reader: String,
        /// The path.
        path: String,
        /// The number of such paths.
        count: u64,
        /// Whether this user must join the group first.
        joins: bool,
        /// The group by which the reader could read a release.
        group: Option<String>,
        /// The user that adopts.
        user: String,
        /// The group of a release.
        release_group: String,
        /// The site.
        site: String,
    },
    /// Too little disk space is free.
    #[error("Adopting needs {} beside the site, and {} are free{}", Bytes(.0.needed), Bytes(.0.free), .0.kept(|bytes| Bytes(bytes).to_string()))]
    NoSpace(Shortage),
    /// Too few inodes are free.
    #[error("Adopting needs {} inodes beside the site, and {} are free{}", Count(.0.needed), Count(.0.free), .0.kept(|inodes| Count(inodes).to_string()))]
    NoInodes(Shortage),
    /// Nothing is at a path to share, or the path leads through a symlink.
    #[error("`{0}` cannot be shared: there is nothing at that path, or it lies behind a symlink")]
    NothingToShare(String),
    /// A path to share is a symlink that would lead elsewhere from its new place.
    #[error("`{0}` is a relative symlink, which would lead elsewhere from `shared/`")]
    RelativeLink(String),
    /// A path would be shared that the configuration does not declare, and only declared ones get links.
    #[error("`{0}` would be shared, and the configuration links only declared paths")]
    Undeclared(String),
    /// The next deploy would replace configuration of the server by that of the source.
    #[error("The source has `{0}` with another content, and the next deploy would replace that of the server")]
    ConfigDiffers(String),
    /// More paths would be shared than a release should have links.
    #[error("{count} paths would be shared, and at most {most} can be")]
    TooManyShared {
        /// The paths.
        count: usize,
        /// The most.
        most: usize,
    },
    /// A path to share exists in `shared/` already.
    #[error("`{path}` is in the site, and `{whole}` exists already")]
    InShared {
        /// The path.
        path: String,
        /// Its place in `shared/`.
        whole: String,
    },
    /// A path to share lies in another one.
    #[error("`{path}` lies in `{outer}`, which is shared too")]
    SharedTwice {
        /// The path.
        path: String,
        /// The other path.
        outer: String,
    },
    /// Files keep changing.
    #[error("The site kept changing while it was copied: {0}")]
    KeepsChanging(String),
    /// Another program has put something else at the path of the site.
    #[error("Another program has put something else at `{0}` meanwhile")]
    SiteReplaced(String),
    /// The directory of an earlier adoption is in the way.
    #[error("`{0}` is the old directory of an earlier adoption, and nothing may take its place")]
    OriginalInTheWay(String),
    /// A database is written to all the time.
    #[error("The database `{0}` was written to all the time, so it could not move")]
    DatabaseBusy(String),
    /// A program was killed in a transaction on a database that moves, and others may have written to it since.
    #[error(
        "A program was killed in a transaction on `{path}`, and left `{journal}`; others may have written to the database since"
    )]
    JournalLeft {
        /// The database.
        path: String,
        /// Its `-journal`, at the old place.
        journal: String,
    },
    /// This user may not lock a database against programs that use it.
    #[error("`{user}` may not lock the database `{path}`, so it cannot move while a program uses it")]
    DatabaseNotLockable {
        /// The database, or a file beside it.
        path: String,
        /// The user.
        user: String,
    },
    /// A database would move to a directory in which its owner may make no files.
    #[error("Once `{path}` is in `shared/`, `{owner}` could not make the journal of this database there: {reason}")]
    DatabaseNotWritable {
        /// The database.
        path: String,
        /// Its owner.
        owner: String,
        /// The reason why its group cannot get that right.
        reason: GroupNotUsed,
    },
    /// Another tool is at work.
    #[error("{tool} is at work: its lock `{lock}` exists")]
    ToolAtWork {
        /// The tool.
        tool: String,
        /// The lock.
        lock: String,
    },
    /// The live release of another tool is in a directory that cannot be a release.
    #[error("`{0}` leads to no directory in `releases/`")]
    CurrentElsewhere(String),
    /// Nothing was adopted here.
    #[error("Nothing was adopted into `{0}`, so there is nothing to undo")]
    NotAdopted(String),
    /// The directory that was adopted was removed, so nothing leads back to it.
    #[error("The directory that was adopted at `{0}` was removed on request, so there is no way back to it")]
    OriginalRemoved(String),
    /// An adoption was begun and is not finished.
    #[error("The adoption of `{0}` is not finished")]
    Unfinished(String),
    /// The adoption of another site was begun in this deploy path.
    #[error("This deploy path has the unfinished adoption of `{begun}`, and you asked for `{wanted}`")]
    OtherBegun {
        /// The site of the earlier run.
        begun: String,
        /// The site of this run.
        wanted: String,
    },
    /// The deploy path has a live release.
    #[error("The deploy path `{deploy_path}` has a live release, to which `{current}` leads")]
    DeployPathInUse {
        /// The deploy path.
        deploy_path: String,
        /// The link to the release.
        current: String,
    },
    /// An earlier run has moved paths of the site into another deploy path.
    #[error("An earlier run began to adopt `{site}` into `{deploy_path}`")]
    BegunElsewhere {
        /// The site.
        site: String,
        /// The deploy path of that run.
        deploy_path: String,
    },
    /// Another directory stands at the path of the site.
    #[error("Another directory stands at `{site}`; the one that was adopted is `{original}`")]
    OtherInPlace {
        /// The site.
        site: String,
        /// The directory that was adopted.
        original: String,
    },
    /// Somebody has changed the link or the old directory since.
    #[error("`{0}` is not as adopting left it, so nothing was undone")]
    CannotUndo(String),
}

fn files(count: u64) -> String {
    if count == 1 { "a file".to_owned() } else { format!("{count} files") }
}

/// Returns the number of further paths.
fn further(count: u64) -> String {
    match count {
        0 | 1 => String::new(),
        2 => " and 1 more path".to_owned(),
        _ => format!(" and {} more paths", Count(count - 1)),
    }
}

impl AdoptError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            AdoptError::NotFound(_) | AdoptError::NotDirectory(_) => ErrorId::SiteNotFound,
            AdoptError::IsAdopted { .. } => ErrorId::SiteIsAdopted,
            AdoptError::Within { .. } => ErrorId::DeployPathInSite,
            AdoptError::IsMountPoint(_) | AdoptError::HasMount(_) => ErrorId::SiteIsMounted,
            AdoptError::OtherFilesystem { .. } => ErrorId::SiteOnOtherFilesystem,
            AdoptError::NoExchange(_) | AdoptError::NameTooLong { .. } => ErrorId::NoExchange,
            AdoptError::ParentNotWritable { .. } | AdoptError::ParentSticky { .. } => ErrorId::SiteParentNotWritable,
            AdoptError::NotWritable { .. } => ErrorId::SiteNotWritable,
            AdoptError::Unreadable { .. } => ErrorId::SiteUnreadable,
            AdoptError::ReadByAcl { .. }
            | AdoptError::OwnerLockedOut { .. }
            | AdoptError::GroupNotGiven { .. }
            | AdoptError::ReaderLockedOut { .. } => ErrorId::WebServerLockedOut,
            AdoptError::NoSpace(_) => ErrorId::NotEnoughSpace,
            AdoptError::NoInodes(_) => ErrorId::NotEnoughInodes,
            AdoptError::Unfinished(_) => ErrorId::AdoptionUnfinished,
            AdoptError::NothingToShare(_)
            | AdoptError::RelativeLink(_)
            | AdoptError::Undeclared(_)
            | AdoptError::TooManyShared { .. }
            | AdoptError::InShared { .. }
            | AdoptError::SharedTwice { .. } => ErrorId::CannotShare,
            AdoptError::ConfigDiffers(_) => ErrorId::ConfigDiffers,
            AdoptError::KeepsChanging(_) | AdoptError::SiteReplaced(_) => ErrorId::SiteKeepsChanging,
            AdoptError::DatabaseBusy(_) => ErrorId::DatabaseBusy,
            AdoptError::JournalLeft { .. } => ErrorId::TransactionCutShort,
            AdoptError::DatabaseNotLockable { .. } => ErrorId::DatabaseNotLockable,
            AdoptError::DatabaseNotWritable { .. } => ErrorId::DatabaseNotWritable,
            AdoptError::ToolAtWork { .. } => ErrorId::ToolAtWork,
            AdoptError::CurrentElsewhere(_) => ErrorId::CurrentLeadsElsewhere,
            AdoptError::NotAdopted(_) | AdoptError::OriginalRemoved(_) => ErrorId::NotAdopted,
            AdoptError::OtherBegun { .. }
            | AdoptError::BegunElsewhere { .. }
            | AdoptError::DeployPathInUse { .. }
            | AdoptError::OriginalInTheWay(_) => ErrorId::OtherAdoption,
            AdoptError::CannotUndo(_) | AdoptError::OtherInPlace { .. } => ErrorId::CannotUndo,
        }
    }
}
