//! Turns a spare into a new release: keeps what is right, removes the rest, and leaves missing entries to the
//! assembly. So a deploy costs as much as the change, and not a link for each file.
//!
//! An application may have written into the spare, so nothing in it is trusted. First it is out of reach: below
//! `.cutover/`, with no process in it. Then every entry is checked, a directory at a time, in parallel. A directory
//! is not listed if its stamp shows that it still has the right names (`stamps`).
//!
//! - A file is kept if it is the very inode of the right object, and the store finds no fault with that object.
//!   Content, mode, owner and mtime are then the object's.
//! - With `link = "reflink"`, a file is kept if it has no other name, and the size, mode, owner and mtime that it was
//!   made with.
//! - A symlink is kept if its target is right, an empty file if its mode and link count are.
//! - A directory is kept if it belongs to this user, has no extended attributes, and nothing is mounted on it.
//! - Wrong modes and mtimes of kept entries are corrected, those of directories at the end.
//! - Everything else is removed. That includes private copies, which may have been edited.
//!
//! The root of the tree is made anew, and the directories of the spare are moved into it. A directory that has moved
//! between the base and the new manifest is moved by one rename before the check, which finds all differences in it.
//! If something can be neither kept nor removed, the whole spare is set aside, and the release is assembled in full.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::disk::{Dir, Kind, OWNER_ALL, Stat, needs_mode_change};
use crate::error::Error;
use crate::hash::Hash;
use crate::link::Link;
use crate::manifest::placement::Placement;
use crate::manifest::{EntryRef, File, Manifest, Node};
use crate::path::push_name;
use crate::report::ReuseReport;

use super::assemble::Assembly;
use super::site::layout::Layout;
use super::stamp::Stamp;
use super::stamps::{KnownObjects, Stamps};
use super::store::{Inodes, ObjectName, ObjectState};
use super::token::random_name;
use super::trash::Spare;

/// The input of a reuse.
pub(crate) struct Reuse<'a> {
    /// The release to make.
    pub(crate) assembly: &'a Assembly<'a>,
    /// The base of the new manifest. A directory that moved since then is moved in the spare as well.
    pub(crate) base: Option<&'a Manifest>,
    /// The stamps of the spare, from when it was made.
    pub(crate) stamps: Option<Stamps>,
    /// The objects whose inodes are known.
    pub(crate) objects: Option<KnownObjects<'a>>,
}

/// Turns a spare into the release that is being assembled, with all its directories. On an error the tree holds an
/// unknown part of it: see [`abandon`].
pub(crate) fn reuse(layout: &Layout, spare: &Spare, reuse: Reuse<'_>) -> Result<ReuseReport, Error> {
    let Reuse { assembly, base, stamps, objects: known } = reuse;
    let tree = &assembly.staging.tree;
    let from = layout.trash.open_to_change(&spare.tree)?;
    // The root is new, and does not have its final mode.
    assembly.touch(0);
    let mut old_stamps = HashMap::new();
    for name in from.names()? {
        let Some(stat) = from.stat(&name)?.filter(|stat| stat.kind == Kind::Directory) else { continue };
        old_stamps.insert(stat.inode, Stamp::of(&stat));
        // Moving a directory to another parent needs write permission on the directory itself.
        drop(from.open_to_change(&name)?);
        from.rename_new(&name, tree, &name)?;
    }
    let moved = base.map_or(0, |base| Moves::find(base, assembly.manifest).carry_out(tree));
    let audit = Audit {
        assembly,
        root: tree.own_stat()?,
        stamps: stamps.filter(|_| tree.keeps_times().unwrap_or(false)),
        old_stamps,
        known,
        objects: assembly.store.inodes()?,
        kept: AtomicU64::new(0),
        removed: AtomicU64::new(0),
    };
    audit.reconcile(0, tree, b"", false)?;
    // The rest of its root: the directories were moved.
    layout.trash.remove_tree(&spare.tree)?;
    Ok(ReuseReport {
        release: spare.id.clone(),
        kept: audit.kept.into_inner(),
        removed: audit.removed.into_inner(),
        moved,
    })
}

