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
//!     ├── lock                    see `lock`
//!     └── log                     a line of JSON for each change of what is live
//! ```
//!
//! Everything inside is opened relative to a held directory and never through a symlink: the path that leads to the
//! deploy path is the user's affair, what is in it is not. `.cutover/store` tells that a deploy path is ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::access;
use crate::disk::{self, Dir, Kind};
use crate::error::Error;
use crate::release::ReleaseId;
use crate::report::SetupReport;
use crate::target::Policy;

/// Grows when a version that does not know the new form could do harm.
pub(crate) const STORE_FORMAT: u32 = 1;

const PRIVATE: &[u8] = b".cutover";
const RELEASES: &[u8] = b"releases";
const STORE: &[u8] = b"store";
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
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        check_owner(&root)?;
        let Some(store) = read_store(&root)? else {
            check_empty(&root)?;
            return Ok(None);
        };
        Layout::hold(root, store, policy).map(Some)
    }

    /// Opens a deploy path, making whatever is missing.
    pub(crate) fn set_up(path: &Path, policy: &Policy) -> Result<(Layout, SetupReport), Error> {
        access::check_before(path)?;
        let root = disk::create_path(path)?;
        check_owner(&root)?;
        if read_store(&root)?.is_none() {
            check_empty(&root)?;
            check_current(&current_place(&root, policy.current_path.as_deref())?)?;
        }
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
        private.set_mode(PRIVATE_MODE)?;
        for name in ["objects", "releases", "staging", "trash", "bin"] {
            ensure(&private, &format!(".cutover/{name}"), name.as_bytes(), PRIVATE_MODE)?;
        }
        ensure(&root, "releases", b"releases", PUBLIC_MODE)?;
        let mut shared = ensure(&root, "shared", b"shared", PUBLIC_MODE)?;
        for wanted in &policy.shared_dirs {
            let mut shown = PathBuf::from("shared");
            let mut above = shared;
            for name in wanted.names() {
                shown.push(OsStr::from_bytes(name));
                above = ensure(&above, &shown.display().to_string(), name, PUBLIC_MODE)?;
            }
            shared = root.open_dir(b"shared")?;
        }
        let store = match read_store(&root)? {
            Some(store) => store,
            None => {
                let current_path = policy.current_path.clone();
                let store = StoreFile { format: STORE_FORMAT, id: random_name()?, epoch: 0, second: 0, current_path };
                let temporary = format!(".store-{}", store.id);
                // Two first deploys may come here at once: there is one identity, that of whoever was first.
                match private.put_new(STORE, to_json(&store).as_bytes(), temporary.as_bytes())? {
                    true => store,
                    false => read_store(&root)?.unwrap_or(store),
                }
            }
        };
        let report = SetupReport { deploy_path: root.path().display().to_string(), store: store.id.clone(), created };
        Ok((Layout::hold(root, store, policy)?, report))
    }

    fn hold(root: Dir, store: StoreFile, policy: &Policy) -> Result<Layout, Error> {
        check_format(&store)?;
        let private = root.open_dir(PRIVATE)?;
        let current = current_place(&root, choose_current(&root, &store, policy)?.as_deref())?;
        Ok(Layout {
            releases: root.open_dir(b"releases")?,
            shared: root.open_dir(b"shared")?,
            objects: private.open_dir(b"objects")?,
            records: private.open_dir(b"releases")?,
            staging: private.open_dir(b"staging")?,
            trash: private.open_dir(b"trash")?,
            current,
            private,
            root,
            store,
        })
    }

    /// Reads the store file again, as another run may have changed it before this one got the lock, and writes down
    /// where the link stands where that is new. To be called as soon as the lock is held.
    pub(crate) fn refresh(&mut self, policy: &Policy) -> Result<(), Error> {
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

    /// Grows the epoch, durably: before any object is removed. To be called under the lock.
    pub(crate) fn grow_epoch(&mut self) -> Result<(), Error> {
        self.store = self.read_own_store()?;
        self.store.epoch += 1;
        self.write_store()
    }

    /// Remembers a second that was given, durably: before the release that says so is removed. To be called under the
    /// lock.
    pub(crate) fn keep_second(&mut self, second: u32) -> Result<(), Error> {
        self.store = self.read_own_store()?;
        self.store.second = self.store.second.max(second);
        self.write_store()
    }

    fn read_own_store(&self) -> Result<StoreFile, Error> {
        let gone = || Error::NotSetUp(self.root.path().display().to_string());
        let store = read_store(&self.root)?.ok_or_else(gone)?;
        check_format(&store)?;
        Ok(store)
    }

    fn write_store(&self) -> Result<(), Error> {
        self.private.replace(STORE, to_json(&self.store).as_bytes())
    }

    /// Returns the directories in `releases/`, by name.
    pub(crate) fn release_names(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.releases.names()
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
        Err(Error::Io { .. }) => return Ok(Some(wanted.to_owned())),
        Err(error) => return Err(error),
    };
    match place.live() {
        Ok(Some(_)) => Err(Error::CurrentElsewhere { known: place.path(), wanted: wanted.to_owned() }),
        _ => Ok(Some(wanted.to_owned())),
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
    if let Some(stat) = root.stat(RELEASES)? {
        access::check_inner(&root.path_of(RELEASES), &stat)?;
    }
    let Some(stat) = root.stat(PRIVATE)? else { return Ok(()) };
    if stat.kind == Kind::Symlink {
        return Err(Error::SymlinkInside(root.path_of(PRIVATE).display().to_string()));
    }
    access::check_private(&root.path_of(PRIVATE), &stat)
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

fn read_store(root: &Dir) -> Result<Option<StoreFile>, Error> {
    if root.stat(PRIVATE)?.is_none() {
        return Ok(None);
    }
    let private = root.open_dir(PRIVATE)?;
    let Some(bytes) = private.read(STORE)? else {
        return Ok(None);
    };
    let damaged = |error: serde_json::Error| Error::Damaged {
        path: private.path_of(STORE).display().to_string(),
        reason: error.to_string(),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn check_format(store: &StoreFile) -> Result<(), Error> {
    match store.format {
        STORE_FORMAT => Ok(()),
        found => Err(Error::StoreFormat { found, known: STORE_FORMAT }),
    }
}

/// Returns a value of ours as a line of JSON.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("our own values can always be serialized");
    text.push('\n');
    text
}

/// Returns 32 random hexadecimal digits.
pub(crate) fn random_name() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Error::io("read random bytes from", "/dev/urandom", e))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, policy: &Policy) -> Layout {
        Layout::open(path, policy).unwrap().unwrap()
    }

    #[test]
    fn what_another_run_wrote_before_the_lock_was_taken_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/target");
        let plain = Policy::default();
        let (mut one, _) = Layout::set_up(&path, &plain).unwrap();
        let moved = Policy { current_path: Some(place.path().join("www")), ..Policy::default() };
        let mut other = open(&path, &moved);
        one.grow_epoch().unwrap();
        assert!(other.moves_current(&moved).unwrap());
        other.refresh(&moved).unwrap();
        assert_eq!((other.store.epoch, &other.store.current_path), (1, &moved.current_path));
        one.grow_epoch().unwrap();
        let now = open(&path, &plain);
        assert_eq!((now.store.epoch, &now.store.current_path), (2, &moved.current_path));
        assert_eq!(now.current.path(), place.path().join("www"));
    }
}
