//! Lets the owner of a SQLite database go on to write to it in `shared/`: SQLite makes files beside a database, so its owner
//! must be able to make files there, if it may in the site.

use crate::accounts::Accounts;
use crate::agent::sqlite::is_likely_database;
use crate::disk::{Dir, SETGID, Stat};
use crate::error::{AdoptError, Error};
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
    if !may_write(&own, &stat) || !is_likely_database(&dir, name)? || may_give_group(&own, &stat) {
        return Ok(());
    }
    Err(not_writable(&dir, name, &stat))
}

/// Lets the owner of a database make files in its new directory, if it may do that in the old one.
pub(super) fn let_owner_write(from: &Dir, name: &[u8], to: &Dir) -> Result<(), Error> {
    let Some(stat) = from.stat(name)? else { return Ok(()) };
    let own = from.own_stat()?;
    if !may_write(&own, &stat) || may_write(&to.own_stat()?, &stat) {
        return Ok(());
    }
    if !may_give_group(&own, &stat) || !keeps_readers(&to.own_stat()?, stat.gid) {
        return Err(not_writable(from, name, &stat));
    }
    let given = to.set_group(stat.gid).and_then(|()| to.set_mode(to.own_stat()?.mode | GROUP_WRITE | SETGID));
    match given {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(not_writable(from, name, &stat))
        }
        given => given,
    }
}

/// Returns whether this user may let a file's group write to a directory in `shared/`, as it or its only member may in the
/// directory of the site.
fn may_give_group(dir: &Stat, file: &Stat) -> bool {
    let has_right = dir.gid == file.gid && dir.mode & GROUP_WRITE != 0;
    (has_right || Accounts::read().is_alone(file.uid, file.gid))
        && (user() == 0 || groups().contains(&file.gid))
        && keeps_readers(dir, file.gid)
}

/// Returns whether a directory may get another group: the members of its own, such as a web server, enter it by the rights of
/// everybody.
fn keeps_readers(dir: &Stat, group: u32) -> bool {
    dir.gid == group || dir.mode >> 3 & ENTER & !dir.mode == 0
}

/// Returns whether the owner of a file may make files in a directory. Groups of the owner other than the file's are not
/// known here.
fn may_write(dir: &Stat, file: &Stat) -> bool {
    (dir.uid == file.uid && dir.mode & OWNER_WRITE != 0)
        || (dir.gid == file.gid && dir.mode & GROUP_WRITE != 0)
        || dir.mode & ALL_WRITE != 0
}

fn not_writable(dir: &Dir, name: &[u8], stat: &Stat) -> Error {
    AdoptError::DatabaseNotWritable { path: shown_path(&dir.path_of(name)), owner: user_name(stat.uid) }.into()
}
