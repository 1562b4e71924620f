//! Assembles a release out of objects: directories, links, symlinks.
//!
//! Directories are made first, so that content which arrives can be linked at once by the thread that received it;
//! what the store has already is linked a directory at a time meanwhile, in parallel. Before an object is linked again
//! its size, mtime and mode are compared with the record: where they differ, another copy is looked for, and the content
//! is asked for in the same run where there is none.
//!
//! A link may be refused: by the limit of links to an inode, between filesystems, by the kernel's protection of other
//! users' files. Then a further copy of the object is made, or the file is a copy; both are counted and told.
//!
//! Empty files are made and never linked: they share nothing but an inode that everybody would lock.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use rustix::io::Errno;

use crate::disk::{Dir, Stat};
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::{Placement, Placements};
use crate::manifest::{Manifest, Named, Node, ObjectKey};
use crate::path::RelativePath;
use crate::pattern::Patterns;

use super::receive::WantedObjects;
use super::seen::{Looks, Moment, Sight};
use super::staging::Staging;
use super::store::{Look, ObjectName, Store};

/// A file that is a private copy must be writable by its owner: that is what it is for.
const COPY_MODE: u32 = 0o200;

/// Where a file's content is to be had.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// In the store.
    Store,
    /// In staging.
    Staged,
}

/// A copy of an object, its mtime, and where it is to be had.
#[derive(Clone, Copy)]
struct Object {
    name: ObjectName,
    second: u32,
    origin: Origin,
    /// 0 where nobody looked.
    inode: u64,
}

/// A name in a directory of the tree.
struct Spot<'a> {
    dir: &'a Dir,
    name: &'a [u8],
}

/// Directories of the tree that are held open at once: content arrives directory by directory, in a few threads.
const HELD_DIRECTORIES: usize = 16;

/// A directory of the tree with its number, held for the next file in it.
type HeldDirectory = Mutex<Option<(u32, Arc<Dir>)>>;

/// A release being assembled.
pub(crate) struct Assembly<'a> {
    /// What it is to be.
    pub(crate) manifest: &'a Manifest,
    /// What is already known to be where, by entry; unknown ones have second 0.
    pub(crate) expected: &'a [Placement],
    /// Files that are private copies.
    pub(crate) copies: &'a Patterns,
    /// The second of this release.
    pub(crate) second: u32,
    /// The store.
    pub(crate) store: &'a Store,
    /// This run's staging.
    pub(crate) staging: &'a Staging,
    /// The setgid bit, where the tree has it.
    setgid: u32,
    /// Where each file came to be: second and copy, packed.
    placed: Vec<AtomicU64>,
    /// The inode of the object that each file is a link to, where somebody looked; else 0.
    inodes: Vec<AtomicU64>,
    /// Directories, by number, as they were looked at last.
    sights: Vec<Mutex<Sight>>,
    /// Directories that have other names than the manifest says: links into `shared/`.
    with_links: Mutex<Vec<u32>>,
    /// Symlinks and empty files that are there already.
    made: Vec<AtomicBool>,
    /// Directories, by number, that were made, or in which something was: they get mode and mtime in the end.
    touched: Vec<AtomicBool>,
    linked: AtomicU64,
    copied: Mutex<BTreeMap<String, u64>>,
    /// The objects that this run made beside those that arrived.
    further: Mutex<Vec<ObjectName>>,
    /// The copy of an object that has links left, where an earlier one has none.
    roomy: Mutex<HashMap<(ObjectKey, u32), u16>>,
    held: [HeldDirectory; HELD_DIRECTORIES],
    unfit: Mutex<Vec<u32>>,
    /// How often an object was found unfit.
    unfit_total: AtomicU64,
}

