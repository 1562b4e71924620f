//! Random edits of a tree.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

use super::tree::Tree;

/// The names in edits: few, so that edits meet.
const NAMES: [&[u8]; 8] = [b"a", b"b", b"c", b"A", b"\xff\xfe", b"new\nline", b".hidden", b"a.b"];

/// An edit of a tree.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Write { path: Vec<usize>, content: u8, length: usize },
    Make { path: Vec<usize> },
    Link { path: Vec<usize>, target: usize },
    Remove { at: Index },
    Rename { at: Index, to: Vec<usize> },
    Swap { one: Index, other: Index },
    Mode { at: Index, mode: u32 },
    Rewrite { at: Index, content: u8 },
    Copy { at: Index, to: Vec<usize> },
}

fn path() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..NAMES.len(), 1..4)
}

/// Generates edits.
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let modes = prop::sample::select(vec![0o644, 0o755, 0o600, 0o444, 0o640, 0o711]);
    // Few contents and lengths, so that some contents and sizes are equal.
    let length = prop::sample::select(vec![0, 1, 3, 3, 3, 5000]);
    prop_oneof![
        6 => (path(), 0..3_u8, length).prop_map(|(path, content, length)| Edit::Write { path, content, length }),
        1 => path().prop_map(|path| Edit::Make { path }),
        1 => (path(), 0..NAMES.len()).prop_map(|(path, target)| Edit::Link { path, target }),
        2 => any::<Index>().prop_map(|at| Edit::Remove { at }),
        3 => (any::<Index>(), path()).prop_map(|(at, to)| Edit::Rename { at, to }),
        3 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Edit::Swap { one, other }),
        2 => (any::<Index>(), modes).prop_map(|(at, mode)| Edit::Mode { at, mode }),
        4 => (any::<Index>(), 0..3_u8).prop_map(|(at, content)| Edit::Rewrite { at, content }),
        2 => (any::<Index>(), path()).prop_map(|(at, to)| Edit::Copy { at, to }),
    ]
}

/// Makes the directories of a path, and removes anything in the way.
fn make_way(source: &Path, names: &[usize]) -> PathBuf {
    let mut path = source.to_owned();
    for (depth, &name) in names.iter().enumerate() {
        path.push(OsStr::from_bytes(NAMES[name]));
        let is_last = depth + 1 == names.len();
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() && !is_last => {}
            Ok(_) => remove(&path),
            Err(_) => {}
        }
        if !is_last {
            fs::create_dir_all(&path).unwrap();
        }
    }
    path
}

/// Removes a path of any kind.
pub(crate) fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Picks a path of the tree, or nothing if the tree is empty.
pub(crate) fn pick(source: &Path, at: &Index) -> Option<PathBuf> {
    let tree = Tree::read(source);
    let paths: Vec<&Vec<u8>> = tree.entries.keys().collect();
    (!paths.is_empty()).then(|| source.join(OsStr::from_bytes(paths[at.index(paths.len())])))
}

impl Edit {
    /// Makes the edit.
    pub(crate) fn apply(&self, source: &Path) {
        match self {
            Edit::Write { path, content, length } => {
                fs::write(make_way(source, path), vec![b'0' + content; *length]).unwrap();
            }
            Edit::Make { path } => fs::create_dir(make_way(source, path)).unwrap(),
            Edit::Link { path, target } => {
                symlink(OsStr::from_bytes(NAMES[*target]), make_way(source, path)).unwrap();
            }
            Edit::Remove { at } => pick(source, at).iter().for_each(|path| remove(path)),
            Edit::Rename { at, to } => move_aside(source, at, |aside, _| {
                let to = make_way(source, to);
                fs::rename(aside, to).unwrap();
            }),
            Edit::Swap { one, other } => swap(source, one, other),
            Edit::Mode { at, mode } => {
                if let Some(path) = pick(source, at).filter(|path| !path.is_symlink()) {
                    let mode = if path.is_dir() { mode | 0o700 } else { *mode };
                    super::tree::set_mode(path, mode);
                }
            }
            Edit::Rewrite { at, content } => {
                if let Some(path) = pick(source, at).filter(|path| path.symlink_metadata().unwrap().is_file()) {
                    let length = usize::try_from(path.metadata().unwrap().len()).unwrap();
                    fs::write(path, vec![b'0' + content; length]).unwrap();
                }
            }
            Edit::Copy { at, to } => {
                if let Some(path) = pick(source, at).filter(|path| path.symlink_metadata().unwrap().is_file()) {
                    let content = fs::read(path).unwrap();
                    fs::write(make_way(source, to), content).unwrap();
                }
            }
        }
    }
}

/// Moves a path out of the tree first, because its new place may be within it.
fn move_aside(source: &Path, at: &Index, put: impl FnOnce(&Path, &Path)) {
    let Some(path) = pick(source, at) else { return };
    let aside = source.with_file_name("aside");
    fs::rename(&path, &aside).unwrap();
    put(&aside, &path);
}

/// Swaps two paths of the tree.
pub(crate) fn swap(source: &Path, one: &Index, other: &Index) {
    let (Some(one), Some(other)) = (pick(source, one), pick(source, other)) else { return };
    if one.starts_with(&other) || other.starts_with(&one) {
        return;
    }
    let aside = source.with_file_name("aside");
    fs::rename(&one, &aside).unwrap();
    fs::rename(&other, &one).unwrap();
    fs::rename(&aside, &other).unwrap();
}

/// Returns a directory in memory if there is one: two thousand durable deploys would only measure the disk.
pub(crate) fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}
