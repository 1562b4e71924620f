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
use crate::scan::found::{Branch, Found, FoundEntry, FoundNode, Shape};
use crate::scan::known::KnownDirectory;
use crate::scan::listing::Listing;
use crate::scan::names::{Named, Names, named};
use crate::scan::place::Place;
use crate::scan::progress::Progress;
use crate::scan::refusal::{changing, gone, special, unreadable};
use crate::scan::rules::{Entered, Rules};
use crate::scan::scope::Scope;
use crate::scan::snapshot::Snapshot;
use crate::scan::stat::FileStat;
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
    /// A directory, as device and inode, that must not be in the tree.
    pub(crate) forbidden: Option<(u64, u64)>,
    /// Receives progress.
    pub(crate) observer: &'a dyn Observer,
    /// The request to stop.
    pub(crate) cancel: &'a Cancel,
}

/// Walks a tree.
pub(crate) fn walk(request: &WalkRequest<'_>) -> Result<Shape, Error> {
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
    Ok(Shape { root, last: known.cloned(), rules, mount, began })
}

struct Walk<'a> {
    request: &'a WalkRequest<'a>,
    known: Option<&'a Snapshot>,
    progress: Progress<'a>,
}

/// The result of inspecting a name.
enum Looked {
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
        let is_ruled_as_before = self.known.is_some_and(|known| known.rules == rules);
        let scope = Scope::above(self.request.rules, is_ruled_as_before);
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
        let stat = FileStat::from(raw);

        let mut is_as_before = scope.is_ruled_as_before
            && scope.believes
            && known.is_some_and(|directory| directory.known.is_unchanged(directory.stat, &stat));
        let file_before = known.and_then(|directory| directory.known.rule_file(directory.number));
        let mut own = None;
        if is_as_before && file_before.is_some() {
            own = enter(fd, place, scope.rules)?;
            is_as_before = own.as_ref().map(|own| own.file) == file_before;
        }
        let listing = match is_as_before && scope.keeps_times {
            true => None,
            false => Some(Listing::read(fd).map_err(failed)?),
        };
        let has = |name: Option<&[u8]>| name.zip(listing.as_ref()).is_some_and(|(name, listing)| listing.has(name));
        if own.is_none() && has(scope.rules.file_name()) {
            own = enter(fd, place, scope.rules)?;
        }
        let rule_file = own.as_ref().map(|own| own.file);
        scope.is_ruled_as_before &= rule_file == file_before;
        is_as_before &= scope.is_ruled_as_before;
        if let Some(own) = &own {
            scope.rules = own.rules.as_ref();
        }

