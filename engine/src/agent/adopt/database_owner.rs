//! Lets the owner of a SQLite database go on to write to it in `shared/`: SQLite makes files beside a database, so its owner
//! must be able to make files there, if it may in the site.

use crate::accounts::Accounts;
use crate::agent::sqlite::is_likely_database;
use crate::disk::{Dir, SETGID, Stat};
use crate::error::{AdoptError, Error, GroupNotUsed};
use crate::path::{RelativePath, shown_path};

use super::rights::groups;
use super::standing::{Standing, user, user_name};

/// The permissions to write of the owner, the group, and everybody.
const OWNER_WRITE: u32 = 0o200;
const GROUP_WRITE: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;
/// The permissions to list and to enter, of everybody.
const ENTER: u32 = 0o005;

/// Checks that the owner of a database may go on to write to it.
pub(super) fn check_owner(standing: &Standing, path: &RelativePath) -> Result<(), Error> {
    let (dir, name) = standing.holder(path)?;
    let Some(stat) = dir.stat(name)?.filter(|stat| stat.uid != user()) else { return Ok(()) };
    let own = dir.own_stat()?;
    if !may_write(&own, &stat) || !is_likely_database(&dir, name)? {
        return Ok(());
    }
    match group_not_used(&own, &own, &stat) {
        None => Ok(()),
        Some(reason) => Err(not_writable(&dir, name, &stat, reason)),
    }
}

/// Lets the owner of a database make files in its new directory, if it may do that in the old one.
pub(super) fn let_owner_write(from: &Dir, name: &[u8], to: &Dir) -> Result<(), Error> {
    let Some(stat) = from.stat(name)? else { return Ok(()) };
    let (own, new) = (from.own_stat()?, to.own_stat()?);
    if !may_write(&own, &stat) || may_write(&new, &stat) {
        return Ok(());
    }
    if let Some(reason) = group_not_used(&own, &own, &stat).or_else(|| group_not_used(&own, &new, &stat)) {
        return Err(not_writable(from, name, &stat, reason));
    }
    to.set_group(stat.gid)?;
    to.set_mode(to.own_stat()?.mode | GROUP_WRITE | SETGID)
}

/// Returns why this user cannot let a file's group write to `to`, a directory in `shared/`: the group or its only member has
/// that right in the directory of the site, and the members of the group that `to` has, such as a web server, enter it by the
/// rights of everybody.
fn group_not_used(site: &Stat, to: &Stat, file: &Stat) -> Option<GroupNotUsed> {
    let accounts = Accounts::read();
    let group = accounts.group_shown(file.gid);
    let has_right = site.gid == file.gid && site.mode & GROUP_WRITE != 0;
    if !has_right && !accounts.is_alone(file.uid, file.gid) {
        return Some(GroupNotUsed::OtherMember { group, member: accounts.member_besides(file.uid, file.gid) });
    }
    if user() != 0 && !groups().contains(&file.gid) {
        let user = accounts.user_shown(user());
        return Some(if has_right {
            GroupNotUsed::NoMember { group, user }
        } else {
            GroupNotUsed::OwnerAlone { group, user }
        });
    }
    let keeps_readers = to.gid == file.gid || to.mode >> 3 & ENTER & !to.mode == 0;
    (!keeps_readers).then(|| GroupNotUsed::Readers { group, readers: accounts.group_shown(to.gid) })
}

/// Returns whether the owner of a file may make files in a directory. Groups of the owner other than the file's are not
/// known here.
fn may_write(dir: &Stat, file: &Stat) -> bool {
    (dir.uid == file.uid && dir.mode & OWNER_WRITE != 0)
        || (dir.gid == file.gid && dir.mode & GROUP_WRITE != 0)
        || dir.mode & ALL_WRITE != 0
}

fn not_writable(dir: &Dir, name: &[u8], stat: &Stat, reason: GroupNotUsed) -> Error {
    AdoptError::DatabaseNotWritable { path: shown_path(&dir.path_of(name)), owner: user_name(stat.uid), reason }.into()
}
