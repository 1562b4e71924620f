//! Assembles a release: makes directories, links to objects, and symlinks.
//!
//! Directories come first, so that the thread that receives an object can link it at once. Meanwhile other threads
//! link the objects that the store has, a directory at a time. Before an object is linked again, its size, mtime and mode are
//! compared with the record. If they differ, another copy is used, or the content is received in the same run.
//!
//! A link may be refused: by the limit of links to an inode, between filesystems, or by the kernel's protection of
//! other users' files. Then a further copy of the object is made, or the file becomes a copy; both are counted and
//! reported.
//!
//! With `link = "reflink"` a file is an inode of its own, which shares its blocks with the object. It has the object's
//! mode and mtime. An object that this user may not read is linked all the same: nobody else can write to it either.
//!
//! An empty file is always made anew: as a link it would share nothing but an inode, for which all threads would
//! wait.

mod arrived;
mod assembled;
mod directories;
mod entries;
mod finish;
mod sources;
mod tally;

use rayon::prelude::*;

use crate::disk::{Dir, Stat};
use crate::error::{Error, SiteError};
use crate::link::Link;
use crate::manifest::placement::{Placement, Placements};
use crate::manifest::{EntryRef, Manifest, Node};
use crate::path::RelativePath;
use crate::pattern::Patterns;

use super::staging::Staging;
use super::store::{ObjectName, ObjectState, Store};
use super::writable::WritableDirectories;

use self::directories::Directories;
use self::entries::Entries;
use self::sources::{CopyOutcome, Destination, Object, Sources, refusal};
use self::tally::Tally;

pub(crate) use self::assembled::AssembledTree;
pub(crate) use self::sources::Origin;

/// The owner must be able to write to a private copy: that is its purpose.
const COPY_MODE: u32 = 0o200;

/// A release that is being assembled.
pub(crate) struct Assembly<'a> {
    /// Its manifest.
    pub(crate) manifest: &'a Manifest,
    /// The placement of each file in the store, by entry. Second 0 means that it is not known.
    pub(crate) expected: &'a [Placement],
    /// The patterns of private copies.
    pub(crate) copies: &'a Patterns,
    /// Its second.
    pub(crate) second: u32,
    /// The store.
    pub(crate) store: &'a Store,
    /// This run's staging.
    pub(crate) staging: &'a Staging,
    /// The source of links and copies.
    pub(crate) sources: Sources<'a>,
    /// The way in which files get their content from the store.
    pub(crate) link: Link,
    /// The directories that the application writes to.
    pub(crate) writable: &'a WritableDirectories,
    entries: Entries,
    directories: Directories,
    tally: Tally,
}

