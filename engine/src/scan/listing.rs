//! The names of one listed directory, in one buffer.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

/// The size of the buffer: as much as the C library asks for at once.
const BUFFER_BYTES: usize = 32 << 10;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Listing {
    text: Vec<u8>,
    names: Vec<ListedName>,
}

/// A name in a [`Listing`].
#[derive(Debug, Clone, Copy)]
pub(super) struct ListedName {
    start: u32,
    len: u16,
    /// The kind of the entry, as the directory says. It may be unknown.
    pub(super) kind: FileType,
}

impl Listing {
    /// Lists a directory from which nothing was read before.
    pub(super) fn read(directory: impl AsFd) -> Result<Listing, Errno> {
        thread_local! {
            // Not on the stack: directories lie within each other.
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.reserve(BUFFER_BYTES);
            Listing::read_with(directory, buffer.spare_capacity_mut())
        })
    }

    fn read_with(directory: impl AsFd, buffer: &mut [MaybeUninit<u8>]) -> Result<Listing, Errno> {
        let mut entries = RawDir::new(directory, buffer);
        let mut listing = Listing::default();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                // 4 GiB of names in one directory are more than a manifest holds.
                let start = u32::try_from(listing.text.len()).map_err(|_| Errno::FBIG)?;
                let len = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
                listing.text.extend_from_slice(name);
                listing.names.push(ListedName { start, len, kind: entry.file_type() });
            }
        }
        let Listing { text, names } = &mut listing;
        names.sort_unstable_by(|one, other| one.of(text).cmp(other.of(text)));
        Ok(listing)
    }

    /// Returns the names, sorted.
    pub(super) fn names(&self) -> &[ListedName] {
        &self.names
    }

    /// Returns the bytes of a name.
    pub(super) fn name(&self, listed: ListedName) -> &[u8] {
        listed.of(&self.text)
    }

    /// Tells whether the listing has a name.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.names.binary_search_by(|listed| self.name(*listed).cmp(name)).is_ok()
    }
}

impl ListedName {
    fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..][..usize::from(self.len)]
    }
}
