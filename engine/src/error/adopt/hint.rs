//! The next step after each obstacle to an adoption.

use super::AdoptError;
use crate::error::GroupNotUsed;
use crate::error::hint::{AdoptHint, RightsHint};

impl AdoptError {
    /// Returns the next step.
    pub(in crate::error) fn hint(&self) -> AdoptHint {
        match self {
            AdoptError::NotFound(_) | AdoptError::NotDirectory(_) => AdoptHint::NameSite,
            AdoptError::IsAdopted { site, deploy_path } => {
                AdoptHint::Deploy { site: site.clone(), deploy_path: deploy_path.clone() }
            }
            AdoptError::IsMountPoint(_) | AdoptError::NameTooLong { .. } | AdoptError::NoExchange(_) => {
                AdoptHint::PointTheWebServer
            }
            AdoptError::HasMount(path) => AdoptHint::MountInShared { path: path.clone() },
            AdoptError::Within { .. } | AdoptError::OtherFilesystem { .. } | AdoptError::DeployPathInUse { .. } => {
                AdoptHint::ChooseBeside
            }
            AdoptError::ParentNotWritable { parent, user, group } => match group.clone() {
                Some(group) => {
                    AdoptHint::Rights(RightsHint::ShareParent { parent: parent.clone(), user: user.clone(), group })
                }
                None => AdoptHint::Rights(RightsHint::LogInAsRoot),
            },
            AdoptError::ParentSticky { .. } => AdoptHint::Rights(RightsHint::LogInAsRoot),
            AdoptError::NotWritable { path, user, .. } => {
                AdoptHint::Rights(RightsHint::AllowWriting { path: path.clone(), user: user.clone() })
            }
            AdoptError::Unreadable { site, user, .. } => {
                AdoptHint::Rights(RightsHint::AllowReading { site: site.clone(), user: user.clone() })
            }
            AdoptError::ReadByAcl { site, group, .. } | AdoptError::OwnerLockedOut { site, group, .. } => {
                AdoptHint::Rights(RightsHint::GiveGroup { site: site.clone(), group: group.clone() })
            }
            AdoptError::ReaderLockedOut { joins: false, site, group, .. } => {
                AdoptHint::Rights(RightsHint::GiveGroup { site: site.clone(), group: group.clone() })
            }
            AdoptError::GroupNotGiven { group, user, .. }
            | AdoptError::ReaderLockedOut { release_group: group, user, .. }
            | AdoptError::DatabaseNotWritable { reason: GroupNotUsed::NoMember { group, user }, .. } => {
                AdoptHint::Rights(RightsHint::JoinGroup { group: group.clone(), user: user.clone() })
            }
            AdoptError::NoSpace(_) | AdoptError::NoInodes(_) => AdoptHint::Link,
            AdoptError::NothingToShare(_) | AdoptError::SharedTwice { .. } => AdoptHint::NameShared,
            AdoptError::Undeclared(_) => AdoptHint::DeclareShared,
            AdoptError::ConfigDiffers(path) => AdoptHint::DecideOnConfig { path: path.clone() },
            AdoptError::TooManyShared { .. } => AdoptHint::ShareAbove,
            AdoptError::RelativeLink(path) => AdoptHint::MakeAbsolute { path: path.clone() },
            AdoptError::InShared { path, whole } => {
                AdoptHint::RemoveFromShared { path: path.clone(), whole: whole.clone() }
            }
            AdoptError::KeepsChanging(_) => AdoptHint::ShareWhatChanges,
            AdoptError::OriginalInTheWay(path) => AdoptHint::RemoveOriginal { path: path.clone() },
            AdoptError::DatabaseBusy(_) => AdoptHint::LetRest,
            AdoptError::JournalLeft { path, journal } => {
                AdoptHint::DecideOnJournal { path: path.clone(), journal: journal.clone() }
            }
            AdoptError::DatabaseNotLockable { path, user } => {
                AdoptHint::Rights(RightsHint::AllowLocking { path: path.clone(), user: user.clone() })
            }
            AdoptError::DatabaseNotWritable { reason, .. } => AdoptHint::Rights(RightsHint::ShareWholeDirectory {
                root_may: matches!(reason, GroupNotUsed::OwnerAlone { .. }),
            }),
            AdoptError::ToolAtWork { lock, .. } => AdoptHint::WaitForTool { lock: lock.clone() },
            AdoptError::CurrentElsewhere(_) => AdoptHint::PointAtRelease,
            AdoptError::NotAdopted(_) => AdoptHint::NameDeployPath,
            AdoptError::OriginalRemoved(_) => AdoptHint::DeployFurther,
            AdoptError::Unfinished(site) | AdoptError::OtherBegun { begun: site, .. } => {
                AdoptHint::FinishFirst { site: site.clone() }
            }
            AdoptError::BegunElsewhere { deploy_path, .. } => AdoptHint::GoOnAt { deploy_path: deploy_path.clone() },
            AdoptError::OtherInPlace { site, .. } => AdoptHint::MoveAway { path: site.clone() },
            AdoptError::SiteReplaced(path) | AdoptError::CannotUndo(path) => {
                AdoptHint::LookByHand { path: path.clone() }
            }
        }
    }
}
