//! One round of receiving: takes content until the client commits, and meanwhile links the objects that the store has.

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

/// The memory of the agent while it receives, in bytes. The rest, up to 512 MiB, is for the program, stacks, and what
/// the allocator keeps.
const MEMORY_BYTES: u64 = 480 << 20;

/// The memory of frames that wait, in bytes: on the first connection, and on all lanes.
const FRAMES_BYTES: [u64; 2] = [2 * FRAME_MAX as u64, (LANES_AT_ONCE_MAX * FRAME_MAX) as u64];

/// Returns the memory that is left for receivers, in bytes, if so many bytes are in use.
pub(super) fn memory_left(held_bytes: u64) -> u64 {
    MEMORY_BYTES.saturating_sub(held_bytes + FRAMES_BYTES[0])
}

/// The properties of a round.
pub(super) struct Round {
    /// Whether it is the first round, which links the objects that the store has.
    pub(super) is_first: bool,
    /// The memory for receivers, in bytes.
    pub(super) memory_bytes: u64,
}

/// Receives until the client commits. The first round also links the objects that the store has.
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
            // If the client has gone, the next read notices it.
            drop(conversation.report_read(Some(receivers.stalled())));
            match conversation.next_or(inlets.arrivals())? {
                Next::Other(arrival) => inlets.note(arrival).map_or(Ok(()), |payload| receivers.give(payload))?,
                Next::Client(Incoming::Block(payload)) => receivers.give(payload)?,
                Next::Client(Incoming::Message(ToAgent::WantLanes)) => {
                    // Without lanes the deploy only takes longer.
                    let ticket = beside_lanes.and_then(|_| inlets.open().ok());
                    conversation.send(&FromAgent::Lanes(ticket))?;
                }
                Next::Client(Incoming::Message(ToAgent::SentOnLanes(sent))) => inlets.expect(sent),
                Next::Client(Incoming::Message(ToAgent::Commit)) => {
                    // Blocks that were sent on lanes before this commit may still be on their way.
                    let give = |payload| first_error.check().and_then(|()| receivers.give(payload));
                    return inlets
                        .receive_rest(give, || first_error.check().and_then(|()| conversation.check_client()));
                }
                Next::Client(_) => return Err(Error::Protocol("another message while content was expected".into())),
            }
        }
    });
    // A receiver's error is the cause, and the end of the conversation only its effect.
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
