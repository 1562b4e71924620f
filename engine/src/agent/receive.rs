//! Receives content: blocks → verified files in staging, linked at once to where they belong.
//!
//! Each lane is a thread with a directory and a bounded queue of its own, so memory is bounded by queues and lanes
//! never wait for each other's directory. The parts of one large file always go to the same lane, in order, and are
//! hashed as they are written. Content whose hash is not what the manifest says is dropped: it stays wanted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::disk::set_mode_and_mtime;
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::{File as ManifestFile, ObjectKey};
use crate::wire::block::{self, BlockDecoder, BlockHead, Range};

use super::assemble::Assembly;
use super::store::ObjectName;
use super::wanted::WantedObjects;

/// Blocks that wait for one lane, beside the one at work.
const QUEUE_BLOCKS: usize = 1;

/// Bytes of an old file that are read at a time.
const COPY_BYTES: usize = 1 << 20;

/// What receiving works on.
pub(crate) struct Reception<'a> {
    /// Where content goes.
    pub(crate) assembly: &'a Assembly<'a>,
    /// What is wanted.
    pub(crate) wanted: &'a WantedObjects,
}

/// The queues of the lanes. Dropping it ends them.
pub(crate) struct Lanes {
    queues: Vec<Sender<Vec<u8>>>,
    next: usize,
}

/// The first error of any lane.
#[derive(Default)]
pub(crate) struct FirstError(Mutex<Option<Error>>);

impl FirstError {
    /// Keeps an error, if it is the first.
    pub(crate) fn put(&self, error: Error) {
        self.0.lock().expect("no lane panics").get_or_insert(error);
    }

    /// Returns the error, if there was one.
    pub(crate) fn take(&self) -> Result<(), Error> {
        self.0.lock().expect("no lane panics").take().map_or(Ok(()), Err)
    }

    /// Fails if there was an error, and leaves it where it is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_some() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn is_some(&self) -> bool {
        self.0.lock().expect("no lane panics").is_some()
    }
}

impl Lanes {
    /// Starts a lane for each directory of staging, in a scope that joins them.
    pub(crate) fn start<'scope, 'env>(
        scope: &'scope std::thread::Scope<'scope, 'env>,
        reception: &'scope Reception<'scope>,
        first_error: &'scope FirstError,
    ) -> Lanes {
        let start = |number: usize| {
            let (sender, receiver) = bounded(QUEUE_BLOCKS);
            scope.spawn(move || {
                let mut lane = Lane { number, reception, large: HashMap::new() };
                if let Err(error) = lane.run(&receiver, first_error) {
                    first_error.put(error);
                    // Whoever sends must not wait for a lane that has ended.
                    receiver.into_iter().for_each(drop);
                }
            });
            sender
        };
        Lanes { queues: (0..reception.assembly.staging.lanes.len()).map(start).collect(), next: 0 }
    }

    /// Gives a block to a lane, waiting while its queue is full.
    pub(crate) fn give(&mut self, payload: Vec<u8>) -> Result<(), Error> {
        let lane = match block::part_of(&payload) {
            Some(entry) => lane_of(entry, self.queues.len()),
            None => {
                self.next = (self.next + 1) % self.queues.len();
                // Any lane will do for small files: one that has room, if there is one.
                (0..self.queues.len())
                    .map(|n| (self.next + n) % self.queues.len())
                    .find(|&n| !self.queues[n].is_full())
                    .unwrap_or(self.next)
            }
        };
        self.queues[lane].send(payload).map_err(|_| Error::Bug("a lane ended early".into()))
    }
}

/// Returns the lane that takes all parts of an entry.
pub(crate) fn lane_of(entry: u32, lanes: usize) -> usize {
    entry as usize % lanes
}

struct Lane<'a> {
    number: usize,
    reception: &'a Reception<'a>,
    large: HashMap<u32, Large>,
}

/// A large file on its way.
struct Large {
    file: File,
    hasher: blake3::Hasher,
    written: u64,
}

