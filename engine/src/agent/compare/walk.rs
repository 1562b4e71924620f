//! The comparison of one release, a directory at a time, in parallel.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::agent::shared;
use crate::agent::site::layout::Layout;
use crate::agent::site::own::Own;
use crate::agent::site::records::ManifestView;
use crate::agent::stamp::Stamp;
use crate::agent::stamps::Stamps;
use crate::agent::store::{ObjectName, Store};
use crate::disk::{Dir, Kind, SETGID, Stat};
use crate::error::Error;
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::link::Link;
use crate::manifest::{EntryRef, FILE_MODE_MASK, File, Node};
use crate::path::{RelativePath, push_name};
use crate::pattern::Patterns;
use crate::release::Record;
use crate::report::DifferenceKind;

use super::found::{FoundDifference, Place};
use super::links::{Extra, Extras, Links};

/// The depth of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The stat of every entry.
    Stat,
    /// The content of every file too.
    Content,
}

/// A request to stop. A comparison that was stopped has an unknown part of the differences.
#[derive(Debug, Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    /// Stops the comparison.
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether it was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The content of files that were read, by inode: a file that several releases link to is read once.
pub(super) type ReadHashes = Mutex<HashMap<u64, Hash>>;

/// The parts that all comparisons of a run share.
pub(super) struct Comparer<'a> {
    /// The deploy path.
    pub(super) layout: &'a Layout,
    /// The store.
    pub(super) store: &'a Store,
    /// The depth.
    pub(super) depth: Depth,
    /// The content that was read.
    pub(super) hashes: &'a ReadHashes,
    /// The request to stop.
    pub(super) stop: &'a Stop,
}

impl Comparer<'_> {
    /// Compares a release. Returns the differences in no order.
    pub(super) fn compare(
        &self,
        record: &Record,
        view: ManifestView<'_>,
        own: &Own,
    ) -> Result<Vec<FoundDifference>, Error> {
        let beside = self.layout.records.open_dir(record.id.as_str().as_bytes())?;
        let tree = self.layout.releases.open_dir(record.id.as_str().as_bytes())?;
        let is_hardlinked = record.link == Link::Hardlink;
        let walk = Walk {
            comparer: self,
            view,
            own,
            root: tree.own_stat()?,
            // A file of a reflinked release has its own inode.
            is_hardlinked: is_hardlinked && !record.is_taken_over,
            is_taken_over: record.is_taken_over,
            stamps: if tree.keeps_times()? { Stamps::read(&beside)? } else { None },
            copies: Patterns::parse(record.copy_paths.iter().map(String::as_str), "`copy_paths`")?,
            links: Links::new(view.manifest, &record.shared, &shared::root(&self.layout.shared)?),
            writable: &record.writable.directories,
            group: self.store.group()?,
            found: Mutex::default(),
        };
        walk.check_directory(0, &walk.root, Place::Root);
        walk.directory(0, &tree, &walk.root, b"")?;
        Ok(walk.found.into_inner().expect("no comparer panics"))
    }
}

/// The comparison of one release.
struct Walk<'a> {
    comparer: &'a Comparer<'a>,
    view: ManifestView<'a>,
    own: &'a Own,
    root: Stat,
    is_hardlinked: bool,
    /// Whether modes, times and owners are those of another tool. Then content alone is compared.
    is_taken_over: bool,
    stamps: Option<Stamps>,
    copies: Patterns,
    links: Links,
    /// The directories that the application writes to, with modes and a group of their own.
    writable: &'a [RelativePath],
    group: Option<u32>,
    found: Mutex<Vec<FoundDifference>>,
}

