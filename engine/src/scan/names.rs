//! The candidate names of one directory: from its listing, or from the last scan if the directory is unchanged.

use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Error, SourceError};
use crate::manifest::{self, LEVELS_MAX, Node};
use crate::path::Shown;
use crate::scan::known::KnownDirectory;
use crate::scan::listing::Listing;
use crate::scan::place::Place;
use crate::scan::refusal::unreadable;
use crate::scan::scope::Scope;
use crate::scan::tree::Name;

/// The longest path in bytes. A program that opens a path as a whole cannot open a longer one (`PATH_MAX`, less space
/// for a prefix).
const PATH_BYTES_MAX: usize = 3840;

/// See the module's description.
pub(super) struct Names<'a> {
    /// The place of the directory.
    pub(super) place: &'a Place<'a>,
    /// The directory, held.
    pub(super) fd: &'a OwnedFd,
    /// The rules and trust in it.
    pub(super) scope: Scope<'a>,
    /// The directory in the last scan.
    pub(super) known: Option<KnownDirectory<'a>>,
    /// The listing. None if the names are those of the last scan.
    pub(super) listing: Option<Listing>,
    /// The candidates, sorted by name.
    pub(super) candidates: Vec<Candidate>,
}

impl Names<'_> {
    /// Returns the bytes of a name.
    pub(super) fn bytes(&self, name: Name) -> &[u8] {
        match (name, &self.listing, self.known) {
            (Name::Listed(listed), Some(listing), _) => listing.name(listed),
            (Name::Known(index), _, Some(directory)) => directory.known.manifest.name(index),
            _ => b"",
        }
    }

    /// Tells whether the rules leave out a listed name. Refuses a path that is too long or too deep for a manifest.
    pub(super) fn is_left_out(&self, name: &[u8], is_directory: bool) -> Result<bool, Error> {
        let Names { place, scope, .. } = self;
        if scope.rules.leave_out(name, is_directory, &|| place.path_of(name)) {
            return Ok(true);
        }
        let below = place.below(name);
        if below.bytes > PATH_BYTES_MAX {
            return Err(unreadable(&below.path(), Errno::NAMETOOLONG));
        }
        if is_directory && below.level > LEVELS_MAX {
            return Err(Error::Source(SourceError::TooDeep {
                path: Shown(&below.path()).to_string(),
                most: LEVELS_MAX,
            }));
        }
        Ok(false)
    }
}

/// A name to inspect.
pub(super) struct Candidate {
    /// The place of the name.
    pub(super) name: Name,
    /// The kind, which may be unknown.
    pub(super) kind: FileType,
    /// The entry of this name in the last scan.
    pub(super) known: Option<u32>,
}

/// Returns the candidates, sorted: the listed names, each with its entry in the last scan, or all names of the last
/// scan.
pub(super) fn candidates(known: Option<KnownDirectory<'_>>, listing: Option<&Listing>) -> Vec<Candidate> {
    let mut children = known.into_iter().flat_map(KnownDirectory::children).peekable();
    let Some(listing) = listing else {
        let kind = |node| match node {
            Node::Directory(_) => FileType::Directory,
            Node::File(_) => FileType::RegularFile,
            Node::Symlink(_) => FileType::Symlink,
        };
        let named = |child: manifest::EntryRef<'_>| Candidate {
            name: Name::Known(child.index),
            kind: kind(child.node),
            known: Some(child.index),
        };
        return children.map(named).collect();
    };
    let named = |&listed| {
        let name = listing.name(listed);
        while children.next_if(|child| child.name < name).is_some() {}
        let known = children.next_if(|child| child.name == name).map(|child| child.index);
        Candidate { name: Name::Listed(listed), kind: listed.kind, known }
    };
    listing.names().iter().map(named).collect()
}