impl<'a> Assembly<'a> {
    /// Begins an assembly.
    pub(crate) fn new(
        manifest: &'a Manifest,
        expected: &'a [Placement],
        copies: &'a Patterns,
        writable: &'a WritableDirectories,
        second: u32,
        store: &'a Store,
        staging: &'a Staging,
    ) -> Assembly<'a> {
        Assembly {
            manifest,
            expected,
            copies,
            second,
            store,
            staging,
            writable,
            sources: Sources::new(store, &staging.objects),
            link: Link::default(),
            entries: Entries::new(manifest.len()),
            directories: Directories::new(manifest.directories().len()),
            tally: Tally::default(),
        }
    }

    /// Makes files that share blocks with their objects, if the configuration asks for it. Fails if the filesystem
    /// cannot do that.
    pub(crate) fn link_as(mut self, link: Link) -> Result<Assembly<'a>, Error> {
        if link == Link::Reflink && !self.staging.dir.shares_blocks()? {
            return Err(SiteError::NoReflinks(self.staging.dir.path().display().to_string()).into());
        }
        self.link = link;
        Ok(self)
    }

    /// Replaces the manifest by the same one with all hashes.
    pub(crate) fn set_manifest(&mut self, manifest: &'a Manifest) {
        self.manifest = manifest;
    }

    /// Makes all directories. Only this user can enter them until the release is complete.
    pub(crate) fn make_directories(&self) -> Result<(), Error> {
        self.make_below(0, &self.staging.tree)
    }

    pub(super) fn make_below(&self, number: u32, dir: &Dir) -> Result<(), Error> {
        self.touch(number);
        let below: Vec<(u32, &[u8])> = self.manifest.directories_in(number).collect();
        below.into_par_iter().try_for_each(|(child, name)| self.make_below(child, &dir.create_dir(name, 0o700)?))
    }

    /// Marks a directory as changed.
    pub(super) fn touch(&self, number: u32) {
        self.directories.touch(number);
    }

    /// Marks the directory of a link into `shared/`. The manifest may not have that path.
    pub(crate) fn note_link(&self, path: &RelativePath) {
        let mut above = 0;
        let mut names = path.names().peekable();
        while let Some(name) = names.next().filter(|_| names.peek().is_some()) {
            match self.manifest.child(above, name).map(|named| named.node) {
                Some(Node::Directory(number)) => above = number,
                _ => break,
            }
        }
        self.directories.note_link(above);
    }

    /// Returns the mtime of a symlink, an empty file, or a directory other than the root: the second of the release
    /// in which it, or anything in it, last changed.
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

    /// Returns the mode of a directory: the manifest's, or that of writable directories, with the setgid bit if the deploy
    /// path passes its group on.
    pub(super) fn mode_of_directory(&self, number: u32) -> u32 {
        let of_manifest = || u32::from(self.manifest.directories()[number as usize].mode);
        self.writable.mode_of(number).unwrap_or_else(of_manifest) | self.staging.setgid
    }

    /// Makes symlinks and empty files, and links every file whose content the store has. Calls `done` after each
    /// directory with the number of files.
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
            let is_made = || self.entries.is_made(named.index);
            let is_known = match named.node {
                Node::Directory(_) => false,
                Node::Symlink(_) => !is_made(),
                Node::File(file) if file.size == 0 => !is_made(),
                Node::File(_) => {
                    self.expected[named.index as usize].second != 0 && !self.entries.is_placed(named.index)
                }
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
        if path.is_empty() { self.staging.tree.duplicate() } else { self.staging.tree.open_below(&path) }
    }

    fn make_entry(&self, dir: &Dir, named: EntryRef<'_>) -> Result<(), Error> {
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
                let inode = match self.store.state(file.key, file.size, placement)? {
                    ObjectState::Sound(stat) => stat.inode,
                    ObjectState::Touched if self.store.restore_attributes(file.key, placement)? => 0,
                    // Another copy may be sound, or the object was replaced since.
                    ObjectState::Touched | ObjectState::Missing | ObjectState::Altered => {
                        self.note_unfit(named.index);
                        return Ok(());
                    }
                };
                let name = ObjectName { key: file.key, copy: placement.copy };
                let object = Object { name, second: placement.second, origin: Origin::Store, inode };
                self.place(named.index, object, &Destination { dir, name: named.name })
            }
        }
    }

    /// Sets aside an object with wrong content, and marks the entry as unfit.
    pub(crate) fn set_aside(&self, object: ObjectName, entry: u32) -> Result<(), Error> {
        self.store.set_aside(object, &self.staging.dir, format!("altered-{entry}").as_bytes())?;
        self.note_unfit(entry);
        Ok(())
    }

    /// Counts a copy that no entry of the manifest names.
    pub(crate) fn count_copy(&self, reason: &str) {
        self.tally.copy(reason);
    }

    fn note_unfit(&self, entry: u32) {
        self.tally.find_unfit(entry);
    }

    /// Counts objects that were found unfit before anything was linked.
    pub(crate) fn count_unfit(&self, objects: u64) {
        self.tally.count_unfit(objects);
    }

    /// Returns the unfit entries, and forgets them.
    pub(crate) fn take_unfit(&self) -> Vec<u32> {
        self.tally.take_unfit()
    }

    /// Puts one file into the tree, as a link or a copy.
    fn place(&self, entry: u32, object: Object, to: &Destination<'_>) -> Result<(), Error> {
        if !self.copies.is_empty() && self.copies.matches_file(&self.manifest.path(entry)) {
            return self.copy(entry, object, to, "copy_paths");
        }
        if self.link == Link::Reflink && self.sources.share(object, to)? {
            self.note_placed(entry, object);
            self.tally.link();
            return Ok(());
        }
        match self.sources.link(object, to)? {
            Ok(linked) => {
                self.note_placed(entry, linked);
                self.tally.link();
                Ok(())
            }
            Err(errno) => match refusal(errno) {
                Some(reason) => self.copy(entry, object, to, reason),
                None => Err(Error::io("link", to.dir.path_of(to.name), errno)),
            },
        }
    }

    /// Puts a copy of an object's content into the tree. If an object of the store has wrong content, marks the entry
    /// as unfit.
    fn copy(&self, entry: u32, object: Object, to: &Destination<'_>, reason: &str) -> Result<(), Error> {
        let CopyOutcome::Right(file) = self.sources.copy(object, to)? else {
            return self.set_aside(object.name, entry);
        };
        let mode = u32::from(object.name.key.mode) | if reason == "copy_paths" { COPY_MODE } else { 0 };
        file.finish(mode, object.second).map_err(|e| Error::io("set the mode of", to.dir.path_of(to.name), e))?;
        // The file is another inode than its object.
        self.note_placed(entry, Object { inode: 0, ..object });
        self.tally.copy(reason);
        Ok(())
    }

    fn note_placed(&self, entry: u32, object: Object) {
        self.entries.place(entry, Placement { second: object.second, copy: object.name.copy }, object.inode);
    }

    /// Marks a file as present: it has the content of the expected object, which has this inode. 0: it is not known.
    pub(super) fn note_kept(&self, entry: u32, inode: u64) {
        self.entries.place(entry, self.expected[entry as usize], inode);
    }

    /// Marks a symlink or an empty file as present.
    pub(super) fn note_made(&self, entry: u32) {
        self.entries.note_made(entry);
    }

    /// Remembers the stamp of a directory.
    pub(super) fn note_directory(&self, number: u32, stat: &Stat) {
        self.directories.note_stamp(number, stat);
    }

    /// Forgets all files and directories that a reuse left.
    pub(super) fn forget_kept(&self) {
        self.entries.forget();
        self.directories.forget();
    }

    /// Ends the assembly. The release is complete, and does not change any more.
    pub(crate) fn finish(self) -> AssembledTree {
        AssembledTree {
            placements: self.placements(),
            touched_below: self.directories.touched_below(self.manifest),
            directories: self.directories.into_stamps(),
            inodes: self.entries.into_inodes(),
            further: self.sources.into_further(),
            linked: self.tally.linked(),
            copied: self.tally.copied(),
            unfit: self.tally.unfit(),
        }
    }

    /// Returns the placement of each file, and the mtime of everything that is not linked.
    fn placements(&self) -> Placements {
        let of = |entry: u32| match self.manifest.node(entry) {
            Node::File(file) if file.size > 0 => self.entries.placement(entry),
            _ => Placement { second: self.second_of(entry), copy: 0 },
        };
        (0..self.manifest.len()).map(of).collect()
    }

    /// Returns the memory beside the manifest, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let known = size_of_val(self.expected);
        (known + self.entries.memory_bytes() + self.directories.memory_bytes()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};

    use super::*;

    use crate::agent::reporter::Silent;
    use crate::agent::site::layout::Layout;
    use crate::agent::site::lock::Lock;
    use crate::hash::Hash;
    use crate::manifest::{Builder, ObjectKey};
    use crate::target::Policy;

    /// A file that is open only for writing stands in for a disk that cannot be read.
    #[test]
    fn a_copy_of_what_cannot_be_read_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let (layout, _) = Layout::set_up(&place.path().join("site"), &Policy::default(), &Silent).unwrap();
        let lock = Lock::for_test(&layout.private);
        let staging = Staging::create(&lock, &layout).unwrap();
        let store = Store::new(layout.objects.duplicate().unwrap());
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        let manifest = builder.finish().unwrap();
        let (copies, writable) = (Patterns::parse([], "none").unwrap(), WritableDirectories::default());
        let assembly = Assembly::new(&manifest, &[], &copies, &writable, 1_700_000_000, &store, &staging);
        let path = place.path().join("object");
        std::fs::write(&path, "content").unwrap();
        let name = ObjectName { key: ObjectKey { hash: Hash::of(b"content"), mode: 0o444 }, copy: 0 };
        let unreadable = OpenOptions::new().write(true).open(&path).unwrap();
        assert!(!assembly.sources.stage_copy(&unreadable, name, assembly.second).unwrap());
        assert_eq!(staging.objects.stat(name).unwrap(), None);
        assert!(assembly.sources.stage_copy(&File::open(&path).unwrap(), name, assembly.second).unwrap());
        assert_eq!(staging.objects.stat(name).unwrap().unwrap().mode, 0o444);
    }
}
