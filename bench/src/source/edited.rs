//! A copy of the first tree that is changed in place, as people change a checkout: a file that is not touched keeps its inode
//! and its times.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;
use crate::source::made;
use crate::source::random::Random;
use crate::source::tree::Tree;
use crate::usage::walk;

/// A file that people edit is neither tiny nor huge.
const EDITABLE_BYTES: std::ops::RangeInclusive<u64> = 1024..=65_536;

/// The copy.
#[derive(Debug)]
pub(crate) struct Edited {
    /// It, as it stands at first.
    pub(crate) tree: Tree,
    origin: PathBuf,
}

impl Edited {
    /// Makes the copy of a tree, or mends the one that a run before has left.
    pub(crate) fn of(work: &Path, tree: &Tree) -> Result<Edited> {
        let origin = &tree.path;
        let copy = made::path(work, "edited")?;
        let rsync = Invocation::new("rsync").args(["-a", "--delete"]);
        rsync.args([origin.join(""), copy.join("")]).output()?;
        Ok(Edited { tree: Tree::open(&copy)?, origin: origin.clone() })
    }

    /// Gives it the content of a tree. A file that differs gets a new mtime, and nothing else is touched.
    pub(crate) fn bring_to(&self, tree: &Path) -> Result<()> {
        let rsync = Invocation::new("rsync").args(["-rlpc", "--delete"]);
        rsync.args([tree.join(""), self.tree.path.join("")]).output().map(drop)
    }

    /// Chooses so many files that people could edit, evenly over the tree; fewer where there are fewer.
    pub(crate) fn choose(&self, count: usize) -> Result<Vec<PathBuf>> {
        let mut editable = Vec::new();
        walk(&self.origin, &mut |entry| {
            if entry.metadata.is_file() && EDITABLE_BYTES.contains(&entry.metadata.len()) {
                editable.extend(entry.path.strip_prefix(&self.origin).map(Path::to_owned));
            }
        })?;
        editable.sort();
        let mut chosen = Vec::new();
        // Twice as many are looked at as are wanted at a time, since some hold no text.
        let mut stride = editable.len().div_ceil(count.max(1)).max(1);
        while chosen.len() < count && stride > 0 {
            chosen.clear();
            for path in editable.iter().skip(stride / 2).step_by(stride) {
                if chosen.len() < count && edited(&self.read(path)?, 0).is_some() {
                    chosen.push(path.clone());
                }
            }
            stride /= 2;
        }
        Ok(chosen)
    }

    /// Changes one line in each of these files.
    pub(crate) fn edit(&self, files: &[PathBuf]) -> Result<()> {
        let mut random = Random::new(2000);
        for file in files {
            let changed = edited(&self.read(file)?, random.next() as u16);
            let changed = changed.ok_or_else(|| Failure::new(format!("`{}` holds no lines", file.display())))?;
            self.write(file, &changed)?;
        }
        Ok(())
    }

    /// Takes the changes of these files back.
    pub(crate) fn restore(&self, files: &[PathBuf]) -> Result<()> {
        files.iter().try_for_each(|file| self.write(file, &self.read(file)?))
    }

    /// Reads a file as it was at first.
    fn read(&self, file: &Path) -> Result<Vec<u8>> {
        let path = self.origin.join(file);
        fs::read(&path).context(|| format!("Could not read `{}`", path.display()))
    }

    /// Written beside and renamed, as editors do.
    fn write(&self, file: &Path, content: &[u8]) -> Result<()> {
        let path = self.tree.path.join(file);
        let failed = || format!("Could not write `{}`", path.display());
        let permissions = fs::metadata(&path).context(failed)?.permissions();
        let beside = path.with_extension("bench-edit");
        let mut out = fs::File::create(&beside).context(failed)?;
        out.write_all(content).and_then(|()| out.set_permissions(permissions)).context(failed)?;
        fs::rename(&beside, &path).context(failed)
    }
}

/// Puts a word that hardly any file holds at the end of the middle line; none where there is no text of some lines.
fn edited(content: &[u8], word: u16) -> Option<Vec<u8>> {
    let ends: Vec<usize> = (0..content.len()).filter(|&at| content[at] == b'\n').collect();
    if ends.len() < 10 || content.contains(&0) {
        return None;
    }
    let (before, after) = content.split_at(ends[ends.len() / 2]);
    Some([before, format!(" /* {word:04x} */").as_bytes(), after].concat())
}

/// Finds the directory at the top whose number of files is nearest to the given one.
pub(crate) fn rename_directory(tree: &Path, files: u64) -> Result<PathBuf> {
    let mut nearest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(tree).context(|| format!("Could not read `{}`", tree.display()))? {
        let path = entry.context(|| format!("Could not read `{}`", tree.display()))?.path();
        let mut held = 0;
        walk(&path, &mut |entry| held += u64::from(entry.metadata.is_file()))?;
        let candidate = (held.abs_diff(files), path);
        let is_nearer = nearest.as_ref().is_none_or(|nearest| candidate < *nearest);
        if candidate.1.is_dir() && !candidate.1.is_symlink() && is_nearer {
            nearest = Some(candidate);
        }
    }
    nearest.map(|(_, path)| path).ok_or_else(|| Failure::new(format!("`{}` has no directories", tree.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_the_middle_is_changed() {
        let text = "a\n".repeat(10);
        let changed = edited(text.as_bytes(), 0x2a).unwrap();
        assert_eq!(String::from_utf8(changed).unwrap(), "a\n".repeat(5) + "a /* 002a */\n" + &"a\n".repeat(4));
        assert_eq!(edited(b"a\nb\n", 1), None);
        assert_eq!(edited("\0\n".repeat(20).as_bytes(), 1), None);
    }
}