/// Moves what a failed reuse left in the tree back into trash, where it is deleted with the rest of the spare. It is
/// no spare any more.
pub(crate) fn abandon(layout: &Layout, assembly: &Assembly<'_>, spare: &Spare) -> Result<(), Error> {
    let (tree, name) = (&assembly.staging.tree, format!("{}-{}", spare.id, random_name()?));
    let aside = match layout.trash.rename(&spare.tree, &layout.trash, name.as_bytes()) {
        Ok(()) => layout.trash.open_dir(name.as_bytes())?,
        Err(_) => layout.trash.create_dir(name.as_bytes(), OWNER_ALL)?,
    };
    for name in tree.names()? {
        // A new entry whose name also exists there is removed instead.
        tree.rename(&name, &aside, &name).or_else(|_| tree.remove_tree(&name))?;
    }
    assembly.forget_kept();
    Ok(())
}

/// The check of a spare against the manifest.
struct Audit<'a> {
    assembly: &'a Assembly<'a>,
    /// The root of the tree, made by this run. Its owner and filesystem are the right ones.
    root: Stat,
    stamps: Option<Stamps>,
    /// By inode, the stamps of the moved directories before the move, because a rename changes the ctime.
    old_stamps: HashMap<u64, Stamp>,
    known: Option<KnownObjects<'a>>,
    objects: Inodes<'a>,
    kept: AtomicU64,
    removed: AtomicU64,
}

/// A directory that the manifest has in another one.
struct Subdirectory<'m> {
    number: u32,
    name: &'m [u8],
    /// The existing directory of that name, if there is one.
    stat: Option<Stat>,
}

impl<'a> Audit<'a> {
    /// Keeps and removes the entries of a directory, and makes its missing subdirectories. The directory is not
    /// listed if it has the right names.
    fn reconcile(&self, number: u32, dir: &Dir, path: &[u8], has_names: bool) -> Result<(), Error> {
        let below = if has_names { self.check_all(number, dir, path) } else { self.compare(number, dir, path) }?;
        below.into_par_iter().try_for_each(|Subdirectory { number: child, name, stat }| {
            if let Some(stat) = stat {
                let held = dir.open_to_change(name)?;
                let has_names = self.has_names(child, &stat);
                if self.is_plain(child, &held, &stat, has_names)? {
                    let mut whole = path.to_vec();
                    push_name(&mut whole, name);
                    return self.reconcile(child, &held, &whole, has_names);
                }
                self.remove(number, dir, name)?;
            }
            self.assembly.touch(number);
            self.assembly.make_below(child, &dir.create_dir(name, OWNER_ALL)?)
        })
    }

