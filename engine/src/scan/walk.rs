//! The walk over a tree, in parallel, each directory relative to its own descriptor.
//!
//! An entry is unchanged if its inode, size, mtime, ctime and mode equal those of the last scan, and if that scan was
//! not too close to its last change. An unchanged entry is not read again. An unchanged directory is not listed: its
//! names are known, and no name can come or go without a change of its mtime. That holds if the filesystem keeps this
//! rule ([`disk::keeps_times`]), and if the patterns in force are those of the last scan, which does not know the names
//! that they left out.
//!
//! The stat of a directory is taken before it is listed, so that a name that comes meanwhile makes the directory look
//! changed to the next scan.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::disk;
use crate::error::{Error, SourceError};
use crate::event::Observer;
use crate::hash::Hash;
use crate::manifest::Node;
use crate::scan::content;
use crate::scan::known::KnownDirectory;
use crate::scan::listing::Listing;
use crate::scan::names::{Candidate, Names, candidates};
use crate::scan::place::Place;
use crate::scan::progress::Progress;
use crate::scan::refusal::{absent_or_error, changing, special, unreadable};
use crate::scan::rules::{DirectoryRules, Rules};
use crate::scan::scope::Scope;
use crate::scan::snapshot::Snapshot;
use crate::scan::stat::FileStat;
use crate::scan::tree::{Branch, ScannedDirectory, ScannedEntry, ScannedNode, ScannedTree};
use crate::threads;

/// The execute bits of a file. Files without them have no use for capabilities, and are not asked for them.
const EXECUTE: u32 = 0o111;

/// A directory of more names than this is inspected by several threads: half a millisecond of work each.
const NAMES_AT_ONCE: usize = 256;

/// The request of a walk.
pub(crate) struct WalkRequest<'a> {
    /// The tree, held by a descriptor from which nothing was read before: a name that was read would not come again.
    pub(crate) root: &'a OwnedFd,
    /// The path of the tree, for messages.
    pub(crate) path: &'a Path,
    /// The rules of the paths to leave out.
    pub(crate) rules: &'a dyn Rules,
    /// The last scan of the same tree. Without it, everything is listed and read.
    pub(crate) known: Option<&'a Arc<Snapshot>>,
    /// The group of the release. The rights of other groups do not count. None: those of each group count.
    pub(crate) group: Option<u32>,
    /// A directory, as device and inode, that must not be in the tree.
    pub(crate) forbidden: Option<(u64, u64)>,
    /// Receives progress.
    pub(crate) observer: &'a dyn Observer,
    /// The request to stop.
    pub(crate) cancel: &'a Cancel,
}

/// Walks a tree.
pub(crate) fn walk(request: &WalkRequest<'_>) -> Result<ScannedTree, Error> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i64);
    let mount = disk::mount_of_own_times(request.root)
        .map_err(|errno| unreadable(request.path.as_os_str().as_bytes(), errno))?;
    let known = request.known.filter(|known| mount.is_some() && known.mount == mount);
    let rules = request.rules.hash();
    threads::start_pool()?;
    let walk = Walk { request, known: known.map(AsRef::as_ref), progress: Progress::new(request.observer) };
    // On a thread of the pool, whose stack is large enough.
    let root = rayon::scope(|_| walk.root(rules))?;
    walk.progress.finish();
    Ok(ScannedTree { root, last: known.cloned(), rules, mount, began })
}

struct Walk<'a> {
    request: &'a WalkRequest<'a>,
    known: Option<&'a Snapshot>,
    progress: Progress<'a>,
}

/// The result of inspecting a name.
enum EntryState {
    /// Left out, or removed.
    Absent,
    /// The file or symlink is unchanged since the last scan, which knew it as this entry.
    Same(u32),
    /// The entry must be read or resolved.
    Other(FileStat),
    /// The directory must be entered.
    Directory,
}

