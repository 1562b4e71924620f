//! A tree of any number of small files of text, shaped like a codebase: sixteen files in a directory, eight directories in
//! one, about 1 KB in a file, which compresses about as code does.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::aside::remove;
use crate::failure::{Context, Result};
use crate::source::made;
use crate::source::random::Random;
use crate::source::tree::Tree;

const FILES_PER_DIRECTORY: u64 = 16;
const DIRECTORIES_PER_DIRECTORY: u64 = 8;

/// Sizes are spread evenly over these, so that the mean is 1 KiB.
const LEAST_BYTES: u64 = 512;
const SPREAD_BYTES: u64 = 1024;

/// One word of so many is like no other, and one of so many ends a line.
const RARE: u64 = 6;

/// The other words, between commas.
const WORDS: &str = "static,int,return,struct,if,const,void,else,unsigned,long,for,goto,out,err,dev,data,len,\
                     size,ptr,list,lock,node,next,flags,state,index,count,name,value,buffer,offset,page,= 0;,\
                     != NULL),(void),{,},+ 1;,->,&&,||,<< 2,/* the,of a,is set */,#define,u32,bool";

/// The directory that is renamed: no other has more files below it.
const LARGEST: &str = "part-0";
const RENAMED: &str = "renamed-by-the-bench";

/// The tree. It is changed in place and back.
#[derive(Debug)]
pub(crate) struct Grown {
    /// As it stands at first.
    pub(crate) tree: Tree,
    /// How many files it has.
    pub(crate) files: u64,
    /// How many of them were changed.
    changed: Cell<u64>,
}

impl Grown {
    /// Makes it anew: it is quickly made, and a killed run may have left a changed one.
    pub(crate) fn make(work: &Path, files: u64) -> Result<Grown> {
        Grown::make_at(&made::path(work, &format!("grown-{files}"))?, files)
    }

    fn make_at(root: &Path, files: u64) -> Result<Grown> {
        remove(root)?;
        for number in 0..files {
            let path = root.join(place(number));
            let failed = || format!("Could not write `{}`", path.display());
            if number % FILES_PER_DIRECTORY == 0 {
                fs::create_dir_all(path.parent().unwrap_or(root)).context(failed)?;
            }
            fs::write(&path, text(number, 0)).context(failed)?;
        }
        Ok(Grown { tree: Tree::open(root)?, files, changed: Cell::new(0) })
    }

    /// Changes a line in so many files, evenly over the tree. No two editions of a file are alike.
    pub(crate) fn change(&self, count: u64, edition: u64) -> Result<()> {
        self.changed.set(count);
        self.write(count, edition)
    }

    /// Renames the directory with the most files; returns how many that are.
    pub(crate) fn rename_largest(&self) -> Result<u64> {
        let (from, to) = (self.tree.path.join(LARGEST), self.tree.path.join(RENAMED));
        fs::rename(&from, &to).context(|| format!("Could not rename `{}`", from.display()))?;
        Ok(Tree::open(&to)?.files)
    }

    /// Takes all changes back.
    pub(crate) fn restore(&self) -> Result<()> {
        let (to, from) = (self.tree.path.join(LARGEST), self.tree.path.join(RENAMED));
        if from.exists() {
            fs::rename(&from, &to).context(|| format!("Could not rename `{}`", from.display()))?;
        }
        self.write(self.changed.take(), 0)
    }

    /// Removes it.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.tree.path)
    }

    /// Written beside and renamed, as editors do.
    fn write(&self, count: u64, edition: u64) -> Result<()> {
        let beside = self.tree.path.join("bench-edit");
        for number in chosen(self.files, count) {
            let path = self.tree.path.join(place(number));
            let failed = || format!("Could not write `{}`", path.display());
            fs::write(&beside, text(number, edition)).context(failed)?;
            fs::rename(&beside, &path).context(failed)?;
        }
        Ok(())
    }
}

/// Chooses so many of the files, evenly.
fn chosen(files: u64, count: u64) -> impl Iterator<Item = u64> {
    let count = count.min(files);
    // From the middle of each part: the first file of all is in the root, which is unlike the rest.
    (0..count).map(move |at| (2 * at + 1) * files / (2 * count))
}

