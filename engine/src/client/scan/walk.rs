//! The walk over the source, in parallel, each directory relative to its own descriptor.
//!
//! What the last scan knew, and which has the same inode, size, mtime, ctime and mode, is not read again, unless that scan was
//! too close to its last change. For a directory that means: it is not listed. Its names are known, and no name can come or go
//! without a change of its mtime. That holds where the filesystem keeps to it ([`disk::keeps_times`]), and where the patterns in force
//! are those of the last scan: what they left out is not known.
//!
//! A directory is looked at before it is listed, so that a name which comes meanwhile makes it look changed to the next scan.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::client::ignore_file;
use crate::client::known::Known;
use crate::client::rules::{GITIGNORE, IGNORE_FILE, Rules};
use crate::client::scan::found::{Branch, Found, FoundEntry, FoundNode, Name};
use crate::client::scan::listing::Listing;
use crate::client::scan::{OPEN_DIRECTORY, ScanRequest, unreadable};
use crate::disk;
use crate::error::Error;
use crate::event::{Event, Phase};
use crate::hash::Hash;
use crate::manifest::{LEVELS_MAX, Node};
use crate::path::{Shown, push_name};
use crate::scan::content;
use crate::scan::stat::FileStat;

/// Paths longer than this cannot be opened by a program that knows them whole (`PATH_MAX`, less room for a prefix).
const PATH_BYTES_MAX: usize = 3840;

/// The bits of a file that may be executed. Others have no use for capabilities, and are not asked for them.
const EXECUTE: u32 = 0o111;

/// How often progress is told at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// A directory of more names than this is looked at by several threads: half a millisecond of work each.
const NAMES_AT_ONCE: usize = 256;

/// See the module's description.
pub(super) struct Walk<'a> {
    request: &'a ScanRequest<'a>,
    rules: &'a Rules,
    known: Option<&'a Known>,
    begins_as_before: bool,
    files: AtomicU64,
    bytes: AtomicU64,
    told: Mutex<Instant>,
}

/// A directory on its way down from the source.
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    name: &'a [u8],
    /// Of the path.
    bytes: usize,
    /// How many directories it lies within, the source not counted.
    level: u16,
}

impl Place<'_> {
    const ROOT: Place<'static> = Place { above: None, name: b"", bytes: 0, level: 0 };

    fn below<'a>(&'a self, name: &'a [u8]) -> Place<'a> {
        let slash = usize::from(self.bytes > 0);
        Place { above: Some(self), name, bytes: self.bytes + slash + name.len(), level: self.level + 1 }
    }

    fn path(&self) -> Vec<u8> {
        let mut path = self.above.map(Place::path).unwrap_or_default();
        if self.above.is_some() {
            push_name(&mut path, self.name);
        }
        path
    }

    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.path();
        push_name(&mut path, name);
        path
    }
}

/// What a directory has from those above it.
#[derive(Clone, Copy)]
struct Scope<'a> {
    rules: &'a Rules,
    /// Whether they are those of the last scan.
    is_ruled_as_before: bool,
    device: u64,
    /// See [`disk::keeps_times`].
    keeps_times: bool,
    /// Whether what looks as before is as before: not on what is mounted in the source, which may be another disk now.
    believes: bool,
}

/// A directory that the last scan knew: its number, and its stat then.
#[derive(Clone, Copy)]
struct KnownDirectory<'a> {
    known: &'a Known,
    number: u32,
    stat: &'a FileStat,
}

/// The rules of a directory's own ignore file, and its hash.
type OwnRules = Option<(Rules, Hash)>;

/// A name that is to be looked at.
struct Named {
    name: Name,
    /// What is said of it, which may be nothing.
    kind: FileType,
    /// The entry that the last scan knew by this name.
    known: Option<u32>,
}

/// What came of a look.
enum Looked {
    /// Left out, or gone.
    Absent,
    /// The file or symlink that the last scan knew as this entry.
    Same(u32),
    /// To be read or resolved.
    Other(FileStat),
    /// To be entered.
    Directory,
}

