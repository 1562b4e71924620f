//! The deploy path: what stands where, and whether it is ours.
//!
//! ```text
//! <deploy path>/
//! ├── current -> releases/<id>
//! ├── releases/<id>/              hardlinks into the store
//! ├── shared/                     files that outlive releases
//! └── .cutover/                   0700
//!     ├── objects/ab/cdef…-444    see `store`
//!     ├── releases/<id>/          see `records`
//!     ├── staging/                see `staging`
//!     ├── trash/                  what is being deleted
//!     ├── bin/                    the agent
//!     ├── store                   format, identity, epoch
//!     ├── reserve                 see `reserve`
//!     ├── lock                    see `lock`
//!     ├── fence                   see `fence`
//!     └── log                     a line of JSON for each change of what is live
//! ```
//!
//! Everything inside is opened relative to a held directory and never through a symlink: the path that leads to the
//! deploy path is the user's affair, what is in it is not. `.cutover/store` tells that a deploy path is ours. A directory
//! that is missing is made by whichever verb comes first: backups into git or object storage keep no empty ones.
//!
//! All of it but `shared/` is one filesystem and one mount: files are linked and renamed between its parts. Where the
//! deploy path has the setgid bit, everything in it gets its group, as with `cp`, `tar` and `git`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::access;
use crate::disk::{self, Dir, Kind, SETGID};
use crate::error::Error;
use crate::release::ReleaseId;
use crate::report::SetupReport;
use crate::target::Policy;

use super::clock::now;
use super::json::to_json;
use super::lock::Lock;
use super::reserve;
use super::tell::Tell;
use super::token::random_name;

/// Grows when a version that does not know the new form could do harm.
pub(crate) const STORE_FORMAT: u32 = 1;

const PRIVATE: &[u8] = b".cutover";
const RELEASES: &[u8] = b"releases";
const SHARED: &[u8] = b"shared";
const STORE: &[u8] = b"store";
/// The directories in `.cutover/`.
const PRIVATE_PARTS: [&str; 5] = ["objects", "releases", "staging", "trash", "bin"];
/// Digits in the name of a directory of `objects/`.
const SHARD_DIGITS: usize = 2;
/// Anyone may read releases and shared files; what is in them has modes of its own.
const PUBLIC_MODE: u32 = 0o755;
const PRIVATE_MODE: u32 = 0o700;

/// What may stand in a deploy path before the first deploy.
const ALLOWED_BEFORE: [&[u8]; 4] = [b".cutover", b"shared", b"cache", b"lost+found"];

/// What stands in `.cutover/store`, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreFile {
    /// [`STORE_FORMAT`].
    pub(crate) format: u32,
    /// The identity of the store: random.
    pub(crate) id: String,
    /// Grows before any object is removed.
    pub(crate) epoch: u64,
    /// The greatest second of a release that was removed when none with a greater one stood: no second is given twice.
    #[serde(default)]
    pub(crate) second: u32,
    /// Where the link to the live release stands, when it is not `current` in the deploy path.
    pub(crate) current_path: Option<PathBuf>,
}

/// Where the link to the live release stands.
#[derive(Debug)]
pub(crate) struct CurrentPlace {
    /// The directory of the link.
    pub(crate) dir: Dir,
    /// Its name.
    pub(crate) name: Vec<u8>,
    /// What stands before `releases/<id>` in its target: nothing, or the deploy path and a slash.
    prefix: Vec<u8>,
}

/// A deploy path that is ours, held.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The deploy path itself.
    pub(crate) root: Dir,
    /// `releases/`.
    pub(crate) releases: Dir,
    /// `shared/`.
    pub(crate) shared: Dir,
    /// `.cutover/`.
    pub(crate) private: Dir,
    /// `.cutover/objects/`.
    pub(crate) objects: Dir,
    /// `.cutover/releases/`.
    pub(crate) records: Dir,
    /// `.cutover/staging/`.
    pub(crate) staging: Dir,
    /// `.cutover/trash/`.
    pub(crate) trash: Dir,
    /// The link to the live release.
    pub(crate) current: CurrentPlace,
    /// Identity and epoch, as they were when it was opened; under the lock, as they are.
    pub(crate) store: StoreFile,
}

