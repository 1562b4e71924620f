//! Compares a declared directory with the directory that a release has at its path: finds the release's entries to copy
//! into `shared/`, and those that the link hides.
//!
//! An entry that the live release has too, and that its link hid already, was dealt with then: it is neither copied nor
//! named again. So a deploy looks only at entries that are new or changed, and a file that was removed from `shared/`
//! does not come back. Under `seed`, each deploy looks at all of them.

use crate::disk::{Dir, Kind, Stat};
use crate::error::Error;
use crate::file_range::FileRange;
use crate::manifest::{EntryRef, File, Manifest, Node};
use crate::path::{RelativePath, Shown, push_name};
use crate::shared_path::Conflict;

use super::placeholder::is_placeholder;

/// The most hidden files that are named.
const NAMED_MAX: usize = 3;

/// The files of a release that a link hides, and that no earlier warning named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HiddenFiles {
    /// The declared path.
    pub(crate) path: RelativePath,
    /// The number of files.
    pub(crate) files: u64,
    /// The first of them.
    pub(crate) first: Vec<String>,
}

impl HiddenFiles {
    /// Begins with no files.
    pub(super) fn below(path: &RelativePath) -> HiddenFiles {
        HiddenFiles { path: path.clone(), files: 0, first: Vec::new() }
    }

    /// Adds a file.
    pub(super) fn add(&mut self, path: &[u8]) {
        self.files += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(Shown(path).to_string());
        }
    }

    /// Returns the warning.
    pub(crate) fn warning(&self) -> String {
        let HiddenFiles { path, files, first } = self;
        let noun = if *files == 1 { "file" } else { "files" };
        let named: Vec<String> = first.iter().map(|path| format!("`{path}`")).collect();
        let more = if *files > first.len() as u64 { ", …" } else { "" };
        format!(
            "The shared path `{path}` hides {files} {noun} of the release: {}{more}. The server uses what is in `shared/`",
            named.join(", ")
        )
    }
}

/// The same directory in the live release, whose link hid it.
#[derive(Clone, Copy)]
pub(super) struct Earlier<'a> {
    /// The manifest.
    pub(super) manifest: &'a Manifest,
    /// The number of the directory.
    pub(super) number: u32,
}

/// A comparison of one declared directory.
pub(super) struct Comparison<'a> {
    /// The manifest of the release.
    pub(super) manifest: &'a Manifest,
    /// The rule.
    pub(super) conflict: Conflict,
    /// Whether files may be copied into the directory. Nothing is written behind a symlink.
    pub(super) may_copy: bool,
    /// The entries to copy, each with all below it.
    pub(super) copies: Vec<RelativePath>,
    /// The hidden files.
    pub(super) hidden: HiddenFiles,
}

impl<'a> Comparison<'a> {
    /// Compares a directory of the release with one of `shared/`, which may be missing.
    pub(super) fn compare(
        &mut self,
        dir: Option<&Dir>,
        number: u32,
        earlier: Option<Earlier<'a>>,
        path: &mut Vec<u8>,
    ) -> Result<(), Error> {
        for named in self.manifest.children(number) {
            let length = path.len();
            push_name(path, named.name);
            let before = earlier.and_then(|earlier| earlier.manifest.child(earlier.number, named.name));
            let is_settled = self.conflict != Conflict::Seed
                && earlier.zip(before).is_some_and(|(earlier, before)| self.is_same(named, earlier.manifest, before));
            if !is_settled {
                let stat = dir.map_or(Ok(None), |dir| dir.stat(named.name))?;
                let below = earlier.zip(before).and_then(|(earlier, before)| match before.node {
                    Node::Directory(number) => Some(Earlier { number, ..earlier }),
                    _ => None,
                });
                let entry = Compared { named, stat, is_new: before.is_none(), earlier: below };
                self.look_at(dir, &entry, path)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn is_same(&self, named: EntryRef<'_>, earlier: &Manifest, before: EntryRef<'_>) -> bool {
        match (named.node, before.node) {
            (Node::File(own), Node::File(other)) => own == other,
            (Node::Symlink(own), Node::Symlink(other)) => self.manifest.text(own) == earlier.text(other),
            (Node::Directory(own), Node::Directory(other)) => {
                self.manifest.directories()[own as usize].hash == earlier.directories()[other as usize].hash
            }
            _ => false,
        }
    }

    fn look_at(&mut self, dir: Option<&Dir>, entry: &Compared<'a>, path: &mut Vec<u8>) -> Result<(), Error> {
        let Compared { named, stat, is_new, earlier } = entry;
        let copies_missing =
            self.may_copy && (self.conflict == Conflict::Seed || (self.conflict == Conflict::Merge && *is_new));
        match (named.node, stat) {
            // The directory is there already, and perhaps of another user.
            (node, None) if dir.is_some() && is_placeholder(named.name, node) => {}
            (_, None) if copies_missing => self.copies.push(relative(path)?),
            (Node::Directory(number), None) => self.compare(None, number, *earlier, path)?,
            (Node::Directory(number), Some(Stat { kind: Kind::Directory, .. })) => {
                let below = dir.map(|dir| dir.open_dir(named.name)).transpose()?;
                self.compare(below.as_ref(), number, *earlier, path)?;
            }
            (Node::Directory(number), Some(_)) => self.hide_below(number, path),
            (node, _) if is_placeholder(named.name, node) => {}
            (_, None) => self.hidden.add(path),
            (Node::File(file), Some(stat)) if has_content(dir, named.name, file, stat) => {}
            (_, Some(_)) => self.hidden.add(path),
        }
        Ok(())
    }

    /// Counts all files below a directory as hidden.
    fn hide_below(&mut self, number: u32, path: &mut Vec<u8>) {
        for named in self.manifest.children(number) {
            let length = path.len();
            push_name(path, named.name);
            match named.node {
                Node::Directory(number) => self.hide_below(number, path),
                node if is_placeholder(named.name, node) => {}
                _ => self.hidden.add(path),
            }
            path.truncate(length);
        }
    }
}

/// An entry of the release, and what is at its path otherwise.
struct Compared<'a> {
    named: EntryRef<'a>,
    /// The entry of `shared/`.
    stat: Option<Stat>,
    /// Whether the live release lacks it, or did not share its directory.
    is_new: bool,
    /// The same directory in the live release.
    earlier: Option<Earlier<'a>>,
}

/// Returns whether a file in `shared/` has the content of a file of the release. A file that cannot be read has not.
pub(super) fn has_content(dir: Option<&Dir>, name: &[u8], file: File, stat: &Stat) -> bool {
    let Some(dir) = dir.filter(|_| stat.kind == Kind::File && stat.size == file.size) else { return false };
    let Ok(Some(open)) = dir.open_file(name) else { return false };
    FileRange::whole(&open).hash().is_ok_and(|(hash, _)| hash == file.key.hash)
}

fn relative(path: &[u8]) -> Result<RelativePath, Error> {
    RelativePath::parse(path).map_err(|reason| Error::Bug(format!("a path of a manifest: {reason}")))
}

/// Returns whether a directory of a release has nothing but placeholders.
pub(super) fn has_only_placeholders(manifest: &Manifest, number: u32) -> bool {
    manifest.children(number).all(|named| match named.node {
        Node::Directory(number) => has_only_placeholders(manifest, number),
        node => is_placeholder(named.name, node),
    })
}
