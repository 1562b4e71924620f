//! The receivers of a round: threads with a bounded queue each. Each block is given to one of them.
//!
//! Parts of one large file go to the same receiver, blocks of small files to any receiver with room.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::error::Error;
use crate::threads;
use crate::wire::block::{self, BlockDecoder, BlockHead};

use super::first_error::FirstError;
use super::flush::Flush;
use super::receiver::{Contents, RECEIVER_BYTES, Receiver, Reception};

/// The most receivers. There is one for each processor up to this number, if memory allows.
const RECEIVERS_MAX: usize = 3;

/// The blocks that wait for one receiver, beside the one at work.
const QUEUE_BLOCKS: usize = 1;

/// The queues of the receivers. Dropping them ends the receivers.
pub(crate) struct Receivers {
    queues: Vec<Sender<Vec<u8>>>,
    next: usize,
    stalled: Duration,
}

impl Receivers {
    /// Starts receivers in a scope that joins them, with about `memory` bytes.
    pub(crate) fn start<'scope, 'env>(
        scope: &'scope std::thread::Scope<'scope, 'env>,
        reception: &'scope Reception<'scope>,
        first_error: &'scope FirstError,
        memory: u64,
    ) -> Result<Receivers, Error> {
        let (flush, flusher) = Flush::new();
        // Without a flusher, everything is made durable at the end.
        drop(threads::spawn_scoped(scope, || {
            if let Err(error) = flusher.run(reception.assembly.staging) {
                first_error.put(error);
            }
        }));
        let flush = Arc::new(flush);
        let processors = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, RECEIVERS_MAX);
        let receivers = receivers(processors, memory);
        let start = |number: usize| {
            let (sender, queue) = bounded(QUEUE_BLOCKS);
            let flush = flush.clone();
            let receive = move || {
                let mut receiver =
                    Receiver { number, reception, flush, large: HashMap::new(), contents: Contents::default() };
                if let Err(error) = receiver.run(&queue, first_error) {
                    first_error.put(error);
                    // The sender must not wait for a receiver that has ended.
                    queue.into_iter().for_each(drop);
                }
            };
            threads::spawn_scoped(scope, receive).map(|_| sender)
        };
        let mut queues = vec![start(0)?];
        // If fewer threads can be had, these receive everything.
        queues.extend((1..receivers).map_while(|number| start(number).ok()));
        Ok(Receivers { queues, next: 0, stalled: Duration::ZERO })
    }

    /// Gives a block to a receiver, and waits while its queue is full.
    pub(crate) fn give(&mut self, payload: Vec<u8>) -> Result<(), Error> {
        let receiver = match block::part_of(&payload) {
            Some(entry) => entry as usize % self.queues.len(),
            None => {
                self.next = (self.next + 1) % self.queues.len();
                // Small files can go to any receiver: choose one with room, if there is one.
                (0..self.queues.len())
                    .map(|n| (self.next + n) % self.queues.len())
                    .find(|&n| !self.queues[n].is_full())
                    .unwrap_or(self.next)
            }
        };
        let began = Instant::now();
        let given = self.queues[receiver].send(payload).map_err(|_| Error::Bug("a receiver ended early".into()));
        self.stalled += began.elapsed();
        given
    }

    /// Returns how long blocks had to wait so far.
    pub(crate) fn stalled(&self) -> Duration {
        self.stalled
    }
}

/// Returns the number of receivers that memory allows, at least one.
fn receivers(processors: usize, memory: u64) -> usize {
    processors.min(usize::try_from(memory / RECEIVER_BYTES).unwrap_or(usize::MAX)).max(1)
}

impl Receiver<'_> {
    fn run(&mut self, queue: &crossbeam_channel::Receiver<Vec<u8>>, first_error: &FirstError) -> Result<(), Error> {
        let mut decoder = BlockDecoder::new().map_err(|e| Error::Bug(format!("zstd cannot be set up: {e}")))?;
        for payload in queue {
            if first_error.is_some() {
                continue;
            }
            let (head, content) =
                decoder.decode(&payload).map_err(|reason| Error::Protocol(format!("a block that {reason}")))?;
            match head {
                BlockHead::Files(entries) => self.files(&entries, content)?,
                BlockHead::Deltas(deltas) => self.deltas(&deltas, content)?,
                BlockHead::Part { entry, offset, old, ranges } => self.part(entry, offset, old, &ranges, content)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_receive_as_memory_has_room_for_and_one_at_least() {
        let check = |processors, blocks: u64, expected| {
            assert_eq!(receivers(processors, blocks * RECEIVER_BYTES), expected, "{processors} {blocks}");
        };
        check(3, 9, 3);
        check(3, 2, 2);
        check(3, 0, 1);
        check(2, 3, 2);
    }
}
