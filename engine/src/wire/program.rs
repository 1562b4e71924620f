//! The program that is copied to servers: the agent alone, if it is beside the running program and of the same build;
//! else the running program, which contains the agent and is three times as large.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::path::Shown;

/// The file name of the agent alone.
const AGENT: &str = "cutover-agent";

/// The text in the file of each program of this build. Programs of the same sources speak one protocol.
pub const BUILD: &str = concat!("cutover-agent ", env!("CARGO_PKG_VERSION"), " (build ", env!("CUTOVER_BUILD"), ")");

/// The system that this program was built for, as `uname -s -m` prints it.
pub(super) const SYSTEM: &str = if cfg!(target_arch = "x86_64") {
    "Linux x86_64"
} else if cfg!(target_arch = "aarch64") {
    "Linux aarch64"
} else {
    "Linux on the architecture that this program was built for"
};

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
    /// Finds the program to copy, from the running program's file. Skips an agent of another build, and reports that.
    pub(super) fn find(own: &Path, observer: &dyn Observer) -> Result<Program, Error> {
        let Ok(path) = fs::canonicalize(own).map(|own| own.with_file_name(AGENT)) else { return Program::open(own) };
        let Ok(content) = fs::read(&path) else { return Program::open(own) };
        if memchr::memmem::find(&content, BUILD.as_bytes()).is_none() {
            let shown = Shown(path.as_os_str().as_encoded_bytes());
            observer.observe(Event::Detail(format!("`{shown}` is of another build: this program itself is the agent")));
            return Program::open(own);
        }
        Ok(Program { path, hash: Hash::of(&content), bytes: content.len() as u64 })
    }

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

    /// Returns the program's file name on servers. The name holds the hash, so two versions can be beside each other,
    /// and a file of that name is right or damaged. Cleanup recognizes old agents by exactly this form.
    pub(super) fn name(&self) -> String {
        format!("cutover-{}", &self.hash.to_string()[..16])
    }
}