impl Layout {
    /// Opens a deploy path; nothing where nothing was deployed to it yet.
    pub(crate) fn open(path: &Path, policy: &Policy) -> Result<Option<Layout>, Error> {
        let root = match Dir::open(path) {
            Ok(root) => root,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return disk::refuse_dangling(path).map(|()| None);
            }
            Err(error) => return Err(error),
        };
        check_owner(&root)?;
        match read_store(&root)? {
            Some(store) => Layout::hold(root, store, policy).map(Some),
            None if holds_releases(&root)? => Err(store_damaged(&root, "it is missing")),
            None => check_empty(&root).map(|()| None),
        }
    }

    /// Opens a deploy path, making whatever is missing. A store file that is lost or damaged is written anew, with another
    /// identity, and that is told: clients believe nothing of what they knew of the store then, and nothing else is lost.
    pub(crate) fn set_up(path: &Path, policy: &Policy, tell: &dyn Tell) -> Result<(Layout, SetupReport), Error> {
        access::check_before(path)?;
        let root = disk::create_path(path)?;
        check_owner(&root)?;
        let known = match read_store(&root) {
            Err(Error::StoreDamaged { .. }) => {
                let (private, aside) = (root.open_dir(PRIVATE)?, format!(".store-damaged-{}", random_name()?));
                private.rename(STORE, &private, aside.as_bytes())?;
                tell.warn(renewed(&root, "damaged"));
                None
            }
            Ok(None) if holds_releases(&root)? => {
                tell.warn(renewed(&root, "missing"));
                None
            }
            Ok(None) => {
                check_empty(&root)?;
                check_not_within(&root)?;
                check_current(&current_place(&root, policy.current_path.as_deref())?)?;
                None
            }
            known => known?,
        };
        let mut created = Vec::new();
        let mut ensure = |above: &Dir, shown: &str, name: &[u8], mode: u32| -> Result<Dir, Error> {
            let (dir, is_new) = above.ensure_dir(name, mode)?;
            if is_new {
                created.push(shown.to_owned());
                above.sync()?;
            }
            Ok(dir)
        };
        let private = ensure(&root, ".cutover", PRIVATE, PRIVATE_MODE)?;
        private.set_mode(PRIVATE_MODE | private.own_stat()?.mode & SETGID)?;
        for name in PRIVATE_PARTS {
            let part = ensure(&private, &format!(".cutover/{name}"), name.as_bytes(), PRIVATE_MODE)?;
            if name == "bin" {
                // A start asks for just this mode, without the bit that passes a group on.
                part.set_mode(PRIVATE_MODE)?;
            }
        }
        ensure(&root, "releases", RELEASES, PUBLIC_MODE)?;
        let shared = ensure(&root, "shared", SHARED, PUBLIC_MODE)?;
        for wanted in &policy.shared_dirs {
            let mut shown = PathBuf::from("shared");
            let mut above = shared.again()?;
            for name in wanted.names() {
                shown.push(OsStr::from_bytes(name));
                if above.stat(name)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
                    // It leads to data elsewhere, where nothing is made.
                    root.open_through(shown.as_os_str().as_bytes())?;
                    break;
                }
                above = ensure(&above, &shown.display().to_string(), name, PUBLIC_MODE)?;
            }
        }
        let store = match known {
            Some(store) => store,
            None => new_store(&root, &private, policy)?,
        };
        let (deploy_path, id) = (root.path().display().to_string(), store.id.clone());
        let report = SetupReport { deploy_path, store: id, created, warnings: Vec::new() };
        let layout = Layout::hold(root, store, policy)?;
        layout.pass_group_on()?;
        Ok((layout, report))
    }

    fn hold(root: Dir, store: StoreFile, policy: &Policy) -> Result<Layout, Error> {
        let private = open_part(&root, PRIVATE, PRIVATE_MODE)?;
        let current = current_place(&root, choose_current(&root, &store, policy)?.as_deref())?;
        Ok(Layout {
            releases: open_part(&root, RELEASES, PUBLIC_MODE)?,
            // It may be a mount of its own: it is only linked to.
            shared: root.ensure_dir(SHARED, PUBLIC_MODE)?.0,
            objects: open_part(&private, b"objects", PRIVATE_MODE)?,
            records: open_part(&private, b"releases", PRIVATE_MODE)?,
            staging: open_part(&private, b"staging", PRIVATE_MODE)?,
            trash: open_part(&private, b"trash", PRIVATE_MODE)?,
            current,
            private,
            root,
            store,
        })
    }

    /// Gives the group of a deploy path that passes its own on to the directories in it, also where they were made before it
    /// did. What cannot be changed stays as it is: files are made all the same.
    fn pass_group_on(&self) -> Result<(), Error> {
        let root = self.root.own_stat()?;
        if root.mode & SETGID == 0 {
            return Ok(());
        }
        let lacks_it = |dir: &Dir| Ok::<_, Error>(!dir.own_stat()?.passes_on(root.gid));
        if lacks_it(&self.objects)? {
            for name in self.objects.names()?.iter().filter(|name| name.len() == SHARD_DIGITS) {
                self.objects.open_dir(name)?.set_group_to_pass_on(root.gid);
            }
        }
        for dir in [&self.private, &self.releases, &self.objects, &self.records, &self.staging, &self.trash] {
            if lacks_it(dir)? {
                dir.set_group_to_pass_on(root.gid);
            }
        }
        Ok(())
    }

    /// Reads the store file again, as another run may have changed it before this one got the lock, and writes down
    /// where the link stands where that is new. To be called as soon as the lock is held.
    pub(crate) fn refresh(&mut self, _lock: &Lock, policy: &Policy) -> Result<(), Error> {
        self.store = self.read_own_store()?;
        let current_path = choose_current(&self.root, &self.store, policy)?;
        self.current = current_place(&self.root, current_path.as_deref())?;
        if self.store.current_path != current_path {
            self.store.current_path = current_path;
            self.write_store()?;
        }
        Ok(())
    }

    /// Tells whether [`Layout::refresh`] would write down another place of the link.
    pub(crate) fn moves_current(&self, policy: &Policy) -> Result<bool, Error> {
        Ok(choose_current(&self.root, &self.store, policy)? != self.store.current_path)
    }

    /// Grows the epoch, durably: before any object is removed.
    pub(crate) fn grow_epoch(&mut self, _lock: &Lock) -> Result<(), Error> {
        self.store = self.read_own_store()?;
        self.store.epoch += 1;
        self.write_store()
    }

    /// Remembers a second that was given, durably: before the release that says so is removed.
    pub(crate) fn keep_second(&mut self, _lock: &Lock, second: u32) -> Result<(), Error> {
        self.store = self.read_own_store()?;
        self.store.second = self.store.second.max(second);
        self.write_store()
    }

    fn read_own_store(&self) -> Result<StoreFile, Error> {
        read_store(&self.root)?.ok_or_else(|| store_damaged(&self.root, "it is missing"))
    }

    /// Writes the store file. A cleanup writes it before it removes objects.
    fn write_store(&self) -> Result<(), Error> {
        reserve::with(&self.private, || self.private.replace(STORE, to_json(&self.store).as_bytes()))
    }

    /// Returns the directories in `releases/`, by name.
    pub(crate) fn release_names(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.releases.names()
    }

    /// Tells whether its filesystem keeps whole seconds alone, as ext4 does with inodes of 128 bytes.
    pub(crate) fn keeps_whole_seconds(&self) -> Result<bool, Error> {
        self.staging.keeps_whole_seconds()
    }

    /// Tells that there is no content, neither of releases nor of a deploy that was cut off.
    pub(crate) fn stores_nothing(&self) -> Result<bool, Error> {
        Ok(self.objects.names()?.is_empty() && self.staging.names()?.is_empty())
    }
}

