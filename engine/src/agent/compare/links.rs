//! The links into `shared/` in a release. The manifest has neither them nor the directories that only they need.

use std::collections::{BTreeMap, HashMap};

use crate::agent::shared;
use crate::manifest::{Manifest, Node};
use crate::path::RelativePath;

/// A name that the manifest does not have.
#[derive(Debug)]
pub(super) enum Extra {
    /// A link, with its target.
    Link(Vec<u8>),
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
    pub(super) fn new(manifest: &Manifest, shared: &[RelativePath]) -> Links {
        let mut links = Links::default();
        for path in shared {
            links.add(manifest, path);
        }
        links
    }

    fn add(&mut self, manifest: &Manifest, path: &RelativePath) {
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
                Extra::Link(_) => return,
            }
        }
        extras.insert(last.to_vec(), Extra::Link(shared::target(path)));
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
        let links = Links::new(&manifest, &paths);
        let Some(Extra::Directory(inside)) = links.of(1).unwrap().get(&b"b"[..]) else { panic!("{links:?}") };
        assert!(matches!(inside.get(&b"c"[..]), Some(Extra::Link(target)) if target == b"../../../../shared/a/b/c"));
        assert!(
            matches!(links.of(0).unwrap().get(&b"x"[..]), Some(Extra::Link(target)) if target == b"../../shared/x")
        );
    }
}
