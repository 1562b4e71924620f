//! Lists what a site has and its source has not, by kind, and what a release of the site would have.
//!
//! Only names and stats are read, in parallel. A directory that the source lacks is one row: its files are counted. A
//! directory of a known kind that the source has only as a place (`storage/logs` with a `.gitignore`) is one row too. What
//! lies in an unknown directory is not judged by its name: a plugin has a directory `media` of its own. Only what is in use
//! is found there: a directory with a database, a file that a program writes to.
//!
//! A directory of uploads that the source has too is shared if most of its files are the server's. A database that the source
//! has too is shared if it differs: the copy of a source is a developer's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use rayon::prelude::*;

use crate::agent::sqlite::{database_of, is_database_name, is_likely_database, names_beside};
use crate::agent::store::has_hash;
use crate::disk::{Costs, Dir, Kind, Stat};
use crate::error::{Error, SourceError};
use crate::manifest::{EntryRef, LEVELS_MAX, Manifest, Node};
use crate::path::{RelativePath, Shown, push_name};
use crate::report::FoundKind;

use super::inventory::{Counts, Inventory};
use super::kinds;
use super::readers::Readers;
use super::rules::GIT;

/// Lists a site.
pub(super) struct Lister<'a> {
    /// The manifest of the source.
    pub(super) source: &'a Manifest,
    /// The paths that are shared, and why.
    pub(super) shared: &'a BTreeMap<Vec<u8>, FoundKind>,
    /// The files beside databases that are shared.
    pub(super) beside: &'a BTreeSet<Vec<u8>>,
    /// The paths that stay in the release.
    pub(super) kept: &'a [RelativePath],
    /// The directories that releases have for themselves, for the application to write to.
    pub(super) writable: &'a [RelativePath],
    /// The files that programs have open for writing.
    pub(super) written: &'a BTreeSet<Vec<u8>>,
    /// The user.
    pub(super) user: u32,
    /// The rights of copies. None: the files stay where they are.
    pub(super) readers: Option<&'a Readers>,
    /// The cost of the files' copies.
    pub(super) costs: Costs,
}

/// The place of a directory in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// The source has it, with this number.
    Source(u32),
    /// The source lacks it, and the names in it are judged all the same.
    Judged,
    /// The source lacks it or a directory above it.
    Nothing,
    /// The source lacks it or a directory above it, which a build makes.
    Built,
}

/// A directory that is listed, and its names.
struct Listed<'d> {
    dir: &'d Dir,
    names: BTreeSet<Vec<u8>>,
    beside: Beside,
}

