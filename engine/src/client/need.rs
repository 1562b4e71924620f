//! The space that the content of a source needs on a server that has none of it.

use std::collections::HashMap;

use crate::manifest::{Manifest, Node, ObjectKey};
use crate::wire::message::Need;

impl Need {
    /// Sums up a manifest. Files of one content are stored once.
    pub(crate) fn of(manifest: &Manifest) -> Need {
        let objects: HashMap<ObjectKey, u64> =
            manifest.all_files().filter(|(_, file)| file.size > 0).map(|(_, file)| (file.key, file.size)).collect();
        let is_other = |&entry: &u32| match manifest.node(entry) {
            Node::File(file) => file.size == 0,
            Node::Symlink(_) | Node::Directory(_) => true,
        };
        Need {
            bytes: objects.values().sum(),
            objects: objects.len() as u64,
            others: (0..manifest.len()).filter(is_other).count() as u64,
        }
    }
}
