//! Finds out who reads a path of a site by a right that its copy in a release would not have.
//!
//! A copy belongs to the user that adopts, and has the group of the site, if this user may give that group. It keeps the
//! rights of everybody. It keeps those of a group if that is the group of the site, and it has no access list.

use crate::accounts::Accounts;
use crate::agent::access_list::{Tag, access_list};
use crate::disk::{Dir, Kind, Stat};
use crate::error::{AdoptError, Error};
use crate::path::Shown;

use super::rights::may_give_group;
use super::standing::{Standing, user};

/// The rights to read a file, and to enter a directory, of everybody.
const READ: u32 = 0o4;
const ENTER: u32 = 0o1;

/// The rights of copies.
pub(super) struct Readers {
    accounts: Accounts,
    user: u32,
    /// The group of the site.
    group: u32,
    /// Whether copies get it.
    gives_group: bool,
}

/// A reader that a copy locks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// The owner.
    Owner(u32),
    /// The group.
    Group(u32),
    /// A user of an access list.
    NamedUser(u32),
    /// A group of an access list.
    NamedGroup(u32),
}

impl Readers {
    /// Reads the rights of a site.
    pub(super) fn of(standing: &Standing) -> Result<Readers, Error> {
        let group = standing.dir.own_stat()?.gid;
        let gives_group = may_give_group(standing, group)?;
        Ok(Readers { accounts: Accounts::read(), user: user(), group, gives_group })
    }

    /// Returns a reader that the copy of a name would lock out.
    pub(super) fn locked_out(&self, dir: &Dir, name: &[u8], stat: &Stat) -> Option<Reader> {
        let need = match stat.kind {
            Kind::File => READ,
            Kind::Directory => ENTER,
            Kind::Symlink | Kind::Other => return None,
        };
        if stat.mode & need != 0 {
            return None;
        }
        let group_reads = stat.mode >> 3 & need != 0;
        if group_reads && let Some(reader) = self.named(dir, name, stat, need) {
            return Some(reader);
        }
        let keeps_group = self.gives_group && stat.gid == self.group;
        if group_reads && !keeps_group && !self.accounts.is_alone(self.user, stat.gid) {
            return Some(Reader::Group(stat.gid));
        }
        let owner_reads = stat.uid != self.user && stat.uid != 0 && stat.mode >> 6 & need != 0;
        let is_kept = group_reads && keeps_group && self.is_member(stat.uid);
        (owner_reads && !is_kept).then_some(Reader::Owner(stat.uid))
    }

    /// Returns a reader by the access list of a name. Where there is such a list, the rights of the group in the mode are the
    /// most that the list gives.
    fn named(&self, dir: &Dir, name: &[u8], stat: &Stat, need: u32) -> Option<Reader> {
        let list = access_list(&dir.path_of(name))?;
        let keeps_group = self.gives_group && stat.gid == self.group;
        list.iter().filter(|entry| entry.rights & need != 0).find_map(|entry| match entry.tag {
            Tag::User(number) if number != self.user && !(keeps_group && self.is_member(number)) => {
                Some(Reader::NamedUser(number))
            }
            Tag::Group(number) if !(keeps_group && number == self.group) => Some(Reader::NamedGroup(number)),
            _ => None,
        })
    }

    fn is_member(&self, user: u32) -> bool {
        self.accounts.groups_of(user).contains(&self.group)
    }

    /// Returns the error for a number of paths, of which one is named.
    pub(super) fn refusal(&self, count: u64, path: &[u8], reader: Reader, site: String) -> Error {
        let accounts = &self.accounts;
        let group_of = |user: u32| match self.is_member(user) {
            true => Some(self.group),
            false => accounts.groups_of(user).first().copied(),
        };
        let (reader, group) = match reader {
            Reader::Owner(user) => (format!("The owner `{}`", accounts.user_shown(user)), group_of(user)),
            Reader::Group(group) => (format!("The group `{}`", accounts.group_shown(group)), Some(group)),
            Reader::NamedUser(user) => (format!("By an ACL, `{}`", accounts.user_shown(user)), group_of(user)),
            Reader::NamedGroup(group) => {
                (format!("By an ACL, the group `{}`", accounts.group_shown(group)), Some(group))
            }
        };
        AdoptError::ReaderLockedOut {
            reader,
            path: Shown(path).to_string(),
            count,
            joins: group == Some(self.group) && !self.gives_group,
            group: group.map(|group| accounts.group_shown(group)),
            user: accounts.user_shown(self.user),
            release_group: accounts.group_shown(self.group),
            site,
        }
        .into()
    }
}
