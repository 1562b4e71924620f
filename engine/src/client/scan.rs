//! Walks the source and makes its manifest.
//!
//! Directories are walked in parallel, each relative to its own descriptor. A file whose inode, size, mtime, ctime and
//! mode are as in the last scan is not read again, unless that scan was too close to its last change: a file that is
//! written twice within one tick of the filesystem's clock looks the same both times (git calls such entries racy).
//!
//! What cannot be deployed is refused by name: sockets, fifos, devices, what cannot be read, what will not hold still.
//! A name that vanishes while the walk is on its way was removed, and is not there.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::client::commit::commit_of;
use crate::client::content::{self, FileStat};
use crate::client::rules::{IGNORE_FILE, Rules};
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::hash::Hash;
use crate::manifest::{
    Builder, DIRECTORY_MODE_ALWAYS, DIRECTORY_MODE_MASK, FILE_MODE_MASK, File as ManifestFile, LEVELS_MAX, Manifest,
    Node, ObjectKey,
};
use crate::path::{Shown, push_name};

/// The name of the entry that carries the commit of a git checkout.
const REVISION: &[u8] = b"REVISION";

/// An entry changed less than this before a scan is not trusted by the next. Two seconds cover the coarsest clocks in
/// use (FAT, some network filesystems) and a server's clock that is a little off.
const RACY_NANOS: i64 = 2_000_000_000;

/// Paths longer than this cannot be opened by a program that knows them whole (`PATH_MAX`, less room for a prefix).
const PATH_BYTES_MAX: usize = 3840;

/// How often progress is told at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// What is asked of a scan.
pub(crate) struct ScanRequest<'a> {
    /// The directory.
    pub(crate) source: &'a Path,
    /// Patterns that leave paths out.
    pub(crate) exclude: &'a [String],
    /// The last scan of the same directory.
    pub(crate) known: Option<&'a Known>,
    /// A directory, as device and inode, that must not be in the source: the local target.
    pub(crate) forbidden: Option<(u64, u64)>,
    /// Receives progress.
    pub(crate) observer: &'a dyn Observer,
    /// Interrupts.
    pub(crate) cancel: &'a Cancel,
}

/// What a scan remembers for the next one.
#[derive(Debug)]
pub(crate) struct Known {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// The stat of each entry that is a file of the source.
    pub(crate) stats: Vec<FileStat>,
    /// When that scan began, in nanoseconds since 1970.
    pub(crate) began: i64,
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The manifest, and the stat of each file.
    pub(crate) found: Known,
    /// The source, held.
    pub(crate) source: OwnedFd,
    /// The entry whose content is not in the source, with its content.
    pub(crate) generated: Option<(u32, Vec<u8>)>,
    /// The commit of the source.
    pub(crate) commit: Option<String>,
    /// Files that were read and hashed.
    pub(crate) hashed_files: u64,
    /// Paths whose setuid, setgid or sticky bits were dropped, shown with escapes.
    pub(crate) dropped_bits: Vec<String>,
}

/// Scans a source.
pub(crate) fn scan(request: &ScanRequest<'_>) -> Result<Scan, Error> {
    let source = open_source(request.source)?;
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i64);
    let walk = Walk {
        request,
        files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        hashed_files: AtomicU64::new(0),
        told: Mutex::new(Instant::now()),
        dropped_bits: Mutex::default(),
    };
    let rules = Rules::new(request.exclude)?;
    let mode = fs::fstat(&source).map_err(|e| unreadable(b".", e))?.st_mode;
    let known = request.known.map(|_| 0);
    let root = walk.directory(source.as_fd(), &[], mode, known, &rules)?;
    let commit = commit_of(request.source);
    let (manifest, stats, generated) = flatten(root, commit.as_deref())?;
    walk.tell(true);
    let mut dropped_bits = walk.dropped_bits.into_inner().expect("no walker panics");
    dropped_bits.sort_unstable();
    Ok(Scan {
        found: Known { manifest, stats, began },
        source,
        generated,
        commit,
        hashed_files: walk.hashed_files.into_inner(),
        dropped_bits,
    })
}

fn open_source(path: &Path) -> Result<OwnedFd, Error> {
    match fs::open(path, OPEN_DIRECTORY, Mode::empty()) {
        Ok(source) => Ok(source),
        Err(Errno::NOENT) => Err(Error::SourceMissing(path.to_owned())),
        Err(Errno::NOTDIR) => Err(Error::SourceNotDirectory(path.to_owned())),
        Err(errno) => Err(unreadable(path.as_os_str().as_bytes(), errno)),
    }
}

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn unreadable(path: &[u8], errno: Errno) -> Error {
    Error::SourceUnreadable { path: Shown(path).to_string(), source: errno.into() }
}

