//! Another user, and what it may do with a file: computed from owner, group, mode and access list, without acting as it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::accounts::{Accounts, ROOT};
use crate::agent::access_list::{Entry, Tag, access_list};

/// The right to read.
pub(super) const READ: u32 = 4;
/// The right to write.
pub(super) const WRITE: u32 = 2;
/// The right to enter a directory.
pub(super) const ENTER: u32 = 1;

/// A user with its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The name, or the number if it has no name.
    pub(super) name: String,
    /// The number.
    pub(super) uid: u32,
    /// The numbers of its groups.
    pub(super) groups: Vec<u32>,
    /// Whether the servers that it runs only send files and pass requests on, so that they write nothing.
    pub(super) only_serves: bool,
}

impl Person {
    /// Finds a user by its name.
    pub(super) fn named(name: &str, accounts: &Accounts) -> Option<Person> {
        let uid = accounts.user_number(name).or_else(|| name.parse().ok())?;
        Some(Person { name: name.to_owned(), uid, groups: accounts.groups_of(uid), only_serves: false })
    }

    /// Tells whether the user has all of these rights to a file or directory, without those above it.
    pub(super) fn may(&self, path: &Path, rights: u32) -> io::Result<bool> {
        let metadata = std::fs::metadata(path)?;
        Ok(self.may_with(&metadata, access_list(path).as_deref(), rights))
    }

    /// Tells the same for an owner and a mode.
    pub(super) fn may_by_mode(&self, uid: u32, gid: u32, mode: u32, rights: u32) -> bool {
        if self.uid == ROOT {
            return true;
        }
        let granted = match () {
            () if uid == self.uid => mode >> 6,
            () if self.groups.contains(&gid) => mode >> 3,
            () => mode,
        };
        granted & rights == rights
    }

    fn may_with(&self, metadata: &Metadata, list: Option<&[Entry]>, rights: u32) -> bool {
        let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
        match list {
            Some(list) if self.uid != ROOT && self.uid != uid => self.may_by_list(list, gid, rights),
            _ => self.may_by_mode(uid, gid, mode, rights),
        }
    }

    /// Applies an access list as the kernel does: the entry of the user; else any entry of one of its groups; else that of
    /// all others. The mask limits the first two.
    fn may_by_list(&self, list: &[Entry], gid: u32, rights: u32) -> bool {
        let mask = list.iter().find(|entry| entry.tag == Tag::Mask).map_or(7, |entry| entry.rights);
        let has = |granted: u32| granted & rights == rights;
        if let Some(own) = list.iter().find(|entry| entry.tag == Tag::User(self.uid)) {
            return has(own.rights & mask);
        }
        let is_of_group = |entry: &&Entry| match entry.tag {
            Tag::OwningGroup => self.groups.contains(&gid),
            Tag::Group(group) => self.groups.contains(&group),
            _ => false,
        };
        let mut of_groups = list.iter().filter(is_of_group).peekable();
        if of_groups.peek().is_some() {
            return of_groups.any(|entry| has(entry.rights & mask));
        }
        list.iter().find(|entry| entry.tag == Tag::Others).is_some_and(|entry| has(entry.rights))
    }

    /// Finds the first directory on a path that the user cannot enter, from the root. The path is resolved before.
    pub(super) fn find_closed(&self, path: &Path) -> Option<PathBuf> {
        let real = std::fs::canonicalize(path).ok()?;
        let mut above: Vec<&Path> = real.ancestors().collect();
        above.reverse();
        let closed = above.into_iter().find(|directory| {
            std::fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir())
                && !self.may(directory, ENTER).unwrap_or(true)
        });
        closed.map(Path::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::access_list::parse;

    fn person(uid: u32, groups: &[u32]) -> Person {
        Person { name: uid.to_string(), uid, groups: groups.to_vec(), only_serves: false }
    }

    #[test]
    fn the_bits_of_owner_group_and_others_decide_one_after_the_other() {
        let check = |who: Person, mode: u32, expected: bool| {
            assert_eq!(who.may_by_mode(1000, 50, mode, READ | WRITE), expected, "{who:?} {mode:o}");
        };
        check(person(1000, &[50]), 0o600, true);
        check(person(1000, &[50]), 0o066, false);
        check(person(33, &[33, 50]), 0o060, true);
        check(person(33, &[33, 50]), 0o606, false);
        check(person(33, &[33]), 0o006, true);
        check(person(33, &[33]), 0o004, false);
        check(person(0, &[0]), 0o000, true);
    }

    #[test]
    fn an_access_list_decides_as_in_the_kernel() {
        let list = |entries: &[(u16, u16, u32)]| {
            let mut bytes = 2_u32.to_le_bytes().to_vec();
            for (tag, rights, number) in entries {
                bytes.extend(tag.to_le_bytes());
                bytes.extend(rights.to_le_bytes());
                bytes.extend(number.to_le_bytes());
            }
            parse(&bytes).unwrap()
        };
        const NOBODY: u32 = u32::MAX;
        let entries = list(&[
            (0x01, 7, NOBODY),
            (0x02, 7, 33),
            (0x04, 5, NOBODY),
            (0x08, 6, 60),
            (0x10, 6, NOBODY),
            (0x20, 4, NOBODY),
        ]);
        let check = |who: Person, rights: u32, expected: bool| {
            assert_eq!(who.may_by_list(&entries, 50, rights), expected, "{who:?} {rights}");
        };
        check(person(33, &[33]), READ | WRITE, true);
        // The mask takes it away.
        check(person(33, &[33]), ENTER, false);
        check(person(34, &[50]), READ, true);
        check(person(34, &[50]), WRITE, false);
        check(person(34, &[50, 60]), READ | WRITE, true);
        check(person(34, &[34]), READ, true);
        check(person(34, &[34]), WRITE, false);
        assert_eq!(parse(b"\x01\0\0\0"), None);
        assert_eq!(parse(b"\x02\0\0\0abc"), None);
    }
}