impl<'a> Assembly<'a> {
    /// Begins.
    pub(crate) fn new(
        manifest: &'a Manifest,
        expected: &'a [Placement],
        copies: &'a Patterns,
        second: u32,
        store: &'a Store,
        staging: &'a Staging,
    ) -> Assembly<'a> {
        let zeros = || (0..manifest.len()).map(|_| AtomicU64::new(0)).collect();
        let made = (0..manifest.len()).map(|_| AtomicBool::new(false)).collect();
        Assembly {
            manifest,
            expected,
            copies,
            second,
            store,
            staging,
            setgid: staging.setgid,
            placed: zeros(),
            inodes: zeros(),
            sights: manifest.directories().iter().map(|_| Mutex::default()).collect(),
            with_links: Mutex::default(),
            made,
            touched: manifest.directories().iter().map(|_| AtomicBool::new(false)).collect(),
            linked: AtomicU64::new(0),
            copied: Mutex::default(),
            further: Mutex::default(),
            roomy: Mutex::default(),
            held: Default::default(),
            unfit: Mutex::default(),
            unfit_total: AtomicU64::new(0),
        }
    }

    /// Goes on with the same manifest, in which all hashes are known now.
    pub(crate) fn with_manifest(self, manifest: &'a Manifest) -> Assembly<'a> {
        Assembly { manifest, ..self }
    }

    /// Makes all directories, for this user alone until the release is complete.
    pub(crate) fn make_directories(&self) -> Result<(), Error> {
        self.make_below(0, &self.staging.tree)
    }

    pub(super) fn make_below(&self, number: u32, dir: &Dir) -> Result<(), Error> {
        self.touch(number);
        let below: Vec<(u32, &[u8])> = self.manifest.directories_in(number).collect();
        below.into_par_iter().try_for_each(|(child, name)| self.make_below(child, &dir.create_dir(name, 0o700)?))
    }

    /// Notes that something in a directory was changed, or the directory itself.
    pub(super) fn touch(&self, number: u32) {
        self.touched[number as usize].store(true, Ordering::Relaxed);
    }

    /// Notes that a link into `shared/` stands at a path, which the manifest may not have.
    pub(crate) fn note_link(&self, path: &RelativePath) {
        let mut above = 0;
        let mut names = path.names().peekable();
        while let Some(name) = names.next().filter(|_| names.peek().is_some()) {
            match self.manifest.child(above, name).map(|named| named.node) {
                Some(Node::Directory(number)) => above = number,
                _ => break,
            }
        }
        self.touch(above);
        self.with_links.lock().expect("no assembler panics").push(above);
    }

    /// Tells whether anything in a directory was changed, or the directory itself.
    pub(crate) fn is_touched(&self, number: u32) -> bool {
        self.touched[number as usize].load(Ordering::Relaxed)
    }

    /// Returns, for each directory, whether it or one below it was touched.
    pub(crate) fn touched_below(&self) -> Vec<bool> {
        let directories = self.manifest.directories();
        let mut below: Vec<bool> = (0..directories.len() as u32).map(|number| self.is_touched(number)).collect();
        // Directories have greater numbers than those that name them.
        for number in (1..directories.len()).rev() {
            if below[number] {
                below[directories[number].parent as usize] = true;
            }
        }
        below
    }

    /// Returns the mtime of a symlink, an empty file or a directory other than the root: the second of the release in which
    /// it, or anything in it, last changed.
    pub(super) fn second_of(&self, entry: u32) -> u32 {
        match self.expected[entry as usize].second {
            0 => self.second,
            second => second,
        }
    }

    /// Returns the mtime of a directory. The root changes with every release.
    pub(super) fn second_of_directory(&self, number: u32) -> u32 {
        self.manifest.directory_entry(number).map_or(self.second, |entry| self.second_of(entry))
    }

    /// Returns the mode of a directory: the manifest's, with the bit by which the deploy path passes its group on.
    pub(super) fn mode_of_directory(&self, number: u32) -> u32 {
        u32::from(self.manifest.directories()[number as usize].mode) | self.setgid
    }

    /// Makes symlinks and empty files, and links every file whose content the store has. `done` is told after each
    /// directory how many files that were.
    pub(crate) fn link_known(&self, done: impl Fn(u64) + Sync) -> Result<(), Error> {
        (0..self.manifest.directories().len() as u32).into_par_iter().with_min_len(8).try_for_each(|number| {
            let files = self.link_directory(number)?;
            done(files);
            Ok(())
        })
    }

    fn link_directory(&self, number: u32) -> Result<u64, Error> {
        let mut dir = None;
        let mut files = 0;
        for named in self.manifest.children(number) {
            let is_made = || self.made[named.index as usize].load(Ordering::Relaxed);
            let is_known = match named.node {
                Node::Directory(_) => false,
                Node::Symlink(_) => !is_made(),
                Node::File(file) if file.size == 0 => !is_made(),
                Node::File(_) => self.expected[named.index as usize].second != 0 && !self.is_placed(named.index),
            };
            if is_known {
                self.touch(number);
                let dir = match &dir {
                    Some(dir) => dir,
                    None => dir.insert(self.open_directory(number)?),
                };
                self.make_entry(dir, named)?;
                files += 1;
            }
        }
        Ok(files)
    }

    fn open_directory(&self, number: u32) -> Result<Dir, Error> {
        let path = self.manifest.directory_path(number);
        if path.is_empty() { self.staging.tree.again() } else { self.staging.tree.open_below(&path) }
    }

    /// Opens a directory of the tree, or takes the one that is held.
    fn hold_directory(&self, number: u32) -> Result<Arc<Dir>, Error> {
        let mut held = self.held[number as usize % HELD_DIRECTORIES].lock().expect("no assembler panics");
        if let Some((_, dir)) = held.as_ref().filter(|(known, _)| *known == number) {
            return Ok(dir.clone());
        }
        let dir = Arc::new(self.open_directory(number)?);
        *held = Some((number, dir.clone()));
        Ok(dir)
    }

    fn make_entry(&self, dir: &Dir, named: Named<'_>) -> Result<(), Error> {
        match named.node {
            Node::Directory(_) => Ok(()),
            Node::Symlink(target) => {
                dir.symlink(self.manifest.text(target), named.name)?;
                dir.set_mtime_of(named.name, self.second_of(named.index))
            }
            Node::File(file) if file.size == 0 => {
                let mode = u32::from(file.key.mode);
                let empty = dir.create_file(named.name)?;
                empty
                    .finish(mode, self.second_of(named.index))
                    .map_err(|e| Error::io("set the mode of", dir.path_of(named.name), e))
            }
            Node::File(file) => {
                let placement = self.expected[named.index as usize];
                let inode = match self.store.look(file.key, file.size, placement)? {
                    Look::Sound(stat) => stat.inode,
                    Look::Touched if self.store.put_right(file.key, placement)? => 0,
                    // Whatever is wrong with it, another copy may do, or it was replaced since.
                    Look::Touched | Look::Missing | Look::Altered => {
                        self.note_unfit(named.index);
                        return Ok(());
                    }
                };
                let name = ObjectName { key: file.key, copy: placement.copy };
                let object = Object { name, second: placement.second, origin: Origin::Store, inode };
                self.place(named.index, object, &Spot { dir, name: named.name })
            }
        }
    }

    /// Sets aside an object that does not have its content, and notes that an entry was to be made of it.
    pub(crate) fn set_aside(&self, object: ObjectName, entry: u32) -> Result<(), Error> {
        self.store.set_aside(object, &self.staging.dir, format!("altered-{entry}").as_bytes())?;
        self.note_unfit(entry);
        Ok(())
    }

    fn note_unfit(&self, entry: u32) {
        self.unfit_total.fetch_add(1, Ordering::Relaxed);
        self.unfit.lock().expect("no assembler panics").push(entry);
    }

    /// Returns the entries whose object turned out not to be what was expected, and forgets them.
    pub(crate) fn take_unfit(&self) -> Vec<u32> {
        std::mem::take(&mut *self.unfit.lock().expect("no assembler panics"))
    }

    /// Links an object that has arrived to every path that wants it.
    pub(crate) fn link_arrived(&self, wanted: &WantedObjects, at: usize) -> Result<(), Error> {
        let name = ObjectName { key: wanted.key(at), copy: 0 };
        let object = Object { name, second: self.second, origin: Origin::Staged, inode: 0 };
        let open = wanted.entries(at).iter().filter(|&&entry| !self.is_placed(entry));
        open.into_iter().try_for_each(|&entry| self.place_by_path(entry, object))
    }

    /// Links all that has arrived to those paths that do not have it yet.
    pub(crate) fn link_all_arrived(&self, wanted: &WantedObjects) -> Result<(), Error> {
        let linked = |at| if wanted.has_arrived(at) { self.link_arrived(wanted, at) } else { Ok(()) };
        (0..wanted.len()).into_par_iter().try_for_each(linked)
    }

    /// Links an entry whose object was found unfit to the same content, where that has arrived for another entry. Says
    /// whether it has.
    pub(crate) fn link_if_arrived(&self, entry: u32, arrived: &[WantedObjects]) -> Result<bool, Error> {
        let Some(key) = self.manifest.file(entry).map(|file| file.key) else {
            return Ok(false);
        };
        if !arrived.iter().any(|wanted| wanted.find(key).is_some_and(|at| wanted.has_arrived(at))) {
            return Ok(false);
        }
        let name = ObjectName { key, copy: 0 };
        self.place_by_path(entry, Object { name, second: self.second, origin: Origin::Staged, inode: 0 })?;
        Ok(true)
    }

    /// Links an entry to a copy in the store that was chosen for it after all.
    pub(crate) fn link_stored(&self, entry: u32, placement: Placement) -> Result<(), Error> {
        let Some(key) = self.manifest.file(entry).map(|file| file.key) else { return Ok(()) };
        let name = ObjectName { key, copy: placement.copy };
        self.place_by_path(entry, Object { name, second: placement.second, origin: Origin::Store, inode: 0 })
    }

    /// Links an entry to a further copy that was made for it.
    pub(crate) fn link_own_copy(&self, entry: u32, name: ObjectName) -> Result<(), Error> {
        self.place_by_path(entry, Object { name, second: self.second, origin: Origin::Staged, inode: 0 })
    }

    fn place_by_path(&self, entry: u32, object: Object) -> Result<(), Error> {
        let holder = self.manifest.holder(entry);
        self.touch(holder);
        let dir = self.hold_directory(holder)?;
        self.place(entry, object, &Spot { dir: &dir, name: self.manifest.name(entry) })
    }

    /// Puts one file into the tree.
    fn place(&self, entry: u32, object: Object, to: &Spot<'_>) -> Result<(), Error> {
        if !self.copies.is_empty() && self.copies.mean_file(&self.manifest.path(entry)) {
            return self.copy(entry, object, to, "copy_paths");
        }
        match self.link(entry, object, to) {
            Ok(()) => Ok(()),
            Err(Errno::MLINK) => self.link_further(entry, object, to),
            Err(errno) => match refusal(errno) {
                Some(reason) => self.copy(entry, object, to, reason),
                None => Err(Error::io("link", to.dir.path_of(to.name), errno)),
            },
        }
    }

    fn link(&self, entry: u32, object: Object, to: &Spot<'_>) -> Result<(), Errno> {
        match object.origin {
            Origin::Store => self.store.link(object.name, to.dir, to.name),
            Origin::Staged => self.staging.objects.link(object.name, to.dir, to.name),
        }?;
        self.note_placed(entry, object);
        self.linked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Links to a further copy of an object that has no links left to give.
    fn link_further(&self, entry: u32, object: Object, to: &Spot<'_>) -> Result<(), Error> {
        let further =
            |copy| Object { name: ObjectName { copy, ..object.name }, origin: Origin::Staged, inode: 0, ..object };
        let mut roomy = self.roomy.lock().expect("no assembler panics");
        if let Some(&copy) = roomy.get(&(object.name.key, object.second))
            && self.link(entry, further(copy), to).is_ok()
        {
            return Ok(());
        }
        let copy = self.make_further(object.name, object.second, object.origin)?;
        roomy.insert((object.name.key, object.second), copy);
        self.link(entry, further(copy), to).map_err(|e| Error::io("link", to.dir.path_of(to.name), e))
    }

    /// Makes a further copy of an object in staging, with an mtime of its own, verified on the way. Returns its number.
    pub(crate) fn make_further(&self, name: ObjectName, second: u32, origin: Origin) -> Result<u16, Error> {
        let mut further = self.further.lock().expect("no assembler panics");
        let mut copy = name.copy.max(1);
        while self.store.stat(ObjectName { copy, ..name })?.is_some() || further.contains(&ObjectName { copy, ..name })
        {
            copy = copy.checked_add(1).ok_or_else(|| Error::Bug("an object with 65535 copies".into()))?;
        }
        let made = ObjectName { copy, ..name };
        if !self.stage_copy(&self.open(name, origin)?, made, second)? {
            let path = self.staging.objects.path_of(made).display().to_string();
            return Err(Error::Damaged { path, reason: "a copy of an object does not have its hash".into() });
        }
        further.push(made);
        Ok(copy)
    }

    /// Makes an object in staging whose content is that of a file. Nothing is made where that does not have its hash, or
    /// cannot be read, as on a bad sector; says whether it was made.
    pub(crate) fn stage_copy(&self, from: &File, name: ObjectName, second: u32) -> Result<bool, Error> {
        let staged = &self.staging.objects;
        let mode = u32::from(name.key.mode);
        let failed = |e: io::Error| Error::io("copy", staged.path_of(name), e);
        let file = staged.create(name, mode)?;
        let is_right = match file.fill_from(from).and_then(|()| hash_of(&file)) {
            Ok(hash) => hash == name.key.hash,
            // Of what is read and written, one call does not say which failed.
            Err(_) if hash_of(from).is_err() => false,
            Err(error) => return Err(failed(error)),
        };
        if !is_right {
            staged.remove(name)?;
            return Ok(false);
        }
        file.finish(mode, second).map_err(failed)?;
        Ok(true)
    }

    fn open(&self, name: ObjectName, origin: Origin) -> Result<File, Error> {
        let file = match origin {
            Origin::Store => self.store.open(name)?,
            Origin::Staged => self.staging.objects.open(name)?,
        };
        let vanished = || {
            let path = self.store.path_of(name).display().to_string();
            Error::Damaged { path, reason: "the object vanished while it was used".into() }
        };
        file.ok_or_else(vanished)
    }

    /// Makes a copy of an object's content, which is hashed like content that arrives. An object in the store that does not
    /// have its content is noted as unfit.
    fn copy(&self, entry: u32, object: Object, to: &Spot<'_>, reason: &str) -> Result<(), Error> {
        let file = to.dir.create_file(to.name)?;
        let failed = |verb: &'static str, e: io::Error| Error::io(verb, to.dir.path_of(to.name), e);
        file.fill_from(&self.open(object.name, object.origin)?).map_err(|e| failed("copy", e))?;
        if hash_of(&file).map_err(|e| failed("read", e))? != object.name.key.hash {
            to.dir.remove_file(to.name)?;
            return match object.origin {
                Origin::Store => self.set_aside(object.name, entry),
                Origin::Staged => Err(Error::Damaged {
                    path: self.staging.objects.path_of(object.name).display().to_string(),
                    reason: "it does not have its hash any more".into(),
                }),
            };
        }
        let mode = u32::from(object.name.key.mode) | if reason == "copy_paths" { COPY_MODE } else { 0 };
        file.finish(mode, object.second).map_err(|e| failed("set the mode of", e))?;
        self.note_placed(entry, object);
        *self.copied.lock().expect("no assembler panics").entry(reason.to_owned()).or_insert(0) += 1;
        Ok(())
    }

    fn is_placed(&self, entry: u32) -> bool {
        self.placed[entry as usize].load(Ordering::Relaxed) != 0
    }

    /// Notes that a file is there already, as the object that is expected, which has this inode.
    pub(super) fn note_kept(&self, entry: u32, inode: u64) {
        let Placement { second, copy } = self.expected[entry as usize];
        self.note_placement(entry, second, copy, inode);
    }

    /// Notes that a symlink or an empty file is there already.
    pub(super) fn note_made(&self, entry: u32) {
        self.made[entry as usize].store(true, Ordering::Relaxed);
    }

    /// Notes what a look at a directory said.
    pub(super) fn note_directory(&self, number: u32, stat: &Stat) {
        *self.sights[number as usize].lock().expect("no assembler panics") = Sight::of(stat);
    }

    /// Forgets what was there already.
    pub(super) fn forget_kept(&self) {
        self.placed.iter().for_each(|placed| placed.store(0, Ordering::Relaxed));
        self.made.iter().for_each(|made| made.store(false, Ordering::Relaxed));
        self.touched.iter().for_each(|touched| touched.store(false, Ordering::Relaxed));
    }

    fn note_placed(&self, entry: u32, object: Object) {
        self.note_placement(entry, object.second, object.name.copy, object.inode);
    }

    fn note_placement(&self, entry: u32, second: u32, copy: u16, inode: u64) {
        let packed = u64::from(second) << 16 | u64::from(copy);
        self.placed[entry as usize].store(packed, Ordering::Relaxed);
        self.inodes[entry as usize].store(inode, Ordering::Relaxed);
    }

    /// Gives every directory that was touched its own mode and mtime, children first: a directory may forbid its owner to
    /// look into it. Those that a link into `shared/` has replaced are not there any more.
    pub(crate) fn finish_directories(&self, replaced: &[RelativePath]) -> Result<(), Error> {
        let is_replaced = |path: &[u8]| replaced.iter().any(|link| link.as_bytes() == path);
        self.finish_below(0, &self.staging.tree, &self.touched_below(), &is_replaced)
    }

    fn finish_below(
        &self,
        number: u32,
        dir: &Dir,
        touched_below: &[bool],
        is_replaced: &(impl Fn(&[u8]) -> bool + Sync),
    ) -> Result<(), Error> {
        let below = self.manifest.directories_in(number).filter(|&(child, _)| touched_below[child as usize]);
        below.collect::<Vec<_>>().into_par_iter().try_for_each(|(child, name)| {
            if is_replaced(&self.manifest.directory_path(child)) {
                return Ok(());
            }
            self.finish_below(child, &dir.open_dir(name)?, touched_below, is_replaced)
        })?;
        if !self.is_touched(number) {
            return Ok(());
        }
        dir.set_mode(self.mode_of_directory(number))?;
        dir.set_mtime(self.second_of_directory(number))?;
        self.note_directory(number, &dir.own_stat()?);
        Ok(())
    }

    /// Returns what was seen of the release, which nobody else can reach yet and which is not changed any more.
    pub(crate) fn into_looks(self, moment: Moment) -> Looks {
        let sight = |sight: Mutex<Sight>| sight.into_inner().expect("no assembler panics");
        let mut directories: Vec<Sight> = self.sights.into_iter().map(sight).collect();
        for number in self.with_links.into_inner().expect("no assembler panics") {
            directories[number as usize] = Sight::default();
        }
        Looks { directories, inodes: self.inodes.into_iter().map(AtomicU64::into_inner).collect(), moment }
    }

    /// Returns where each file came to be, and the mtime of what is not linked.
    pub(crate) fn placements(&self) -> Placements {
        let of = |(entry, packed): (u32, &AtomicU64)| match self.manifest.node(entry) {
            Node::File(file) if file.size > 0 => {
                let packed = packed.load(Ordering::Relaxed);
                Placement { second: (packed >> 16) as u32, copy: packed as u16 }
            }
            _ => Placement { second: self.second_of(entry), copy: 0 },
        };
        (0..).zip(&self.placed).map(of).collect()
    }

    /// Returns how much memory it takes beside the manifest, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let entries = size_of_val(self.expected) + size_of_val(&*self.placed) + size_of_val(&*self.inodes);
        let directories = size_of_val(&*self.sights) + size_of_val(&*self.touched);
        (entries + directories + size_of_val(&*self.made)) as u64
    }

    /// Counts the files that were linked.
    pub(crate) fn linked(&self) -> u64 {
        self.linked.load(Ordering::Relaxed)
    }

    /// Counts the files whose object was changed or gone.
    pub(crate) fn found_unfit(&self) -> u64 {
        self.unfit_total.load(Ordering::Relaxed)
    }

    /// Counts the files that were copied, by reason.
    pub(crate) fn copied(&self) -> Vec<(String, u64)> {
        self.copied.lock().expect("no assembler panics").clone().into_iter().collect()
    }

    /// Returns the further copies that were made.
    pub(crate) fn take_further(&self) -> Vec<ObjectName> {
        std::mem::take(&mut *self.further.lock().expect("no assembler panics"))
    }
}

