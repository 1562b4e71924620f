//! What stands at the path of a site.

use std::path::{Path, PathBuf};

use crate::agent::site::layout::Layout;
use crate::disk::{Dir, Kind};
use crate::error::{AdoptError, Error};
use crate::path::shown_path;
use crate::target::Policy;

use super::standing::{Standing, is_directory, nearest};
use super::tool::Tool;

/// What stands at a site.
pub(super) enum Found {
    /// A directory.
    Directory(Standing),
    /// The deploy path of another tool.
    Tool(Tool),
    /// The link to the live release of the deploy path. The adoption may lack its last step.
    Adopted,
}

impl Found {
    /// Looks at a site. `deploy_path` is the deploy path of a directory that is adopted.
    pub(super) fn at(site: &Path, deploy_path: &Path) -> Result<Found, Error> {
        match Standing::kind_at(site)? {
            None => Err(AdoptError::NotFound(shown_path(site)).into()),
            Some(Kind::Directory) => {
                let standing = Standing::open(site)?;
                match Tool::find(&standing.dir, site)? {
                    Some(tool) => Ok(Found::Tool(tool)),
                    None if is_deploy_path(&standing.dir)? => {
                        let layout = Layout::open(site, &Policy::default())?;
                        let current = layout.map_or(site.join("current"), |layout| layout.current.path());
                        let (site, deploy_path) = (shown_path(&current), shown_path(site));
                        Err(AdoptError::IsAdopted { site, deploy_path }.into())
                    }
                    None => {
                        check_apart(site, deploy_path)?;
                        Ok(Found::Directory(standing))
                    }
                }
            }
            Some(Kind::Symlink) if is_adopted(site, deploy_path)? => Ok(Found::Adopted),
            Some(Kind::Symlink) => match deploy_path_of(site) {
                Some(root) => {
                    let tool = Tool::find(&Dir::open(&root)?, &root)?;
                    tool.map(Found::Tool).ok_or_else(|| AdoptError::NotDirectory(shown_path(site)).into())
                }
                None => Err(AdoptError::NotDirectory(shown_path(site)).into()),
            },
            Some(_) => Err(AdoptError::NotDirectory(shown_path(site)).into()),
        }
    }
}

/// Returns whether a directory is a deploy path of Cutover.
fn is_deploy_path(dir: &Dir) -> Result<bool, Error> {
    if !is_directory(dir, b".cutover")? {
        return Ok(false);
    }
    Ok(dir.open_dir(b".cutover")?.stat(b"store")?.is_some())
}

/// Refuses a deploy path in the site, and a site in the deploy path, through whatever symlinks.
fn check_apart(site: &Path, deploy_path: &Path) -> Result<(), Error> {
    let (real_site, real_path) = (resolved(site), resolved(deploy_path));
    if real_path.starts_with(&real_site) || real_site.starts_with(&real_path) {
        return Err(AdoptError::Within { site: shown_path(site), deploy_path: shown_path(deploy_path) }.into());
    }
    Ok(())
}

/// Resolves the part of a path that exists.
fn resolved(path: &Path) -> PathBuf {
    let Some(existing) = nearest(path) else { return path.to_owned() };
    let rest = path.strip_prefix(&existing).unwrap_or(Path::new(""));
    std::fs::canonicalize(&existing).unwrap_or(existing).join(rest)
}

/// Returns whether a link leads to a release of a deploy path of ours.
fn is_adopted(site: &Path, deploy_path: &Path) -> Result<bool, Error> {
    let Ok(root) = Dir::open(deploy_path) else { return Ok(false) };
    if !is_directory(&root, b".cutover")? {
        return Ok(false);
    }
    let policy = Policy { current_path: Some(site.to_owned()), ..Policy::default() };
    let Some(layout) = Layout::open(deploy_path, &policy)? else { return Ok(false) };
    Ok(layout.current.live().is_ok_and(|live| live.is_some()))
}

/// Returns the directory with the `releases/` to which a link leads.
fn deploy_path_of(link: &Path) -> Option<PathBuf> {
    let release = std::fs::canonicalize(link).ok()?;
    let releases = release.parent().filter(|releases| releases.ends_with("releases"))?;
    releases.parent().map(Path::to_owned)
}