impl Walk<'_> {
    /// Compares the entries of a directory, and then its subdirectories.
    fn directory(&self, number: u32, dir: &Dir, stat: &Stat, path: &[u8]) -> Result<(), Error> {
        if self.comparer.stop.is_stopped() {
            return Ok(());
        }
        let extras = self.links.of(number);
        let has_names = self.stamps.as_ref().is_some_and(|stamps| {
            let hash = &self.view.manifest.directories()[number as usize].hash;
            stamps.has_names_of(hash, Stamp::of(stat))
        });
        if !has_names {
            self.find_added(number, dir, path, extras)?;
        }
        for (name, extra) in extras.into_iter().flatten() {
            self.extra(dir, path, name, extra)?;
        }
        let is_hidden = |name: &[u8]| extras.is_some_and(|extras| extras.contains_key(name));
        let mut below = Vec::new();
        for named in self.view.manifest.children(number).filter(|named| !is_hidden(named.name)) {
            below.extend(self.entry(dir, path, named)?);
        }
        below.into_par_iter().try_for_each(|(child, stat)| {
            let name = self.view.manifest.name(self.view.manifest.entry_of(child));
            let Some(held) = readable(dir.open_dir(name))? else { return Ok(()) };
            self.directory(child, &held, &stat, &joined(path, name))
        })
    }

    /// Finds the names that the manifest does not have.
    fn find_added(&self, number: u32, dir: &Dir, path: &[u8], extras: Option<&Extras>) -> Result<(), Error> {
        let mut wanted = self.view.manifest.children(number).map(|named| named.name).peekable();
        for name in readable(dir.names())?.unwrap_or_default() {
            while wanted.next_if(|wanted| *wanted < name.as_slice()).is_some() {}
            let is_known = wanted.next_if(|wanted| *wanted == name.as_slice()).is_some();
            if !is_known && !extras.is_some_and(|extras| extras.contains_key(&name)) {
                self.add(dir, path, &name)?;
            }
        }
        Ok(())
    }

    /// Notes an added name, unless the patterns of private copies match it.
    fn add(&self, dir: &Dir, path: &[u8], name: &[u8]) -> Result<(), Error> {
        let Some(stat) = dir.stat(name)? else { return Ok(()) };
        let whole = joined(path, name);
        let is_directory = stat.kind == Kind::Directory;
        let is_of_application = !self.copies.is_empty()
            && (self.copies.matches_file(&whole) || self.copies.verdict(&whole, is_directory) == Some(true));
        if !is_of_application {
            self.note(Place::Path(whole), DifferenceKind::Added, Some(stat));
        }
        Ok(())
    }

    /// Compares a name that the manifest does not have.
    fn extra(&self, dir: &Dir, path: &[u8], name: &[u8], extra: &Extra) -> Result<(), Error> {
        let whole = joined(path, name);
        let note = |kind, stat| self.note(Place::Path(whole.clone()), kind, stat);
        let Some(stat) = dir.stat(name)? else {
            if !matches!(extra, Extra::Link { may_be_missing: true, .. }) {
                note(DifferenceKind::Missing, None);
            }
            return Ok(());
        };
        match extra {
            Extra::Link { .. } if stat.kind != Kind::Symlink => note(DifferenceKind::Kind, Some(stat)),
            Extra::Link { targets, .. } if dir.read_link(name)?.is_none_or(|target| !targets.contains(&target)) => {
                note(DifferenceKind::Target, Some(stat));
            }
            Extra::Link { .. } => {}
            Extra::Directory(_) if stat.kind != Kind::Directory => note(DifferenceKind::Kind, Some(stat)),
            Extra::Directory(inside) => {
                let Some(held) = readable(dir.open_dir(name))? else { return Ok(()) };
                for other in readable(held.names())?.unwrap_or_default() {
                    if !inside.contains_key(&other) {
                        self.add(&held, &whole, &other)?;
                    }
                }
                for (name, extra) in inside {
                    self.extra(&held, &whole, name, extra)?;
                }
            }
        }
        Ok(())
    }

    /// Compares an entry. Returns a directory that has to be entered, with its stat.
    fn entry(&self, dir: &Dir, path: &[u8], named: EntryRef<'_>) -> Result<Option<(u32, Stat)>, Error> {
        let Some(stat) = readable(dir.stat(named.name))? else { return Ok(None) };
        let place = Place::Entry(named.index);
        let Some(stat) = stat else {
            self.note(place, DifferenceKind::Missing, None);
            return Ok(None);
        };
        let expected = match named.node {
            Node::File(_) => Kind::File,
            Node::Directory(_) => Kind::Directory,
            Node::Symlink(_) => Kind::Symlink,
        };
        if stat.kind != expected {
            self.note(place, DifferenceKind::Kind, Some(stat));
            return Ok(None);
        }
        match named.node {
            Node::Directory(_) if stat.device != self.root.device => {
                self.note(place, DifferenceKind::Replaced, Some(stat));
            }
            Node::Directory(number) => {
                self.check_directory(number, &stat, place);
                return Ok(Some((number, stat)));
            }
            Node::Symlink(target) => {
                let leads_there = dir.read_link(named.name)?.as_deref() == Some(self.view.manifest.text(target));
                if !leads_there {
                    self.note(place, DifferenceKind::Target, Some(stat));
                }
            }
            Node::File(file) => {
                if let Some(kind) = self.file(dir, path, named, file, &stat)? {
                    self.note(place, kind, Some(stat));
                }
            }
        }
        Ok(None)
    }

    /// Compares the attributes of a directory. Its size and mtime follow from its names; its group and the setgid bit
    /// follow the deploy path.
    fn check_directory(&self, number: u32, stat: &Stat, place: Place) {
        let mode = u32::from(self.view.manifest.directories()[number as usize].mode);
        if self.is_taken_over {
            return;
        }
        if stat.uid != self.comparer.store.owner() {
            self.note(place, DifferenceKind::Owner, Some(*stat));
        } else if stat.mode & !SETGID != mode {
            self.note(place, DifferenceKind::Mode, Some(*stat));
        }
    }

    fn has_owner(&self, stat: &Stat) -> bool {
        stat.uid == self.comparer.store.owner() && self.group.is_none_or(|group| stat.gid == group)
    }

    /// Compares a file.
    fn file(
        &self,
        dir: &Dir,
        path: &[u8],
        named: EntryRef<'_>,
        file: File,
        stat: &Stat,
    ) -> Result<Option<DifferenceKind>, Error> {
        if !self.copies.is_empty() && self.copies.matches_file(&joined(path, named.name)) {
            return Ok(None);
        }
        if self.is_taken_over {
            return self.content_alone(dir, named.name, file, stat);
        }
        let placement = self.view.placements[named.index as usize];
        let known = self.stamps.as_ref().and_then(|stamps| stamps.inode(named.index)).filter(|_| self.is_hardlinked);
        let is_original = known == Some(stat.inode);
        let is_object = || -> Result<bool, Error> {
            let object = self.comparer.store.stat(ObjectName { key: file.key, copy: placement.copy })?;
            Ok(object.is_some_and(|object| (object.inode, object.device) == (stat.inode, stat.device)))
        };
        // A repair replaces an object and its files. On an overlay, files have the device of their layer.
        let is_elsewhere = stat.device != self.root.device;
        if (is_elsewhere || (known.is_some() && !is_original)) && !is_object()? {
            let is_like = stat.size == file.size && stat.has_mtime(placement.second) && self.has_owner(stat);
            // A deploy path that was restored from a backup may have lost its hardlinks: then the content decides.
            let is_restored =
                is_like && stat.mode == u32::from(file.key.mode) && self.has_content(dir, named.name, file, stat)?;
            return Ok((!is_restored).then_some(DifferenceKind::Replaced));
        }
        let kind = if stat.size != file.size || !stat.has_mtime(placement.second) {
            DifferenceKind::Content
        } else if !self.has_owner(stat) {
            DifferenceKind::Owner
        } else if stat.mode != u32::from(file.key.mode) {
            DifferenceKind::Mode
        } else if self.comparer.depth == Depth::Content && !self.has_content(dir, named.name, file, stat)? {
            return Ok(Some(DifferenceKind::Content));
        } else {
            return Ok(None);
        };
        let is_alone = file.size > 0 && self.is_hardlinked && !is_original && stat.links == 1;
        Ok(Some(if is_alone { DifferenceKind::Replaced } else { kind }))
    }

    /// Compares a file of a release that was taken over.
    fn content_alone(&self, dir: &Dir, name: &[u8], file: File, stat: &Stat) -> Result<Option<DifferenceKind>, Error> {
        if stat.size != file.size || !self.has_content(dir, name, file, stat)? {
            return Ok(Some(DifferenceKind::Content));
        }
        Ok((stat.mode & FILE_MODE_MASK != u32::from(file.key.mode)).then_some(DifferenceKind::Mode))
    }

    /// Tells whether a file has the content of the manifest. A file that this user may not read counts as right.
    fn has_content(&self, dir: &Dir, name: &[u8], file: File, stat: &Stat) -> Result<bool, Error> {
        let hashes = self.comparer.hashes;
        if let Some(hash) = hashes.lock().expect("no comparer panics").get(&stat.inode) {
            return Ok(*hash == file.key.hash);
        }
        let Some(Some(opened)) = readable(dir.open_file(name))? else { return Ok(true) };
        let (hash, _) =
            FileRange::whole(&opened).hash().map_err(|error| Error::io("read", dir.path_of(name), error))?;
        hashes.lock().expect("no comparer panics").insert(stat.inode, hash);
        Ok(hash == file.key.hash)
    }

    /// Notes a difference, unless the release has it of its own.
    fn note(&self, place: Place, kind: DifferenceKind, stat: Option<Stat>) {
        let found = FoundDifference { place, kind, stat };
        if !self.is_own(&found) {
            self.found.lock().expect("no comparer panics").push(found);
        }
    }
}

impl Walk<'_> {
    /// Tells whether a name belongs to the release itself: it is in the list, or in a directory that the application
    /// writes to.
    fn is_own(&self, found: &FoundDifference) -> bool {
        if self.own.is_empty() && self.writable.is_empty() {
            return false;
        }
        let path = found.path(self.view.manifest);
        self.own.accepts(&path, found.stat.as_ref()) || self.is_writable(found, &path)
    }

    /// Tells whether the application may have added a name, or a directory has the mode and the group of the
    /// configuration.
    fn is_writable(&self, found: &FoundDifference, path: &[u8]) -> bool {
        let is_directory = found.stat.as_ref().is_some_and(|stat| stat.kind == Kind::Directory);
        let may_differ = match found.kind {
            DifferenceKind::Added => true,
            DifferenceKind::Mode | DifferenceKind::Owner => is_directory,
            _ => false,
        };
        let Ok(path) = RelativePath::parse(path) else { return false };
        may_differ && self.writable.iter().any(|directory| path == *directory || path.is_within(directory))
    }
}

/// Returns nothing if this user may not read there: the mode of the manifest forbids it.
fn readable<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(read) => Ok(Some(read)),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut whole = path.to_vec();
    push_name(&mut whole, name);
    whole
}
