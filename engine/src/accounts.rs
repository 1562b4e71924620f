//! Users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! The files are parsed directly, without the system's resolver: the programs are static, and a container may have no
//! resolver. A user or a group of a directory service therefore has a number and no name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::path::Shown;

/// The user id of root.
pub(crate) const ROOT: u32 = 0;

/// The users and groups of this machine's files.
#[derive(Debug, Clone)]
pub struct Accounts {
    users: Vec<u8>,
    groups: Vec<u8>,
}

impl Accounts {
    /// Reads both files. A file that cannot be read counts as empty.
    pub fn read() -> Accounts {
        let read = |file| std::fs::read(file).unwrap_or_default();
        Accounts { users: read("/etc/passwd"), groups: read("/etc/group") }
    }

    /// Parses the content of the two files.
    #[cfg(test)]
    pub(crate) fn parse(users: &[u8], groups: &[u8]) -> Accounts {
        Accounts { users: users.to_vec(), groups: groups.to_vec() }
    }

    /// Returns a user's name, if the number has one.
    pub fn user_name(&self, user: u32) -> Option<String> {
        name_of(&self.users, user)
    }

    /// Returns a group's name, if the number has one.
    pub(crate) fn group_name(&self, group: u32) -> Option<String> {
        name_of(&self.groups, group)
    }

    /// Returns a user's name for a message, or the number if it has none.
    pub fn user_shown(&self, user: u32) -> String {
        self.user_name(user).unwrap_or_else(|| user.to_string())
    }

    /// Returns a group's name for a message, or the number if it has none.
    pub(crate) fn group_shown(&self, group: u32) -> String {
        self.group_name(group).unwrap_or_else(|| group.to_string())
    }

    /// Returns a group's number, if there is one of that name.
    pub(crate) fn group_number(&self, name: &str) -> Option<u32> {
        let fields = lines(&self.groups).find(|fields| fields.first() == Some(&name.as_bytes()))?;
        std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()
    }

    /// Returns a user's number, if there is one of that name.
    pub(crate) fn user_number(&self, name: &str) -> Option<u32> {
        let fields = lines(&self.users).find(|fields| fields.first() == Some(&name.as_bytes()))?;
        std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()
    }

    /// Returns the numbers of a user's groups.
    pub(crate) fn groups_of(&self, user: u32) -> Vec<u32> {
        let number = |field: Option<&&[u8]>| std::str::from_utf8(field?).ok()?.parse::<u32>().ok();
        let Some(fields) = line_of(&self.users, user) else { return Vec::new() };
        let is_member = |group: &Vec<&[u8]>| {
            group.get(3).is_some_and(|members| members.split(|&byte| byte == b',').any(|name| name == fields[0]))
        };
        let others = lines(&self.groups).filter(is_member).filter_map(|group| number(group.get(2)));
        number(fields.get(3)).into_iter().chain(others).collect()
    }

    /// Returns a user's home directory, if an absolute one is known.
    pub fn home(&self, user: u32) -> Option<PathBuf> {
        let fields = line_of(&self.users, user)?;
        let home = PathBuf::from(OsStr::from_bytes(fields.get(5)?));
        Some(home).filter(|home| home.is_absolute())
    }

    /// Returns a user's login shell, if an absolute one is known.
    pub(crate) fn shell(&self, user: u32) -> Option<PathBuf> {
        let fields = line_of(&self.users, user)?;
        let shell = PathBuf::from(OsStr::from_bytes(fields.get(6)?));
        Some(shell).filter(|shell| shell.is_absolute())
    }

    /// Returns whether a group is known to have no members other than this user and root.
    pub(crate) fn is_alone(&self, user: u32, group: u32) -> bool {
        self.is_known(group) && self.member_besides(user, group).is_none()
    }

    /// Returns whether a group has a name here.
    fn is_known(&self, group: u32) -> bool {
        line_of(&self.groups, group).is_some()
    }

