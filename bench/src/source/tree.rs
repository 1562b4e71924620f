//! The trees that are deployed: versions of one codebase.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Failure, Result};
use crate::source::debian;
use crate::usage::{Entry, walk};

/// Two or three consecutive versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trees {
    /// The first that is deployed.
    pub(crate) a: Tree,
    /// The one after it.
    pub(crate) b: Tree,
    /// The one after that, if there is one.
    pub(crate) c: Option<Tree>,
}

/// One version, and its size.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// Where it stands. Not recorded: a kept run says nothing of somebody's directories.
    #[serde(skip)]
    pub(crate) path: PathBuf,
    /// The directory's name: the version.
    pub(crate) name: String,
    /// Regular files.
    pub(crate) files: u64,
    /// Directories, with the root.
    pub(crate) directories: u64,
    /// Symlinks.
    pub(crate) symlinks: u64,
    /// The sum of the files' sizes.
    pub(crate) bytes: u64,
}

impl Trees {
    /// Fetches and unpacks the default trees, unless they stand.
    pub(crate) fn fetch(work: &Path) -> Result<Trees> {
        let [a, b, c] = debian::three_versions(work)?;
        Ok(Trees { a: Tree::open(&a)?, b: Tree::open(&b)?, c: Some(Tree::open(&c)?) })
    }

    /// Returns all, oldest first.
    pub(crate) fn all(&self) -> Vec<&Tree> {
        [&self.a, &self.b].into_iter().chain(&self.c).collect()
    }
}

impl Tree {
    /// Counts the files of a directory.
    pub(crate) fn open(path: &Path) -> Result<Tree> {
        let path = path.canonicalize().context(|| format!("There is no tree `{}`", path.display()))?;
        for special in [".git", ".deployignore", "cutover.toml"] {
            // These make Cutover leave out files that rsync would send: not the same work.
            if path.join(special).exists() {
                return Err(Failure::new(format!(
                    "`{}` holds `{special}`; measure an exported tree, as from `git archive`",
                    path.display()
                )));
            }
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut tree = Tree { name: name.unwrap_or_default(), files: 0, directories: 0, symlinks: 0, bytes: 0, path };
        let root = tree.path.clone();
        walk(&root, &mut |entry| tree.count(entry))?;
        Ok(tree)
    }

    /// Returns how many files of this tree have the same path, size and mtime in another: those that rsync skips
    /// without reading, when asked to go by mtimes.
    pub(crate) fn quick_check_matches(&self, other: &Tree) -> Result<u64> {
        let mut matches = 0;
        walk(&self.path, &mut |entry| {
            let relative = entry.path.strip_prefix(&self.path).unwrap_or(entry.path);
            let twin = fs::symlink_metadata(other.path.join(relative));
            let same =
                |twin: &fs::Metadata| twin.len() == entry.metadata.len() && twin.mtime() == entry.metadata.mtime();
            matches += u64::from(entry.metadata.is_file() && twin.is_ok_and(|twin| same(&twin)));
        })?;
        Ok(matches)
    }

    /// Returns the source as rsync wants it: the content of the directory, not the directory.
    pub(crate) fn content(&self) -> PathBuf {
        self.path.join("")
    }

    fn count(&mut self, entry: &Entry<'_>) {
        if entry.metadata.is_dir() {
            self.directories += 1;
        } else if entry.metadata.is_symlink() {
            self.symlinks += 1;
        } else {
            self.files += 1;
            self.bytes += entry.metadata.len();
        }
    }
}
