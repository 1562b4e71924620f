//! The rules by which the scan of a site leaves out paths: what becomes shared, and `.git`.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use crate::agent::sqlite::names_beside;
use crate::bytes::put_bytes;
use crate::error::Error;
use crate::hash::Hash;
use crate::path::RelativePath;
use crate::scan::rules::{DirectoryRules, Rules};

/// Git's own directory. No release has it.
pub(super) const GIT: &[u8] = b".git";

/// The paths that no release of the site has.
#[derive(Debug, Default)]
pub(super) struct SiteRules {
    shared: BTreeSet<Vec<u8>>,
    beside: BTreeSet<Vec<u8>>,
}

impl SiteRules {
    /// Leaves out these paths, and the files beside databases.
    pub(super) fn new(shared: &[RelativePath], databases: &[RelativePath]) -> SiteRules {
        let shared = shared.iter().map(|path| path.as_bytes().to_vec()).collect();
        SiteRules { shared, beside: beside(databases) }
    }
}

/// Returns the paths of the files beside databases.
pub(super) fn beside(databases: &[RelativePath]) -> BTreeSet<Vec<u8>> {
    databases.iter().flat_map(|path| names_beside(path.as_bytes())).collect()
}

impl Rules for SiteRules {
    fn hash(&self) -> Hash {
        let mut bytes = Vec::new();
        self.shared.iter().chain(&self.beside).for_each(|path| put_bytes(&mut bytes, path));
        Hash::of(&bytes)
    }

    fn file_names(&self) -> &[&[u8]] {
        &[]
    }

    fn noted_name(&self) -> Option<&[u8]> {
        None
    }

    fn enter(&self, _: &OwnedFd, _: &[u8]) -> Result<Option<DirectoryRules>, Error> {
        Ok(None)
    }

    fn leave_out(&self, name: &[u8], is_directory: bool, path: &dyn Fn() -> Vec<u8>) -> bool {
        if name == GIT {
            return true;
        }
        if self.shared.is_empty() {
            return false;
        }
        let path = path();
        self.shared.contains(&path) || (!is_directory && self.beside.contains(&path))
    }
}
