//! The rules by which a scan leaves out paths. The caller decides, and the walk asks.
//!
//! Rules may lie in the tree itself: files of certain names add rules for their directory and all below. Names that are left
//! out are not in the manifest, so the next scan does not know them: under other rules it lists every directory again.

use std::os::fd::OwnedFd;

use crate::error::Error;
use crate::hash::Hash;

/// The rules in force in one directory.
pub(crate) trait Rules: Sync {
    /// Returns a hash of the rules at the beginning of a scan. Equal rules have equal hashes.
    fn hash(&self) -> Hash;

    /// Returns the names of the files that add rules for their directory.
    fn file_names(&self) -> &[&[u8]];

    /// Returns a name to note. The scan notes each directory that has it, left out or not. None if no name is noted.
    fn noted_name(&self) -> Option<&[u8]>;

    /// Reads the files of rules in a directory. Returns the rules in force with them. None if the directory has no such
    /// file.
    fn enter(&self, directory: &OwnedFd, path: &[u8]) -> Result<Option<DirectoryRules>, Error>;

    /// Tells whether an entry is left out. `path` makes its path.
    fn leave_out(&self, name: &[u8], is_directory: bool, path: &dyn Fn() -> Vec<u8>) -> bool;
}

/// The rules in force in a directory with files of rules.
pub(crate) struct DirectoryRules {
    /// The rules.
    pub(crate) rules: Box<dyn Rules>,
    /// The hash of the files.
    pub(crate) file: Hash,
}
