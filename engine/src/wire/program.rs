//! A program on disk, and the mark by which one is known from another.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::file_range::FileRange;
use crate::hash::Hash;

/// The bytes of a program's hash in the greeting: enough to tell it from any other program.
pub(super) const MARK_BYTES: usize = 16;

/// The mark of a program: the first bytes of its hash.
pub(crate) type ProgramMark = [u8; MARK_BYTES];

/// A program on disk.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The path. `/proc/self/exe` stays right if the file is replaced by a newer version meanwhile.
    pub(super) path: PathBuf,
    /// The hash of its content. The agent's greeting must repeat its first bytes.
    pub(super) hash: Hash,
    /// The size in bytes.
    pub(super) bytes: u64,
}

impl Program {
    /// Reads and hashes a program.
    pub(super) fn open(path: &Path) -> Result<Program, Error> {
        let failed = |source| Error::io("read", path, source);
        let file = File::open(path).map_err(failed)?;
        let (hash, bytes) = FileRange::whole(&file).hash().map_err(failed)?;
        Ok(Program { path: path.to_owned(), hash, bytes })
    }

    /// Returns the mark of the program, for comparison with the greeting.
    pub(super) fn mark(&self) -> ProgramMark {
        *self.hash.as_bytes().first_chunk().expect("a hash is longer")
    }
}
