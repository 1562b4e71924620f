//! Copies entries of a new release into `shared/`, where they outlive it.
//!
//! A copy is made under the name [`BESIDE`] in the directory where it belongs, made durable, and renamed to its own name.
//! So after a crash the entry is there as a whole or not at all, and the next deploy makes it. Nothing that exists is
//! ever replaced. A copy never shares an inode with the store: the application may write to it.

use crate::disk::{Dir, OWNER_ALL, SETGID, sync_file};
use crate::error::{Error, SiteError};
use crate::manifest::{EntryRef, Manifest, Node};
use crate::path::RelativePath;

/// The name of a copy that is not whole yet. Only one is made at a time in a directory: the lock is held.
pub(super) const BESIDE: &[u8] = b".cutover-new";

/// The mode of a directory that is made empty.
const DIRECTORY_MODE: u32 = 0o755;

/// The rights that the owner of a copied file gets.
const OWNER_FILE: u32 = 0o600;

/// Copies from one release.
pub(super) struct Copier<'a> {
    /// The manifest of the release.
    pub(super) manifest: &'a Manifest,
    /// The tree of the release, complete.
    pub(super) tree: &'a Dir,
    /// `shared/`.
    pub(super) shared: &'a Dir,
    /// The mtime of copied files.
    pub(super) second: u32,
}

impl Copier<'_> {
    /// Copies an entry with all below it.
    pub(super) fn copy(&self, path: &RelativePath) -> Result<(), Error> {
        let Some(named) = self.manifest.find(path.names()) else {
            return Err(Error::Bug(format!("`{path}` is to be copied and not in the manifest")));
        };
        let names: Vec<&[u8]> = path.names().collect();
        let (from, to) = match names.split_last() {
            Some((_, [])) | None => (self.tree.duplicate()?, self.shared.duplicate()?),
            Some((_, above)) => (self.tree.open_below(&above.join(&b'/'))?, self.ensure_above(above)?),
        };
        remove_beside(&to)?;
        self.copy_entry(&from, named, &to, BESIDE)?;
        match named.node {
            Node::Directory(_) => to.sync_filesystem()?,
            Node::File(_) => sync_copy(&to)?,
            Node::Symlink(_) => {}
        }
        publish(&to, named.name)
    }

    /// Makes an empty directory, and those above it.
    pub(super) fn make_directory(&self, path: &RelativePath) -> Result<(), Error> {
        let names: Vec<&[u8]> = path.names().collect();
        self.ensure_above(&names).map(drop)
    }

    /// Makes an empty file for this user alone, and the directories above it.
    pub(super) fn make_file(&self, path: &RelativePath) -> Result<(), Error> {
        let names: Vec<&[u8]> = path.names().collect();
        let Some((last, above)) = names.split_last() else { return Ok(()) };
        let to = self.ensure_above(above)?;
        remove_beside(&to)?;
        drop(to.create_file(BESIDE)?);
        sync_copy(&to)?;
        publish(&to, last)
    }

    /// Opens a directory of `shared/`, and makes it and those above it durably, if they are missing. A directory that the
    /// release has too gets its mode.
    fn ensure_above(&self, names: &[&[u8]]) -> Result<Dir, Error> {
        let mut dir = self.shared.duplicate()?;
        let mut number = Some(0);
        for name in names {
            number = number.and_then(|number| self.manifest.child(number, name)).and_then(|named| match named.node {
                Node::Directory(number) => Some(number),
                _ => None,
            });
            let mode = number.map_or(DIRECTORY_MODE, |number| self.mode_of(number));
            let (below, is_new) = dir.ensure_dir(name, mode)?;
            if is_new {
                dir.sync()?;
            }
            dir = below;
        }
        Ok(dir)
    }

    fn mode_of(&self, number: u32) -> u32 {
        u32::from(self.manifest.directories()[number as usize].mode) | OWNER_ALL
    }

    fn copy_entry(&self, from: &Dir, named: EntryRef<'_>, to: &Dir, name: &[u8]) -> Result<(), Error> {
        match named.node {
            Node::Symlink(target) => to.symlink(self.manifest.text(target), name),
            Node::File(file) => {
                let vanished = || Error::Bug(format!("`{}` is not there", from.path_of(named.name).display()));
                let content = from.open_file(named.name)?.ok_or_else(vanished)?;
                let copy = to.create_file(name)?;
                let failed = |e| Error::io("copy to", to.path_of(name), e);
                copy.fill_from(&content).map_err(failed)?;
                copy.finish(u32::from(file.key.mode) | OWNER_FILE, self.second).map_err(failed)
            }
            Node::Directory(number) => {
                let (from, below) = (from.open_dir(named.name)?, to.create_dir(name, OWNER_ALL)?);
                for named in self.manifest.children(number) {
                    self.copy_entry(&from, named, &below, named.name)?;
                }
                let passed_on = below.own_stat()?.mode & SETGID;
                below.set_mode(self.mode_of(number) | passed_on)
            }
        }
    }
}

/// Removes what an interrupted run left.
fn remove_beside(dir: &Dir) -> Result<(), Error> {
    if dir.stat(BESIDE)?.is_some() { dir.remove_tree(BESIDE) } else { Ok(()) }
}

/// Makes the content of a copied file durable.
fn sync_copy(dir: &Dir) -> Result<(), Error> {
    let failed = |e| Error::io("sync", dir.path_of(BESIDE), e);
    match dir.open_file(BESIDE)? {
        Some(file) => sync_file(&file).map_err(failed),
        None => Err(Error::Bug("a copy that is not there".into())),
    }
}

/// Gives a copy its name, durably.
fn publish(dir: &Dir, name: &[u8]) -> Result<(), Error> {
    if !dir.rename_new(BESIDE, dir, name)? {
        remove_beside(dir)?;
        return Err(SiteError::SharedAppeared(dir.path_of(name).display().to_string()).into());
    }
    dir.sync()
}
