//! Placeholders: files that only keep an otherwise empty directory in a repository.

use crate::manifest::Node;

/// Names of placeholders. A `.gitignore` in a shared directory says that git leaves out what is written there.
const NAMES: [&[u8]; 4] = [b".gitkeep", b".keep", b".gitignore", b".placeholder"];

/// A page that keeps a web server from listing a directory.
const EMPTY_PAGES: [&[u8]; 2] = [b"index.html", b"index.php"];

/// Returns whether an entry of a release is a placeholder.
pub(super) fn is_placeholder(name: &[u8], node: Node) -> bool {
    match node {
        Node::File(file) => NAMES.contains(&name) || (file.size == 0 && EMPTY_PAGES.contains(&name)),
        Node::Directory(_) | Node::Symlink(_) => false,
    }
}
