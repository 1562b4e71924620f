//! The tree that a walk found. It becomes a new snapshot, or the last scan itself if nothing has changed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{Error, SourceError};
use crate::hash::Hash;
use crate::manifest::build::BadManifest;
use crate::manifest::{Builder, File, Node, ObjectKey};
use crate::scan::listing::{ListedName, Listing};
use crate::scan::snapshot::Snapshot;
use crate::scan::stat::{FileStat, directory_mode, file_of};

/// A directory of the tree, and everything in it.
#[derive(Debug)]
pub(super) enum Branch {
    /// Unchanged since the last scan, which knew it by this number.
    Same(u32),
    /// Changed, or new.
    New(Box<ScannedDirectory>),
}

/// A directory that was listed or has changed.
#[derive(Debug)]
pub(super) struct ScannedDirectory {
    /// The stat before it was listed.
    pub(super) stat: FileStat,
    /// The hash of its own file of rules.
    pub(super) rule_file: Option<Hash>,
    /// Whether it has the name that the rules note.
    pub(super) has_noted: bool,
    /// The listing that [`Name::Listed`] refers to.
    pub(super) listing: Listing,
    /// The entries, sorted by name.
    pub(super) entries: Vec<ScannedEntry>,
}

/// An entry.
#[derive(Debug)]
pub(super) struct ScannedEntry {
    /// The name.
    pub(super) name: Name,
    /// The kind and content.
    pub(super) node: ScannedNode,
}

/// The place of a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name {
    /// In the last scan, as the name of this entry.
    Known(u32),
    /// In the listing.
    Listed(ListedName),
}

/// The kind and content of an entry.
#[derive(Debug)]
pub(super) enum ScannedNode {
    /// A file or symlink that is unchanged since the last scan, which knew it as this entry.
    Same(u32),
    /// A file, and whether it has capabilities.
    File(FileStat, Hash, bool),
    /// A symlink.
    Symlink(FileStat, Vec<u8>),
    /// A directory.
    Directory(Branch),
}

/// A generated file in the root, whose content is not in the tree. A file of that name in the tree takes precedence.
#[derive(Debug)]
pub(crate) struct Generated {
    /// The name.
    pub(crate) name: &'static [u8],
    /// The content.
    pub(crate) content: Vec<u8>,
    file: File,
}

impl Generated {
    /// Makes a file that everybody may read.
    pub(crate) fn new(name: &'static [u8], content: Vec<u8>) -> Generated {
        let key = ObjectKey { hash: Hash::of(&content), mode: 0o444 };
        Generated { name, file: File { key, size: content.len() as u64 }, content }
    }
}

/// The tree that a walk found.
#[derive(Debug)]
pub(crate) struct ScannedTree {
    /// The root.
    pub(super) root: Branch,
    /// The last scan, if it was trusted.
    pub(super) last: Option<Arc<Snapshot>>,
    /// See [`Snapshot`].
    pub(super) rules: Hash,
    /// See [`Snapshot`].
    pub(super) mount: Option<Hash>,
    /// See [`Snapshot`].
    pub(super) began: i64,
}

impl ScannedTree {
    /// Tells whether the tree is that of the last scan.
    pub(crate) fn is_unchanged(&self) -> bool {
        matches!(self.root, Branch::Same(_))
    }

    /// Returns the snapshot of the tree, with the generated file. If nothing has changed, it is the last scan itself.
    pub(crate) fn finish(self, generated: Option<&Generated>) -> Result<Arc<Snapshot>, Error> {
        if let (Branch::Same(root), Some(last)) = (&self.root, &self.last) {
            let has_own = generated.is_some_and(|generated| last.manifest.child(*root, generated.name).is_some());
            let before = last.generated().map(|(_, file)| file);
            if before == generated.map(|generated| generated.file) || (before.is_none() && has_own) {
                return Ok(last.clone());
            }
        }
        lay_out(self, generated).map(Arc::new).map_err(|reason| match reason {
            BadManifest::TooLarge => Error::Source(SourceError::TooLarge(reason.to_string())),
            reason => Error::Bug(format!("a scanned tree {reason}")),
        })
    }
}

/// Lays the tree out breadth first.
fn lay_out(tree: ScannedTree, generated: Option<&Generated>) -> Result<Snapshot, BadManifest> {
    let last = tree.last.as_deref();
    let root = match (&tree.root, last) {
        (Branch::New(found), _) => found.stat,
        (Branch::Same(_), Some(last)) => last.root,
        (Branch::Same(_), None) => return Err(BadManifest::Shape),
    };
    let mut layout = Layout {
        builder: Builder::new(),
        stats: Vec::new(),
        rule_files: Vec::new(),
        noted: Vec::new(),
        capable: Vec::new(),
        generated,
        queue: VecDeque::from([tree.root]),
        number: 0,
    };
    while let Some(branch) = layout.queue.pop_front() {
        match (branch, last) {
            (Branch::New(found), _) => layout.add(*found, last)?,
            (Branch::Same(directory), Some(last)) => layout.copy(directory, last)?,
            (Branch::Same(_), None) => return Err(BadManifest::Shape),
        }
        layout.number += 1;
    }
    let Layout { builder, stats, rule_files, noted, capable, .. } = layout;
    let (rules, mount, began) = (tree.rules, tree.mount, tree.began);
    Ok(Snapshot { manifest: builder.finish()?, stats, root, mount, rules, rule_files, noted, capable, began })
}

