//! Finds the processes that live in a release, or may live in it.
//!
//! A process lives in a release if one of these lies in that release: its working directory, its root, its program,
//! an open or mapped file, or a mount that it sees. Each thread may have its own working directory. Directories are
//! compared by device and inode, walking up, because their paths mean nothing in another mount namespace.
//!
//! The kernel shows this only of processes that this user may trace: not of another user's process, nor of one that
//! has changed its user. Such a process is hidden. It can have entered a release through `current` while that pointed
//! there, or within the grace afterwards, with a path that it resolved just before. So a hidden process may live in
//! the release if it, or a process that it descends from, started in that time.
//!
//! Three kinds of processes are missed: a hidden process that is older than the release and has changed its working
//! directory since; a process that a vanished process started later; a process that entered an old release by its own
//! path. Counting those would mean counting every process of the machine: see decision 0017.

mod blind_spot;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fstat, open, openat, stat};
use rustix::io::Errno;

use crate::path::Shown;
use crate::process::{AccessDenied, LinkTarget, Process, entries, name_of, read_link};
use crate::release::BootSpan;

use super::mounts::{Mounts, Place, is_mounted_below};

/// The most paths whose tree is remembered: those of some thousand processes, in some megabytes.
const PATHS_KEPT: usize = 50_000;

/// How often `/proc` is listed again for processes that started during the search. Each time there are fewer.
const ROUNDS_MAX: usize = 16;

/// The link count of a `task` directory with one thread. Each further thread adds one.
const LINKS_OF_ONE_TASK: i64 = 3;

/// Returns for each tree the reason why it must stay, if there is one: a process that lives in it, or a mount that
/// shows it.
pub(crate) fn find_inhabitants(trees: &[PathBuf]) -> Vec<Option<Inhabitant>> {
    if trees.is_empty() { Vec::new() } else { Search::run(trees, Ties::All).inhabitants }
}

/// The reason why a tree must stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inhabitant {
    /// A mount shows it at this path.
    Mount(String),
    /// A process lives in it.
    Process {
        /// Its name.
        name: String,
        /// Its id.
        pid: u32,
    },
}

impl fmt::Display for Inhabitant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Inhabitant::Mount(point) => write!(f, "it is mounted at `{point}`"),
            Inhabitant::Process { name, pid } => write!(f, "{name} ({pid}) lives in it"),
        }
    }
}

/// A tree that may become another release, and the time in which that release was live, if it is known.
pub(crate) struct Candidate<'a> {
    pub(crate) path: PathBuf,
    pub(crate) span: Option<&'a BootSpan>,
}

/// Returns for each candidate the reason why it must not become another release, if there is one: a process lives in
/// it, or may, or something is mounted in it.
pub(crate) fn find_obstacles(candidates: &[Candidate<'_>], ties: Ties, grace: Duration) -> Vec<Option<String>> {
    if candidates.is_empty() {
        return Vec::new();
    }
    let paths: Vec<PathBuf> = candidates.iter().map(|candidate| candidate.path.clone()).collect();
    let mut search = Search::run(&paths, ties);
    let inhabitants = std::mem::take(&mut search.inhabitants);
    let reason = |(Candidate { path, span }, known): (&Candidate<'_>, Option<Inhabitant>)| {
        let mounted = || is_mounted_below(path).then(|| "something is mounted in it".to_owned());
        let known = known.map(|inhabitant| inhabitant.to_string());
        mounted().or(known).or_else(|| search.find_blind_spot(path)).or_else(|| search.find_suspect(*span, grace))
    };
    candidates.iter().zip(inhabitants).map(reason).collect()
}

/// The ties of a process to a release that count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ties {
    /// Its directories and open files.
    Open,
    /// Also its program and its mapped files. Such a process may need more of that release, although a reuse alters
    /// no file.
    All,
}

/// A tree to search for processes.
struct Tree {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
    place: Option<Place>,
}

/// The mounts that a group of processes sees.
struct Namespace {
    /// The identity of the namespace, and the root of the processes, which decides which mounts they see.
    key: (OsString, PathBuf),
    mounts: Mounts,
    /// Whether the paths that `/proc` shows of these processes can be resolved with these mounts.
    has_paths: bool,
    /// The trees that a mount shows, or that hold a mount.
    shown: Vec<usize>,
}

/// A search through all processes.
struct Search {
    trees: Vec<Tree>,
    ties: Ties,
    /// The reason why each tree must stay.
    inhabitants: Vec<Option<Inhabitant>>,
    /// The mount namespaces. The first is this process's own.
    namespaces: Vec<Namespace>,
    /// By namespace and path: the tree that holds this directory, found by walking up.
    climbed: HashMap<(usize, PathBuf), Option<usize>>,
    /// By namespace and path: the tree that holds this path, found by the path alone.
    trees_of: HashMap<(usize, PathBuf), Option<usize>>,
    /// The processes that cannot be inspected, and their visible properties.
    hidden: Vec<(u32, Option<Process>)>,
}