/// The names of one directory.
struct Names<'a> {
    place: &'a Place<'a>,
    fd: &'a OwnedFd,
    scope: Scope<'a>,
    known: Option<KnownDirectory<'a>>,
    /// Nothing where the names are those that are known.
    listing: Option<Listing>,
    names: Vec<Named>,
}

impl Names<'_> {
    fn bytes(&self, name: Name) -> &[u8] {
        match (name, &self.listing, self.known) {
            (Name::Listed(listed), Some(listing), _) => listing.name(listed),
            (Name::Known(index), _, Some(directory)) => directory.known.manifest.name(index),
            _ => b"",
        }
    }
}

impl<'a> Walk<'a> {
    /// Starts with nothing.
    pub(super) fn new(request: &'a ScanRequest<'a>, rules: &'a Rules) -> Walk<'a> {
        let known = request.known.map(AsRef::as_ref);
        Walk {
            request,
            rules,
            known,
            begins_as_before: known.is_some_and(|known| known.rules == rules.hash()),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            told: Mutex::new(Instant::now()),
        }
    }

    /// Walks the source.
    pub(super) fn root(&self, source: &OwnedFd) -> Result<Branch, Error> {
        let known = self.known.map(|known| KnownDirectory { known, number: 0, stat: &known.root });
        let is_ruled_as_before = self.begins_as_before;
        // No device yet: the first directory asks.
        let scope =
            Scope { rules: self.rules, is_ruled_as_before, device: u64::MAX, keeps_times: false, believes: true };
        self.directory(source, &Place::ROOT, known, scope)
    }

    /// Tells the last of the progress.
    pub(super) fn finish(self) {
        self.tell(true);
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
        let mut scope = scope_on(raw.st_dev, fd, scope).map_err(failed)?;
        let stat = FileStat::from(raw);

        let mut is_as_before = scope.is_ruled_as_before
            && scope.believes
            && known.is_some_and(|directory| directory.known.is_unchanged(directory.stat, &stat));
        let ignored_before = known.and_then(|directory| directory.known.ignore_file(directory.number));
        let mut own = None;
        if is_as_before && ignored_before.is_some() {
            own = self.own_rules(fd, place, scope.rules)?;
            is_as_before = own.as_ref().map(|(_, hash)| *hash) == ignored_before;
        }
        let listing = match is_as_before && scope.keeps_times {
            true => None,
            false => Some(Listing::read(fd).map_err(failed)?),
        };
        if own.is_none() && listing.as_ref().is_some_and(|listing| listing.has(IGNORE_FILE)) {
            own = self.own_rules(fd, place, scope.rules)?;
        }
        let ignore_file = own.as_ref().map(|(_, hash)| *hash);
        scope.is_ruled_as_before &= ignore_file == ignored_before;
        is_as_before &= scope.is_ruled_as_before;
        if let Some((rules, _)) = &own {
            scope.rules = rules;
        }

        let has_gitignore = match &listing {
            Some(listing) => listing.has(GITIGNORE),
            None => known.is_some_and(|directory| directory.known.has_gitignore(directory.number)),
        };
        let names = named(known, listing.as_ref());
        let names = Names { place, fd, scope, known, listing, names };
        let looked = self.look_at_all(&names)?;
        let entries = self.entries(&names, &looked)?;
        self.tell(false);
        match known {
            Some(directory) if is_as_before && is_all_of(directory, &entries) => Ok(Branch::Same(directory.number)),
            _ => {
                let listing = names.listing.unwrap_or_default();
                Ok(Branch::New(Box::new(Found { stat, ignore_file, has_gitignore, listing, entries })))
            }
        }
    }

    fn check_not_forbidden(&self, stat: &fs::Stat, place: &Place<'_>) -> Result<(), Error> {
        if place.level > 0 && self.request.forbidden == Some((stat.st_dev, stat.st_ino)) {
            let target = self.request.source.join(OsStr::from_bytes(&place.path()));
            return Err(Error::Overlapping { source_path: self.request.source.to_owned(), target });
        }
        Ok(())
    }

    // Not part of the frame that each level has.
    #[inline(never)]
    fn own_rules(&self, fd: &OwnedFd, place: &Place<'_>, rules: &Rules) -> Result<OwnRules, Error> {
        let text = ignore_file::read(self.request.source, fd, IGNORE_FILE, &place.path_of(IGNORE_FILE))?;
        text.map(|text| Ok((rules.enter(&place.path(), &text)?, Hash::of(&text)))).transpose()
    }

    // Not part of the frame that each level has.
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
        self.count(stats);
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
        if names.listing.is_some() && is_left_out(names, name, is_directory)? {
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
        let path = || Shown(&place.path_of(name)).to_string();
        match stat.kind() {
            FileType::RegularFile | FileType::Symlink => Ok(Looked::Other(stat)),
            // Not what it was a moment ago.
            FileType::Directory => Err(Error::FileChanging(path())),
            other => Err(Error::SpecialFile { path: path(), kind: kind_name(other) }),
        }
    }

    fn count<'n>(&self, stats: impl Iterator<Item = &'n FileStat>) {
        let (mut files, mut bytes) = (0, 0);
        for stat in stats.filter(|stat| stat.kind() == FileType::RegularFile) {
            files += 1;
            bytes += stat.size;
        }
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Reads, resolves and enters what has to be, in parallel.
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

    /// Tells whether a directory that holds no other is as it was known, by looks through the one that it is in. It is not opened
    /// for that: most directories are such. Where it becomes a symlink meanwhile, what is seen through that counts only where it
    /// is the same files.
    #[inline(never)]
    fn is_unchanged_leaf(&self, names: &Names<'_>, name: &[u8], leaf: KnownDirectory<'_>) -> Result<bool, Error> {
        let KnownDirectory { known, number, .. } = leaf;
        let children = known.manifest.children(number);
        let may_be = names.scope.is_ruled_as_before
            && names.scope.keeps_times
            && names.scope.believes
            && children.len() <= NAMES_AT_ONCE
            && known.ignore_file(number).is_none()
            && !children.clone().any(|child| matches!(child.node, Node::Directory(_)));
        let look = |path: &[u8]| fs::statat(names.fd, OsStr::from_bytes(path), AtFlags::SYMLINK_NOFOLLOW);
        // Whatever goes wrong shows again where the directory is opened, and is told there.
        let Some(stat) = Some(name).filter(|_| may_be).and_then(|name| look(name).ok()) else { return Ok(false) };
        // The target's directory, and what is mounted, are looked at more closely.
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
        self.count(children.map(|child| &known.stats[child.index as usize]));
        self.tell(false);
        Ok(true)
    }

    // Not part of the frame that each level has: hashing takes kilobytes.
    #[inline(never)]
    fn read(&self, names: &Names<'_>, name: &[u8], stat: FileStat) -> Result<Option<FoundNode>, Error> {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let os_name = OsStr::from_bytes(name);
        let path = || names.place.path_of(name);
        if stat.kind() == FileType::Symlink {
            return match fs::readlinkat(names.fd, os_name, Vec::new()) {
                Ok(target) => Ok(Some(FoundNode::Symlink(stat, target.into_bytes()))),
                Err(errno) => gone(path, errno),
            };
        }
        match content::open(names.fd, os_name) {
            Ok(mut file) => {
                let cancel = self.request.cancel;
                let hash = |buffer: &mut Vec<u8>| content::hash(&mut file, stat, path, buffer, cancel);
                let content = BUFFER.with_borrow_mut(hash)?;
                let is_capable = content.stat.mode & EXECUTE != 0 && content::has_capabilities(&file);
                Ok(Some(FoundNode::File(content.stat, content.hash, is_capable)))
            }
            Err(errno) => gone(path, errno),
        }
    }

    fn tell(&self, now: bool) {
        let Ok(mut told) = self.told.try_lock() else { return };
        if now || told.elapsed() >= PROGRESS_EVERY {
            *told = Instant::now();
            self.request.observer.observe(Event::Progress {
                phase: Phase::Scan,
                files: self.files.load(Ordering::Relaxed),
                files_total: 0,
                bytes: self.bytes.load(Ordering::Relaxed),
                bytes_total: 0,
            });
        }
    }
}

impl<'a> KnownDirectory<'a> {
    /// Returns a directory in this one, by its entry.
    fn below(self, index: u32) -> Option<KnownDirectory<'a>> {
        match self.known.manifest.node(index) {
            Node::Directory(number) => Some(KnownDirectory { number, stat: &self.known.stats[index as usize], ..self }),
            _ => None,
        }
    }
}