/// Returns the path of a file.
fn place(number: u64) -> PathBuf {
    let mut parts = vec![format!("unit-{number:07}.txt")];
    let mut directory = number / FILES_PER_DIRECTORY;
    while directory > 0 {
        parts.push(format!("part-{}", (directory - 1) % DIRECTORIES_PER_DIRECTORY));
        directory = (directory - 1) / DIRECTORIES_PER_DIRECTORY;
    }
    parts.iter().rev().collect()
}

/// Returns the text of a file. An edition but the first has one line more, in the middle.
fn text(number: u64, edition: u64) -> String {
    let words: Vec<&str> = WORDS.split(',').collect();
    let mut random = Random::new(number);
    let wanted = (LEAST_BYTES + random.next() % SPREAD_BYTES) as usize;
    let mut text = String::with_capacity(wanted + 64);
    while text.len() < wanted {
        let picked = random.next();
        if (picked >> 32).is_multiple_of(RARE) {
            text.push_str(&format!("{:06x}", picked & 0xff_ffff));
        } else {
            text.push_str(words[(picked % words.len() as u64) as usize]);
        }
        text.push(if (picked >> 40).is_multiple_of(RARE) { '\n' } else { ' ' });
    }
    text.push('\n');
    if edition > 0 {
        let word = Random::new(number ^ (edition << 40)).next() as u32;
        let middle = text[wanted / 2..].find('\n').map_or(text.len(), |at| wanted / 2 + at + 1);
        text.insert_str(middle, &format!("/* {word:08x} */\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn directories_hold_so_many_files_and_directories() {
        assert_eq!(place(15), Path::new("unit-0000015.txt"));
        assert_eq!(place(16), Path::new("part-0/unit-0000016.txt"));
        assert_eq!(place(16 * 8), Path::new("part-7/unit-0000128.txt"));
        assert_eq!(place(16 * 9), Path::new("part-0/part-0/unit-0000144.txt"));
    }

    #[test]
    fn texts_are_about_a_kilobyte_and_no_two_are_alike() {
        let all: Vec<String> =
            (0..1000).flat_map(|number| [text(number, 0), text(number, 1), text(number, 7)]).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let mean = all.iter().map(String::len).sum::<usize>() / all.len();
        assert!((900..1150).contains(&mean), "{mean}");
    }

    #[test]
    fn another_edition_is_one_line_more() {
        for number in 0..1000 {
            let (first, second) = (text(number, 0), text(number, 1));
            let (first, second): (Vec<&str>, Vec<&str>) = (first.lines().collect(), second.lines().collect());
            let at = (0..first.len()).find(|at| first[*at] != second[*at]).unwrap_or(first.len());
            assert!(second[at].starts_with("/* ") && second[at].len() == 14, "{}", second[at]);
            assert_eq!(second[at + 1..], first[at..]);
        }
    }

    #[test]
    fn changed_files_are_spread_evenly() {
        assert_eq!(chosen(100, 4).collect::<Vec<_>>(), [12, 37, 62, 87]);
        assert_eq!(chosen(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(chosen(3, 0).count(), 0);
    }

    #[test]
    fn what_was_changed_is_changed_back() {
        let root = std::env::temp_dir().join(format!("bench-grown-{}", std::process::id()));
        let grown = Grown::make_at(&root, 400).unwrap();
        let held = || (0..400).map(|number| fs::read_to_string(root.join(place(number))).ok()).collect::<Vec<_>>();
        let before = held();
        assert!(before.iter().all(Option::is_some));
        grown.change(40, 1).unwrap();
        assert_eq!(held().iter().zip(&before).filter(|(now, then)| now != then).count(), 40);
        let renamed = grown.rename_largest().unwrap();
        assert!((400 / 9..=400 / 2).contains(&renamed), "{renamed}");
        grown.restore().unwrap();
        assert_eq!(held(), before);
        grown.remove().unwrap();
        assert!(!root.exists());
    }
}