        let has_noted = match (listing.is_some(), known) {
            (false, Some(directory)) => directory.known.has_noted(directory.number),
            _ => has(scope.rules.noted_name()),
        };
        let names = named(known, listing.as_ref());
        let names = Names { place, fd, scope, known, listing, names };
        let looked = self.look_at_all(&names)?;
        let entries = self.entries(&names, &looked)?;
        self.progress.tell();
        match known {
            Some(directory) if is_as_before && directory.is_all_of(&entries) => Ok(Branch::Same(directory.number)),
            _ => {
                let listing = names.listing.unwrap_or_default();
                Ok(Branch::New(Box::new(Found { stat, rule_file, has_noted, listing, entries })))
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
    fn look_at_all(&self, names: &Names<'_>) -> Result<Vec<Looked>, Error> {
        let look = |named: &Named| self.look(names, named);
        let looked: Result<Vec<Looked>, Error> = match names.names.len() {
            0..=NAMES_AT_ONCE => names.names.iter().map(look).collect(),
            _ => names.names.par_iter().with_min_len(NAMES_AT_ONCE).map(look).collect(),
        };
        let looked = looked?;
        let stats = looked.iter().filter_map(|looked| {
            let stat = match (looked, names.known) {
                (Looked::Same(index), Some(directory)) => &directory.known.stats[*index as usize],
                (Looked::Other(stat), _) => stat,
                _ => return None,
            };
            Some(stat)
        });
        self.progress.add(stats);
        Ok(looked)
    }

    fn look(&self, names: &Names<'_>, named: &Named) -> Result<Looked, Error> {
        let Names { place, fd, .. } = names;
        let name = names.bytes(named.name);
        let look = || match fs::statat(fd, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileStat::from(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(unreadable(&place.path_of(name), errno)),
        };
        let mut seen = None;
        let mut kind = named.kind;
        if kind == FileType::Unknown {
            let Some(stat) = look()? else { return Ok(Looked::Absent) };
            kind = stat.kind();
            seen = Some(stat);
        }
        let is_directory = kind == FileType::Directory;
        if names.listing.is_some() && names.is_left_out(name, is_directory)? {
            return Ok(Looked::Absent);
        }
        if is_directory {
            return Ok(Looked::Directory);
        }
        let seen = match seen {
            None => look()?,
            seen => seen,
        };
        let Some(stat) = seen else { return Ok(Looked::Absent) };
        if let (Some(index), Some(KnownDirectory { known, .. })) = (named.known, names.known)
            && names.scope.believes
            && known.is_unchanged(&known.stats[index as usize], &stat)
        {
            return Ok(Looked::Same(index));
        }
        let path = || place.path_of(name);
        match stat.kind() {
            FileType::RegularFile | FileType::Symlink => Ok(Looked::Other(stat)),
            FileType::Directory => Err(changing(&path())),
            other => Err(special(&path(), other)),
        }
    }

    /// Reads, resolves and enters the entries that need it, in parallel.
    fn entries(&self, names: &Names<'_>, looked: &[Looked]) -> Result<Vec<FoundEntry>, Error> {
        let is_open = |looked: &Looked| matches!(looked, Looked::Other(_) | Looked::Directory);
        let open: Vec<usize> = (0..looked.len()).filter(|&at| is_open(&looked[at])).collect();
        let node = |at: usize| self.node(names, &names.names[at], &looked[at]);
        let nodes: Result<Vec<_>, Error> = match open.len() {
            0..=1 => open.iter().map(|&at| node(at)).collect(),
            _ => open.par_iter().map(|&at| node(at)).collect(),
        };
        let mut nodes = nodes?.into_iter();
        let mut entries = Vec::with_capacity(looked.len());
        for (named, looked) in names.names.iter().zip(looked) {
            let node = match looked {
                Looked::Absent => None,
                Looked::Same(index) => Some(FoundNode::Same(*index)),
                Looked::Other(_) | Looked::Directory => nodes.next().flatten(),
            };
            entries.extend(node.map(|node| FoundEntry { name: named.name, node }));
        }
        Ok(entries)
    }

    fn node(&self, names: &Names<'_>, named: &Named, looked: &Looked) -> Result<Option<FoundNode>, Error> {
        let name = names.bytes(named.name);
        match looked {
            Looked::Directory => {
                let known = names.known.zip(named.known).and_then(|(directory, index)| directory.below(index));
                if let Some(leaf) = known
                    && self.is_unchanged_leaf(names, name, leaf)?
                {
                    return Ok(Some(FoundNode::Directory(Branch::Same(leaf.number))));
                }
                let Some(fd) = open_directory(names, name)? else { return Ok(None) };
                let branch = self.directory(&fd, &names.place.below(name), known, names.scope)?;
                Ok(Some(FoundNode::Directory(branch)))
            }
            Looked::Other(stat) => self.read(names, name, *stat),
            Looked::Absent | Looked::Same(_) => Ok(None),
        }
    }

    /// Tells whether a directory without subdirectories is unchanged, by stats taken through its parent. So most
    /// directories need not be opened. If it becomes a symlink meanwhile, a stat through the symlink counts only if it
    /// is of the same files.
    #[inline(never)]
    fn is_unchanged_leaf(&self, names: &Names<'_>, name: &[u8], leaf: KnownDirectory<'_>) -> Result<bool, Error> {
        let KnownDirectory { known, number, .. } = leaf;
        let children = known.manifest.children(number);
        let may_be = names.scope.is_ruled_as_before
            && names.scope.keeps_times
            && names.scope.believes
            && children.len() <= NAMES_AT_ONCE
            && known.rule_file(number).is_none()
            && !children.clone().any(|child| matches!(child.node, Node::Directory(_)));
        let look = |path: &[u8]| fs::statat(names.fd, OsStr::from_bytes(path), AtFlags::SYMLINK_NOFOLLOW);
        // Any error shows again when the directory is opened, and is reported there.
        let Some(stat) = Some(name).filter(|_| may_be).and_then(|name| look(name).ok()) else { return Ok(false) };
        // The directory of the target, and a mounted filesystem, get a closer check.
        let is_other = stat.st_dev != names.scope.device || self.request.forbidden == Some((stat.st_dev, stat.st_ino));
        if is_other || !known.is_unchanged(leaf.stat, &FileStat::from(stat)) {
            return Ok(false);
        }
        self.request.cancel.check()?;
        let mut path = [name, b"/"].concat();
        let prefix = path.len();
        for child in children.clone() {
            path.truncate(prefix);
            path.extend_from_slice(child.name);
            let is_same = |stat| known.is_unchanged(&known.stats[child.index as usize], &FileStat::from(stat));
            if !look(&path).is_ok_and(is_same) {
                return Ok(false);
            }
        }
        self.progress.add(children.map(|child| &known.stats[child.index as usize]));
        self.progress.tell();
        Ok(true)
    }

    // A function of its own keeps this out of the frame that each level has: hashing takes kilobytes.
    #[inline(never)]
    fn read(&self, names: &Names<'_>, name: &[u8], stat: FileStat) -> Result<Option<FoundNode>, Error> {
        let os_name = OsStr::from_bytes(name);
        let path = || names.place.path_of(name);
        if stat.kind() == FileType::Symlink {
            return match fs::readlinkat(names.fd, os_name, Vec::new()) {
                Ok(target) => Ok(Some(FoundNode::Symlink(stat, target.into_bytes()))),
                Err(errno) => gone(path, errno),
            };
        }
        match content::open(names.fd, os_name) {
            Ok(file) => {
                let content = content::hash(&file, stat, path, self.request.cancel)?;
                let is_capable = content.stat.mode & EXECUTE != 0 && content::has_capabilities(&file);
                Ok(Some(FoundNode::File(content.stat, content.hash, is_capable)))
            }
            Err(errno) => gone(path, errno),
        }
    }
}

// A function of its own keeps this out of the frame that each level has.
#[inline(never)]
fn enter(fd: &OwnedFd, place: &Place<'_>, rules: &dyn Rules) -> Result<Option<Entered>, Error> {
    rules.enter(fd, &place.path())
}

// A function of its own keeps this out of the frame that each level has.
#[inline(never)]
fn open_directory(names: &Names<'_>, name: &[u8]) -> Result<Option<OwnedFd>, Error> {
    match fs::openat(names.fd, OsStr::from_bytes(name), content::OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(errno) => gone(|| names.place.path_of(name), errno),
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

        fn file_name(&self) -> Option<&[u8]> {
            None
        }

        fn noted_name(&self) -> Option<&[u8]> {
            None
        }

        fn enter(&self, _: &OwnedFd, path: &[u8]) -> Result<Option<Entered>, Error> {
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
            let request =
                WalkRequest { root: &root, path, rules: &Everything, known, forbidden, observer: &Silent, cancel };
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