impl CurrentPlace {
    /// Returns the release that the link points at; nothing where there is no link.
    pub(crate) fn live(&self) -> Result<Option<ReleaseId>, Error> {
        check_current(self)?;
        let Some(target) = self.dir.read_link(&self.name)? else {
            return Ok(None);
        };
        self.release_at(&target).map(Some).ok_or_else(|| Error::CurrentForeign {
            path: self.path().display().to_string(),
            target: crate::path::Shown(&target).to_string(),
        })
    }

    /// Reads a link's target as that of a release, also where somebody has spelled it otherwise than this program does:
    /// absolute, or with `.` in it.
    fn release_at(&self, target: &[u8]) -> Option<ReleaseId> {
        let target = Path::new(OsStr::from_bytes(target));
        let id = target.file_name()?.to_str()?.parse().ok()?;
        let own = [self.prefix.as_slice(), b"releases"].concat();
        let (own, holder) = (Path::new(OsStr::from_bytes(&own)), target.parent()?);
        let real = |path: &Path| std::fs::canonicalize(self.dir.path().join(path)).ok();
        (holder == own || real(holder).is_some_and(|holder| real(own) == Some(holder))).then_some(id)
    }

    /// Returns the target of a link to a release.
    pub(crate) fn target(&self, id: &ReleaseId) -> Vec<u8> {
        [self.prefix.as_slice(), b"releases/", id.as_str().as_bytes()].concat()
    }

    /// Returns the path of the link, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path_of(&self.name)
    }
}