impl Walk<'_> {
    fn root(&self, rules: Hash) -> Result<Branch, Error> {
        let known = self.known.map(|known| KnownDirectory { known, number: 0, stat: &known.root });
        let has_same_rules = self.known.is_some_and(|known| known.rules == rules);
        let scope = Scope::above(self.request.rules, has_same_rules);
        self.directory(self.request.root, &Place::ROOT, known, scope)
    }

    fn directory(
        &self,
        fd: &OwnedFd,
        place: &Place<'_>,
        known: Option<KnownDirectory<'_>>,
        scope: Scope<'_>,
    ) -> Result<Branch, Error> {
        self.request.cancel.check()?;
        let failed = |errno| unreadable(&place.path(), errno);
        let raw = fs::fstat(fd).map_err(failed)?;
        self.check_not_forbidden(&raw, place)?;
        let mut scope = scope.on(raw.st_dev, fd).map_err(failed)?;
        let stat = FileStat::of(raw, self.request.group);

        let mut is_unchanged = scope.has_same_rules
            && scope.trusts_stats
            && known.is_some_and(|directory| directory.known.is_unchanged(directory.stat, &stat));
        let file_before = known.and_then(|directory| directory.known.rule_file(directory.number));
        let mut own = None;
        if is_unchanged && file_before.is_some() {
            own = enter(fd, place, scope.rules)?;
            is_unchanged = own.as_ref().map(|own| own.file) == file_before;
        }
        let listing = match is_unchanged && scope.keeps_times {
            true => None,
            false => Some(Listing::read(fd).map_err(failed)?),
        };
        let has = |name: &[u8]| listing.as_ref().is_some_and(|listing| listing.has(name));
        if own.is_none() && scope.rules.file_names().iter().any(|name| has(name)) {
            own = enter(fd, place, scope.rules)?;
        }
        let rule_file = own.as_ref().map(|own| own.file);
        scope.has_same_rules &= rule_file == file_before;
        is_unchanged &= scope.has_same_rules;
        if let Some(own) = &own {
            scope.rules = own.rules.as_ref();
        }

        let has_noted = match (listing.is_some(), known) {
            (false, Some(directory)) => directory.known.has_noted(directory.number),
            _ => scope.rules.noted_name().is_some_and(has),
        };
        let candidates = candidates(known, listing.as_ref());
        let names = Names { place, fd, scope, known, listing, candidates };
        let states = self.inspect_all(&names)?;
        let entries = self.entries(&names, &states)?;
        self.progress.report();
        match known {
            Some(directory) if is_unchanged && directory.is_all_of(&entries) => Ok(Branch::Same(directory.number)),
            _ => {
                let listing = names.listing.unwrap_or_default();
                Ok(Branch::New(Box::new(ScannedDirectory { stat, rule_file, has_noted, listing, entries })))
            }
        }
    }

    fn check_not_forbidden(&self, stat: &fs::Stat, place: &Place<'_>) -> Result<(), Error> {
        if place.level > 0 && self.request.forbidden == Some((stat.st_dev, stat.st_ino)) {
            let target = self.request.path.join(OsStr::from_bytes(&place.path()));
            return Err(Error::Source(SourceError::Overlapping { source_path: self.request.path.to_owned(), target }));
        }
        Ok(())
    }

    // A function of its own keeps this out of the frame that each level has.
    #[inline(never)]
    fn inspect_all(&self, names: &Names<'_>) -> Result<Vec<EntryState>, Error> {
        let inspect = |candidate: &Candidate| self.inspect(names, candidate);
        let states: Result<Vec<EntryState>, Error> = match names.candidates.len() {
            0..=NAMES_AT_ONCE => names.candidates.iter().map(inspect).collect(),
            _ => names.candidates.par_iter().with_min_len(NAMES_AT_ONCE).map(inspect).collect(),
        };
        let states = states?;
        let stats = states.iter().filter_map(|state| {
            let stat = match (state, names.known) {
                (EntryState::Same(index), Some(directory)) => &directory.known.stats[*index as usize],
                (EntryState::Other(stat), _) => stat,
                _ => return None,
            };
            Some(stat)
        });
        self.progress.add(stats);
        Ok(states)
    }

    fn inspect(&self, names: &Names<'_>, candidate: &Candidate) -> Result<EntryState, Error> {
        let Names { place, fd, .. } = names;
        let name = names.bytes(candidate.name);
        let stat_of = || match fs::statat(fd, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileStat::of(stat, self.request.group))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(unreadable(&place.path_of(name), errno)),
        };
        let mut seen = None;
        let mut kind = candidate.kind;
        if kind == FileType::Unknown {
            let Some(stat) = stat_of()? else { return Ok(EntryState::Absent) };
            kind = stat.kind();
            seen = Some(stat);
        }
        let is_directory = kind == FileType::Directory;
        if names.listing.is_some() && names.is_left_out(name, is_directory)? {
            return Ok(EntryState::Absent);
        }
        if is_directory {
            return Ok(EntryState::Directory);
        }
        let seen = match seen {
            None => stat_of()?,
            seen => seen,
        };
        let Some(stat) = seen else { return Ok(EntryState::Absent) };
        if let (Some(index), Some(KnownDirectory { known, .. })) = (candidate.known, names.known)
            && names.scope.trusts_stats
            && known.is_unchanged(&known.stats[index as usize], &stat)
        {
            return Ok(EntryState::Same(index));
        }
        let path = || place.path_of(name);
        match stat.kind() {
            FileType::RegularFile | FileType::Symlink => Ok(EntryState::Other(stat)),
            FileType::Directory => Err(changing(&path())),
            other => Err(special(&path(), other)),
        }
    }

    /// Reads, resolves and enters the entries that need it, in parallel.
    fn entries(&self, names: &Names<'_>, states: &[EntryState]) -> Result<Vec<ScannedEntry>, Error> {
        let is_open = |state: &EntryState| matches!(state, EntryState::Other(_) | EntryState::Directory);
        let open: Vec<usize> = (0..states.len()).filter(|&at| is_open(&states[at])).collect();
        let node = |at: usize| self.node(names, &names.candidates[at], &states[at]);
        let nodes: Result<Vec<_>, Error> = match open.len() {
            0..=1 => open.iter().map(|&at| node(at)).collect(),
            _ => open.par_iter().map(|&at| node(at)).collect(),
        };
        let mut nodes = nodes?.into_iter();
        let mut entries = Vec::with_capacity(states.len());
        for (candidate, state) in names.candidates.iter().zip(states) {
            let node = match state {
                EntryState::Absent => None,
                EntryState::Same(index) => Some(ScannedNode::Same(*index)),
                EntryState::Other(_) | EntryState::Directory => nodes.next().flatten(),
            };
            entries.extend(node.map(|node| ScannedEntry { name: candidate.name, node }));
        }
        Ok(entries)
    }

    fn node(&self, names: &Names<'_>, candidate: &Candidate, state: &EntryState) -> Result<Option<ScannedNode>, Error> {
        let name = names.bytes(candidate.name);
        match state {
            EntryState::Directory => {
                let known = names.known.zip(candidate.known).and_then(|(directory, index)| directory.below(index));
                if let Some(leaf) = known
                    && self.is_unchanged_leaf(names, name, leaf)?
                {
                    return Ok(Some(ScannedNode::Directory(Branch::Same(leaf.number))));
                }
                let Some(fd) = open_directory(names, name)? else { return Ok(None) };
                let branch = self.directory(&fd, &names.place.below(name), known, names.scope)?;
                Ok(Some(ScannedNode::Directory(branch)))
            }
            EntryState::Other(stat) => self.read(names, name, *stat),
            EntryState::Absent | EntryState::Same(_) => Ok(None),
        }
    }

    /// Tells whether a directory without subdirectories is unchanged, by stats taken through its parent. So most
    /// directories need not be opened. If it becomes a symlink meanwhile, a stat through the symlink counts only if it
    /// is of the same files.
    #[inline(never)]
    fn is_unchanged_leaf(&self, names: &Names<'_>, name: &[u8], leaf: KnownDirectory<'_>) -> Result<bool, Error> {
        let KnownDirectory { known, number, .. } = leaf;
        let children = known.manifest.children(number);
        let may_be = names.scope.has_same_rules
            && names.scope.keeps_times
            && names.scope.trusts_stats
            && children.len() <= NAMES_AT_ONCE
            && known.rule_file(number).is_none()
            && !children.clone().any(|child| matches!(child.node, Node::Directory(_)));
        let stat_of = |path: &[u8]| fs::statat(names.fd, OsStr::from_bytes(path), AtFlags::SYMLINK_NOFOLLOW);
        // Any error shows again when the directory is opened, and is reported there.
        let Some(stat) = Some(name).filter(|_| may_be).and_then(|name| stat_of(name).ok()) else { return Ok(false) };
        // The directory of the target, and a mounted filesystem, get a closer check.
        let is_other = stat.st_dev != names.scope.device || self.request.forbidden == Some((stat.st_dev, stat.st_ino));
        if is_other || !known.is_unchanged(leaf.stat, &FileStat::of(stat, self.request.group)) {
            return Ok(false);
        }
        self.request.cancel.check()?;
        let mut path = [name, b"/"].concat();
        let prefix = path.len();
        for child in children.clone() {
            path.truncate(prefix);
            path.extend_from_slice(child.name);
            let is_same =
                |stat| known.is_unchanged(&known.stats[child.index as usize], &FileStat::of(stat, self.request.group));
            if !stat_of(&path).is_ok_and(is_same) {
                return Ok(false);
            }
        }
        self.progress.add(children.map(|child| &known.stats[child.index as usize]));
        self.progress.report();
        Ok(true)
    }

    // A function of its own keeps this out of the frame that each level has: hashing takes kilobytes.
    #[inline(never)]
    fn read(&self, names: &Names<'_>, name: &[u8], stat: FileStat) -> Result<Option<ScannedNode>, Error> {
        let os_name = OsStr::from_bytes(name);
        let path = || names.place.path_of(name);
        if stat.kind() == FileType::Symlink {
            return match fs::readlinkat(names.fd, os_name, Vec::new()) {
                Ok(target) => Ok(Some(ScannedNode::Symlink(stat, target.into_bytes()))),
                Err(errno) => absent_or_error(path, errno),
            };
        }
        match content::open(names.fd, os_name) {
            Ok(file) => {
                let content = content::hash(&file, stat, path, self.request.group, self.request.cancel)?;
                let is_capable = content.stat.mode & EXECUTE != 0 && content::has_capabilities(&file);
                Ok(Some(ScannedNode::File(content.stat, content.hash, is_capable)))
            }
            Err(errno) => absent_or_error(path, errno),
        }
    }
}

