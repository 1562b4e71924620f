//! Packs the agent for its way to a server with gzip, which nearly all servers have.
//!
//! Packing takes about as long as connecting to a distant server. So if the client expects no agent on the server,
//! packing begins with the connection, in pieces on all processors: gzip unpacks several streams one after the other.
//! It stops if the agent turns out to be there, or if the server needs that for another architecture.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use crossbeam_channel::{Receiver, bounded};
use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::error::{Error, SourceError};
use crate::hash::Hash;
use crate::path::Shown;
use crate::threads;
use crate::wire::program::Program;

/// Bytes in a stream. Smaller streams cost space: at this size one percent.
const PIECE_BYTES: usize = 1 << 20;

/// An agent that is being packed.
struct Ahead {
    program: Hash,
    packed: Receiver<Result<Vec<u8>, Error>>,
}

/// The source of the packed agent.
pub(super) struct Packing {
    /// The result of packing ahead, if that was started.
    ahead: Option<Ahead>,
    stop: Cancel,
}

impl Packing {
    /// Packs on request.
    pub(super) fn on_demand() -> Packing {
        Packing { ahead: None, stop: Cancel::default() }
    }

    /// Starts to pack at once. Dropping it stops the work.
    pub(super) fn ahead(program: &Program) -> Packing {
        let (sender, packed) = bounded(1);
        let (program, stop) = (program.clone(), Cancel::default());
        let packing = Packing { ahead: Some(Ahead { program: program.hash, packed }), stop: stop.clone() };
        let pack_now = move || drop(sender.send(read(&program).and_then(|content| pack(&program, &content, &stop))));
        // If no thread can be had, the channel ends, and the agent is packed on request.
        drop(threads::spawn(pack_now));
        packing
    }

    /// Returns whether nothing is packed ahead: the client expects the agent on the server.
    pub(super) fn is_on_demand(&self) -> bool {
        self.ahead.is_none()
    }

    /// Returns the packed agent. If another one is packed ahead, that work is stopped.
    pub(super) fn packed(&mut self, program: &Program) -> Result<Vec<u8>, Error> {
        if self.ahead.as_ref().is_some_and(|ahead| ahead.program != program.hash) {
            *self = Packing::on_demand();
        }
        match self.ahead.take().and_then(|ahead| ahead.packed.recv().ok()) {
            Some(packed) => packed,
            None => pack(program, &read(program)?, &self.stop),
        }
    }
}

impl Drop for Packing {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Reads the program, and fails if its file has changed since it was hashed.
pub(super) fn read(program: &Program) -> Result<Vec<u8>, Error> {
    let content = fs::read(&program.path).map_err(|error| Error::io("read", &program.path, error))?;
    let is_same = Hash::of(&content) == program.hash;
    if is_same {
        Ok(content)
    } else {
        Err(SourceError::FileChanging(Shown(program.path.as_os_str().as_bytes()).to_string()).into())
    }
}

fn pack(program: &Program, content: &[u8], stop: &Cancel) -> Result<Vec<u8>, Error> {
    threads::start_pool()?;
    let packed = content.par_chunks(PIECE_BYTES).map(|piece| {
        stop.check()?;
        pack_piece(piece).map_err(|error| Error::io("pack", &program.path, error))
    });
    Ok(packed.collect::<Result<Vec<_>, Error>>()?.concat())
}

fn pack_piece(piece: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(piece)?;
    encoder.finish()
}
