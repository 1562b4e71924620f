//! The running program as what is copied to servers: its bytes are the agent.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::hash::Hash;

/// The system that this program was built for, as `uname -s -m` names it.
pub(super) const SYSTEM: &str = if cfg!(target_arch = "x86_64") {
    "Linux x86_64"
} else if cfg!(target_arch = "aarch64") {
    "Linux aarch64"
} else {
    "Linux on the architecture that this program was built for"
};

/// How many bytes of a program's hash it is known by in the greeting: enough that no other one has them.
pub(super) const MARK_BYTES: usize = 16;

/// What a program is known by: the first bytes of its hash.
pub(crate) type ProgramMark = [u8; MARK_BYTES];

/// The program on disk.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Where it is. `/proc/self/exe` stays right when the file is replaced by a newer version meanwhile.
    pub(super) path: PathBuf,
    /// The hash of its content, of which the agent's greeting must repeat the beginning.
    pub(super) hash: Hash,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

impl Program {
    /// Reads and hashes the program.
    pub(super) fn open(path: &Path) -> Result<Program, Error> {
        let failed = |source| Error::io("read", path, source);
        let file = File::open(path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file).map_err(failed)?;
        Ok(Program { path: path.to_owned(), hash: hasher.finalize().into(), bytes: hasher.count() })
    }

    /// Returns what the greeting says of it.
    pub(super) fn mark(&self) -> ProgramMark {
        *self.hash.as_bytes().first_chunk().expect("a hash is longer")
    }

    /// Returns the name that the program has on servers. Version and hash are in it, so that two versions can stand
    /// beside each other and a name that is there is the right one, or damaged.
    pub(super) fn name(&self) -> String {
        format!("cutover-{}-{}", env!("CARGO_PKG_VERSION"), &self.hash.to_string()[..16])
    }
}
