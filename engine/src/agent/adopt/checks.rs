//! The checks of a site before anything changes: its place, and the paths that become shared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::access;
use crate::agent::mounts::find_mounted_below;
use crate::agent::site::switch::temporary_name;
use crate::agent::sqlite::{NAME_BYTES_MAX, database_of, is_database, names_beside};
use crate::disk::{Dir, Kind};
use crate::error::{AdoptError, Error, SiteError};
use crate::path::{RelativePath, Shown, push_name, shown_path};
use crate::report::FoundKind;
use crate::shared_path::Missing;

use super::claim;
use super::database;
use super::database_owner;
use super::inventory::{Inventory, Row};
use super::kinds::{is_of_machine, is_placeholder};
use super::obstacles::Obstacles;
use super::rights::{check_moves, check_parent, check_writable};
use super::sharing;
use super::standing::{Standing, above, if_there, nearest, open_part};
use super::survey::{Survey, exchanges, moved_before, trial};

/// The most files of configuration that are named because they differ.
const UNDECIDED_MAX: usize = 20;

impl Survey<'_> {
    /// Checks the place of the site and of the deploy path.
    pub(super) fn check_place(&self, standing: &Standing, obstacles: &mut Obstacles) {
        if standing.is_mount_point() {
            obstacles.push(AdoptError::IsMountPoint(shown_path(self.site)).into());
        } else if let Some(point) = mounted_in(self.site) {
            obstacles.push(AdoptError::HasMount(shown_path(&point)).into());
        }
        obstacles.add(check_name(standing));
        obstacles.add(access::check_before(self.deploy_path));
        obstacles.add(claim::check_free_at(self.deploy_path, self.site));
        obstacles.add(self.check_filesystem(standing));
        obstacles.add(check_parent(standing));
        obstacles.add(check_writable(&standing.dir, self.site));
        if trial(self.deploy_path.parent(), exchanges) == Some(false) {
            obstacles.push(AdoptError::NoExchange(shown_path(&above(self.site))).into());
        }
    }

    fn check_filesystem(&self, standing: &Standing) -> Result<(), Error> {
        let (device, mount) = (standing.dir.own_stat()?.device, standing.dir.mount());
        let nearest = nearest(self.deploy_path).map(|nearest| Dir::open(&nearest)).transpose()?;
        // A deploy may have `shared/` elsewhere, but a path of the site cannot move there in one step.
        for dir in nearest.into_iter().chain(open_part(self.deploy_path, b"shared")?) {
            // Kernels that do not tell mounts apart tell filesystems apart.
            if dir.own_stat()?.device != device || dir.mount().zip(mount).is_some_and(|(own, other)| own != other) {
                let (site, deploy_path) = (shown_path(self.site), shown_path(dir.path()));
                return Err(AdoptError::OtherFilesystem { site, deploy_path }.into());
            }
        }
        Ok(())
    }

    /// Refuses a file in `shared/` at a name that SQLite uses beside a database that would move there.
    fn check_beside(standing: &Standing, shared: &Dir, path: &RelativePath) -> Result<(), Error> {
        let (site, name) = standing.holder(path)?;
        if !is_database(&site, name)? {
            return Ok(());
        }
        let Some((shared, _)) = if_there(shared.open_above(path.as_bytes()))? else { return Ok(()) };
        for beside in names_beside(name) {
            let is_file = shared.stat(&beside)?.is_some_and(|stat| stat.kind == Kind::File);
            // It has two names if a run was killed.
            if is_file && !sharing::is_same(&shared, &site, &beside)? {
                let (path, whole) = (path.to_string(), shown_path(&shared.path_of(&beside)));
                return Err(AdoptError::InShared { path, whole }.into());
            }
        }
        Ok(())
    }

    /// Checks that each shared path can move, and that required ones exist.
    pub(super) fn check_shared(
        &self,
        standing: &Standing,
        inventory: &Inventory,
        obstacles: &mut Obstacles,
    ) -> Result<(), Error> {
        let shared = open_part(self.deploy_path, b"shared")?;
        let moved = moved_before(self.deploy_path)?;
        let paths = inventory.shared_paths();
        for path in &paths {
            obstacles.add(check_moves(standing, path));
            match standing.holder(path).and_then(|(dir, name)| database::check_lockable(&dir, name)) {
                Ok(refused) => refused.into_iter().for_each(|error| obstacles.push(error)),
                Err(error) => obstacles.push(error),
            }
            obstacles.add(database_owner::check_owner(standing, path));
            if let Some(shared) = shared.as_ref().filter(|_| !moved.contains(path)) {
                obstacles.add(Self::check_beside(standing, shared, path));
            }
        }
        // Each release would have one of the two.
        if let Some(shared) = &shared {
            obstacles.add(find_conflict(shared, &standing.dir, &mut Vec::new(), &paths));
        }
        let is_listed = |path: &RelativePath| inventory.rows.iter().any(|row| path.is_within(&row.path));
        for path in self.begin.share.iter().filter(|path| !is_listed(path)) {
            obstacles.push(AdoptError::NothingToShare(path.to_string()).into());
        }
        let undeclared = |row: &&Row| row.kind.is_shared() && row.kind != FoundKind::Declared;
        if let Some(row) = inventory.rows.iter().find(undeclared).filter(|_| !self.policy.auto_shared) {
            obstacles.push(AdoptError::Undeclared(row.path.to_string()).into());
        }
        let is_undecided = |row: &&Row| row.kind == FoundKind::Differs && is_of_machine(row.path.as_bytes());
        for row in inventory.rows.iter().filter(is_undecided).take(UNDECIDED_MAX) {
            obstacles.push(AdoptError::ConfigDiffers(row.path.to_string()).into());
        }
        for declared in self.policy.shared_files.iter().filter(|declared| declared.missing == Missing::Required) {
            let is_in_site = inventory.rows.iter().any(|row| row.path == declared.path);
            // One that cannot be looked at may exist.
            let in_shared = self.deploy_path.join("shared").join(declared.path.as_path());
            if !is_in_site && !in_shared.try_exists().unwrap_or(true) {
                obstacles.push(SiteError::SharedMissing(declared.path.to_string()).into());
            }
        }
        Ok(())
    }
}

