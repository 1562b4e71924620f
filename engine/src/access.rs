//! Checks which other users could replace a file or a directory.
//!
//! The owner of a directory, and anybody who may write to it, can exchange everything below it. So the deploy path
//! and each directory above it must belong to root or to the user that runs the agent, and nobody else may write to
//! it. A directory with the sticky bit is accepted too: in `/tmp` everybody may create names, but only their owner
//! can remove them. A config that was found, not named, must meet the same demand, but only the file and its
//! directory are checked.
//!
//! A group without members other than this user and root is accepted: many systems give each user a group of its own
//! and the umask 002. The members are read from `/etc/group` and `/etc/passwd`; a group that is not listed there may
//! have any members. If a file has an access list, the group bits include the rights of others on that list: a group
//! with write permission is then refused, whatever its members.
//!
//! The directories are checked from the deploy path upwards by `..`, from a held descriptor: the links that led there
//! do not matter any more. Others cannot change a safe path before it is used. The shell script of
//! `wire/bootstrap.rs` demands the same before it copies an agent.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::accounts::{Accounts, ROOT};
use crate::disk::{Dir, Stat};
use crate::error::{Error, SiteError, Writers};
use crate::path::Shown;

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;

/// Other users than this user and root who could change a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The path: the file itself, or a directory above it.
    pub path: PathBuf,
    /// Those users.
    pub to: ExposedTo,
}

/// The users who could change a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExposedTo {
    /// Its owner, by name, or by number if it has no name.
    Owner(String),
    /// Users who may write to it.
    Writers(Writers),
}

/// Returns who could change or replace a file, or nothing if nobody else could. Of the directories above, only the
/// file's own is checked: a file of this user in a directory of this user belongs to this user.
pub fn find_exposure(file: &Path) -> std::io::Result<Option<Exposure>> {
    let judge = Judge::here();
    let real = std::fs::canonicalize(file)?;
    for directory in [file, &real].into_iter().filter_map(|file| file.parent()) {
        let others = judge.others(directory, &std::fs::metadata(directory)?.into(), true);
        if others.is_some() {
            return Ok(others);
        }
    }
    // The owner of a link decides where it leads. The link's own mode means nothing.
    let link = Ownership { mode: 0o700, ..std::fs::symlink_metadata(file)?.into() };
    Ok(judge.others(file, &link, false).or(judge.others(&real, &std::fs::metadata(&real)?.into(), false)))
}

/// Refuses a state directory of this machine that others could change.
pub(crate) fn check_state(directory: &Dir) -> Result<(), Error> {
    Judge::here().check(directory.path(), &directory.own_stat()?.into(), false)
}

/// Refuses to create a deploy path, and missing directories above it, in a directory that others could change.
pub(crate) fn check_before(path: &Path) -> Result<(), Error> {
    for (at, path) in path.ancestors().enumerate() {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match Dir::open(path) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            // The whole path exists, and its own check covers it.
            Ok(_) if at == 0 => return Ok(()),
            found => return check(&found?),
        }
    }
    Ok(())
}

/// Refuses a directory in the deploy path that belongs to another user, or that others may write to: they could
/// replace the tree behind `current`.
pub(crate) fn check_inner(path: &Path, stat: &Stat) -> Result<(), Error> {
    Judge::here().check(path, &(*stat).into(), false)
}

/// Refuses a `.cutover` that belongs to another user, or that others may write to.
pub(crate) fn check_private(path: &Path, stat: &Stat) -> Result<(), Error> {
    let judge = Judge::here();
    if stat.uid != judge.user {
        return Err(judge.owner(path, stat.uid).into_error());
    }
    judge.check(path, &(*stat).into(), false)
}

/// Refuses a deploy path that others could change, or a directory above it.
pub(crate) fn check(dir: &Dir) -> Result<(), Error> {
    let judge = Judge::here();
    let mut path = std::fs::canonicalize(dir.path()).map_err(|error| Error::io("resolve", dir.path(), error))?;
    let mut stat = dir.own_stat()?;
    judge.check(&path, &stat.into(), true)?;
    let mut above = dir.above(&parent(&path))?;
    loop {
        let below = (stat.device, stat.inode);
        path = parent(&path);
        stat = above.own_stat()?;
        if (stat.device, stat.inode) == below {
            return Ok(());
        }
        judge.check(&path, &stat.into(), true)?;
        above = above.above(&parent(&path))?;
    }
}

