//! Checks that a deploy path is free for a site. It is free if it is new, or if the adoption of this very site was
//! begun or undone there. Any other deploy path may have a live release, and adopting would forget the link to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::agent::site::layout::Layout;
use crate::disk::Kind;
use crate::error::{AdoptError, Error};
use crate::path::shown_path;
use crate::target::Policy;

use super::adoption::{AdoptedDirectory, Adoption, Subject};
use super::inventory::Inventory;
use super::standing::{Standing, open_part};

/// Refuses a deploy path that another site has, or that has a live release.
pub(super) fn check_free(layout: &Layout, site: &Path) -> Result<(), Error> {
    let other = |begun: &Path| AdoptError::OtherBegun { begun: shown_path(begun), wanted: shown_path(site) };
    match Adoption::read(layout)?.map(|adoption| adoption.subject) {
        Some(Subject::Directory(known)) if known.site == site => {
            return match known.kept_at(&layout.private)? {
                Some(original) => Err(AdoptError::OriginalInTheWay(shown_path(&original)).into()),
                None => Ok(()),
            };
        }
        // Nothing leads back to its directory, and its link is gone.
        Some(Subject::Directory(known)) if known.is_original_removed && !is_link(&known) => {}
        Some(Subject::Directory(known)) => return Err(other(&known.site).into()),
        Some(Subject::Tool(_)) => return Err(other(layout.root.path()).into()),
        None => {}
    }
    match layout.current.live() {
        Ok(None) => Ok(()),
        // The site itself stands at the path of the link.
        Err(_) if layout.current.path() == site => Ok(()),
        Ok(Some(_)) => Err(AdoptError::DeployPathInUse {
            deploy_path: shown_path(layout.root.path()),
            current: shown_path(&layout.current.path()),
        }
        .into()),
        Err(error) => Err(error),
    }
}

/// As `check_free`, before anything is made.
pub(super) fn check_free_at(deploy_path: &Path, site: &Path) -> Result<(), Error> {
    match Layout::open(deploy_path, &Policy::default()) {
        Ok(Some(layout)) => check_free(&layout, site),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_link(known: &AdoptedDirectory) -> bool {
    std::fs::symlink_metadata(&known.site).is_ok_and(|stat| stat.is_symlink())
}

/// The progress of an adoption that did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnfinishedAdoption {
    /// The site is not the link yet, or not any more; or the tool's releases are not all taken over.
    Begun(String),
    /// The site is the link, and its old directory stands beside it.
    Exchanged(String),
}

/// Returns the adoption that did not end, if there is one.
pub(crate) fn unfinished(layout: &Layout) -> Result<Option<UnfinishedAdoption>, Error> {
    Ok(match Adoption::read(layout)?.map(|adoption| adoption.subject) {
        Some(Subject::Directory(known)) => {
            let is_directory = Standing::kind_at(&known.site)? == Some(Kind::Directory);
            match is_directory && known.kept_at(&layout.private)?.is_none() {
                true => Some(UnfinishedAdoption::Begun(shown_path(&known.site))),
                false => known.is_unfinished()?.then(|| UnfinishedAdoption::Exchanged(shown_path(&known.site))),
            }
        }
        Some(Subject::Tool(known)) => {
            (!known.is_complete).then(|| UnfinishedAdoption::Begun(shown_path(layout.root.path())))
        }
        None => None,
    })
}

/// Refuses verbs that change the releases while the site is not the link, or not all releases of a tool are known.
pub(crate) fn check_finished(layout: &Layout) -> Result<(), Error> {
    match unfinished(layout)? {
        Some(UnfinishedAdoption::Begun(site)) => Err(AdoptError::Unfinished(site).into()),
        Some(UnfinishedAdoption::Exchanged(_)) | None => Ok(()),
    }
}

/// Refuses a site of which an earlier run has moved paths into another deploy path.
pub(super) fn check_not_begun_elsewhere(
    standing: &Standing,
    inventory: &Inventory,
    deploy_path: &Path,
) -> Result<(), Error> {
    for row in &inventory.rows {
        let (dir, name) = standing.holder(&row.path)?;
        let Some(target) = dir.read_link(name)? else { continue };
        let end = [b"/shared/", row.path.as_bytes()].concat();
        let Some(root) = target.strip_suffix(end.as_slice()).map(|root| PathBuf::from(OsStr::from_bytes(root))) else {
            continue;
        };
        // The target is a program's word, and may lead anywhere.
        let Ok(Some(private)) = open_part(&root, b".cutover") else { continue };
        let known = Adoption::read_in(&private).ok().flatten().map(|adoption| adoption.subject);
        let is_own = matches!(&known, Some(Subject::Directory(known)) if known.site == standing.path);
        if is_own && std::fs::canonicalize(deploy_path).ok() != std::fs::canonicalize(&root).ok() {
            return Err(AdoptError::BegunElsewhere {
                site: shown_path(&standing.path),
                deploy_path: shown_path(&root),
            }
            .into());
        }
    }
    Ok(())
}
