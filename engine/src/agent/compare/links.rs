//! The links into `shared/` in a release. The manifest has neither them nor the directories that only they need.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::agent::shared::{self, lies_beside};
use crate::manifest::{Manifest, Node};
use crate::path::RelativePath;

/// A name that the manifest does not have.
#[derive(Debug)]
pub(super) enum Extra {
    /// A link.
    Link {
        /// Its target: relative, and absolute.
        targets: [Vec<u8>; 2],
        /// Whether it may be missing: SQLite removes the names beside a database, by the path that it knows.
        may_be_missing: bool,
    },
    /// A directory that holds links.
    Directory(BTreeMap<Vec<u8>, Extra>),
}

/// The further names of one directory.
pub(super) type Extras = BTreeMap<Vec<u8>, Extra>;

/// The further names of a release, by the directory of the manifest that holds them.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_directory: HashMap<u32, Extras>,
}

impl Links {
    /// Finds the places of the links.
    pub(super) fn new(manifest: &Manifest, shared: &[RelativePath], root: &Path) -> Links {
        let mut links = Links::default();
        for path in shared {
            links.add(manifest, path, root, lies_beside(path, shared));
        }
        links
    }

    fn add(&mut self, manifest: &Manifest, path: &RelativePath, root: &Path, may_be_missing: bool) {
        let names: Vec<&[u8]> = path.names().collect();
        let Some((last, above)) = names.split_last() else { return };
        let (mut number, mut below) = (0, above);
        while let Some((name, rest)) = below.split_first()
            && let Some(Node::Directory(child)) = manifest.child(number, name).map(|named| named.node)
        {
            (number, below) = (child, rest);
        }
        let mut extras = self.by_directory.entry(number).or_default();
        for name in below {
            let made = extras.entry(name.to_vec()).or_insert_with(|| Extra::Directory(Extras::new()));
            match made {
                Extra::Directory(inside) => extras = inside,
                // No shared path lies within another.
                Extra::Link { .. } => return,
            }
        }
        extras.insert(
            last.to_vec(),
            Extra::Link { targets: [shared::target(path), shared::absolute_target(root, path)], may_be_missing },
        );
    }

    /// Returns the further names of a directory.
    pub(super) fn of(&self, directory: u32) -> Option<&Extras> {
        self.by_directory.get(&directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Builder;

    #[test]
    fn a_link_is_found_in_the_last_directory_that_the_manifest_has() {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        builder.directory(b"a").unwrap();
        builder.begin(0o755).unwrap();
        let manifest = builder.finish().unwrap();
        let paths = ["a/b/c", "x"].map(|path| RelativePath::parse(path.as_bytes()).unwrap());
        let links = Links::new(&manifest, &paths, Path::new("/srv/shared"));
        let Some(Extra::Directory(inside)) = links.of(1).unwrap().get(&b"b"[..]) else { panic!("{links:?}") };
        assert!(
            matches!(inside.get(&b"c"[..]), Some(Extra::Link { targets, .. }) if targets[0] == b"../../../../shared/a/b/c")
        );
        assert!(
            matches!(links.of(0).unwrap().get(&b"x"[..]), Some(Extra::Link { targets, .. }) if targets[0] == b"../../shared/x")
        );
    }
}
