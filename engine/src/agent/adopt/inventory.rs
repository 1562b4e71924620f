//! What was found in a part of a site: the rows of its paths, and counts of what a release of it would have.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::{Kind, Stat};
use crate::path::RelativePath;
use crate::report::FoundKind;

use super::readers::Reader;

/// A path of the site.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The path.
    pub(super) path: RelativePath,
    /// Its kind.
    pub(super) kind: FoundKind,
    /// Whether it is a directory.
    pub(super) is_directory: bool,
    /// The files in it.
    pub(super) counts: Counts,
}

/// A number of files, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// The files.
    pub(super) files: u64,
    /// The sum of their sizes.
    pub(super) bytes: u64,
    /// The disk that copies of them take.
    pub(super) disk_bytes: u64,
}

/// What was found in a part of a site.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// The paths that the source lacks, or that are shared.
    pub(super) rows: Vec<Row>,
    /// The files of a release.
    pub(super) kept: Counts,
    /// Those of them that the source has too.
    pub(super) files_of_source: u64,
    /// The directories of a release.
    pub(super) directories: u64,
    /// The files of a release that belong to other users, by user, and one of them.
    pub(super) owners: BTreeMap<u32, (u64, Vec<u8>)>,
    /// The files of a release that not everybody may read, and one of them.
    pub(super) private: (u64, Option<Vec<u8>>),
    /// The files and directories of a release that somebody could not read any more, and one of them.
    pub(super) locked_out: (u64, Option<(Vec<u8>, Reader)>),
    /// The files of a release that have another size than in the source, and one of them.
    pub(super) differing: (u64, Option<Vec<u8>>),
    /// The databases of a release that the source lacks.
    pub(super) databases: Vec<Vec<u8>>,
    /// The directories of a release that belong to other users, by user, and one of them.
    pub(super) foreign: BTreeMap<u32, (u64, Vec<u8>)>,
    /// The files of a release that a program has open for writing.
    pub(super) written: Vec<Vec<u8>>,
    /// The files and directories of a release that this user may not read; one of them, and its owner.
    pub(super) unreadable: (u64, Option<(Vec<u8>, u32)>),
}

impl Counts {
    pub(super) fn add(&mut self, other: Counts) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.disk_bytes += other.disk_bytes;
    }
}

impl Inventory {
    pub(super) fn add_row(&mut self, path: &[u8], kind: FoundKind, stat: &Stat, counts: Counts) {
        let is_directory = stat.kind == Kind::Directory;
        // Names that were listed are names.
        self.rows.extend(RelativePath::parse(path).map(|path| Row { path, kind, is_directory, counts }));
    }

    /// Notes a path of the release that somebody could not read any more.
    pub(super) fn note_locked_out(&mut self, path: &[u8], reader: Option<Reader>) {
        if let Some(reader) = reader {
            self.locked_out.0 += 1;
            self.locked_out.1.get_or_insert_with(|| (path.to_vec(), reader));
        }
    }

    /// Notes a directory of the release that belongs to another user.
    pub(super) fn judge_owner(&mut self, stat: &Stat, path: &[u8], user: u32) {
        if stat.uid != user {
            self.foreign.entry(stat.uid).or_insert_with(|| (0, path.to_vec())).0 += 1;
        }
    }

    pub(super) fn merge(&mut self, other: Inventory) {
        self.rows.extend(other.rows);
        self.kept.add(other.kept);
        self.files_of_source += other.files_of_source;
        self.directories += other.directories;
        for (user, (files, path)) in other.owners {
            self.owners.entry(user).or_insert((0, path)).0 += files;
        }
        for (user, (directories, path)) in other.foreign {
            self.foreign.entry(user).or_insert((0, path)).0 += directories;
        }
        self.written.extend(other.written);
        self.databases.extend(other.databases);
        self.differing.0 += other.differing.0;
        self.differing.1 = self.differing.1.take().or(other.differing.1);
        self.locked_out.0 += other.locked_out.0;
        self.locked_out.1 = self.locked_out.1.take().or(other.locked_out.1);
        self.private.0 += other.private.0;
        self.private.1 = self.private.1.take().or(other.private.1);
        self.unreadable.0 += other.unreadable.0;
        self.unreadable.1 = self.unreadable.1.take().or(other.unreadable.1);
    }

    /// Makes one row of a directory that the source lacks. The paths in it that are shared keep rows of their own.
    pub(super) fn collapse(&mut self, path: &[u8], kind: FoundKind, stat: &Stat) {
        let counts = self.kept;
        self.rows.retain(|row| row.kind.is_shared());
        self.add_row(path, kind, stat, counts);
    }

    /// Returns the paths that become shared.
    pub(super) fn shared_paths(&self) -> BTreeSet<RelativePath> {
        self.rows.iter().filter(|row| row.kind.is_shared()).map(|row| row.path.clone()).collect()
    }
}