struct Layout<'a> {
    builder: Builder,
    stats: Vec<FileStat>,
    rule_files: Vec<(u32, Hash)>,
    noted: Vec<u32>,
    capable: Vec<u32>,
    /// The generated file, until it is in its place or the tree has one of that name.
    generated: Option<&'a Generated>,
    queue: VecDeque<Branch>,
    /// The number of the next directory.
    number: u32,
}

impl Layout<'_> {
    fn add(&mut self, found: ScannedDirectory, last: Option<&Snapshot>) -> Result<(), BadManifest> {
        self.builder.begin(directory_mode(&found.stat))?;
        self.rule_files.extend(found.rule_file.map(|hash| (self.number, hash)));
        self.noted.extend(found.has_noted.then_some(self.number));
        for ScannedEntry { name, node } in found.entries {
            let name = match (name, last) {
                (Name::Listed(listed), _) => found.listing.name(listed),
                (Name::Known(index), Some(last)) => last.manifest.name(index),
                (Name::Known(_), None) => return Err(BadManifest::Shape),
            };
            self.generate_before(name)?;
            match (node, last) {
                (ScannedNode::File(stat, hash, is_capable), _) => {
                    self.builder.file(name, file_of(&stat, hash))?;
                    self.capable.extend(is_capable.then_some(self.stats.len() as u32));
                    self.stats.push(stat);
                }
                (ScannedNode::Symlink(stat, target), _) => {
                    self.builder.symlink(name, &target)?;
                    self.stats.push(stat);
                }
                (ScannedNode::Same(index), Some(last)) => self.copy_entry(index, last)?,
                (ScannedNode::Directory(branch), _) => self.directory(name, branch, last)?,
                (ScannedNode::Same(_), None) => return Err(BadManifest::Shape),
            }
        }
        self.generate()
    }

    fn directory(&mut self, name: &[u8], branch: Branch, last: Option<&Snapshot>) -> Result<(), BadManifest> {
        let stat = match (&branch, last) {
            (Branch::New(found), _) => found.stat,
            (Branch::Same(directory), Some(last)) => last.stats[last.manifest.entry_of(*directory) as usize],
            (Branch::Same(_), None) => return Err(BadManifest::Shape),
        };
        self.builder.directory(name)?;
        self.stats.push(stat);
        self.queue.push_back(branch);
        Ok(())
    }

    fn copy(&mut self, directory: u32, last: &Snapshot) -> Result<(), BadManifest> {
        let known = last.manifest.directories()[directory as usize];
        match directory {
            // The generated file may differ.
            0 => self.builder.begin(known.mode)?,
            _ => self.builder.begin_with(known.mode, known.hash)?,
        }
        self.rule_files.extend(last.rule_file(directory).map(|hash| (self.number, hash)));
        self.noted.extend(last.has_noted(directory).then_some(self.number));
        for named in last.manifest.children(directory).filter(|named| !last.is_generated(named.index)) {
            self.generate_before(named.name)?;
            self.copy_entry(named.index, last)?;
        }
        self.generate()
    }

    fn copy_entry(&mut self, index: u32, last: &Snapshot) -> Result<(), BadManifest> {
        let name = last.manifest.name(index);
        match last.manifest.node(index) {
            Node::File(file) => {
                self.capable.extend(last.is_capable(index).then_some(self.stats.len() as u32));
                self.builder.file(name, file)?
            }
            Node::Symlink(target) => self.builder.symlink(name, last.manifest.text(target))?,
            Node::Directory(directory) => {
                self.queue.push_back(Branch::Same(directory));
                self.builder.directory(name)?
            }
        };
        self.stats.push(last.stats[index as usize]);
        Ok(())
    }

    /// Adds the generated file, if its place in the root is before `name`.
    fn generate_before(&mut self, name: &[u8]) -> Result<(), BadManifest> {
        match self.generated {
            Some(generated) if generated.name < name => self.generate(),
            Some(generated) if generated.name == name => {
                self.generated = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn generate(&mut self) -> Result<(), BadManifest> {
        if let Some(generated) = self.generated.take() {
            self.builder.file(generated.name, generated.file)?;
            self.stats.push(FileStat::default());
        }
        Ok(())
    }
}
