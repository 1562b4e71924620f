//! Trees, read and compared: kind, mode without write bits, link target and content of every path.
//!
//! This equals `find -printf '%y %m %l %P'` and the bytes. `rsync` compares them too, as a judge from outside the
//! project.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use super::sshd::run;

/// A node of a tree.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A directory, with its mode.
    Directory(u32),
    /// A file, with its mode and content.
    File(u32, Vec<u8>),
    /// A symlink, with its target.
    Symlink(Vec<u8>),
    /// Anything else.
    Other,
}

/// The stat of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) inode: u64,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, i64),
    pub(crate) mode: u32,
}

/// Everything below a directory, by path.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Tree {
    pub(crate) entries: BTreeMap<Vec<u8>, Entry>,
    pub(crate) root_mode: u32,
}

/// Write bits do not belong to a release: its files are read-only, and its directories the server's.
const SHOWN_MODE: u32 = 0o7555;

impl Tree {
    /// Reads a tree.
    pub(crate) fn read(at: &Path) -> Tree {
        let mut entries = BTreeMap::new();
        read_below(at, &mut Vec::new(), &mut entries);
        Tree { entries, root_mode: fs::metadata(at).unwrap().mode() & SHOWN_MODE }
    }

    /// Asserts that another tree is equal, and names the first paths that differ.
    #[track_caller]
    pub(crate) fn assert_equals(&self, other: &Tree) {
        let paths = self.entries.keys().chain(other.entries.keys());
        let mut differ: Vec<String> = paths
            .filter(|path| self.entries.get(*path) != other.entries.get(*path))
            .map(|path| {
                let show = |tree: &Tree| tree.entries.get(path).map_or_else(|| "nothing".into(), |e| format!("{e:?}"));
                format!("{}: {} and {}", path.escape_ascii(), show(self), show(other))
            })
            .collect();
        differ.dedup();
        assert!(differ.is_empty(), "{} paths differ: {:#?}", differ.len(), &differ[..differ.len().min(10)]);
        assert_eq!(self.root_mode, other.root_mode, "modes of the roots");
    }
}

fn read_below(at: &Path, path: &mut Vec<u8>, entries: &mut BTreeMap<Vec<u8>, Entry>) {
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(entry.file_name().as_bytes());
        let metadata = entry.metadata().unwrap();
        let mode = metadata.permissions().mode() & SHOWN_MODE;
        let kind = metadata.file_type();
        let found = if kind.is_dir() {
            read_below(&entry.path(), path, entries);
            Entry::Directory(mode)
        } else if kind.is_file() {
            Entry::File(mode, fs::read(entry.path()).unwrap())
        } else if kind.is_symlink() {
            Entry::Symlink(fs::read_link(entry.path()).unwrap().as_os_str().as_bytes().to_vec())
        } else {
            Entry::Other
        };
        entries.insert(path.clone(), found);
        path.truncate(length);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Directory(mode) => write!(f, "directory {mode:o}"),
            Entry::File(mode, content) if content.len() > 40 => write!(f, "file {mode:o} of {} bytes", content.len()),
            Entry::File(mode, content) => write!(f, "file {mode:o} \"{}\"", content.escape_ascii()),
            Entry::Symlink(target) => write!(f, "symlink to {}", target.escape_ascii()),
            Entry::Other => write!(f, "something else"),
        }
    }
}

/// Returns the stat of a path itself, not of a link's target.
#[track_caller]
pub(crate) fn stat(path: &Path) -> Stat {
    let metadata = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Stat {
        inode: metadata.ino(),
        links: metadata.nlink(),
        size: metadata.size(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        mode: metadata.mode() & 0o7777,
    }
}

/// Asserts that two directories are equal, by our own comparison and by rsync's.
#[track_caller]
pub(crate) fn assert_same(source: &Path, release: &Path) {
    Tree::read(source).assert_equals(&Tree::read(release));
    // Newer versions of rsync do not follow another user's `current`.
    let with_slash = |path: &Path| format!("{}/", fs::canonicalize(path).unwrap().display());
    let differences = run(Command::new("rsync")
        .args(["-rlcn", "--delete", "--itemize-changes"])
        .args([with_slash(source), with_slash(release)]));
    assert_eq!(differences, "");
}

/// Asserts that files of equal content and mode at the same path of two releases share an inode, and returns their
/// number. Empty files are never linked.
#[track_caller]
pub(crate) fn assert_shared(one: &Path, other: &Path) -> usize {
    let (first, second) = (Tree::read(one), Tree::read(other));
    let mut shared = 0;
    for (path, entry) in &first.entries {
        let Entry::File(_, content) = entry else { continue };
        if second.entries.get(path) != Some(entry) {
            continue;
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let is_one = stat(&one.join(path)).inode == stat(&other.join(path)).inode;
        assert_eq!(is_one, !content.is_empty(), "{}", path.display());
        shared += usize::from(is_one);
    }
    shared
}

/// A path with the parts of its ETag: size and mtime.
type ETagPart = (Vec<u8>, u64, (i64, i64));

/// Asserts the condition of a web server's ETags: a path with equal size and mtime in two of these releases has equal
/// content.
#[track_caller]
pub(crate) fn assert_no_path_deceives(releases: &[impl AsRef<Path>]) {
    let mut seen: BTreeMap<ETagPart, Vec<u8>> = BTreeMap::new();
    for release in releases.iter().map(AsRef::as_ref) {
        for (path, entry) in Tree::read(release).entries {
            let Entry::File(_, content) = entry else { continue };
            let Stat { size, mtime, .. } = stat(&release.join(Path::new(std::ffi::OsStr::from_bytes(&path))));
            let shown = path.escape_ascii().to_string();
            let before = seen.entry((path, size, mtime)).or_insert_with(|| content.clone());
            assert!(*before == content, "{shown} had other content of {size} bytes with mtime {mtime:?}");
        }
    }
}

/// Writes a file, and the directories above it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Sets the mode of a file or a directory.
pub(crate) fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
