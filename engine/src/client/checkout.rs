//! The files that git ignores in a checkout, by the patterns in it.
//!
//! The source may be any directory of the checkout. The `.gitignore` files from the directory of `.git` down to the
//! file count, and before these `info/exclude`. No program runs for that, since the checkout may come from a stranger.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType};

use crate::bytes::put_bytes;
use crate::client::commit::{directories, would_block_git};
use crate::client::git;
use crate::client::ignore_file::read_file;
use crate::client::levels::Levels;
use crate::path::push_name;
use crate::pattern::Patterns;
use crate::scan::content;
use crate::scan::stat::FileStat;

/// The name of git's file with patterns, in any directory of a checkout.
pub(crate) const GITIGNORE: &[u8] = b".gitignore";

/// The checkout around a source.
pub(crate) struct Checkout {
    /// The directory with `.git`.
    directory: PathBuf,
    /// The path of the source in it.
    prefix: Vec<u8>,
    /// The patterns in force in the source, without its own `.gitignore`.
    levels: Levels,
    /// The text of the files that the patterns come from.
    texts: Vec<u8>,
    /// The path of git's index, which lists the tracked files.
    index: Option<PathBuf>,
}

/// The ignored entries of a directory.
#[derive(Debug, Clone)]
pub(crate) enum IgnoredEntries {
    /// Those that these patterns match.
    By(Levels),
    /// All: the directory is ignored, or one above it.
    All,
}

impl IgnoredEntries {
    /// Tells whether an entry is ignored, by its path in the checkout.
    pub(crate) fn has(&self, path: &[u8], is_directory: bool) -> bool {
        match self {
            IgnoredEntries::By(levels) => levels.verdict(path, is_directory) == Some(true),
            IgnoredEntries::All => true,
        }
    }
}

impl Checkout {
    /// Tells whether a source lies in a checkout.
    pub(crate) fn is_around(source: &Path) -> bool {
        source.ancestors().any(|directory| directory.join(".git").symlink_metadata().is_ok())
    }

    /// Finds the checkout around a source. None if git ignores the source as a whole: then nothing in it is a surprise.
    pub(crate) fn around(source: &Path) -> Option<Checkout> {
        let directory = source.ancestors().find(|directory| directory.join(".git").symlink_metadata().is_ok())?;
        let prefix = source.strip_prefix(directory).ok()?.as_os_str().as_bytes();
        let repository = directories(directory).ok();
        let exclude = repository.as_ref().and_then(|(_, common)| read(CWD, &common.join("info/exclude")));
        let mut texts = Vec::new();
        let mut levels = with(&Levels::default(), b"", exclude, &mut texts);
        let mut path = Vec::new();
        for name in prefix.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            let file = directory.join(OsStr::from_bytes(&path)).join(OsStr::from_bytes(GITIGNORE));
            levels = with(&levels, &path, read(CWD, &file), &mut texts);
            push_name(&mut path, name);
            if levels.verdict(&path, true) == Some(true) {
                return None;
            }
        }
        let index = repository.map(|(git, _)| git.join("index"));
        Some(Checkout { directory: directory.to_owned(), prefix: prefix.to_vec(), levels, texts, index })
    }

    /// Returns bytes that change with the checkout: the patterns outside the source, and the stat of the index.
    pub(crate) fn basis(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, &self.prefix);
        put_bytes(&mut bytes, &self.texts);
        let stat = self.index.as_ref().and_then(|index| Some(FileStat::from(rustix::fs::stat(index).ok()?)));
        let FileStat { inode, mtime, ctime, size, .. } = stat.unwrap_or_default();
        bytes.extend([inode, mtime as u64, ctime as u64, size].iter().flat_map(|number| number.to_le_bytes()));
        bytes
    }

    /// Returns the ignored entries of the source, before its own `.gitignore` is read.
    pub(crate) fn root(&self) -> IgnoredEntries {
        IgnoredEntries::By(self.levels.clone())
    }

    /// Reads the `.gitignore` of a directory of the source. Git reads none behind a symlink.
    pub(crate) fn read_in(source: &OwnedFd, directory: &[u8]) -> Option<Vec<u8>> {
        let mut file = directory.to_vec();
        push_name(&mut file, GITIGNORE);
        read(source, Path::new(OsStr::from_bytes(&file)))
    }

    /// Adds the `.gitignore` of a directory of the source. `path` is the directory's path in the checkout.
    pub(crate) fn enter(&self, ignored: &IgnoredEntries, source: &OwnedFd, path: &[u8]) -> IgnoredEntries {
        let IgnoredEntries::By(levels) = ignored else { return IgnoredEntries::All };
        let text = Checkout::read_in(source, self.path_in_source(path));
        IgnoredEntries::By(with(levels, path, text, &mut Vec::new()))
    }

    /// Removes the files that git tracks, and those of submodules, which have patterns of their own. Returns false if
    /// git has no answer.
    pub(crate) fn remove_tracked(&self, files: &mut Vec<Vec<u8>>) -> bool {
        if files.is_empty() {
            return true;
        }
        let tracked = if would_block_git(&self.directory) { None } else { git::tracked(&self.directory).ok() };
        let Some(tracked) = tracked else { return false };
        let is_of_submodule = |path: &[u8]| {
            tracked
                .submodules
                .iter()
                .any(|submodule| path.strip_prefix(&submodule[..]).is_some_and(|rest| rest.starts_with(b"/")))
        };
        let names: HashSet<&[u8]> = tracked.files.iter().map(Vec::as_slice).collect();
        files.retain(|file| {
            let path = self.path_of(file);
            !names.contains(&path[..]) && !is_of_submodule(&path)
        });
        true
    }

    /// Returns the directory with `.git`.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the patterns in force in the source, without its own `.gitignore`.
    pub(crate) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Returns the text of the files that these patterns come from.
    pub(crate) fn texts(&self) -> &[u8] {
        &self.texts
    }

    /// Returns the path in the checkout of a path in the source.
    pub(crate) fn path_of(&self, path: &[u8]) -> Vec<u8> {
        match (&self.prefix[..], path) {
            (prefix, b"") => prefix.to_vec(),
            (b"", path) => path.to_vec(),
            (prefix, path) => [prefix, b"/", path].concat(),
        }
    }

    /// Returns the path in the source of a path in the checkout.
    pub(crate) fn path_in_source<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let path = &path[self.prefix.len()..];
        if self.prefix.is_empty() { path } else { path.strip_prefix(b"/").unwrap_or(path) }
    }
}

/// Adds the patterns of a text in a directory. Git ignores a text that is no patterns.
pub(crate) fn with(levels: &Levels, directory: &[u8], text: Option<Vec<u8>>, texts: &mut Vec<u8>) -> Levels {
    put_bytes(texts, text.as_deref().unwrap_or_default());
    match text.and_then(|text| Patterns::parse_file(&text, "").ok()) {
        Some(patterns) => levels.with(directory, patterns),
        None => levels.clone(),
    }
}

/// Reads a file with patterns. None if it cannot be read.
pub(crate) fn read(directory: impl AsFd, file: &Path) -> Option<Vec<u8>> {
    let file = content::open(directory, file.as_os_str()).ok()?;
    let is_file = content::stat(&file).ok()?.kind() == FileType::RegularFile;
    read_file(&file).ok().filter(|_| is_file)
}