    /// Checks all entries that the manifest has in a directory. Returns its subdirectories.
    fn check_all(&self, number: u32, dir: &Dir, path: &[u8]) -> Result<Vec<Subdirectory<'a>>, Error> {
        let mut below = Vec::new();
        for named in self.assembly.manifest.children(number) {
            let kept = self.check(dir, path, named)?;
            if kept.is_none() {
                self.remove(number, dir, named.name)?;
            }
            below.extend(Self::below(named, kept));
        }
        Ok(below)
    }

    /// Lists a directory, checks the entries that the manifest has, and removes the rest. Returns its subdirectories.
    fn compare(&self, number: u32, dir: &Dir, path: &[u8]) -> Result<Vec<Subdirectory<'a>>, Error> {
        let manifest = self.assembly.manifest;
        let mut wanted = manifest.children(number).peekable();
        let mut below = Vec::new();
        for name in dir.names()? {
            while let Some(named) = wanted.next_if(|named| named.name < name.as_slice()) {
                below.extend(Self::below(named, None));
            }
            let kept = match wanted.next_if(|named| named.name == name.as_slice()) {
                None => None,
                Some(named) => {
                    let kept = self.check(dir, path, named)?;
                    below.extend(Self::below(named, kept));
                    kept
                }
            };
            if kept.is_none() {
                self.remove(number, dir, &name)?;
            }
        }
        below.extend(wanted.filter_map(|named| Self::below(named, None)));
        Ok(below)
    }

    /// Returns a subdirectory, if the entry is one.
    fn below(named: EntryRef<'a>, stat: Option<Stat>) -> Option<Subdirectory<'a>> {
        match named.node {
            Node::Directory(number) => Some(Subdirectory { number, name: named.name, stat }),
            _ => None,
        }
    }

    /// Tells whether a directory still has the right names.
    fn has_names(&self, number: u32, stat: &Stat) -> bool {
        let old_stamps = self.old_stamps.get(&stat.inode).copied().unwrap_or(Stamp::of(stat));
        let hash = &self.assembly.manifest.directories()[number as usize].hash;
        stat.device == self.root.device
            && self.stamps.as_ref().is_some_and(|stamps| stamps.has_names_of(hash, old_stamps))
    }

    /// Removes a name from the directory with this number.
    fn remove(&self, number: u32, dir: &Dir, name: &[u8]) -> Result<(), Error> {
        self.assembly.touch(number);
        self.removed.fetch_add(1, Ordering::Relaxed);
        dir.remove_tree(name)
    }

    /// Checks an entry. Returns its stat if it is kept, and nothing otherwise. Of a directory, only its kind is
    /// checked here.
    fn check(&self, dir: &Dir, path: &[u8], named: EntryRef<'_>) -> Result<Option<Stat>, Error> {
        let Some(stat) = dir.stat(named.name)? else { return Ok(None) };
        let is_kept = match named.node {
            Node::Directory(_) => return Ok(Some(stat).filter(|stat| stat.kind == Kind::Directory)),
            Node::Symlink(target) => {
                let target = self.assembly.manifest.text(target);
                let leads_there = || dir.read_link(named.name).map(|link| link.is_some_and(|found| found == target));
                self.is_alone(&stat, Kind::Symlink) && leads_there()?
            }
            Node::File(file) if file.size == 0 => {
                self.is_alone(&stat, Kind::File) && stat.size == 0 && stat.mode == u32::from(file.key.mode)
            }
            Node::File(file) => self.is_object(path, named, file, &stat)?,
        };
        if is_kept {
            self.keep(dir, named, &stat)?;
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Some(stat).filter(|_| is_kept))
    }

    /// Tells whether an entry has this kind, belongs to this user, and has no other name.
    fn is_alone(&self, stat: &Stat, kind: Kind) -> bool {
        let own = (self.root.uid, self.root.gid, self.root.device);
        (stat.uid, stat.gid, stat.device) == own && stat.kind == kind && stat.links == 1
    }

    /// Tells whether a file is the right object, and that object is sound.
    fn is_object(&self, path: &[u8], named: EntryRef<'_>, file: File, stat: &Stat) -> Result<bool, Error> {
        let assembly = self.assembly;
        let placement = assembly.expected[named.index as usize];
        let is_copy = || {
            let mut whole = path.to_vec();
            push_name(&mut whole, named.name);
            assembly.copies.matches_file(&whole)
        };
        if placement.second == 0 || (!assembly.copies.is_empty() && is_copy()) {
            return Ok(false);
        }
        if assembly.link == Link::Reflink {
            return self.is_reflink(file, placement, stat);
        }
        let name = ObjectName { key: file.key, copy: placement.copy };
        let known = self.known.as_ref().and_then(|known| known.inode(named.index, file.key, placement));
        let is_object = self.objects.has(name, known, stat)?;
        let state = match is_object {
            true => assembly.store.state_of(stat, file.key, file.size, placement)?,
            false => assembly.store.state(file.key, file.size, placement)?,
        };
        Ok(match state {
            ObjectState::Sound(object) => (object.inode, object.device) == (stat.inode, stat.device),
            ObjectState::Touched => is_object && assembly.store.restore_attributes(file.key, placement)?,
            ObjectState::Missing | ObjectState::Altered => false,
        })
    }

    /// Tells whether a file is as a reflink of the right object was made, and that object is sound. Two contents of
    /// equal size never have the same mtime at one path.
    fn is_reflink(&self, file: File, placement: Placement, stat: &Stat) -> Result<bool, Error> {
        let is_as_made = self.is_alone(stat, Kind::File)
            && (stat.size, stat.mode) == (file.size, u32::from(file.key.mode))
            && stat.has_mtime(placement.second);
        Ok(is_as_made
            && match self.assembly.store.state(file.key, file.size, placement)? {
                ObjectState::Sound(_) => true,
                ObjectState::Touched => self.assembly.store.restore_attributes(file.key, placement)?,
                ObjectState::Missing | ObjectState::Altered => false,
            })
    }

    /// Keeps an entry. Corrects the mtime of a symlink or an empty file.
    fn keep(&self, dir: &Dir, named: EntryRef<'_>, stat: &Stat) -> Result<(), Error> {
        let assembly = self.assembly;
        match named.node {
            Node::File(file) if file.size > 0 => {
                // A reflinked file is another inode than its object.
                let inode = if assembly.link == Link::Reflink { 0 } else { stat.inode };
                assembly.note_kept(named.index, inode);
            }
            _ => {
                let second = assembly.second_of(named.index);
                if !stat.has_mtime(second) {
                    dir.set_mtime_of(named.name, second)?;
                }
                assembly.note_made(named.index);
            }
        }
        Ok(())
    }

    /// Tells whether a directory could have been made by this run, apart from mode and mtime, which are set at the
    /// end. Until then its owner can change it. `stat` is from before it was opened.
    fn is_plain(&self, number: u32, dir: &Dir, stat: &Stat, is_unchanged: bool) -> Result<bool, Error> {
        let assembly = self.assembly;
        let mode = assembly.mode_of_directory(number);
        if stat.mode != mode || needs_mode_change(mode) || !stat.has_mtime(assembly.second_of_directory(number)) {
            assembly.touch(number);
        }
        assembly.note_directory(number, stat);
        // Like names, attributes do not change without the ctime.
        Ok((stat.uid, stat.gid) == (self.root.uid, self.root.gid) && (is_unchanged || !dir.has_attributes()?))
    }
}