impl Lister<'_> {
    /// Lists the site.
    pub(super) fn list(&self, site: &Dir) -> Result<Inventory, Error> {
        let mut inventory = self.directory(site, &[], Beside::Source(0))?;
        inventory.rows.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        inventory.written.sort_unstable();
        Ok(inventory)
    }

    fn directory(&self, dir: &Dir, path: &[u8], beside: Beside) -> Result<Inventory, Error> {
        check_depth(path)?;
        let mut inventory = Inventory { directories: 1, ..Inventory::default() };
        inventory.judge_owner(&dir.own_stat()?, path, self.user);
        let mut below = Vec::new();
        let listed = Listed { dir, names: dir.names()?.into_iter().collect(), beside };
        for name in listed.names.iter().filter(|name| *name != GIT) {
            let Some(stat) = dir.stat(name)? else { continue };
            let mut own = path.to_vec();
            push_name(&mut own, name);
            match self.shared.get(&own) {
                Some(&kind) => {
                    // One that an earlier run moved is a link.
                    let leads_to_directory = stat.kind == Kind::Symlink && dir.open_through(name).is_ok();
                    let stat = if leads_to_directory { Stat { kind: Kind::Directory, ..stat } } else { stat };
                    inventory.add_row(&own, kind, &stat, self.measure_name(dir, name, &stat)?);
                }
                None if stat.kind == Kind::Directory => below.push((name, own, stat)),
                None if self.beside.contains(&own) => {}
                None if self.moves_with_database(&listed, name, path)? => {}
                None => self.file(&mut inventory, &listed, name, own, &stat)?,
            }
        }
        let parts: Result<Vec<Inventory>, Error> =
            below.into_par_iter().map(|(name, own, stat)| self.below(dir, name, own, &stat, beside)).collect();
        parts?.into_iter().for_each(|part| inventory.merge(part));
        Ok(inventory)
    }

    /// Lists a directory in another one.
    fn below(&self, dir: &Dir, name: &[u8], path: Vec<u8>, stat: &Stat, beside: Beside) -> Result<Inventory, Error> {
        let number = match self.in_source(beside, name).map(|named| named.node) {
            Some(Node::Directory(number)) => Some(number),
            _ => None,
        };
        let kind = self.kind_of(&path, beside, number);
        if let Some(kind) = kind.filter(|kind| kind.is_shared()) {
            let counts = self.measure(dir, name)?;
            if number.is_none_or(|number| counts.files > self.least_files(dir, name, number)) {
                let mut inventory = Inventory::default();
                inventory.add_row(&path, kind, stat, counts);
                return Ok(inventory);
            }
        }
        let held = match dir.open_dir(name) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                return Ok(Inventory { unreadable: (1, Some((path, stat.uid))), ..Inventory::default() });
            }
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(Inventory::default()),
            held => held?,
        };
        if kind.is_none() && self.is_place_of_database(&held, &path, beside, number)? {
            let mut inventory = Inventory::default();
            inventory.add_row(&path, FoundKind::Database, stat, self.measure_held(&held)?);
            return Ok(inventory);
        }
        let mut inventory = match number {
            Some(number) if kind != Some(FoundKind::Built) => self.directory(&held, &path, Beside::Source(number)),
            _ => self.foreign_directory(&held, &path, stat, beside, kind),
        }?;
        // One that became shared as a whole keeps its rights.
        if inventory.directories > 0 {
            let reader = self.readers.and_then(|readers| readers.locked_out(dir, name, stat));
            inventory.note_locked_out(&path, reader);
        }
        Ok(inventory)
    }

    /// Lists a directory that the source lacks, or has only as the place of what a build makes.
    fn foreign_directory(
        &self,
        held: &Dir,
        path: &[u8],
        stat: &Stat,
        beside: Beside,
        kind: Option<FoundKind>,
    ) -> Result<Inventory, Error> {
        let is_kept = self.is_kept(path);
        if kinds::is_holder(path) && beside == Beside::Source(0) && !is_kept {
            return self.directory(held, path, Beside::Judged);
        }
        let own = match (kind, beside) {
            (Some(FoundKind::Built), _) | (_, Beside::Built) => Beside::Built,
            _ => Beside::Nothing,
        };
        if own == Beside::Nothing && !is_kept && self.holds_database(held, path)? {
            let mut inventory = Inventory::default();
            inventory.add_row(path, FoundKind::Database, stat, self.measure_held(held)?);
            return Ok(inventory);
        }
        let mut inventory = self.directory(held, path, own)?;
        if matches!(beside, Beside::Source(_) | Beside::Judged) {
            inventory.collapse(path, kind.unwrap_or(FoundKind::Leftover), stat);
        }
        Ok(inventory)
    }

    /// Returns the kind of a directory by its name, unless something in it or around it is decided already.
    fn kind_of(&self, path: &[u8], beside: Beside, number: Option<u32>) -> Option<FoundKind> {
        if matches!(beside, Beside::Nothing | Beside::Built) || self.is_kept(path) || self.has_decided_in(path) {
            return None;
        }
        let is_kept_by = |writable: &RelativePath| writable.as_bytes() == path || is_in(path, writable.as_bytes());
        let kind = match kinds::of_directory(path)? {
            kind if kind.is_shared() && self.writable.iter().any(is_kept_by) => FoundKind::Built,
            kind => kind,
        };
        match number {
            Some(number) if !self.is_place(number) => {
                Some(kind).filter(|kind| matches!(kind, FoundKind::Uploads | FoundKind::Backups))
            }
            _ => Some(kind),
        }
    }

    fn in_source(&self, beside: Beside, name: &[u8]) -> Option<EntryRef<'_>> {
        match beside {
            Beside::Source(number) => self.source.child(number, name),
            _ => None,
        }
    }

    /// Returns whether the directory has databases that are in use, or has nothing but databases.
    pub(super) fn holds_database(&self, dir: &Dir, path: &[u8]) -> Result<bool, Error> {
        let names: BTreeSet<Vec<u8>> = dir.names()?.into_iter().collect();
        let is_beside = |name: &[u8]| database_of(name).is_some_and(|database| names.contains(database));
        let is_alone =
            names.iter().all(|name| is_database_name(name) || is_beside(name) || kinds::is_placeholder(name));
        for name in names.iter().filter(|name| is_database_name(name)) {
            let mut own = path.to_vec();
            push_name(&mut own, name);
            let is_used = names_beside(name).iter().any(|name| names.contains(name));
            if (is_alone || is_used || self.written.contains(&own)) && is_likely_database(dir, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether a file lies beside a database that becomes shared, and so moves with it.
    fn moves_with_database(&self, listed: &Listed<'_>, name: &[u8], above: &[u8]) -> Result<bool, Error> {
        let Some(database) = database_of(name).filter(|database| listed.names.contains(*database)) else {
            return Ok(false);
        };
        let mut path = above.to_vec();
        push_name(&mut path, database);
        Ok(listed.beside.is_judged() && !self.is_kept(&path) && is_likely_database(listed.dir, database)?)
    }

    /// Judges a file, a symlink or a special file.
    fn file(
        &self,
        inventory: &mut Inventory,
        listed: &Listed<'_>,
        name: &[u8],
        path: Vec<u8>,
        stat: &Stat,
    ) -> Result<(), Error> {
        if stat.kind == Kind::Other {
            inventory.add_row(&path, FoundKind::Socket, stat, Counts::default());
            return Ok(());
        }
        let kind = self.kind_of_file(listed, name, &path, stat)?;
        let counts = self.counts(stat);
        if let Some(kind) = kind {
            inventory.add_row(&path, kind, stat, counts);
            if kind.is_shared() {
                return Ok(());
            }
        }
        inventory.kept.add(counts);
        let in_source = self.in_source(listed.beside, name);
        inventory.files_of_source += u64::from(in_source.is_some());
        match in_source.map(|named| named.node) {
            Some(Node::File(file)) if stat.kind == Kind::File && file.size != stat.size => {
                inventory.differing.0 += 1;
                inventory.differing.1.get_or_insert_with(|| path.clone());
            }
            None if stat.kind == Kind::File
                && listed.beside != Beside::Built
                && is_likely_database(listed.dir, name)? =>
            {
                inventory.databases.push(path.clone());
            }
            _ => {}
        }
        if self.written.contains(&path) {
            inventory.written.push(path.clone());
        }
        self.judge_rights(inventory, listed.dir, name, path, stat);
        Ok(())
    }

    fn kind_of_file(
        &self,
        listed: &Listed<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> Result<Option<FoundKind>, Error> {
        let in_source = self.in_source(listed.beside, name);
        let is_used = self.written.contains(path);
        if stat.kind == Kind::Symlink && in_source.is_none() && listed.beside.is_judged() && !self.is_kept(path) {
            return Ok(Some(self.kind_of_symlink(listed, name, path)?));
        }
        if stat.kind == Kind::Symlink || self.is_kept(path) || !listed.beside.is_judged() {
            let is_open = listed.beside == Beside::Nothing && is_used && !self.is_kept(path);
            let is_left = listed.beside.is_judged() && in_source.is_none();
            return Ok(if is_open { Some(FoundKind::Open) } else { is_left.then_some(FoundKind::Leftover) });
        }
        let has_beside = names_beside(name).iter().any(|name| listed.names.contains(name));
        let kind = match kinds::of_file(path) {
            None if has_beside && is_likely_database(listed.dir, name)? => Some(FoundKind::Database),
            kind => kind,
        };
        let Some(in_source) = in_source else {
            let other = if is_used { FoundKind::Open } else { FoundKind::Leftover };
            return Ok(kind.or(Some(other)));
        };
        match kind {
            Some(FoundKind::Database) if has_beside || is_used => Ok(kind),
            Some(kind) if differs(listed.dir, name, stat, &in_source)? => {
                Ok(Some(if kind == FoundKind::Database { kind } else { FoundKind::Differs }))
            }
            _ => Ok(None),
        }
    }

    /// Returns the kind of a symlink that the source lacks. One that leads to uploads on another disk is shared as they would be.
    fn kind_of_symlink(&self, listed: &Listed<'_>, name: &[u8], path: &[u8]) -> Result<FoundKind, Error> {
        let is_absolute = listed.dir.read_link(name)?.is_some_and(|target| target.first() == Some(&b'/'));
        let kind = kinds::of_directory(path).or_else(|| kinds::of_file(path)).filter(|kind| kind.is_shared());
        Ok(kind.filter(|_| is_absolute).unwrap_or(FoundKind::Leftover))
    }

    /// Returns whether a path in a directory is shared by itself, or stays in the release.
    pub(super) fn has_decided_in(&self, path: &[u8]) -> bool {
        let mut kept = self.kept.iter().map(RelativePath::as_bytes);
        kept.any(|kept| is_in(kept, path)) || self.shared.keys().any(|shared| is_in(shared, path))
    }

    pub(super) fn is_kept(&self, path: &[u8]) -> bool {
        RelativePath::parse(path).is_ok_and(|path| self.kept.iter().any(|kept| path.is_within(kept)))
    }
}

impl Beside {
    /// Returns whether names are judged there.
    fn is_judged(self) -> bool {
        matches!(self, Beside::Source(_) | Beside::Judged)
    }
}

/// Refuses directories that lie more deeply within each other than those of a release.
pub(super) fn check_depth(path: &[u8]) -> Result<(), Error> {
    if path.iter().filter(|&&byte| byte == b'/').count() < LEVELS_MAX as usize {
        return Ok(());
    }
    Err(SourceError::TooDeep { path: Shown(path).to_string(), most: LEVELS_MAX }.into())
}

/// Returns whether a path lies in a directory.
fn is_in(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|below| below.first() == Some(&b'/'))
}

/// Returns whether a file differs from that of the source. One that this user may not read does.
fn differs(dir: &Dir, name: &[u8], stat: &Stat, in_source: &EntryRef<'_>) -> Result<bool, Error> {
    let Node::File(file) = in_source.node else { return Ok(true) };
    if file.size != stat.size {
        return Ok(true);
    }
    match dir.open_file(name) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(true),
        opened => Ok(opened?.is_some_and(|opened| !has_hash(&opened, file.key.hash))),
    }
}
