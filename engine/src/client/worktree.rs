//! A commit as a source: a working directory of its own, which stays between deploys.
//!
//! ```text
//! worktrees/                in the state directory
//!   <hash>.lock             held from the checkout until the deploy ends, by git too
//!   <hash>/                 one for each repository and source in it; the hash is that of their paths
//!     origin                the path of the repository
//!     git/                  a private repository: config, HEAD, index; its objects are those of the user's repository
//!     modules/<hash>/       the same for each submodule
//!     tree/                 the files of the commit, as git checks them out
//! ```
//!
//! Git writes only files that differ between the last commit and this one, so the scan reads only those. It compares
//! every file with its index, and removes whatever it does not know. It knows no modes but the execute bit: Cutover sets
//! them (`modes`). So an edit of the tree never gets into a release. If git fails, all but the lock is removed and made
//! anew. A run that was killed leaves nothing else behind: the lock is also open in the git that it started, and names the
//! hook that it ran (`tree_lock`), so no two of them ever write.
//!
//! Nothing is written into the user's repository. Nothing in it is run: the private repository takes over no setting
//! that names a program (`private_config`). Cutover fetches nothing either, but a partial clone lets git fetch the
//! content that it lacks.

mod modes;
mod near_name;
mod private_config;
mod private_repository;
mod repository;
mod submodules;

use std::path::{Path, PathBuf};

use crate::cancel::Cancel;
use crate::client::commit::{branch, branch_name};
use crate::client::git::NoAnswer;
use crate::client::tree_lock::TreeLock;
use crate::disk::{self, Dir};
use crate::error::{Error, SourceError};
use crate::event::{Event, Observer};
use crate::hash::Hash;
use crate::path::Shown;

use private_repository::{Order, PrivateRepository};
use repository::Repository;

/// The names in the directory of a worktree.
const ORIGIN: &[u8] = b"origin";
const GIT: &[u8] = b"git";
const TREE: &[u8] = b"tree";

/// A commit that a user named.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    repository: Repository,
    /// The path of the source in the repository.
    path: PathBuf,
    /// The commit.
    commit: String,
    /// Its branch, as in [`Worktree`].
    branch: Option<String>,
}

/// See the module's description. While its lock is held, no other deploy changes it.
#[derive(Debug)]
pub(crate) struct Worktree {
    /// The files, absolute and without symlinks.
    tree: PathBuf,
    /// The directory of the user's checkout that the files are those of. None for a bare repository.
    top: Option<PathBuf>,
    /// The path of the source in both.
    path: PathBuf,
    /// The commit.
    pub(crate) commit: String,
    /// The name by which the commit was asked for, or the branch if that was `HEAD`. None for a hash.
    pub(crate) branch: Option<String>,
}

impl Worktree {
    /// Returns the source, which may not exist before a build has made it.
    pub(crate) fn source(&self) -> PathBuf {
        self.tree.join(&self.path)
    }

    /// Returns the source without symlinks. Refuses one that leads out of the worktree.
    pub(crate) fn settled_source(&self) -> Result<PathBuf, Error> {
        let missing = || {
            let path = Shown(self.path.as_os_str().as_encoded_bytes()).to_string();
            Error::from(SourceError::NotInCommit { path, commit: self.commit.clone() })
        };
        let source = self.source().canonicalize().map_err(|_| missing())?;
        match source.starts_with(&self.tree) && source.is_dir() {
            true => Ok(source),
            false => Err(missing()),
        }
    }

    /// Returns the place in the worktree of a file of the user's checkout.
    pub(crate) fn counterpart(&self, file: &Path) -> Option<PathBuf> {
        let directory = file.parent()?.canonicalize().ok()?;
        let within = directory.strip_prefix(self.top.as_ref()?).ok()?;
        Some(self.tree.join(within).join(file.file_name()?))
    }
}

impl Revision {
    /// Finds a commit in the repository around a source, by any name that git knows.
    pub(crate) fn find(source: &Path, name: &str, cancel: &Cancel) -> Result<Revision, Error> {
        let (repository, path) = Repository::around(source, cancel)?;
        let commit = repository.resolve(name, cancel)?;
        let branch = match name {
            "HEAD" | "@" => repository.top.as_deref().and_then(branch),
            name if commit.starts_with(name) => None,
            name => branch_name(name),
        };
        Ok(Revision { repository, path, commit, branch })
    }