impl Search {
    fn run(paths: &[PathBuf], ties: Ties) -> Search {
        let mounts = Mounts::of(Path::new("/proc/self"));
        let tree = |path: &PathBuf| Tree {
            identity: stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino)),
            place: mounts.place(path),
            path: path.clone(),
        };
        let trees: Vec<Tree> = paths.iter().map(tree).collect();
        let shown_at = |tree: &Tree| {
            mounts.showing(tree.place.as_ref()?).map(|mount| Shown(mount.point.as_os_str().as_bytes()).to_string())
        };
        let inhabitants = trees.iter().map(|tree| shown_at(tree).map(Inhabitant::Mount)).collect();
        let own = fs::read_link("/proc/self/ns/mnt").unwrap_or_default().into_os_string();
        let own = Namespace { key: (own, PathBuf::new()), mounts, has_paths: true, shown: Vec::new() };
        let mut search = Search {
            trees,
            ties,
            inhabitants,
            namespaces: vec![own],
            climbed: HashMap::new(),
            trees_of: HashMap::new(),
            hidden: Vec::new(),
        };
        search.visit_all();
        search
    }

    /// Inspects all processes. If they cannot be listed, or new ones appear without end, one more is counted as
    /// hidden.
    fn visit_all(&mut self) {
        let mut visited = HashSet::from([std::process::id()]);
        for _ in 0..ROUNDS_MAX {
            let listed = fs::read_dir("/proc").and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let Ok(entries) = listed else { break };
            let pids = entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            let new: Vec<u32> = pids.filter(|&pid| visited.insert(pid)).collect();
            if new.is_empty() {
                return;
            }
            new.into_iter().for_each(|pid| self.visit(pid));
        }
        self.hidden.push((0, None));
    }

    fn visit(&mut self, pid: u32) {
        if self.inspect(pid).is_ok() {
            return;
        }
        match Process::read(pid) {
            Ok(Some(process)) if process.is_kernel || (process.is_zombie && process.threads <= 1) => {}
            Ok(Some(process)) => self.hidden.push((pid, Some(process))),
            Ok(None) => {}
            Err(AccessDenied) => self.hidden.push((pid, None)),
        }
    }

    /// Inspects all ties of a process.
    fn inspect(&mut self, pid: u32) -> Result<(), AccessDenied> {
        let mut holder = PathBuf::from(format!("/proc/{pid}"));
        let mut namespace = self.inspect_thread(pid, &holder)?;
        let tasks = holder.join("task");
        if stat(&tasks).is_ok_and(|stat| i64::try_from(stat.st_nlink) != Ok(LINKS_OF_ONE_TASK)) {
            for thread in entries(&tasks)?.into_iter().filter(|thread| !thread.ends_with(pid.to_string())) {
                let of_thread = self.inspect_thread(pid, &thread)?;
                if namespace.is_none() && of_thread.is_some() {
                    // The first thread has ended, and the other threads hold the process's files.
                    (namespace, holder) = (of_thread, thread);
                }
            }
        }
        let Some(namespace) = namespace else { return Ok(()) };
        for fd in entries(&holder.join("fd"))? {
            self.inspect_link(namespace, &fd, false, pid)?;
        }
        if self.ties == Ties::All {
            self.inspect_memory(namespace, &holder, pid)?;
        }
        Ok(())
    }

    /// Inspects the program and the mapped files.
    fn inspect_memory(&mut self, namespace: usize, dir: &Path, pid: u32) -> Result<(), AccessDenied> {
        if let LinkTarget::Path(path) = read_link(&dir.join("exe"))? {
            let tree = self.tree_of(namespace, &path);
            self.note(tree, pid);
        }
        let maps = fs::read(dir.join("maps")).unwrap_or_default();
        let mut last: &[u8] = &[];
        for line in maps.split(|&byte| byte == b'\n') {
            let path = line.iter().position(|&byte| byte == b'/').map_or(&line[..0], |at| &line[at..]);
            if path != std::mem::replace(&mut last, path) {
                let tree = self.tree_of(namespace, Path::new(OsStr::from_bytes(path)));
                self.note(tree, pid);
            }
        }
        Ok(())
    }

    /// Inspects the working directory, the root and the mounts of a thread. Returns its namespace, or nothing if it
    /// has ended.
    fn inspect_thread(&mut self, pid: u32, dir: &Path) -> Result<Option<usize>, AccessDenied> {
        let root = match read_link(&dir.join("root"))? {
            LinkTarget::Path(root) => root,
            LinkTarget::TooLong => PathBuf::new(),
            LinkTarget::Gone => return Ok(None),
        };
        let namespace = self.namespace(dir, root)?;
        for at in 0..self.namespaces[namespace].shown.len() {
            self.note(Some(self.namespaces[namespace].shown[at]), pid);
        }
        self.inspect_link(namespace, &dir.join("root"), true, pid)?;
        self.inspect_link(namespace, &dir.join("cwd"), true, pid)?;
        Ok(Some(namespace))
    }

    /// Returns the namespace of a thread.
    fn namespace(&mut self, dir: &Path, root: PathBuf) -> Result<usize, AccessDenied> {
        let own = &self.namespaces[0].key.0;
        let identity = match read_link(&dir.join("ns/mnt"))? {
            LinkTarget::Path(identity) if identity.as_os_str() != own => identity.into_os_string(),
            _ => return Ok(0),
        };
        let key = (identity, root);
        if let Some(at) = self.namespaces.iter().position(|namespace| namespace.key == key) {
            return Ok(at);
        }
        let mounts = Mounts::of(dir);
        let involves = |mounts: &Mounts, tree: &Tree| {
            tree.place.as_ref().is_some_and(|place| mounts.showing(place).or(mounts.below(place)).is_some())
        };
        // A mount that this process sees too says nothing about these processes.
        let is_shown = |tree: &Tree| involves(&mounts, tree) && !involves(&self.namespaces[0].mounts, tree);
        let shown = (0..self.trees.len()).filter(|&at| is_shown(&self.trees[at])).collect();
        // Mounts are relative to the process's root, paths to the root of the namespace.
        let has_paths = key.1 == Path::new("/");
        self.namespaces.push(Namespace { key, mounts, has_paths, shown });
        Ok(self.namespaces.len() - 1)
    }

    /// Inspects the target of a link in `/proc`.
    fn inspect_link(&mut self, namespace: usize, link: &Path, is_dir: bool, pid: u32) -> Result<(), AccessDenied> {
        let path = match read_link(link)? {
            LinkTarget::Path(path) if !path.has_root() => return Ok(()),
            LinkTarget::Path(path) => Some(path),
            LinkTarget::TooLong => None,
            LinkTarget::Gone => return Ok(()),
        };
        if let Some(path) = &path {
            let tree = self.tree_of(namespace, path);
            if tree.is_some() || !self.may_hold(namespace, path) {
                self.note(tree, pid);
                return Ok(());
            }
        }
        let key = path.map(|path| (namespace, path));
        let known = key.as_ref().and_then(|key| self.climbed.get(key).copied());
        let tree = match known {
            Some(tree) => tree,
            None if is_dir || fs::metadata(link).is_ok_and(|metadata| metadata.is_dir()) => self.climb(link)?,
            None => None,
        };
        self.climbed.extend(key.map(|key| (key, tree)));
        self.note(tree, pid);
        Ok(())
    }

    /// Finds the tree that holds a path, by the path alone. The result is remembered, because processes share most of
    /// their paths, such as those of libraries.
    fn tree_of(&mut self, namespace: usize, path: &Path) -> Option<usize> {
        let key = (namespace, path.to_owned());
        if let Some(found) = self.trees_of.get(&key) {
            return *found;
        }
        let found = self.find_tree(namespace, path);
        if self.trees_of.len() < PATHS_KEPT {
            self.trees_of.insert(key, found);
        }
        found
    }

    fn find_tree(&self, namespace: usize, path: &Path) -> Option<usize> {
        let Namespace { mounts, has_paths, .. } = &self.namespaces[namespace];
        let own = || self.trees.iter().position(|tree| path.starts_with(&tree.path));
        let place = || {
            let place = Some(mounts.place(path)?).filter(|place| self.is_beside_tree(place))?;
            self.trees.iter().position(|tree| tree.place.as_ref().is_some_and(|tree| place.is_in(tree)))
        };
        if !path.has_root() {
            return None;
        }
        let by_path = if namespace == 0 { own() } else { None };
        by_path.or_else(|| has_paths.then(place).flatten())
    }

    /// Tells whether a directory may lie in a tree although its path does not show it. Directories on another
    /// filesystem are not touched: the server of a remote one may not answer.
    fn may_hold(&self, namespace: usize, path: &Path) -> bool {
        let Namespace { mounts, has_paths, .. } = &self.namespaces[namespace];
        if namespace == 0 && path == Path::new("/") {
            return false;
        }
        !has_paths || mounts.place(path).is_none_or(|place| self.is_beside_tree(&place))
    }

    fn is_beside_tree(&self, place: &Place) -> bool {
        self.trees.iter().any(|tree| tree.place.as_ref().is_none_or(|tree| place.is_beside(tree)))
    }

    /// Finds the tree that holds a directory, by walking up from it.
    fn climb(&self, link: &Path) -> Result<Option<usize>, AccessDenied> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut dir: OwnedFd = match open(link, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::SRCH | Errno::NOTDIR) => return Ok(None),
            Err(_) => return Err(AccessDenied),
        };
        let mut below = None;
        loop {
            let stat = fstat(&dir).map_err(|_| AccessDenied)?;
            let identity = Some((stat.st_dev, stat.st_ino));
            if let Some(tree) = self.trees.iter().position(|tree| tree.identity == identity) {
                return Ok(Some(tree));
            }
            // The parent of the root directory is the root directory.
            if identity == below {
                return Ok(None);
            }
            below = identity;
            dir = openat(&dir, "..", flags, Mode::empty()).map_err(|_| AccessDenied)?;
        }
    }

    fn note(&mut self, tree: Option<usize>, pid: u32) {
        if let Some(tree) = tree {
            self.inhabitants[tree].get_or_insert_with(|| Inhabitant::Process { name: name_of(pid), pid });
        }
    }
}
