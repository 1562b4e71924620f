//! A directory on the way down from the root of a scan. Its path is made only on demand: most directories need none.

use crate::path::push_name;

/// See the module's description.
pub(super) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    name: &'a [u8],
    /// The length of the path.
    pub(super) bytes: usize,
    /// The number of directories above it, the root not counted.
    pub(super) level: u16,
}

impl Place<'_> {
    /// The root.
    pub(super) const ROOT: Place<'static> = Place { above: None, name: b"", bytes: 0, level: 0 };

    /// Returns the place of a directory in this one.
    pub(super) fn below<'a>(&'a self, name: &'a [u8]) -> Place<'a> {
        let slash = usize::from(self.bytes > 0);
        Place { above: Some(self), name, bytes: self.bytes + slash + name.len(), level: self.level + 1 }
    }

    /// Returns the path of the directory.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut path = self.above.map(Place::path).unwrap_or_default();
        if self.above.is_some() {
            push_name(&mut path, self.name);
        }
        path
    }

    /// Returns the path of an entry in it.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.path();
        push_name(&mut path, name);
        path
    }
}
