//! Checks whether this user may exchange the name of a site, and move paths out of it.

use std::path::Path;

use crate::accounts::Accounts;
use crate::disk::{Dir, Kind, Stat};
use crate::error::{AdoptError, Error};
use crate::path::{RelativePath, shown_path};

use super::standing::{Standing, above, user, user_name};

/// The sticky bit of a directory: only owners rename names in it.
const STICKY: u32 = 0o1000;

/// The rights to list and enter a directory, of others and of the group.
pub(super) const OTHERS_ENTER: u32 = 0o005;
const GROUP_ENTER: u32 = 0o050;

/// Checks that this user may exchange the name of the site.
pub(super) fn check_parent(standing: &Standing) -> Result<(), Error> {
    let parent = &standing.parent;
    let (stat, user) = (parent.own_stat()?, user());
    let path = shown_path(&above(&standing.path));
    if !parent.is_writable()? {
        // With the sticky bit, only the owner of the site may exchange its name.
        let is_own = standing.dir.own_stat()?.uid == user;
        // The group gets no right that everybody else lacks.
        let may_take_group = is_own && stat.mode >> 3 & 0o7 == stat.mode & 0o7;
        let own = rustix::process::getegid().as_raw();
        let group = may_take_group.then(|| Accounts::read().group_shown(own));
        return Err(AdoptError::ParentNotWritable { parent: path, user: user_name(user), group }.into());
    }
    let own = standing.dir.own_stat()?;
    if is_held_fast(&stat, &own, user) {
        let (site, owner) = (shown_path(&standing.path), user_name(own.uid));
        return Err(AdoptError::ParentSticky { parent: path, site, owner, user: user_name(user) }.into());
    }
    Ok(())
}

/// Refuses a site that a web server reads by a right that no release would have: an access list, or a group that this user
/// may not give. `named` are the users and groups of the access list, each with the group to give instead.
pub(super) fn check_readers(standing: &Standing, named: &[(String, Option<String>)]) -> Result<(), Error> {
    let own = standing.dir.own_stat()?;
    if own.mode & OTHERS_ENTER == OTHERS_ENTER {
        return Ok(());
    }
    let site = shown_path(&standing.path);
    let accounts = Accounts::read();
    let own_group = accounts.group_shown(own.gid);
    if let Some((name, group)) = named.iter().find(|(_, group)| group.as_ref() != Some(&own_group)) {
        let (name, group) = (name.clone(), group.clone());
        return Err(AdoptError::ReadByAcl { site, name, group }.into());
    }
    if own.uid != user() && own.mode & GROUP_ENTER != GROUP_ENTER {
        let group = accounts.groups_of(own.uid).first().and_then(|&group| accounts.group_name(group));
        return Err(
            AdoptError::OwnerLockedOut { site, owner: user_name(own.uid), user: user_name(user()), group }.into()
        );
    }
    if may_give_group(standing, own.gid)? || own.mode & GROUP_ENTER == 0 {
        return Ok(());
    }
    Err(AdoptError::GroupNotGiven { site, group: own_group, user: user_name(user()) }.into())
}

/// Returns whether this user may give a group to a release.
pub(super) fn may_give_group(standing: &Standing, group: u32) -> Result<bool, Error> {
    Ok(user() == 0 || groups().contains(&group) || standing.parent.own_stat()?.passes_on(group))
}

/// Returns the groups of this process.
pub(super) fn groups() -> Vec<u32> {
    let own = rustix::process::getegid().as_raw();
    let others = rustix::process::getgroups().unwrap_or_default();
    others.into_iter().map(rustix::fs::Gid::as_raw).chain([own]).collect()
}

/// Returns whether the sticky bit keeps a user from renaming a name.
fn is_held_fast(holder: &Stat, name: &Stat, user: u32) -> bool {
    holder.mode & STICKY != 0 && user != 0 && holder.uid != user && name.uid != user
}

/// Checks that this user may move names out of a directory, and the directory itself.
pub(super) fn check_writable(dir: &Dir, path: &Path) -> Result<(), Error> {
    if dir.is_writable()? {
        return Ok(());
    }
    let owner = user_name(dir.own_stat()?.uid);
    Err(AdoptError::NotWritable { path: shown_path(path), user: user_name(user()), owner }.into())
}

/// Checks that a path can move into `shared/`.
pub(super) fn check_moves(standing: &Standing, path: &RelativePath) -> Result<(), Error> {
    let (dir, name) = standing.holder(path)?;
    let holder = dir.own_stat()?;
    let Some(stat) = dir.stat(name)? else { return Ok(()) };
    if !dir.is_writable()? || is_held_fast(&holder, &stat, user()) {
        let (path, owner) = (shown_path(dir.path()), user_name(holder.uid));
        return Err(AdoptError::NotWritable { path, user: user_name(user()), owner }.into());
    }
    if stat.kind == Kind::Directory && !dir.may_move(name)? {
        let (path, owner) = (shown_path(&dir.path_of(name)), user_name(stat.uid));
        return Err(AdoptError::NotWritable { path, user: user_name(user()), owner }.into());
    }
    if stat.kind == Kind::Symlink && dir.read_link(name)?.is_some_and(|target| target.first() != Some(&b'/')) {
        return Err(AdoptError::RelativeLink(path.to_string()).into());
    }
    Ok(())
}
