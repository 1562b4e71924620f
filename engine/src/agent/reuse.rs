//! Turns a retired release into a new one: keeps what is as it should be, removes what is not, and leaves to the assembly
//! what is missing then. So a release costs what changed, and not a link for each file.
//!
//! Nothing is believed of the retired tree, in which an application may have written. It is out of everybody's reach
//! first: below `.cutover/`, with no process in it. Then all of it is looked at, a directory at a time, in parallel. What is in
//! a directory need not be listed where inode and ctime are those of when it had the names that it is to have (`seen`).
//!
//! - A file is kept where it is the very inode of the object that it should be, and the store finds nothing wrong with that
//!   object: content, mode, owner and mtime are then those of the object.
//! - A symlink is kept where its target is right, an empty file where mode and links are.
//! - A directory is kept where it is one of this user's, without extended attributes and with nothing mounted on it.
//! - Mode and mtime of what is kept are put right where they differ, of a directory in the end.
//! - Everything else goes, private copies too, which may have been edited.
//!
//! The root of the tree is made anew, and the directories of the retired one are moved into it. A directory that has moved
//! between the base and the new manifest is moved by one rename before the look, which finds what is not the same in it.
//! Where something cannot be kept and cannot be removed, all of it is set aside and the release is assembled in full.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::disk::{Dir, Kind, OWNER_ALL, Stat, changes_to_work_in};
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::{EntryRef, File, Manifest, Node};
use crate::path::push_name;
use crate::report::ReuseReport;

use super::assemble::Assembly;
use super::seen::{KnownObjects, Seen};
use super::sight::Sight;
use super::site::layout::Layout;
use super::store::{Inodes, Look, ObjectName};
use super::token::random_name;
use super::trash::Spare;

/// What a spare release is brought to, and what is known before it is looked at.
pub(crate) struct Reuse<'a> {
    /// The release that is made.
    pub(crate) assembly: &'a Assembly<'a>,
    /// What the client described it by: what moved since then is moved in the spare as well.
    pub(crate) base: Option<&'a Manifest>,
    /// What was seen of the spare when it was made.
    pub(crate) seen: Option<Seen>,
    /// The objects whose inodes are known.
    pub(crate) objects: Option<KnownObjects<'a>>,
}

/// Brings a spare release to the manifest that is assembled, in the assembly's tree, with all directories made. Fails where
/// that cannot be done, with whatever there is in the tree: see [`give_up`].
pub(crate) fn reuse(layout: &Layout, spare: &Spare, reuse: Reuse<'_>) -> Result<ReuseReport, Error> {
    let Reuse { assembly, base, seen, objects: known } = reuse;
    let tree = &assembly.staging.tree;
    let from = layout.trash.open_to_change(&spare.tree)?;
    // It is new, and has the mode of what is being made.
    assembly.touch(0);
    let mut stood = HashMap::new();
    for name in from.names()? {
        let Some(stat) = from.stat(&name)?.filter(|stat| stat.kind == Kind::Directory) else { continue };
        stood.insert(stat.inode, Sight::of(&stat));
        // Moving a directory to another parent needs write permission on the directory itself.
        drop(from.open_to_change(&name)?);
        from.rename_new(&name, tree, &name)?;
    }
    let moved = base.map_or(0, |base| Moves::find(base, assembly.manifest).carry_out(tree));
    let audit = Audit {
        assembly,
        own: tree.own_stat()?,
        seen: seen.filter(|_| tree.keeps_times().unwrap_or(false)),
        stood,
        known,
        objects: assembly.store.inodes()?,
        kept: AtomicU64::new(0),
        removed: AtomicU64::new(0),
    };
    audit.bring(0, tree, b"", false)?;
    // What stood in its root: the rest is moved.
    layout.trash.remove_tree(&spare.tree)?;
    Ok(ReuseReport {
        release: spare.id.clone(),
        kept: audit.kept.into_inner(),
        removed: audit.removed.into_inner(),
        moved,
    })
}

/// Moves what a reuse that failed has left in the tree back into trash, to be deleted there with the rest of the release,
/// which is no spare any more.
pub(crate) fn give_up(layout: &Layout, assembly: &Assembly<'_>, spare: &Spare) -> Result<(), Error> {
    let (tree, name) = (&assembly.staging.tree, format!("{}-{}", spare.id, random_name()?));
    let aside = match layout.trash.rename(&spare.tree, &layout.trash, name.as_bytes()) {
        Ok(()) => layout.trash.open_dir(name.as_bytes())?,
        Err(_) => layout.trash.create_dir(name.as_bytes(), OWNER_ALL)?,
    };
    for name in tree.names()? {
        // What was made in place of something that stayed there is not worth moving.
        tree.rename(&name, &aside, &name).or_else(|_| tree.remove_tree(&name))?;
    }
    assembly.forget_kept();
    Ok(())
}