impl Lane<'_> {
    fn run(&mut self, queue: &Receiver<Vec<u8>>, first_error: &FirstError) -> Result<(), Error> {
        let mut decoder = BlockDecoder::new().map_err(|e| Error::Bug(format!("zstd cannot be set up: {e}")))?;
        for payload in queue {
            if first_error.is_some() {
                continue;
            }
            let (head, content) =
                decoder.decode(&payload).map_err(|reason| Error::Protocol(format!("a block that {reason}")))?;
            match head {
                BlockHead::Files(entries) => self.files(&entries, content)?,
                BlockHead::Part { entry, offset, old, ranges } => self.part(entry, offset, old, &ranges, content)?,
            }
        }
        Ok(())
    }

    fn files(&self, entries: &[u32], mut content: &[u8]) -> Result<(), Error> {
        let short = || Error::Protocol("a block whose content is not as long as its files".into());
        for &entry in entries {
            let file = self.file(entry)?;
            let size = usize::try_from(file.size).map_err(|_| short())?;
            let (own, rest) = content.split_at_checked(size).ok_or_else(short)?;
            content = rest;
            self.small(file.key, own)?;
        }
        if content.is_empty() { Ok(()) } else { Err(short()) }
    }

    fn file(&self, entry: u32) -> Result<ManifestFile, Error> {
        let manifest = self.reception.assembly.manifest;
        manifest.file(entry).ok_or_else(|| Error::Protocol("content for an entry that is no file".into()))
    }

    fn small(&self, key: ObjectKey, content: &[u8]) -> Result<(), Error> {
        let Some(at) = self.reception.wanted.find(key) else {
            return Ok(());
        };
        if self.reception.wanted.lane(at).is_some() || Hash::of(content) != key.hash {
            return Ok(());
        }
        let flat = ObjectName { key, copy: 0 }.flat();
        let dir = &self.reception.assembly.staging.lanes[self.number];
        let mut file = dir.create_file(flat.as_bytes())?;
        file.write_all(content).map_err(|e| Error::io("write", dir.path_of(flat.as_bytes()), e))?;
        self.finish(at, &file, &flat)
    }

    fn finish(&self, at: usize, file: &File, flat: &str) -> Result<(), Error> {
        let Reception { assembly, wanted } = self.reception;
        let dir = &assembly.staging.lanes[self.number];
        let mode = u32::from(wanted.key(at).mode);
        set_mode_and_mtime(file, mode, assembly.second)
            .map_err(|e| Error::io("set the mode of", dir.path_of(flat.as_bytes()), e))?;
        if wanted.arrive(at, self.number) {
            assembly.link_arrived(wanted, at, self.number)?;
        }
        Ok(())
    }

    fn part(
        &mut self,
        entry: u32,
        offset: u64,
        old: Option<ObjectKey>,
        ranges: &[Range],
        content: &[u8],
    ) -> Result<(), Error> {
        let file = self.file(entry)?;
        let Some(at) = self.reception.wanted.find(file.key) else {
            return Ok(());
        };
        if self.reception.wanted.lane(at).is_some() {
            return Ok(());
        }
        if offset > file.size {
            return Err(Error::Protocol("a part beyond the end of its file".into()));
        }
        let flat = ObjectName { key: file.key, copy: 0 }.flat();
        let mut large = match self.large.remove(&entry) {
            Some(large) if large.written == offset => large,
            _ => match self.open_large(&flat, offset)? {
                Some(large) => large,
                // A part of a file whose beginning is not here: it stays wanted.
                None => return Ok(()),
            },
        };
        let failed = |e: std::io::Error| Error::io("write", self.lane_path(&flat), e);
        if !self.write_ranges(&mut large, file, old, ranges, content).map_err(failed)? {
            return Ok(());
        }
        if large.written < file.size {
            self.large.insert(entry, large);
        } else if Hash::from(large.hasher.finalize()) == file.key.hash {
            self.finish(at, &large.file, &flat)?;
        } else {
            // Wrong from somewhere on: nothing of it can be kept.
            self.reception.assembly.staging.lanes[self.number].remove_file(flat.as_bytes())?;
        }
        Ok(())
    }

    fn lane_path(&self, flat: &str) -> std::path::PathBuf {
        self.reception.assembly.staging.lanes[self.number].path_of(flat.as_bytes())
    }

    /// Opens the file at the place where a part begins: anew, or after what an earlier run received, which is hashed.
    /// Nothing where less than that is there.
    fn open_large(&self, flat: &str, offset: u64) -> Result<Option<Large>, Error> {
        let dir = &self.reception.assembly.staging.lanes[self.number];
        if offset == 0 {
            dir.remove_file(flat.as_bytes())?;
            let file = dir.create_file(flat.as_bytes())?;
            return Ok(Some(Large { file, hasher: blake3::Hasher::new(), written: 0 }));
        }
        let failed = |e: std::io::Error| Error::io("read", self.lane_path(flat), e);
        let Some(mut file) = dir.write_file(flat.as_bytes())? else { return Ok(None) };
        let mut hasher = blake3::Hasher::new();
        let there = std::io::copy(&mut (&file).take(offset), &mut hasher).map_err(failed)?;
        if there != offset {
            return Ok(None);
        }
        file.set_len(offset).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Some(Large { file, hasher, written: offset }))
    }

    /// Writes the ranges of a part. Says whether they were all to be had.
    fn write_ranges(
        &self,
        large: &mut Large,
        file: ManifestFile,
        old: Option<ObjectKey>,
        ranges: &[Range],
        mut content: &[u8],
    ) -> std::io::Result<bool> {
        let old = match old.map(|key| self.reception.assembly.store.open_any(key)) {
            Some(Ok(Some(file))) => Some(file),
            _ => None,
        };
        let mut buffer = vec![0; COPY_BYTES];
        for range in ranges {
            let (Range::Old { len, .. } | Range::Sent { len }) = *range;
            // A part may not make the file longer than the manifest says, whatever it declares.
            if len > file.size - large.written {
                return Ok(false);
            }
            match *range {
                Range::Sent { len } => {
                    let Some((own, rest)) = content.split_at_checked(len as usize) else {
                        return Ok(false);
                    };
                    content = rest;
                    large.append(own)?;
                }
                Range::Old { mut offset, len } => {
                    let Some(old) = &old else { return Ok(false) };
                    let mut left = len;
                    while left > 0 {
                        let step = left.min(buffer.len() as u64) as usize;
                        let read = old.read_at(&mut buffer[..step], offset)?;
                        if read == 0 {
                            return Ok(false);
                        }
                        large.append(&buffer[..read])?;
                        offset += read as u64;
                        left -= read as u64;
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Large {
    fn append(&mut self, content: &[u8]) -> std::io::Result<()> {
        self.hasher.update(content);
        self.written += content.len() as u64;
        self.file.write_all(content)
    }
}
