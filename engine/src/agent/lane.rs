//! The process of a lane: hands its stdin over to the agent of the first connection.
//!
//! From then on that agent reads the client's bytes directly, without a copy. This process only waits. It ends when
//! the agent is done with the lane or is gone, and its SSH channel ends with it.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::error::Error;
use crate::wire::lane::{CLAIM_BYTES, OPENING_BYTES, is_own, read_opening};

/// Serves a lane until the agent that the client's ticket names is done with it.
pub(crate) fn serve_lane(mut input: File, mut output: impl Write) -> Result<(), Error> {
    let lost = |source| Error::LineLost { source };
    let mut opening = [0; OPENING_BYTES];
    input.read_exact(&mut opening).map_err(lost)?;
    let refused = |source| Error::io("reach", "the agent of the first connection", source);
    let (address, claim) = read_opening(&opening).map_err(refused)?;
    let mut agent = UnixStream::connect_addr(&address).map_err(refused)?;
    if !is_own(&agent) {
        return Err(refused(std::io::ErrorKind::PermissionDenied.into()));
    }
    hand_over(&agent, &claim, &input).map_err(refused)?;
    drop(input);
    let mut confirmation = [0];
    agent.read_exact(&mut confirmation).map_err(refused)?;
    output.write_all(&confirmation).and_then(|()| output.flush()).map_err(lost)?;
    // The agent sends nothing more, and closes.
    let ended = agent.read(&mut confirmation);
    ended.map_or_else(|source| Err(refused(source)), |_| Ok(()))
}

fn hand_over(agent: &UnixStream, claim: &[u8; CLAIM_BYTES], input: &File) -> std::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [input.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(std::io::ErrorKind::OutOfMemory.into());
    }
    let sent = sendmsg(agent, &[IoSlice::new(claim)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent == CLAIM_BYTES { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
}
