//! The program packed for its way to a server: with gzip, which nearly all servers have.
//!
//! Packing takes about as long as a connection over a long line. So it begins with the connection where the server is
//! thought to have no agent, in pieces on all processors: what gzip unpacks may consist of several streams, one after
//! the other. It stops when the agent turns out to be there.

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

/// Bytes in a stream. Smaller ones take more room: at this size a hundredth.
const PIECE_BYTES: usize = 1 << 20;

/// Where the packed program comes from.
pub(super) struct Packing {
    /// What is made ahead, if that was begun.
    ahead: Option<Receiver<Result<Vec<u8>, Error>>>,
    stop: Cancel,
}

impl Packing {
    /// Packs when that is asked for.
    pub(super) fn on_demand() -> Packing {
        Packing { ahead: None, stop: Cancel::default() }
    }

    /// Begins to pack at once. Dropping it ends that.
    pub(super) fn ahead(program: &Program) -> Packing {
        let (sender, ahead) = bounded(1);
        let (program, stop) = (program.clone(), Cancel::default());
        let packing = Packing { ahead: Some(ahead), stop: stop.clone() };
        let pack_now = move || drop(sender.send(read(&program).and_then(|content| pack(&program, &content, &stop))));
        // Without a thread it is packed when it is asked for, as the end of the channel tells.
        drop(threads::spawn(pack_now));
        packing
    }

    /// Tells whether nothing is made ahead: the server is thought to have the program.
    pub(super) fn is_on_demand(&self) -> bool {
        self.ahead.is_none()
    }

    /// Returns the packed program.
    pub(super) fn packed(&mut self, program: &Program) -> Result<Vec<u8>, Error> {
        match self.ahead.take().and_then(|ahead| ahead.recv().ok()) {
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

/// Reads the program, and makes sure that it still is what runs.
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
