//! POSIX access lists (acl(5)), as the kernel keeps them in an attribute.

use std::path::Path;

/// The attribute with the access list.
const ACCESS_LIST: &str = "system.posix_acl_access";
/// The most bytes of an access list: a header of four, and eight for each entry.
const ACCESS_LIST_BYTES: usize = 64 << 10;

/// Whom an entry of an access list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// The owner of the file.
    Owner,
    /// This user.
    User(u32),
    /// The group of the file.
    OwningGroup,
    /// This group.
    Group(u32),
    /// The most that users and groups get.
    Mask,
    /// Everybody else.
    Others,
}

/// An entry of an access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whom it is for.
    pub(super) tag: Tag,
    /// The bits of its rights, as those of a mode.
    pub(super) rights: u32,
}

/// Reads the access list of a file, if it has one.
pub(super) fn access_list(path: &Path) -> Option<Vec<Entry>> {
    let mut bytes = vec![0; ACCESS_LIST_BYTES];
    let length = rustix::fs::getxattr(path, ACCESS_LIST, &mut bytes[..]).ok()?;
    parse(bytes.get(..length)?)
}

/// Parses an access list: the version 2, then tag, rights and number of each entry, all little-endian.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (version, entries) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 {
        return None;
    }
    let entry = |bytes: &[u8]| {
        let half = |at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let number = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        let tag = match half(0)? {
            0x01 => Tag::Owner,
            0x02 => Tag::User(number),
            0x04 => Tag::OwningGroup,
            0x08 => Tag::Group(number),
            0x10 => Tag::Mask,
            0x20 => Tag::Others,
            _ => return None,
        };
        Some(Entry { tag, rights: u32::from(half(2)?) })
    };
    entries.chunks(8).map(entry).collect()
}