// Not part of the frame that each level has.
#[inline(never)]
fn open_directory(names: &Names<'_>, name: &[u8]) -> Result<Option<OwnedFd>, Error> {
    match fs::openat(names.fd, OsStr::from_bytes(name), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(errno) => gone(|| names.place.path_of(name), errno),
    }
}

/// Returns the names to look at, sorted: the listed ones, each with what is known by that name, or those that are known.
fn named(known: Option<KnownDirectory<'_>>, listing: Option<&Listing>) -> Vec<Named> {
    let children = known.map(|directory| {
        let of_source = move |index| !directory.known.is_generated(index);
        directory.known.manifest.children(directory.number).filter(move |named| of_source(named.index))
    });
    let mut children = children.into_iter().flatten().peekable();
    let Some(listing) = listing else {
        let kind = |node| match node {
            Node::Directory(_) => FileType::Directory,
            Node::File(_) => FileType::RegularFile,
            Node::Symlink(_) => FileType::Symlink,
        };
        let named = |child: crate::manifest::Named<'_>| Named {
            name: Name::Known(child.index),
            kind: kind(child.node),
            known: Some(child.index),
        };
        return children.map(named).collect();
    };
    let named = |&listed| {
        let name = listing.name(listed);
        while children.next_if(|child| child.name < name).is_some() {}
        let known = children.next_if(|child| child.name == name).map(|child| child.index);
        Named { name: Name::Listed(listed), kind: listed.kind, known }
    };
    listing.names().iter().map(named).collect()
}

