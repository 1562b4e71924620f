//! The plan of the links into `shared/`, and how it is carried out.

use std::borrow::Cow;

use crate::disk::Dir;
use crate::error::{Error, SiteError};
use crate::manifest::{Manifest, Node};
use crate::path::{RelativePath, Shown};
use crate::release::Record;
use crate::report::SeededReport;

use super::comparison::HiddenFiles;
use super::copies::Copier;
use super::links;

/// The links into `shared/`, and what they need there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedPlan {
    /// The paths of the links, sorted.
    pub(crate) links: Vec<RelativePath>,
    /// What is made in `shared/` before the links.
    pub(crate) new: Vec<NewContent>,
    /// The files of the release that links hide and that were not named before.
    pub(crate) hidden: Vec<HiddenFiles>,
    /// Whether the links are absolute. PHP remembers for two minutes that a directory was no link. Where a site was adopted, it
    /// would resolve a relative link from the path of the site.
    pub(crate) is_absolute: bool,
}

/// Something that is made in `shared/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NewContent {
    /// A copy of an entry of the release, with all below it.
    Copy {
        /// The declared path.
        declared: RelativePath,
        /// The entry.
        path: RelativePath,
    },
    /// An empty directory.
    Directory(RelativePath),
    /// An empty file.
    File(RelativePath),
}

impl NewContent {
    /// Returns the declared path.
    pub(super) fn declared(&self) -> &RelativePath {
        match self {
            NewContent::Copy { declared: path, .. } | NewContent::Directory(path) | NewContent::File(path) => path,
        }
    }
}

/// The live release, whose links say what was dealt with before.
pub(crate) struct LiveRelease<'a> {
    /// Its record.
    pub(crate) record: &'a Record,
    /// Its manifest.
    pub(crate) manifest: Cow<'a, Manifest>,
}

impl LiveRelease<'_> {
    /// Tells whether it has a link at a path.
    pub(super) fn shares(&self, path: &RelativePath) -> bool {
        self.record.shared.binary_search(path).is_ok()
    }

    /// Returns its manifest.
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl SharedPlan {
    /// Makes what the links need in `shared/`, durably, then the links. The tree is complete, and its directories still
    /// allow their owner to write.
    pub(crate) fn carry_out(&self, tree: &Dir, shared: &Dir, manifest: &Manifest, second: u32) -> Result<(), Error> {
        let copier = Copier { manifest, tree, shared, second };
        self.new.iter().try_for_each(|new| match new {
            NewContent::Copy { path, .. } => copier.copy(path),
            NewContent::Directory(path) => copier.make_directory(path),
            NewContent::File(path) => copier.make_file(path),
        })?;
        let root = if self.is_absolute { Some(links::root(shared)?) } else { None };
        links::make(tree, &self.links, root.as_deref())
    }

    /// Returns, for each declared path, the number of files that are copied into it. A path that is made empty has none.
    pub(crate) fn seeded(&self, manifest: &Manifest) -> Vec<SeededReport> {
        let mut seeded: Vec<SeededReport> = Vec::new();
        for new in &self.new {
            let path = new.declared().to_string();
            let files = match new {
                NewContent::Copy { path, .. } => {
                    manifest.find(path.names()).map_or(0, |named| files_in(manifest, named.node))
                }
                NewContent::Directory(_) | NewContent::File(_) => 0,
            };
            match seeded.last_mut().filter(|last| last.path == path) {
                Some(last) => last.files += files,
                None => seeded.push(SeededReport { path, files }),
            }
        }
        seeded
    }
}

fn files_in(manifest: &Manifest, node: Node) -> u64 {
    match node {
        Node::Directory(number) => manifest.children(number).map(|named| files_in(manifest, named.node)).sum(),
        Node::File(_) | Node::Symlink(_) => 1,
    }
}

/// Returns the refusal of a path that both have.
pub(super) fn conflict(path: &[u8]) -> Error {
    Error::from(SiteError::SharedConflict(Shown(path).to_string()))
}