    /// Checks the commit out, into the worktree of its repository and source. Removes all files there that are not of
    /// the commit, but those that a pattern of `keep` matches. Waits while another deploy uses the worktree. Returns also
    /// the lock.
    pub(crate) fn check_out(
        &self,
        state_dir: &Path,
        keep: &[String],
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<(Worktree, TreeLock), Error> {
        let place = Place::open(state_dir, &self.key())?;
        let lock = place.lock(observer, cancel)?;
        if place.top.stat(&place.name)?.is_none() {
            place.remove_abandoned()?;
        }
        let text = format!("Checks out commit {} into `{}`", self.commit, place.path().display());
        observer.observe(Event::Detail(text));
        let work = || self.check_out_in(&place, keep, &lock, cancel);
        let tree = match work() {
            // Something else may be in the place of a directory.
            Err(error @ (Error::Source(SourceError::CheckoutFailed { .. }) | Error::Io { .. } | Error::Site(_))) => {
                let text = format!("The worktree cannot be used, and is made anew: {}", error.with_cause());
                observer.observe(match keep {
                    [] => Event::Detail(text),
                    // The next build takes longer.
                    _ => Event::Warning(format!("{text}. Nothing of `build_keep` stays")),
                });
                place.top.remove_tree(&place.name)?;
                work()
            }
            done => done,
        }?;
        let Revision { repository, path, commit, branch } = self;
        let (top, path) = (repository.top.clone(), path.clone());
        Ok((Worktree { tree, top, path, commit: commit.clone(), branch: branch.clone() }, lock))
    }

    /// Returns the name of the worktree.
    fn key(&self) -> String {
        let paths = [&self.repository.common, &self.path].map(|path| path.as_os_str().as_encoded_bytes());
        Hash::of(&paths.join(&0)).to_string()[..20].to_owned()
    }

    fn check_out_in(&self, place: &Place, keep: &[String], lock: &TreeLock, cancel: &Cancel) -> Result<PathBuf, Error> {
        let Revision { repository, commit, .. } = self;
        let failed = |no_answer: NoAnswer| no_answer.into_error(|reason| place.failed(reason));
        let (home, _) = place.top.ensure_dir(&place.name, 0o700)?;
        let origin = repository.common.as_os_str().as_encoded_bytes();
        if home.read(ORIGIN)?.is_none_or(|known| known != origin) {
            home.replace(ORIGIN, origin)?;
        }
        // The mode of the release, if this is the source.
        home.ensure_dir(TREE, 0o755)?;
        let config = repository.config(cancel).map_err(failed)?;
        let private = PrivateRepository { home: &home, name: GIT.to_vec(), tree: home.path_of(TREE) };
        let tags = repository.tags(cancel).map_err(failed)?;
        private.prepare(repository, &config, commit, &tags)?;
        let order = Order { keep, lock, cancel };
        private.check_out(commit, &config, order)?;
        submodules::check_out(&private, repository, &home, order)?;
        private.tree.canonicalize().map_err(|error| Error::io("open", &private.tree, error))
    }
}

/// The place of a worktree.
struct Place {
    /// `worktrees/`
    top: Dir,
    name: Vec<u8>,
}

impl Place {
    fn open(state_dir: &Path, key: &str) -> Result<Place, Error> {
        let path = state_dir.join("worktrees");
        disk::create_private_path(&path)?;
        // Git gets absolute paths.
        let path = path.canonicalize().map_err(|error| Error::io("open", &path, error))?;
        Ok(Place { top: Dir::open(&path)?, name: key.as_bytes().to_vec() })
    }

    fn path(&self) -> PathBuf {
        self.top.path_of(&self.name)
    }

    fn failed(&self, reason: String) -> Error {
        SourceError::CheckoutFailed { directory: self.path().display().to_string(), reason }.into()
    }

    fn lock(&self, observer: &dyn Observer, cancel: &Cancel) -> Result<TreeLock, Error> {
        TreeLock::take(&self.top, &lock_of(&self.name), "the worktree of this repository", observer, cancel)
    }

    /// Removes the worktrees of repositories that are gone or were moved.
    fn remove_abandoned(&self) -> Result<(), Error> {
        for name in self.top.names()? {
            if name.contains(&b'.') || name == self.name {
                continue;
            }
            let origin = self.top.open_dir(&name).and_then(|home| home.read(ORIGIN)).ok().flatten();
            let is_gone = |origin: Vec<u8>| {
                use std::os::unix::ffi::OsStringExt;
                let path = PathBuf::from(std::ffi::OsString::from_vec(origin));
                path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
            };
            if !origin.is_some_and(is_gone) {
                continue;
            }
            if let Ok(Some(_lock)) = TreeLock::try_take(&self.top, &lock_of(&name)) {
                self.top.remove_tree(&name)?;
            }
        }
        Ok(())
    }
}

fn lock_of(name: &[u8]) -> Vec<u8> {
    [name, b".lock"].concat()
}