/// Returns who could change a directory of the deploy path, or a directory above it: all that [`check`] refuses.
pub(crate) fn exposures(directory: &Path) -> std::io::Result<Vec<Exposure>> {
    let judge = Judge::here();
    let real = std::fs::canonicalize(directory)?;
    let exposure = |path: &Path| Ok(judge.others(path, &std::fs::metadata(path)?.into(), true));
    real.ancestors().map(exposure).filter_map(std::io::Result::transpose).collect()
}

/// Returns who could change a directory inside the deploy path: what [`check_inner`] refuses.
pub(crate) fn inner_exposure(directory: &Path) -> std::io::Result<Option<Exposure>> {
    Ok(Judge::here().others(directory, &std::fs::symlink_metadata(directory)?.into(), false))
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// The owner, group and mode of a file or directory.
#[derive(Debug, Clone, Copy)]
struct Ownership {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl From<Stat> for Ownership {
    fn from(Stat { uid, gid, mode, .. }: Stat) -> Ownership {
        Ownership { uid, gid, mode }
    }
}

impl From<std::fs::Metadata> for Ownership {
    fn from(metadata: std::fs::Metadata) -> Ownership {
        Ownership { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() }
    }
}

impl Exposure {
    fn into_error(self) -> Error {
        let path = Shown(self.path.as_os_str().as_bytes()).to_string();
        match self.to {
            ExposedTo::Owner(owner) => Error::from(SiteError::OtherOwner { path, owner }),
            ExposedTo::Writers(by) => Error::from(SiteError::OthersWrite { path, by }),
        }
    }
}

/// Checks rights for the user that runs this program.
struct Judge {
    user: u32,
    accounts: Accounts,
}

impl Judge {
    fn here() -> Judge {
        Judge { user: rustix::process::geteuid().as_raw(), accounts: Accounts::read() }
    }

    fn check(&self, path: &Path, ownership: &Ownership, may_be_sticky: bool) -> Result<(), Error> {
        self.others(path, ownership, may_be_sticky).map_or(Ok(()), |others| Err(others.into_error()))
    }

    fn others(&self, path: &Path, ownership: &Ownership, may_be_sticky: bool) -> Option<Exposure> {
        if ![ROOT, self.user].contains(&ownership.uid) {
            return Some(self.owner(path, ownership.uid));
        }
        let by = self.writers(path, ownership, may_be_sticky)?;
        Some(Exposure { path: path.to_owned(), to: ExposedTo::Writers(by) })
    }

    fn owner(&self, path: &Path, owner: u32) -> Exposure {
        Exposure { path: path.to_owned(), to: ExposedTo::Owner(self.accounts.user_shown(owner)) }
    }

    fn group_name(&self, group: u32) -> String {
        self.accounts.group_shown(group)
    }

    fn writers(&self, path: &Path, ownership: &Ownership, may_be_sticky: bool) -> Option<Writers> {
        match ownership.mode {
            mode if mode & (GROUP_WRITES | ALL_WRITE) == 0 || (may_be_sticky && mode & STICKY != 0) => None,
            mode if mode & ALL_WRITE != 0 => Some(Writers::All),
            _ if !has_access_list(path) && self.accounts.is_alone(self.user, ownership.gid) => None,
            _ => Some(Writers::Group(self.group_name(ownership.gid))),
        }
    }
}

/// Returns whether a file or directory may have an access list.
fn has_access_list(path: &Path) -> bool {
    let found = rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0][..]);
    !matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &[u8] = b"root:x:0:0::/root:/bin/sh\ndeploy:x:1000:1000::/home/deploy:/bin/sh\n\
        www-data:x:33:33::/var/www:/sbin/nologin";
    const GROUPS: &[u8] = b"root:x:0:\ndeploy:x:1000:\nwww-data:x:33:";

    fn judge() -> Judge {
        Judge { user: 1000, accounts: Accounts::parse(USERS, GROUPS) }
    }

    #[test]
    fn a_directory_is_safe_where_only_this_user_and_root_can_change_it() {
        let place = tempfile::tempdir().unwrap();
        let check = |(uid, gid, mode): (u32, u32, u32), may_be_sticky: bool, expected: Result<(), &str>| {
            let found = judge()
                .check(place.path(), &Ownership { uid, gid, mode }, may_be_sticky)
                .map_err(|error| error.to_string());
            let at = format!("`{}`", place.path().display());
            let found = found.map_err(|message| message.replace(&at, "it").split(", ").next().unwrap().to_owned());
            assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected, "{uid} {gid} {mode:o}");
        };
        for may_be_sticky in [false, true] {
            check((1000, 1000, 0o755), may_be_sticky, Ok(()));
            check((1000, 1000, 0o775), may_be_sticky, Ok(()));
            check((1000, 33, 0o2755), may_be_sticky, Ok(()));
            check((0, 33, 0o755), may_be_sticky, Ok(()));
            check((1000, 33, 0o2775), may_be_sticky, Err("The group `www-data` may write to it"));
            check((0, 1005, 0o775), may_be_sticky, Err("The group `1005` may write to it"));
            check((1000, 1000, 0o777), may_be_sticky, Err("Everyone may write to it"));
            check((1000, 1000, 0o757), may_be_sticky, Err("Everyone may write to it"));
            check((33, 33, 0o755), may_be_sticky, Err("it belongs to `www-data`"));
            check((33, 33, 0o1777), may_be_sticky, Err("it belongs to `www-data`"));
            check((4000, 33, 0o755), may_be_sticky, Err("it belongs to `4000`"));
        }
        check((0, 0, 0o1777), true, Ok(()));
        check((0, 0, 0o1777), false, Err("Everyone may write to it"));
        check((1000, 33, 0o3775), false, Err("The group `www-data` may write to it"));
    }

    #[test]
    fn directories_above_are_found_behind_a_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let place = tempfile::tempdir().unwrap();
        let real = place.path().join("open/real");
        std::fs::create_dir_all(&real).unwrap();
        symlink(&real, place.path().join("link")).unwrap();
        let mode = |mode| std::fs::set_permissions(place.path().join("open"), PermissionsExt::from_mode(mode)).unwrap();
        let linked = Dir::open(&place.path().join("link")).unwrap();
        mode(0o755);
        check(&linked).unwrap();
        check_before(&place.path().join("link/a/b")).unwrap();
        mode(0o757);
        let message = |result: Result<(), Error>| result.unwrap_err().to_string();
        let expected =
            format!("Everyone may write to `{}`", place.path().canonicalize().unwrap().join("open").display());
        assert!(message(check(&linked)).starts_with(&expected));
        assert!(message(check_before(&place.path().join("link/a/b"))).starts_with(&expected));
    }

    #[test]
    fn a_file_is_safe_where_it_and_its_directory_are() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let place = tempfile::tempdir().unwrap();
        let (directory, file) = (place.path().join("checkout"), place.path().join("checkout/file"));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&file, "").unwrap();
        let set = |path: &Path, mode: u32| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        let check = |modes: (u32, u32), expected: Option<&Path>| {
            set(&directory, modes.0);
            set(&file, modes.1);
            let found = find_exposure(&file).unwrap().map(|others| others.path);
            assert_eq!(found.as_deref(), expected, "{modes:?}");
        };
        check((0o755, 0o644), None);
        check((0o1777, 0o644), None);
        check((0o755, 0o646), Some(&file));
        check((0o757, 0o644), Some(&directory));
        check((0o755, 0o644), None);
        let link = place.path().join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(find_exposure(&link).unwrap(), None);
        set(&file, 0o666);
        let real = file.canonicalize().unwrap();
        assert_eq!(find_exposure(&link).unwrap(), Some(Exposure { path: real, to: ExposedTo::Writers(Writers::All) }));
        assert!(find_exposure(&place.path().join("none")).is_err());
        if rustix::process::geteuid().is_root() {
            set(&file, 0o644);
            std::os::unix::fs::lchown(&link, Some(54_321), None).unwrap();
            let owner = ExposedTo::Owner("54321".into());
            assert_eq!(find_exposure(&link).unwrap(), Some(Exposure { path: link, to: owner }));
        }
    }
}
