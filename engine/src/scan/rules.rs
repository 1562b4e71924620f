//! What a scan leaves out of a tree. The caller decides; the walk asks.
//!
//! Rules may stand in the tree itself: a file of one name adds rules for the directory that it is in and for all below it.
//! Names that are left out are not in the manifest, so the next scan does not know them: under other rules it lists every
//! directory again.

use std::os::fd::OwnedFd;

use crate::error::Error;
use crate::hash::Hash;

/// The rules in force in one directory.
pub(crate) trait Rules: Sync {
    /// Returns a hash that is equal where the rules at the beginning of a scan are equal.
    fn hash(&self) -> Hash;

    /// Returns the name of the files that add rules for their directory. None where no file does.
    fn file_name(&self) -> Option<&[u8]>;

    /// Returns a name of which the scan notes the directories that it stands in, left out or not. None where no name is noted.
    fn noted_name(&self) -> Option<&[u8]>;

    /// Reads the file of rules in a directory. Returns the rules in force with it, and its hash; nothing where there is none.
    fn enter(&self, directory: &OwnedFd, path: &[u8]) -> Result<Option<Entered>, Error>;

    /// Tells whether an entry is left out. `path` makes its path.
    fn leave_out(&self, name: &[u8], is_directory: bool, path: &dyn Fn() -> Vec<u8>) -> bool;
}

/// The rules in force in a directory with a file of rules.
pub(crate) struct Entered {
    /// The rules.
    pub(crate) rules: Box<dyn Rules>,
    /// The hash of the file.
    pub(crate) file: Hash,
}
