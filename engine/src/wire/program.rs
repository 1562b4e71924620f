//! The program that is copied to servers: the agent by itself, where it lies beside the running program and was built
//! with it, else the running program, which is an agent too, and three times as large.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::path::Shown;

/// The name of the file of the agent by itself.
const AGENT: &str = "cutover-agent";

/// What stands somewhere in the file of each program of this build. Programs of the same sources speak one protocol.
pub const BUILD: &str = concat!("cutover-agent ", env!("CARGO_PKG_VERSION"), " (build ", env!("CUTOVER_BUILD"), ")");

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
    /// Finds what is to be copied, by the running program's file. A program of another build beside it is left alone, and
    /// that is told.
    pub(super) fn to_copy(own: &Path, observer: &dyn Observer) -> Result<Program, Error> {
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

    /// Returns what the greeting says of it.
    pub(super) fn mark(&self) -> ProgramMark {
        *self.hash.as_bytes().first_chunk().expect("a hash is longer")
    }

    /// Returns the name that the program has on servers. Its hash is in it, so that two versions can stand beside each
    /// other and a name that is there is the right one, or damaged. What is removed there is found by just this form.
    pub(super) fn name(&self) -> String {
        format!("cutover-{}", &self.hash.to_string()[..16])
    }
}