// A function of its own keeps this out of the frame that each level has.
#[inline(never)]
fn enter(fd: &OwnedFd, place: &Place<'_>, rules: &dyn Rules) -> Result<Option<DirectoryRules>, Error> {
    rules.enter(fd, &place.path())
}

// A function of its own keeps this out of the frame that each level has.
#[inline(never)]
fn open_directory(names: &Names<'_>, name: &[u8]) -> Result<Option<OwnedFd>, Error> {
    match fs::openat(names.fd, OsStr::from_bytes(name), content::OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(errno) => absent_or_error(|| names.place.path_of(name), errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;
    use crate::path::Shown;

    /// Leaves nothing out, as on a server.
    struct Everything;

    impl Rules for Everything {
        fn hash(&self) -> Hash {
            Hash::of(b"")
        }

        fn file_names(&self) -> &[&[u8]] {
            &[]
        }

        fn noted_name(&self) -> Option<&[u8]> {
            None
        }

        fn enter(&self, _: &OwnedFd, path: &[u8]) -> Result<Option<DirectoryRules>, Error> {
            panic!("`{}` has no rules", Shown(path))
        }

        fn leave_out(&self, _: &[u8], _: bool, _: &dyn Fn() -> Vec<u8>) -> bool {
            false
        }
    }

    #[test]
    fn a_tree_without_rules_is_scanned_whole() {
        let place = tempfile::tempdir().unwrap();
        let files = [".deployignore", ".git/HEAD", "REVISION", "a/.deployignore", "a/.gitignore", "a/left.log"];
        for path in files {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "*\n").unwrap();
        }
        let scan = |known: Option<&Arc<Snapshot>>| {
            let root = fs::open(place.path(), content::OPEN_DIRECTORY, Mode::empty()).unwrap();
            let (path, forbidden, cancel) = (place.path(), None, &Cancel::default());
            let request = WalkRequest {
                root: &root,
                path,
                rules: &Everything,
                known,
                group: None,
                forbidden,
                observer: &Silent,
                cancel,
            };
            walk(&request).unwrap().finish(None).unwrap()
        };
        let snapshot = scan(None);
        let paths = snapshot.manifest.all_files().map(|(entry, file)| (snapshot.manifest.path(entry), file.key.hash));
        let mut paths: Vec<(Vec<u8>, Hash)> = paths.collect();
        paths.sort();
        assert_eq!(paths, files.map(|path| (path.as_bytes().to_vec(), Hash::of(b"*\n"))));
        assert!(snapshot.generated().is_none() && snapshot.rule_files.is_empty() && snapshot.noted.is_empty());
        assert_eq!(scan(Some(&snapshot)).manifest.root(), snapshot.manifest.root());
    }
}