/// Refuses a name to which no link beside it can be exchanged.
fn check_name(standing: &Standing) -> Result<(), Error> {
    let most = NAME_BYTES_MAX - temporary_name(b"")?.len();
    if standing.name.len() <= most {
        return Ok(());
    }
    Err(AdoptError::NameTooLong { site: shown_path(&standing.path), most }.into())
}

/// Returns the first mount point in a site.
fn mounted_in(site: &Path) -> Option<PathBuf> {
    find_mounted_below(&std::fs::canonicalize(site).ok()?)
}

/// Returns the first path that is in the site and in `shared/`, and in neither a link to the other.
fn find_conflict(shared: &Dir, site: &Dir, path: &mut Vec<u8>, moving: &BTreeSet<RelativePath>) -> Result<(), Error> {
    for name in shared.names()? {
        let length = path.len();
        push_name(path, &name);
        let is = |path: &[u8]| moving.iter().any(|known| known.as_bytes() == path);
        let kinds = (shared.stat(&name)?.map(|stat| stat.kind), site.stat(&name)?.map(|stat| stat.kind));
        match kinds {
            (Some(Kind::Directory), Some(Kind::Directory)) if !is(path) => {
                find_conflict(&shared.open_dir(&name)?, &site.open_dir(&name)?, path, moving)?;
            }
            (None | Some(Kind::Symlink), _) | (_, None | Some(Kind::Symlink)) => {}
            _ if sharing::is_same(shared, site, &name)? => {}
            // It has two names while a database moves.
            _ if database_of(path).is_some_and(is) || is_placeholder(&name) => {}
            _ => {
                let (path, whole) = (Shown(path).to_string(), shown_path(&shared.path_of(&name)));
                return Err(AdoptError::InShared { path, whole }.into());
            }
        }
        path.truncate(length);
    }
    Ok(())
}