fn check_current(current: &CurrentPlace) -> Result<(), Error> {
    match current.dir.stat(&current.name)? {
        Some(stat) if stat.kind != Kind::Symlink => Err(Error::CurrentNotSymlink(current.path().display().to_string())),
        _ => Ok(()),
    }
}

/// Decides where the link stands: where the configuration says, or, where it says nothing, where it stood. While the old
/// link leads to a release here, another place is refused: retention would not see the release that it leads to.
fn choose_current(root: &Dir, store: &StoreFile, policy: &Policy) -> Result<Option<PathBuf>, Error> {
    let known = store.current_path.as_deref();
    let Some(wanted) = policy.current_path.as_deref().filter(|&wanted| Some(wanted) != known) else {
        return Ok(store.current_path.clone());
    };
    let place = match current_place(root, known) {
        Ok(place) => place,
        // Not even the directory of the old link is there.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Some(wanted.to_owned()));
        }
        Err(error) => return Err(error),
    };
    match place.live() {
        Ok(Some(_)) => Err(Error::CurrentElsewhere { known: place.path(), wanted: wanted.to_owned() }),
        Ok(None) | Err(Error::CurrentForeign { .. } | Error::CurrentNotSymlink(_)) => Ok(Some(wanted.to_owned())),
        Err(error) => Err(error),
    }
}

fn current_place(root: &Dir, current_path: Option<&Path>) -> Result<CurrentPlace, Error> {
    let Some(path) = current_path else {
        let dir = root.again()?;
        return Ok(CurrentPlace { dir, name: b"current".to_vec(), prefix: Vec::new() });
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::Usage(format!("`current_path` cannot be `{}`", path.display())));
    };
    let dir = Dir::open(parent)?;
    let real = std::fs::canonicalize(root.path()).map_err(|e| Error::io("resolve", root.path(), e))?;
    let prefix = [real.as_os_str().as_bytes(), b"/"].concat();
    Ok(CurrentPlace { dir, name: name.as_bytes().to_vec(), prefix })
}

/// Refuses a deploy path that others than this user and root could change, and a `.cutover` of another user.
fn check_owner(root: &Dir) -> Result<(), Error> {
    access::check(root)?;
    // A symlink is refused where it would be opened.
    if let Some(stat) = root.stat(RELEASES)?.filter(|stat| stat.kind == Kind::Directory) {
        access::check_inner(&root.path_of(RELEASES), &stat)?;
    }
    let Some(stat) = root.stat(PRIVATE)? else { return Ok(()) };
    if stat.kind == Kind::Symlink {
        return Err(Error::SymlinkInside(root.path_of(PRIVATE).display().to_string()));
    }
    access::check_private(&root.path_of(PRIVATE), &stat)
}

/// Refuses a deploy path within another one, which would take it for a thing of its own or of nobody.
fn check_not_within(root: &Dir) -> Result<(), Error> {
    let real = std::fs::canonicalize(root.path()).map_err(|e| Error::io("resolve", root.path(), e))?;
    let store = Path::new(OsStr::from_bytes(PRIVATE)).join(OsStr::from_bytes(STORE));
    match real.ancestors().skip(1).find(|above| above.join(&store).exists()) {
        None => Ok(()),
        Some(above) => {
            let [path, outer] = [real.as_path(), above].map(|path| path.display().to_string());
            Err(Error::WithinAnother { path, outer })
        }
    }
}

fn check_empty(root: &Dir) -> Result<(), Error> {
    // A real directory in the place of the link deserves its own advice.
    if root.stat(b"current")?.is_some_and(|stat| stat.kind != Kind::Symlink) {
        return Err(Error::CurrentNotSymlink(root.path_of(b"current").display().to_string()));
    }
    // A setup that was cut short left no store file, and nothing but empty directories.
    let is_cut_short = root.stat(PRIVATE)?.is_some();
    for name in root.names()? {
        if ALLOWED_BEFORE.contains(&name.as_slice()) {
            continue;
        }
        if is_cut_short && name == b"releases" && root.open_dir(&name)?.names()?.is_empty() {
            continue;
        }
        let path = root.path().display().to_string();
        return Err(Error::NotOurs { path, found: crate::path::Shown(&name).to_string() });
    }
    Ok(())
}