struct Audit<'a> {
    assembly: &'a Assembly<'a>,
    /// The root of the tree, which this run has made: what owner and filesystem should be.
    own: Stat,
    seen: Option<Seen>,
    /// By inode, what was moved from the spare's root: a rename changes the ctime.
    stood: HashMap<u64, Sight>,
    known: Option<KnownObjects<'a>>,
    objects: Inodes<'a>,
    kept: AtomicU64,
    removed: AtomicU64,
}

/// A directory that is to be in another one.
struct Below<'m> {
    number: u32,
    name: &'m [u8],
    /// What stands there, where that is a directory.
    stat: Option<Stat>,
}

impl<'a> Audit<'a> {
    /// Brings a directory to what it should be, as far as that is there. Where it has the names that it should have, they are
    /// not listed.
    fn bring(&self, number: u32, dir: &Dir, path: &[u8], has_names: bool) -> Result<(), Error> {
        let below = if has_names { self.look_at_all(number, dir, path) } else { self.compare(number, dir, path) }?;
        below.into_par_iter().try_for_each(|Below { number: child, name, stat }| {
            if let Some(stat) = stat {
                let held = dir.open_to_change(name)?;
                let has_names = self.has_names(child, &stat);
                if self.is_plain(child, &held, &stat, has_names)? {
                    let mut whole = path.to_vec();
                    push_name(&mut whole, name);
                    return self.bring(child, &held, &whole, has_names);
                }
                self.remove(number, dir, name)?;
            }
            self.assembly.touch(number);
            self.assembly.make_below(child, &dir.create_dir(name, OWNER_ALL)?)
        })
    }