/// A directory of the source as it was found.
struct Found {
    mode: u16,
    entries: Vec<FoundEntry>,
}

struct FoundEntry {
    name: Vec<u8>,
    node: FoundNode,
}

enum FoundNode {
    File(ManifestFile, FileStat),
    Symlink(Vec<u8>),
    Directory(Found),
}

struct Walk<'a> {
    request: &'a ScanRequest<'a>,
    files: AtomicU64,
    bytes: AtomicU64,
    hashed_files: AtomicU64,
    told: Mutex<Instant>,
    dropped_bits: Mutex<Vec<String>>,
}

/// One name of a directory, looked at.
struct Looked {
    name: Vec<u8>,
    path: Vec<u8>,
    stat: fs::Stat,
}

impl Walk<'_> {
    fn directory(
        &self,
        fd: impl AsFd + Sync,
        path: &[u8],
        mode: u32,
        known: Option<u32>,
        rules: &Rules,
    ) -> Result<Found, Error> {
        self.request.cancel.check()?;
        let names = list(&fd).map_err(|errno| unreadable(path, errno))?;
        let own_rules = match names.iter().any(|name| name == IGNORE_FILE) {
            true => {
                let file = content::open(&fd, OsStr::from_bytes(IGNORE_FILE))
                    .map_err(|errno| unreadable(IGNORE_FILE, errno))?;
                Some(rules.enter(path, file)?)
            }
            false => None,
        };
        let rules = own_rules.as_ref().unwrap_or(rules);
        let mut looked = Vec::with_capacity(names.len());
        for name in names {
            looked.extend(self.look(&fd, path, name, rules)?);
        }
        // Directories go to other threads; so do files, once there is work enough in them to be worth it.
        let entries: Result<Vec<_>, Error> = match looked.len() {
            0..=1 => looked.into_iter().map(|looked| self.entry(&fd, looked, known, rules)).collect(),
            _ => looked.into_par_iter().with_min_len(4).map(|looked| self.entry(&fd, looked, known, rules)).collect(),
        };
        self.tell(false);
        let mode = (mode & DIRECTORY_MODE_MASK | DIRECTORY_MODE_ALWAYS) as u16;
        Ok(Found { mode, entries: entries?.into_iter().flatten().collect() })
    }

    fn look(&self, fd: impl AsFd, above: &[u8], name: Vec<u8>, rules: &Rules) -> Result<Option<Looked>, Error> {
        let mut path = above.to_vec();
        push_name(&mut path, &name);
        let stat = match fs::statat(&fd, OsStr::from_bytes(&name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(unreadable(&path, errno)),
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if rules.leave_out(&path, &name, is_directory) {
            return Ok(None);
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(unreadable(&path, Errno::NAMETOOLONG));
        }
        if is_directory && path.iter().filter(|&&byte| byte == b'/').count() >= usize::from(LEVELS_MAX) {
            return Err(Error::TooDeep { path: Shown(&path).to_string(), most: LEVELS_MAX });
        }
        if is_directory && self.request.forbidden == Some((stat.st_dev, stat.st_ino)) {
            let target = self.request.source.join(OsStr::from_bytes(&path));
            return Err(Error::Overlapping { source_path: self.request.source.to_owned(), target });
        }
        Ok(Some(Looked { name, path, stat }))
    }

    fn entry(
        &self,
        fd: impl AsFd,
        looked: Looked,
        known: Option<u32>,
        rules: &Rules,
    ) -> Result<Option<FoundEntry>, Error> {
        let os_name = OsStr::from_bytes(&looked.name);
        let found = match FileType::from_raw_mode(looked.stat.st_mode) {
            FileType::RegularFile => self.file(&fd, &looked, known),
            FileType::Directory => self.subdirectory(&fd, &looked, known, rules),
            FileType::Symlink => fs::readlinkat(&fd, os_name, Vec::new())
                .map(|target| Some(FoundNode::Symlink(target.into_bytes())))
                .or_else(|errno| gone(&looked.path, errno)),
            other => Err(Error::SpecialFile { path: Shown(&looked.path).to_string(), kind: kind_name(other) }),
        };
        Ok(found?.map(|node| FoundEntry { name: looked.name, node }))
    }

    fn subdirectory(
        &self,
        fd: impl AsFd,
        looked: &Looked,
        known: Option<u32>,
        rules: &Rules,
    ) -> Result<Option<FoundNode>, Error> {
        let known = known.and_then(|known| match self.request.known?.manifest.child(known, &looked.name)?.node {
            Node::Directory(number) => Some(number),
            _ => None,
        });
        match fs::openat(&fd, OsStr::from_bytes(&looked.name), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(child) => self
                .directory(child, &looked.path, looked.stat.st_mode, known, rules)
                .map(|found| Some(FoundNode::Directory(found))),
            Err(errno) => gone(&looked.path, errno),
        }
    }

    fn file(&self, fd: impl AsFd, looked: &Looked, known: Option<u32>) -> Result<Option<FoundNode>, Error> {
        let mut stat = FileStat::from(looked.stat);
        let hash = match known.and_then(|known| self.known_hash(known, &looked.name, &stat)) {
            Some(hash) => hash,
            None => match content::open(&fd, OsStr::from_bytes(&looked.name)) {
                Ok(file) => {
                    let content = self.hash(file, stat, &looked.path)?;
                    stat = content.stat;
                    content.hash
                }
                Err(errno) => return gone(&looked.path, errno),
            },
        };
        if stat.mode & 0o7000 != 0 {
            self.dropped_bits.lock().expect("no walker panics").push(Shown(&looked.path).to_string());
        }
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(stat.size, Ordering::Relaxed);
        let key = ObjectKey { hash, mode: (stat.mode & FILE_MODE_MASK) as u16 };
        Ok(Some(FoundNode::File(ManifestFile { key, size: stat.size }, stat)))
    }

    fn known_hash(&self, directory: u32, name: &[u8], stat: &FileStat) -> Option<Hash> {
        let known = self.request.known?;
        let named = known.manifest.child(directory, name)?;
        let Node::File(file) = named.node else { return None };
        let is_racy = stat.mtime.max(stat.ctime) >= known.began - RACY_NANOS;
        (known.stats[named.index as usize] == *stat && !is_racy).then_some(file.key.hash)
    }

    fn hash(&self, mut file: File, seen: FileStat, path: &[u8]) -> Result<content::Content, Error> {
        thread_local! {
            static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let cancel = self.request.cancel;
        let content = BUFFER.with_borrow_mut(|buffer| content::hash(&mut file, seen, path, buffer, cancel))?;
        self.hashed_files.fetch_add(1, Ordering::Relaxed);
        Ok(content)
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

/// What vanished, or became something else, between two looks is not there; the rest is an error.
fn gone<T>(path: &[u8], errno: Errno) -> Result<Option<T>, Error> {
    match errno {
        Errno::NOENT => Ok(None),
        Errno::LOOP | Errno::NOTDIR | Errno::INVAL => Err(Error::FileChanging(Shown(path).to_string())),
        errno => Err(unreadable(path, errno)),
    }
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "socket",
        FileType::Fifo => "fifo",
        _ => "device",
    }
}

fn list(fd: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

type Flattened = (Manifest, Vec<FileStat>, Option<(u32, Vec<u8>)>);

/// Lays the found tree out breadth first, and adds the entry with the commit.
fn flatten(mut root: Found, commit: Option<&str>) -> Result<Flattened, Error> {
    let revision = commit.map(|commit| format!("{commit}\n").into_bytes());
    let generated = revision.and_then(|content| add_revision(&mut root, content));
    let bad = |reason| Error::Bug(format!("a scanned tree {reason}"));
    let mut builder = Builder::new();
    let mut stats = Vec::new();
    let mut queue = std::collections::VecDeque::from([root]);
    while let Some(directory) = queue.pop_front() {
        builder.begin(directory.mode).map_err(bad)?;
        for FoundEntry { name, node } in directory.entries {
            let mut entry_stat = FileStat::default();
            match node {
                FoundNode::File(file, stat) => {
                    entry_stat = stat;
                    builder.file(&name, file)
                }
                FoundNode::Symlink(target) => builder.symlink(&name, &target),
                FoundNode::Directory(found) => {
                    queue.push_back(found);
                    builder.directory(&name)
                }
            }
            .map_err(bad)?;
            stats.push(entry_stat);
        }
    }
    let manifest = builder.finish().map_err(bad)?;
    let generated = generated.and_then(|content| Some((manifest.child(0, REVISION)?.index, content)));
    Ok((manifest, stats, generated))
}

/// A `REVISION` of the source's own is kept as it is.
fn add_revision(root: &mut Found, content: Vec<u8>) -> Option<Vec<u8>> {
    let at = root.entries.binary_search_by(|entry| entry.name.as_slice().cmp(REVISION)).err()?;
    let key = ObjectKey { hash: Hash::of(&content), mode: 0o444 };
    let file = ManifestFile { key, size: content.len() as u64 };
    let node = FoundNode::File(file, FileStat::default());
    root.entries.insert(at, FoundEntry { name: REVISION.to_vec(), node });
    Some(content)
}
