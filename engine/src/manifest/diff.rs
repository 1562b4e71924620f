//! Compares two manifests: the paths that are new, changed or removed. Touches no disk.

use crate::hash::Hash;
use crate::manifest::{Directory, EntryRef, Manifest, Node};
use crate::path::push_name;
use crate::report::Change;

/// A path that differs. A directory counts only if it becomes something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The path.
    pub(crate) path: Vec<u8>,
    /// The way in which it differs.
    pub(crate) change: Change,
    /// The size of the file before.
    pub(crate) bytes_before: Option<u64>,
    /// The size of the file after.
    pub(crate) bytes_after: Option<u64>,
    /// The content of a file that is only on one side, and is not empty: it may have moved.
    pub(crate) moving: Option<Hash>,
}

/// The numbers of paths that differ. As in [`compare`], directories do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Paths that only the second manifest has.
    pub(crate) new: u64,
    /// Paths of both that differ.
    pub(crate) changed: u64,
    /// Paths that only the first manifest has.
    pub(crate) removed: u64,
}

impl Counts {
    fn add(&mut self, change: Change) {
        match change {
            Change::New => self.new += 1,
            Change::Removed => self.removed += 1,
            Change::Content | Change::Mode | Change::Kind | Change::Moved => self.changed += 1,
        }
    }
}

/// Counts the differences from `before` to `after`. Without `before`, everything is new.
pub(crate) fn count(before: Option<&Manifest>, after: &Manifest) -> Counts {
    let mut counts = Counts::default();
    compare(before, after, |difference| counts.add(difference.change));
    counts
}

/// Calls `found` for each path that differs, in the order of paths.
pub(crate) fn compare(before: Option<&Manifest>, after: &Manifest, found: impl FnMut(Difference)) {
    let mut comparison = Comparison { before, after, path: Vec::new(), found };
    comparison.directories(before.map(|_| 0), Some(0));
}

struct Comparison<'a, F> {
    before: Option<&'a Manifest>,
    after: &'a Manifest,
    path: Vec<u8>,
    found: F,
}

impl<'a, F: FnMut(Difference)> Comparison<'a, F> {
    fn directories(&mut self, before: Option<u32>, after: Option<u32>) {
        let hash = |manifest: &Manifest, number: u32| -> Directory { manifest.directories()[number as usize] };
        if let (Some(manifest), Some(b), Some(a)) = (self.before, before, after)
            && hash(manifest, b).hash == hash(self.after, a).hash
        {
            return;
        }
        let (old_manifest, new_manifest) = (self.before, self.after);
        let mut old = before
            .and_then(|number| old_manifest.map(|manifest| manifest.children(number)))
            .into_iter()
            .flatten()
            .peekable();
        let mut new = after.map(|number| new_manifest.children(number)).into_iter().flatten().peekable();
        loop {
            let (old, new) = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(b), Some(a)) if b.name == a.name => (old.next(), new.next()),
                (Some(b), Some(a)) if b.name > a.name => (None, new.next()),
                (None, Some(_)) => (None, new.next()),
                _ => (old.next(), None),
            };
            self.entry(old, new);
        }
    }

    fn entry(&mut self, old: Option<EntryRef<'a>>, new: Option<EntryRef<'a>>) {
        let Some(name) = new.or(old).map(|named| named.name) else {
            return;
        };
        let length = self.path.len();
        push_name(&mut self.path, name);
        let (old, new) = (old.map(|named| named.node), new.map(|named| named.node));
        if let Some(change) = self.change(old, new) {
            let size = |node: Option<Node>| match node {
                Some(Node::File(file)) => Some(file.size),
                _ => None,
            };
            let moving = match (old, new) {
                (Some(Node::File(file)), None) | (None, Some(Node::File(file))) if file.size > 0 => Some(file.key.hash),
                _ => None,
            };
            let (path, bytes_before, bytes_after) = (self.path.clone(), size(old), size(new));
            (self.found)(Difference { path, change, bytes_before, bytes_after, moving });
        }
        let number = |node: Option<Node>| match node {
            Some(Node::Directory(number)) => Some(number),
            _ => None,
        };
        if number(old).is_some() || number(new).is_some() {
            self.directories(number(old), number(new));
        }
        self.path.truncate(length);
    }

    fn change(&self, old: Option<Node>, new: Option<Node>) -> Option<Change> {
        match (old, new) {
            (None | Some(Node::Directory(_)), None | Some(Node::Directory(_))) => None,
            (None, Some(_)) => Some(Change::New),
            (Some(_), None) => Some(Change::Removed),
            (Some(Node::File(old)), Some(Node::File(new))) if old.key.hash != new.key.hash => Some(Change::Content),
            (Some(Node::File(old)), Some(Node::File(new))) => (old.key.mode != new.key.mode).then_some(Change::Mode),
            (Some(Node::Symlink(old)), Some(Node::Symlink(new))) => {
                let same = self.before.is_some_and(|before| before.text(old) == self.after.text(new));
                (!same).then_some(Change::Content)
            }
            _ => Some(Change::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Builder, File, ObjectKey};

    fn manifest(entries: &[(&str, &str, u16)]) -> Manifest {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for &(name, content, mode) in entries {
            let key = ObjectKey { hash: Hash::of(content.as_bytes()), mode };
            match content {
                "->" => builder.symlink(name.as_bytes(), b"target").unwrap(),
                _ => builder.file(name.as_bytes(), File { key, size: content.len() as u64 }).unwrap(),
            };
        }
        builder.finish().unwrap()
    }

    #[test]
    fn each_kind_of_change_is_told_apart() {
        let before =
            manifest(&[("a", "1", 0o444), ("b", "1", 0o444), ("c", "1", 0o444), ("d", "1", 0o444), ("e", "1", 0o444)]);
        let after =
            manifest(&[("a", "1", 0o444), ("b", "22", 0o444), ("c", "1", 0o555), ("d", "->", 0), ("f", "1", 0o444)]);
        let mut found = Vec::new();
        compare(Some(&before), &after, |d| found.push((String::from_utf8(d.path).unwrap(), d.change)));
        let expected = [
            ("b", Change::Content),
            ("c", Change::Mode),
            ("d", Change::Kind),
            ("e", Change::Removed),
            ("f", Change::New),
        ];
        assert_eq!(found, expected.map(|(path, change)| (path.to_owned(), change)));
        assert_eq!(count(Some(&before), &after), Counts { new: 1, changed: 3, removed: 1 });
        assert_eq!(count(None, &after), Counts { new: 5, changed: 0, removed: 0 });
    }
}
