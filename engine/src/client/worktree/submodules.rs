//! Checks out the submodules of a worktree, each at the commit that the commit around it names.
//!
//! Their objects come from the repositories of the user's checkout. Cutover fetches none: a submodule that is not there
//! is an error that says how to get it. A submodule that git leaves alone (`update = none`, or without a line in
//! `.gitmodules`) stays an empty directory.

use std::path::PathBuf;

use crate::client::commit::directories;
use crate::client::git::{self, ConfigValue, NoAnswer, Submodule};
use crate::disk::Dir;
use crate::error::{Error, SourceError};
use crate::hash::Hash;

use super::private_repository::{Order, PrivateRepository};
use super::repository::Repository;

/// The directory of the private repositories of submodules.
const MODULES: &[u8] = b"modules";

/// The most submodules within each other.
const LEVELS_MAX: usize = 16;

/// Checks out the submodules of a worktree, and those within them.
pub(super) fn check_out(
    above: &PrivateRepository<'_>,
    repository: &Repository,
    home: &Dir,
    order: Order<'_>,
) -> Result<(), Error> {
    Walk { home, order }.check_out(above, repository, 0)
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    home: &'a Dir,
    order: Order<'a>,
}

impl Walk<'_> {
    fn check_out(self, above: &PrivateRepository<'_>, repository: &Repository, level: usize) -> Result<(), Error> {
        let failed = |no_answer: NoAnswer| {
            let directory = above.tree.display().to_string();
            no_answer.into_error(|reason| SourceError::CheckoutFailed { directory, reason }.into())
        };
        let named = git::submodules(&above.tree, self.order.cancel).map_err(failed)?;
        if named.is_empty() || level >= LEVELS_MAX {
            return Ok(());
        }
        let config = repository.config(self.order.cancel).map_err(failed)?;
        for (path, commit) in above.submodule_commits(self.order).map_err(failed)? {
            let named = named.iter().find(|submodule| submodule.path == path);
            match named.filter(|submodule| !is_left_alone(submodule, &config)) {
                Some(submodule) => {
                    let found = self.find(submodule, &commit, repository).map_err(failed)?;
                    let found = found.ok_or_else(|| SourceError::NoSubmodule {
                        path: path.clone(),
                        commit: commit.clone(),
                        repository: repository.shown(),
                    })?;
                    self.check_out_one(above, &path, &commit, &found, level)?;
                }
                None => empty(above, &path)?,
            }
        }
        Ok(())
    }

    /// Finds the repository of a submodule that has the commit.
    fn find(self, submodule: &Submodule, commit: &str, above: &Repository) -> Result<Option<Repository>, NoAnswer> {
        let top = above.top.as_ref().map(|top| top.join(&submodule.path));
        let in_checkout = top.as_ref().and_then(|top| directories(top).ok());
        let in_repository = |git: &PathBuf| {
            let path = git.join("modules").join(&submodule.name);
            (path.clone(), path)
        };
        let places = in_checkout.into_iter().chain([&above.own, &above.common].map(in_repository));
        for (own, common) in places.filter(|(own, _)| own.join("HEAD").exists()) {
            let found = above.of_submodule(own, common, top.clone());
            if found.has(commit, self.order.cancel)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn check_out_one(
        self,
        above: &PrivateRepository<'_>,
        path: &str,
        commit: &str,
        from: &Repository,
        level: usize,
    ) -> Result<(), Error> {
        let tree = above.tree.join(path);
        let failed = |no_answer: NoAnswer| {
            let directory = tree.display().to_string();
            no_answer.into_error(|reason| SourceError::CheckoutFailed { directory, reason }.into())
        };
        let (modules, _) = self.home.ensure_dir(MODULES, 0o700)?;
        let name = Hash::of(tree.as_os_str().as_encoded_bytes()).to_string().as_bytes()[..20].to_vec();
        let private = PrivateRepository { home: &modules, name, tree: tree.clone() };
        let config = from.config(self.order.cancel).map_err(failed)?;
        private.prepare(from, &config, commit, b"")?;
        private.check_out(commit, &config, self.order)?;
        self.check_out(&private, from, level + 1)
    }
}

fn is_left_alone(submodule: &Submodule, config: &[ConfigValue]) -> bool {
    let key = format!("submodule.{}.update", submodule.name);
    let own = config.iter().rev().find(|value| value.key == key);
    own.map_or(submodule.is_left_alone, |value| value.value == "none")
}

/// Empties the directory of a submodule.
fn empty(above: &PrivateRepository<'_>, path: &str) -> Result<(), Error> {
    let tree = Dir::open(&above.tree)?;
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = if parent.is_empty() { tree } else { tree.open_below(parent.as_bytes())? };
    parent.remove_tree(name.as_bytes())?;
    parent.create_dir(name.as_bytes(), 0o755).map(drop)
}