/// Opens a part of the deploy path, making it where it is missing. It must be where files can be linked and renamed to from
/// the others.
fn open_part(above: &Dir, name: &[u8], mode: u32) -> Result<Dir, Error> {
    let elsewhere = |path: String| Error::OtherFilesystem { path, deploy_path: above.path().display().to_string() };
    let dir = match above.open_own_dir(name) {
        Err(Error::MountedInside(path)) => return Err(elsewhere(path)),
        // Where mounts cannot be told apart, filesystems can.
        Err(Error::MountsUnknown(_)) => above.open_dir(name)?,
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            above.ensure_dir(name, mode)?.0
        }
        other => other?,
    };
    if dir.own_stat()?.device == above.own_stat()?.device {
        Ok(dir)
    } else {
        Err(elsewhere(dir.path().display().to_string()))
    }
}

/// Tells whether releases or their content stand in a deploy path, whatever became of its store file.
fn holds_releases(root: &Dir) -> Result<bool, Error> {
    if root.stat(PRIVATE)?.is_none() {
        return Ok(false);
    }
    let private = root.open_dir(PRIVATE)?;
    for name in ["objects", "releases"] {
        if private.stat(name.as_bytes())?.is_some() && !private.open_dir(name.as_bytes())?.names()?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn new_store(root: &Dir, private: &Dir, policy: &Policy) -> Result<StoreFile, Error> {
    let (id, current_path) = (random_name()?, policy.current_path.clone());
    // The seconds of releases that are gone are not known any more where there was a store file before: none was given
    // that is later than now, unless releases came faster than one a second.
    let second = if holds_releases(root)? { now() as u32 } else { 0 };
    let store = StoreFile { format: STORE_FORMAT, id, epoch: 0, second, current_path };
    let temporary = format!(".store-{}", store.id);
    // Two first deploys may come here at once: there is one identity, that of whoever was first.
    match private.put_new(STORE, to_json(&store).as_bytes(), temporary.as_bytes())? {
        true => Ok(store),
        false => Ok(read_store(root)?.unwrap_or(store)),
    }
}

fn read_store(root: &Dir) -> Result<Option<StoreFile>, Error> {
    if root.stat(PRIVATE)?.is_none() {
        return Ok(None);
    }
    let Some(bytes) = open_part(root, PRIVATE, PRIVATE_MODE)?.read(STORE)? else {
        return Ok(None);
    };
    store_from_bytes(&bytes).map(Some).map_err(|bad| match bad {
        BadStore::Format(found) => Error::StoreFormat { found, known: STORE_FORMAT },
        BadStore::Damaged(reason) => store_damaged(root, &reason),
    })
}

/// Why a store file is not read.
#[derive(Debug, PartialEq, Eq)]
enum BadStore {
    Format(u64),
    Damaged(String),
}

/// Reads a store file. The format comes first: one of another format may have other fields.
fn store_from_bytes(bytes: &[u8]) -> Result<StoreFile, BadStore> {
    #[derive(Deserialize)]
    struct Front {
        format: u64,
    }
    let damaged = |error: serde_json::Error| BadStore::Damaged(error.to_string());
    match serde_json::from_slice(bytes).map_err(damaged)? {
        Front { format } if format != u64::from(STORE_FORMAT) => Err(BadStore::Format(format)),
        Front { .. } => serde_json::from_slice(bytes).map_err(damaged),
    }
}

fn store_damaged(root: &Dir, reason: &str) -> Error {
    let path = root.path_of(PRIVATE).join(OsStr::from_bytes(STORE)).display().to_string();
    Error::StoreDamaged { path, reason: reason.to_owned() }
}

fn renewed(root: &Dir, what: &str) -> String {
    let path = root.path_of(PRIVATE).join(OsStr::from_bytes(STORE));
    format!(
        "`{}` was {what}, and was written anew: each client's next deploy sends more than usual, once",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::agent::tell::Silent;

    fn open(path: &Path, policy: &Policy) -> Layout {
        Layout::open(path, policy).unwrap().unwrap()
    }

    #[test]
    fn what_another_run_wrote_before_the_lock_was_taken_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/target");
        let plain = Policy::default();
        let (mut one, _) = Layout::set_up(&path, &plain, &Silent).unwrap();
        let moved = Policy { current_path: Some(place.path().join("www")), ..Policy::default() };
        let mut other = open(&path, &moved);
        let lock = Lock::for_test(&one.private);
        one.grow_epoch(&lock).unwrap();
        assert!(other.moves_current(&moved).unwrap());
        other.refresh(&lock, &moved).unwrap();
        assert_eq!((other.store.epoch, &other.store.current_path), (1, &moved.current_path));
        one.grow_epoch(&lock).unwrap();
        let now = open(&path, &plain);
        assert_eq!((now.store.epoch, &now.store.current_path), (2, &moved.current_path));
        assert_eq!(now.current.path(), place.path().join("www"));
    }
}
