//! A look at the files of a build: those that a hook depends on, and what is there beside them.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, SourceError};
use crate::hash::Hash;
use crate::hasher::Hasher;
use crate::pattern::Patterns;

/// The repository of a checkout. No release has it, and each command of git may change it.
const GIT: &str = ".git";

/// See the module's description.
pub(super) struct Look {
    /// A hash of the files that match the patterns: their paths, modes and content.
    pub(super) inputs: Hash,
    /// All entries, but what is in a `.git`.
    pub(super) entries: HashSet<Entry>,
}

/// An entry as a part of the hash of its path and stat. One that was changed or replaced is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry(pub(super) [u8; 8]);

impl Entry {
    fn of(path: &Path, metadata: &Metadata) -> Entry {
        let mut hasher = Hasher::new();
        hasher.update(path.as_os_str().as_bytes());
        hasher.update(format!("\0{:o}", metadata.mode()).as_bytes());
        // The times of a directory change with each name in it.
        if !metadata.is_dir() {
            let (mtime, ctime) = (metadata.mtime_nsec(), metadata.ctime_nsec());
            let times = format!("{}.{mtime} {}.{ctime}", metadata.mtime(), metadata.ctime());
            hasher.update(format!(" {} {} {times}", metadata.ino(), metadata.size()).as_bytes());
        }
        let mut part = [0; 8];
        part.copy_from_slice(&hasher.finish().as_bytes()[..8]);
        Entry(part)
    }
}

impl Look {
    /// Looks at a directory and all below it but `except`, and reads the files that match a pattern.
    pub(super) fn at(directory: &Path, patterns: &[String], except: &Path) -> Result<Look, Error> {
        let patterns = Patterns::parse(patterns.iter().map(String::as_str), "if_changed")?;
        let (mut inputs, mut entries) = (Hasher::new(), HashSet::new());
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            let unreadable = |source| SourceError::Unreadable { path: below.display().to_string(), source };
            let listed = fs::read_dir(directory.join(&below)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let Some(mut listed) = unless_gone(unless_closed(listed)).map_err(unreadable)? else { continue };
            listed.sort_by_key(fs::DirEntry::file_name);
            for entry in listed.iter().filter(|entry| entry.file_name() != GIT && entry.path() != except) {
                let path = below.join(entry.file_name());
                let unreadable = |source| SourceError::Unreadable { path: path.display().to_string(), source };
                let Some(metadata) = unless_gone(entry.metadata()).map_err(unreadable)? else { continue };
                entries.insert(Entry::of(&path, &metadata));
                if metadata.is_dir() {
                    waiting.push(path);
                } else if patterns.matches_file(path.as_os_str().as_bytes()) {
                    add_input(&mut inputs, &entry.path(), &path, &metadata).map_err(unreadable)?;
                }
            }
        }
        Ok(Look { inputs: inputs.finish(), entries })
    }
}

/// Adds a file that a hook depends on.
fn add_input(inputs: &mut Hasher, file: &Path, path: &Path, metadata: &Metadata) -> io::Result<()> {
    let content = match metadata.is_symlink() {
        true => fs::read_link(file)?.as_os_str().as_bytes().to_vec(),
        false => fs::read(file)?,
    };
    inputs.update(format!("{} {:o} {}\n", path.display(), metadata.mode(), content.len()).as_bytes());
    inputs.update(&content);
    Ok(())
}

/// Passes on the names in a directory: none if this user may not read it. The hook sees none there either.
fn unless_closed<T: Default>(listed: io::Result<T>) -> io::Result<T> {
    match listed {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(T::default()),
        listed => listed,
    }
}

/// Passes on what was found. Other programs may remove a name between two looks at it.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
