//! A round of a deploy: receives content until the client commits, and links meanwhile what the store has.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::event::Phase;
use crate::threads;
use crate::wire::bounds::LANES_AT_ONCE_MAX;
use crate::wire::frame::FRAME_MAX;
use crate::wire::message::{FromAgent, ToAgent};

use crate::agent::assemble::Assembly;
use crate::agent::conversation::{Conversation, Incoming, Next};
use crate::agent::receive::{FirstError, Inlets, RECEIVER_BYTES, Receivers, Reception};
use crate::agent::reporter::Reporter;

/// The memory of the agent while it receives, in bytes. What lies beyond it, up to 512 MiB, is for the program, stacks, and
/// what the allocator keeps.
const MEMORY_BYTES: u64 = 480 << 20;

/// What waits to be received, in bytes: of the first connection, and of all lanes.
const FRAMES_BYTES: [u64; 2] = [2 * FRAME_MAX as u64, (LANES_AT_ONCE_MAX * FRAME_MAX) as u64];

/// Returns what memory is left for receivers, beside so many bytes that are held.
pub(super) fn memory_left(held_bytes: u64) -> u64 {
    MEMORY_BYTES.saturating_sub(held_bytes + FRAMES_BYTES[0])
}

/// What a round does, beside receiving.
pub(super) struct Round {
    /// Links what the store has: that is the first round's.
    pub(super) is_first: bool,
    /// The memory for receivers, in bytes.
    pub(super) memory_bytes: u64,
}

/// Receives until the client commits; in the first round, links meanwhile what the store has.
pub(super) fn receive(
    conversation: &Conversation,
    reception: &Reception<'_>,
    inlets: &mut Inlets,
    round: &Round,
) -> Result<(), Error> {
    let memory = round.memory_bytes;
    let beside_lanes = memory.checked_sub(FRAMES_BYTES[1]).filter(|&memory| memory >= RECEIVER_BYTES);
    let first_error = FirstError::default();
    let link = || {
        if let Err(error) = link_known(conversation, reception.assembly) {
            first_error.put(error);
        }
    };
    let received = std::thread::scope(|scope| {
        if round.is_first && threads::spawn_scoped(scope, link).is_err() {
            link();
        }
        let mut receivers = Receivers::start(scope, reception, &first_error, beside_lanes.unwrap_or(memory))?;
        loop {
            first_error.check()?;
            // A client that has gone is noticed by what is read.
            drop(conversation.report_read(Some(receivers.stalled())));
            match conversation.next_or(inlets.arrivals())? {
                Next::Other(arrival) => inlets.note(arrival).map_or(Ok(()), |payload| receivers.give(payload))?,
                Next::Client(Incoming::Block(payload)) => receivers.give(payload)?,
                Next::Client(Incoming::Message(ToAgent::WantLanes)) => {
                    // Without them the deploy takes longer, and that is all.
                    let ticket = beside_lanes.and_then(|_| inlets.open().ok());
                    conversation.send(&FromAgent::Lanes(ticket))?;
                }
                Next::Client(Incoming::Message(ToAgent::SentOnLanes(sent))) => inlets.expect(sent),
                Next::Client(Incoming::Message(ToAgent::Commit)) => {
                    // What was sent on lanes before it may still be on its way there.
                    let give = |payload| first_error.check().and_then(|()| receivers.give(payload));
                    return inlets.take_rest(give, || first_error.check().and_then(|()| conversation.check_client()));
                }
                Next::Client(_) => return Err(Error::Protocol("something else where content was due".into())),
            }
        }
    });
    // What went wrong in a receiver says more than that the conversation broke off because of it.
    first_error.take()?;
    received
}

fn link_known(reporter: &dyn Reporter, assembly: &Assembly<'_>) -> Result<(), Error> {
    let linked = AtomicU64::new(0);
    assembly.link_known(|files| {
        let files = linked.fetch_add(files, Ordering::Relaxed) + files;
        reporter.progress(Phase::Assemble, files, assembly.manifest.files());
    })
}