    /// Looks at all that should be in a directory. Returns the directories in it.
    fn look_at_all(&self, number: u32, dir: &Dir, path: &[u8]) -> Result<Vec<Below<'a>>, Error> {
        let mut below = Vec::new();
        for named in self.assembly.manifest.children(number) {
            let kept = self.look(dir, path, named)?;
            if kept.is_none() {
                self.remove(number, dir, named.name)?;
            }
            below.extend(Self::below(named, kept));
        }
        Ok(below)
    }

    /// Lists a directory, looks at what should be in it and removes the rest. Returns the directories that should be in it.
    fn compare(&self, number: u32, dir: &Dir, path: &[u8]) -> Result<Vec<Below<'a>>, Error> {
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
                    let kept = self.look(dir, path, named)?;
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

    /// Returns a directory that is to be looked into, or made where it is not there.
    fn below(named: EntryRef<'a>, stat: Option<Stat>) -> Option<Below<'a>> {
        match named.node {
            Node::Directory(number) => Some(Below { number, name: named.name, stat }),
            _ => None,
        }
    }

    /// Tells whether a directory has the names that it should have.
    fn has_names(&self, number: u32, stat: &Stat) -> bool {
        let stood = self.stood.get(&stat.inode).copied().unwrap_or(Sight::of(stat));
        let hash = &self.assembly.manifest.directories()[number as usize].hash;
        stat.device == self.own.device && self.seen.as_ref().is_some_and(|seen| seen.has_names_of(hash, stood))
    }

    /// Removes a name from a directory, which has this number.
    fn remove(&self, number: u32, dir: &Dir, name: &[u8]) -> Result<(), Error> {
        self.assembly.touch(number);
        self.removed.fetch_add(1, Ordering::Relaxed);
        dir.remove_tree(name)
    }

    /// Looks at what stands there; nothing where that is not what should. Of a directory, that it is one: what is in it is
    /// another question.
    fn look(&self, dir: &Dir, path: &[u8], named: EntryRef<'_>) -> Result<Option<Stat>, Error> {
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

    /// Tells whether something is of this kind, this user's, and has no other name.
    fn is_alone(&self, stat: &Stat, kind: Kind) -> bool {
        let own = (self.own.uid, self.own.gid, self.own.device);
        (stat.uid, stat.gid, stat.device) == own && stat.kind == kind && stat.links == 1
    }

    /// Tells whether a file is the object that it should be, and that object as it should be.
    fn is_object(&self, path: &[u8], named: EntryRef<'_>, file: File, stat: &Stat) -> Result<bool, Error> {
        let assembly = self.assembly;
        let placement = assembly.expected[named.index as usize];
        let is_copy = || {
            let mut whole = path.to_vec();
            push_name(&mut whole, named.name);
            assembly.copies.mean_file(&whole)
        };
        if placement.second == 0 || (!assembly.copies.is_empty() && is_copy()) {
            return Ok(false);
        }
        let name = ObjectName { key: file.key, copy: placement.copy };
        let known = self.known.as_ref().and_then(|known| known.inode(named.index, file.key, placement));
        let is_object = self.objects.have(name, known, stat)?;
        let look = match is_object {
            true => assembly.store.judge(stat, file.key, file.size, placement)?,
            false => assembly.store.look(file.key, file.size, placement)?,
        };
        Ok(match look {
            Look::Sound(object) => (object.inode, object.device) == (stat.inode, stat.device),
            Look::Touched => is_object && assembly.store.put_right(file.key, placement)?,
            Look::Missing | Look::Altered => false,
        })
    }

    /// Notes that something stays; gives a symlink or an empty file its mtime, where it has another.
    fn keep(&self, dir: &Dir, named: EntryRef<'_>, stat: &Stat) -> Result<(), Error> {
        let assembly = self.assembly;
        match named.node {
            Node::File(file) if file.size > 0 => assembly.note_kept(named.index, stat.inode),
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

    /// Tells whether a directory is as one that was just made, but for mode and mtime, which it gets in the end where they
    /// are others. Until then its owner may do everything with it. `stat` is from before it was opened.
    fn is_plain(&self, number: u32, dir: &Dir, stat: &Stat, is_as_seen: bool) -> Result<bool, Error> {
        let assembly = self.assembly;
        let mode = assembly.mode_of_directory(number);
        if stat.mode != mode || changes_to_work_in(mode) || !stat.has_mtime(assembly.second_of_directory(number)) {
            assembly.touch(number);
        }
        assembly.note_directory(number, stat);
        // Attributes do not change without the ctime either.
        Ok((stat.uid, stat.gid) == (self.own.uid, self.own.gid) && (is_as_seen || !dir.has_attributes()?))
    }
}

/// Directories that stand elsewhere in a new manifest: from where, to where.
struct Moves(Vec<(Vec<u8>, Vec<u8>)>);

impl Moves {
    /// Finds the directories of `new` that `old` has not at their place, and has elsewhere where `new` has none.
    fn find(old: &Manifest, new: &Manifest) -> Moves {
        let mut gone = HashMap::new();
        let mut fresh = Vec::new();
        compare(old, Some(0), new, Some(0), &mut gone, &mut fresh);
        let mut moves = Vec::new();
        while let Some(number) = fresh.pop() {
            match gone.remove(&new.directories()[number as usize].hash) {
                Some(from) => moves.push((old.directory_path(from), new.directory_path(number))),
                None => fresh.extend(new.directories_in(number).map(|(child, _)| child)),
            }
        }
        Moves(moves)
    }

    /// Moves them, as far as that can be done: what cannot is made anew. Counts what was moved.
    fn carry_out(&self, tree: &Dir) -> u64 {
        let is_moved = |(from, to): &&(Vec<u8>, Vec<u8>)| move_directory(tree, from, to).unwrap_or(false);
        self.0.iter().filter(is_moved).count() as u64
    }
}

/// Gathers the directories that only `old` has, by their hash, with all that are in them, and the uppermost of those that
/// only `new` has.
fn compare(
    old: &Manifest,
    in_old: Option<u32>,
    new: &Manifest,
    in_new: Option<u32>,
    gone: &mut HashMap<Hash, u32>,
    fresh: &mut Vec<u32>,
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
            gone.insert(hash(old, own), own);
        }
        compare(old, Some(own), new, other, gone, fresh);
    }
    if in_old.is_some() {
        for (own, name) in in_new.into_iter().flat_map(|number| new.directories_in(number)) {
            if child(old, in_old, name).is_none() {
                fresh.push(own);
            }
        }
    }
}

/// Moves a directory within a tree, making those above its new place. Says whether its new place was free.
fn move_directory(tree: &Dir, from: &[u8], to: &[u8]) -> Result<bool, Error> {
    let (from_above, from_name) = holder(tree, from, false)?;
    let (to_above, to_name) = holder(tree, to, true)?;
    from_above.rename_new(from_name, &to_above, to_name)
}

/// Opens the directory that a path stands in.
fn holder<'p>(tree: &Dir, path: &'p [u8], makes: bool) -> Result<(Dir, &'p [u8]), Error> {
    let mut names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let last = names.pop().unwrap_or_default();
    let mut dir = tree.again()?;
    for name in names {
        dir = match dir.stat(name)? {
            None if makes => dir.create_dir(name, OWNER_ALL)?,
            _ => dir.open_to_change(name)?,
        };
    }
    Ok((dir, last))
}