/// Directories that moved: from path, to path.
struct Moves(Vec<(Vec<u8>, Vec<u8>)>);

impl Moves {
    /// Finds the directories of `new` that `old` has at another path, if `new` has none there.
    fn find(old: &Manifest, new: &Manifest) -> Moves {
        let mut old_only = HashMap::new();
        let mut new_only = Vec::new();
        compare(old, Some(0), new, Some(0), &mut old_only, &mut new_only);
        let mut moves = Vec::new();
        while let Some(number) = new_only.pop() {
            match old_only.remove(&new.directories()[number as usize].hash) {
                Some(from) => moves.push((old.directory_path(from), new.directory_path(number))),
                None => new_only.extend(new.directories_in(number).map(|(child, _)| child)),
            }
        }
        Moves(moves)
    }

    /// Moves the directories as far as possible; the others are made anew. Returns the number that moved.
    fn carry_out(&self, tree: &Dir) -> u64 {
        let is_moved = |(from, to): &&(Vec<u8>, Vec<u8>)| move_directory(tree, from, to).unwrap_or(false);
        self.0.iter().filter(is_moved).count() as u64
    }
}

/// Collects the directories that only `old` has, by hash, with all their subdirectories, and the uppermost of those
/// that only `new` has.
fn compare(
    old: &Manifest,
    in_old: Option<u32>,
    new: &Manifest,
    in_new: Option<u32>,
    old_only: &mut HashMap<Hash, u32>,
    new_only: &mut Vec<u32>,
) {
    let hash = |manifest: &Manifest, number: u32| manifest.directories()[number as usize].hash;
    if in_old.zip(in_new).is_some_and(|(own, other)| hash(old, own) == hash(new, other)) {
        return;
    }
    let child = |manifest: &Manifest, above: Option<u32>, name: &[u8]| match manifest.child(above?, name)?.node {
        Node::Directory(child) => Some(child),
        _ => None,
    };
    for (own, name) in in_old.into_iter().flat_map(|number| old.directories_in(number)) {
        let other = child(new, in_new, name);
        if other.is_none() {
            old_only.insert(hash(old, own), own);
        }
        compare(old, Some(own), new, other, old_only, new_only);
    }
    if in_old.is_some() {
        for (own, name) in in_new.into_iter().flat_map(|number| new.directories_in(number)) {
            if child(old, in_old, name).is_none() {
                new_only.push(own);
            }
        }
    }
}

/// Moves a directory within a tree, and makes the directories above its new path. Returns whether that path was free.
fn move_directory(tree: &Dir, from: &[u8], to: &[u8]) -> Result<bool, Error> {
    let (from_above, from_name) = open_parent(tree, from, false)?;
    let (to_above, to_name) = open_parent(tree, to, true)?;
    from_above.rename_new(from_name, &to_above, to_name)
}

/// Opens the directory that holds a path. Returns it with the last name of the path.
fn open_parent<'p>(tree: &Dir, path: &'p [u8], makes: bool) -> Result<(Dir, &'p [u8]), Error> {
    let mut names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let last = names.pop().unwrap_or_default();
    let mut dir = tree.duplicate()?;
    for name in names {
        dir = match dir.stat(name)? {
            None if makes => dir.create_dir(name, OWNER_ALL)?,
            _ => dir.open_to_change(name)?,
        };
    }
    Ok((dir, last))
}