    /// Returns a member of a group other than this user and root.
    pub(crate) fn member_besides(&self, user: u32, group: u32) -> Option<String> {
        let has_number = |field: &[u8], number: u32| field == number.to_string().as_bytes();
        let is_own = |name: &[u8]| {
            lines(&self.users).any(|fields| {
                fields.first() == Some(&name)
                    && fields.get(2).is_some_and(|field| has_number(field, user) || has_number(field, ROOT))
            })
        };
        let has_group = |fields: &Vec<&[u8]>, at: usize| fields.get(at).is_some_and(|field| has_number(field, group));
        let groups = lines(&self.groups).filter(|fields| has_group(fields, 2));
        let members = groups.flat_map(|fields| fields.get(3).copied().unwrap_or_default().split(|&byte| byte == b','));
        let of_group = lines(&self.users).filter(|fields| has_group(fields, 3)).map(|fields| fields[0]);
        let other = members.filter(|name| !name.is_empty()).chain(of_group).find(|name| !is_own(name))?;
        Some(String::from_utf8_lossy(other).into_owned())
    }
}

/// Returns the fields of each line.
fn lines(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    file.split(|&byte| byte == b'\n').map(|line| line.split(|&byte| byte == b':').collect())
}

/// Returns the fields of the line with a number.
fn line_of(file: &[u8], number: u32) -> Option<Vec<&[u8]>> {
    let number = number.to_string();
    lines(file).find(|fields| fields.get(2) == Some(&number.as_bytes()))
}

fn name_of(file: &[u8], number: u32) -> Option<String> {
    line_of(file, number).map(|fields| Shown(fields[0]).to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const USERS: &[u8] = b"root:x:0:0::/root:/bin/sh\nbroken\ndeploy:x:1000:1000::/home/deploy:/bin/sh\n\
        anna:x:1001:1001::home:/bin/sh\nwww-data:x:33:33::/var/www:/sbin/nologin\nlast:x:1002:50::/:/bin/sh";
    const GROUPS: &[u8] = b"root:x:0:\ndeploy:x:1000:\nanna:x:1001:www-data\nwww-data:x:33:\nstaff:x:50:\n\
        ours:x:60:deploy,root\nteam:x:61:deploy,anna\nsudo:x:27:";

    fn accounts() -> Accounts {
        Accounts::parse(USERS, GROUPS)
    }

    #[test]
    fn a_name_and_a_home_are_found_by_number() {
        let accounts = accounts();
        assert_eq!(accounts.user_name(1000).as_deref(), Some("deploy"));
        assert_eq!(accounts.user_name(10), None);
        assert_eq!(accounts.group_name(33).as_deref(), Some("www-data"));
        assert_eq!((accounts.group_number("www-data"), accounts.group_number("none")), (Some(33), None));
        assert_eq!(accounts.home(1000).as_deref(), Some(Path::new("/home/deploy")));
        // The home is not an absolute path.
        assert_eq!(accounts.home(1001), None);
        assert_eq!(accounts.home(10), None);
        assert_eq!((accounts.user_number("www-data"), accounts.user_number("none")), (Some(33), None));
        assert_eq!(accounts.groups_of(33), [33, 1001]);
        assert_eq!(accounts.groups_of(10), [0_u32; 0]);
        assert_eq!(accounts.shell(33).as_deref(), Some(Path::new("/sbin/nologin")));
    }

    #[test]
    fn a_group_is_nobody_else_where_it_has_no_other_members() {
        let check = |group: u32, expected: bool| assert_eq!(accounts().is_alone(1000, group), expected, "{group}");
        check(1000, true);
        check(0, true);
        check(60, true);
        check(27, true);
        check(1001, false);
        check(33, false);
        check(61, false);
        // Its member is only in the list of users, on a line without a newline.
        check(50, false);
        // The group is in neither file.
        check(1005, false);
        assert!(!accounts().is_alone(1001, 1001));
    }
}
