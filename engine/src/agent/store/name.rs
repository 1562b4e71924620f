//! The name of an object: its content, its mode, and the number of the copy.

use crate::hash::Hash;
use crate::manifest::ObjectKey;

/// The name of one stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectName {
    /// Its content and mode.
    pub(crate) key: ObjectKey,
    /// The number of the copy: 0, or that of a further copy.
    pub(crate) copy: u16,
}

impl ObjectName {
    /// Returns the name in one piece: `abcdef…-444[.n]`.
    pub(crate) fn flat(&self) -> String {
        let ObjectName { key: ObjectKey { hash, mode }, copy } = self;
        match copy {
            0 => format!("{hash}-{mode:03o}"),
            n => format!("{hash}-{mode:03o}.{n}"),
        }
    }

    /// Parses a name as [`ObjectName::flat`] returns it.
    pub(crate) fn parse(flat: &[u8]) -> Option<ObjectName> {
        let text = std::str::from_utf8(flat).ok()?;
        let (hash, rest) = text.split_once('-')?;
        let (mode, copy) = match rest.split_once('.') {
            Some((mode, copy)) if copy.starts_with(|digit: char| ('1'..='9').contains(&digit)) => {
                (mode, copy.parse().ok()?)
            }
            Some(_) => return None,
            None => (rest, 0),
        };
        let is_octal = mode.len() == 3 && mode.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u16::from_str_radix(mode, 8).ok().filter(|mode| is_octal && mode & !0o555 == 0)?;
        Some(ObjectName { key: ObjectKey { hash: hash.parse::<Hash>().ok()?, mode }, copy })
    }

    /// Returns the number of its shard.
    pub(crate) fn shard(&self) -> usize {
        usize::from(self.key.hash.as_bytes()[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_read_back_and_others_are_not_taken_for_them() {
        let key = ObjectKey { hash: Hash::of(b"content"), mode: 0o555 };
        for copy in [0, 1, 65535] {
            let name = ObjectName { key, copy };
            assert_eq!(ObjectName::parse(name.flat().as_bytes()), Some(name));
        }
        let flat = ObjectName { key, copy: 0 }.flat();
        let short = &flat[..flat.len() - 4];
        for wrong in
            [format!("{flat}.0"), format!("{flat}.01"), format!("{short}-644"), format!("{short}-55"), short.to_owned()]
        {
            assert_eq!(ObjectName::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
