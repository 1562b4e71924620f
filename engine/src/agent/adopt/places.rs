//! Directories that a source has only as a place: with nothing in them, or with files that keep them in a repository.

use crate::disk::Dir;
use crate::error::Error;
use crate::manifest::{EntryRef, Node};

use super::kinds;
use super::lister::{Beside, Lister};

impl Lister<'_> {
    /// Returns whether the source has a directory only as a place: with nothing in it, or with files that keep it.
    pub(super) fn is_place(&self, number: u32) -> bool {
        self.source.children(number).all(|named| match named.node {
            Node::Directory(child) => self.is_place(child),
            Node::File(_) => kinds::is_placeholder(named.name),
            Node::Symlink(_) => false,
        })
    }

    fn files_in(&self, number: u32) -> u64 {
        let count = |node| match node {
            Node::Directory(child) => self.files_in(child),
            Node::File(_) | Node::Symlink(_) => 1,
        };
        self.source.children(number).map(|named| count(named.node)).sum()
    }

    /// Returns the number of files that a directory of the server must exceed, to be the server's.
    pub(super) fn least_files(&self, dir: &Dir, name: &[u8], number: u32) -> u64 {
        if self.is_place(number) {
            dir.open_dir(name).map_or(0, |held| self.files_there(&held, number))
        } else {
            self.files_in(number) * 2
        }
    }

    /// Returns how many files of a directory of the source the server has.
    fn files_there(&self, held: &Dir, number: u32) -> u64 {
        let count = |named: EntryRef<'_>| match named.node {
            Node::Directory(child) => held.open_dir(named.name).map_or(0, |held| self.files_there(&held, child)),
            Node::File(_) | Node::Symlink(_) => u64::from(matches!(held.stat(named.name), Ok(Some(_)))),
        };
        self.source.children(number).map(count).sum()
    }

    /// Returns whether the source has a directory only as the place of databases.
    pub(super) fn is_place_of_database(
        &self,
        held: &Dir,
        path: &[u8],
        beside: Beside,
        number: Option<u32>,
    ) -> Result<bool, Error> {
        let is_place = matches!(beside, Beside::Source(_)) && number.is_some_and(|number| self.is_place(number));
        Ok(is_place && !self.is_kept(path) && !self.has_decided_in(path) && self.holds_database(held, path)?)
    }
}