/// Tells whether a listed name is not to be deployed.
fn is_left_out(names: &Names<'_>, name: &[u8], is_directory: bool) -> Result<bool, Error> {
    let Names { place, scope, .. } = names;
    if scope.rules.leave_out(name, is_directory, || place.path_of(name)) {
        return Ok(true);
    }
    let below = place.below(name);
    if below.bytes > PATH_BYTES_MAX {
        return Err(unreadable(&below.path(), Errno::NAMETOOLONG));
    }
    if is_directory && below.level > LEVELS_MAX {
        return Err(Error::TooDeep { path: Shown(&below.path()).to_string(), most: LEVELS_MAX });
    }
    Ok(false)
}

/// Tells whether entries are all that was known of a directory, and as it was known.
fn is_all_of(directory: KnownDirectory<'_>, entries: &[FoundEntry]) -> bool {
    let KnownDirectory { known, number, .. } = directory;
    let before = known.manifest.children(number).filter(|named| !known.is_generated(named.index)).count();
    let is_same = |entry: &FoundEntry| matches!(entry.node, FoundNode::Same(_) | FoundNode::Directory(Branch::Same(_)));
    before == entries.len() && entries.iter().all(is_same)
}

fn scope_on<'a>(device: u64, fd: &OwnedFd, scope: Scope<'a>) -> Result<Scope<'a>, Errno> {
    if device == scope.device {
        return Ok(scope);
    }
    // The source's own is the first.
    let believes = scope.device == u64::MAX;
    Ok(Scope { device, keeps_times: disk::keeps_times(fd)?, believes, ..scope })
}

/// What vanished, or became something else, between two looks is not there; the rest is an error.
fn gone<T>(path: impl Fn() -> Vec<u8>, errno: Errno) -> Result<Option<T>, Error> {
    match errno {
        Errno::NOENT => Ok(None),
        Errno::LOOP | Errno::NOTDIR | Errno::INVAL => Err(Error::FileChanging(Shown(&path()).to_string())),
        errno => Err(unreadable(&path(), errno)),
    }
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "socket",
        FileType::Fifo => "fifo",
        _ => "device",
    }
}