/// Hashes what a file that is open holds, whether or not its mode lets it be opened again.
fn hash_of(mut file: impl Read + Seek) -> io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    file.rewind()?;
    io::copy(&mut file, &mut hasher)?;
    Ok(hasher.finalize().into())
}

/// Names the reason for which a link was refused, where a copy is the answer.
fn refusal(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::XDEV => Some("EXDEV"),
        Errno::PERM => Some("EPERM"),
        Errno::ACCESS => Some("EACCES"),
        Errno::OPNOTSUPP => Some("EOPNOTSUPP"),
        Errno::NOSYS => Some("ENOSYS"),
        _ => None,
    }
}

/// Returns the placements that are known from the base: those of entries that were copied from it, which are what they were.
pub(crate) fn known_from_base(manifest: &Manifest, origins: &[u32], base: Option<&[Placement]>) -> Placements {
    let mut expected = vec![Placement::default(); manifest.len() as usize];
    if let Some(base) = base {
        for (index, &origin) in origins.iter().enumerate().filter(|&(_, &origin)| origin != INTRODUCED) {
            expected[index] = base[origin as usize];
        }
    }
    expected
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    use crate::agent::layout::Layout;
    use crate::manifest::Builder;
    use crate::target::Policy;

    /// A descriptor that is only written to stands for a disk that does not give what it has.
    #[test]
    fn a_copy_of_what_cannot_be_read_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let (layout, _) = Layout::set_up(&place.path().join("site"), &Policy::default(), |_| Ok(())).unwrap();
        let (staging, store) = (Staging::create(&layout).unwrap(), Store::new(layout.objects.again().unwrap()));
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        let manifest = builder.finish().unwrap();
        let copies = Patterns::parse([], "none").unwrap();
        let assembly = Assembly::new(&manifest, &[], &copies, 1_700_000_000, &store, &staging);
        let path = place.path().join("object");
        std::fs::write(&path, "content").unwrap();
        let name = ObjectName { key: ObjectKey { hash: Hash::of(b"content"), mode: 0o444 }, copy: 0 };
        let unreadable = OpenOptions::new().write(true).open(&path).unwrap();
        assert!(!assembly.stage_copy(&unreadable, name, assembly.second).unwrap());
        assert_eq!(staging.objects.stat(name).unwrap(), None);
        assert!(assembly.stage_copy(&File::open(&path).unwrap(), name, assembly.second).unwrap());
        assert_eq!(staging.objects.stat(name).unwrap().unwrap().mode, 0o444);
    }
}
