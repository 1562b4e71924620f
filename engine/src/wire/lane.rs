//! Lanes: further connections that carry only blocks, to the agent of the first connection.
//!
//! A lane is a process of its own on the server. It only hands its stdin to the first agent, so a client on a lane
//! speaks to that agent itself. The agent makes a ticket when the client asks for lanes, and sends it over the first
//! connection.
//!
//! ```text
//! client ──▶ lane      name, token, number        after the greeting
//! lane   ──▶ agent     token, number, its stdin   through the socket of that name
//! agent  ──▶ lane      TAKEN
//! lane   ──▶ client    TAKEN                      from here on frames, which only the agent reads
//! ```
//!
//! The socket is in Linux's abstract namespace: it is not on disk, and disappears with its agent. Every user of the
//! server can see the name, so both sides check that the other process runs as the same user.

use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::wire::greeting::wait_readable;

/// The answer of the agent when it has accepted a lane.
pub(crate) const TAKEN: u8 = 0x06;

/// The time limit for each step of opening a lane, once its process runs.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(10);

const NAME_BYTES: usize = 16;
const TOKEN_BYTES: usize = 16;

/// Bytes that a lane shows to its agent.
pub(crate) const CLAIM_BYTES: usize = TOKEN_BYTES + 4;

/// Bytes that a client writes first into a lane.
pub(crate) const OPENING_BYTES: usize = NAME_BYTES + CLAIM_BYTES;

/// The address of the agent, and the token that admits a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    name: [u8; NAME_BYTES],
    token: [u8; TOKEN_BYTES],
}

impl Ticket {
    /// Makes a ticket that nobody can guess.
    pub(crate) fn new() -> Result<Ticket, Error> {
        let mut ticket = Ticket { name: [0; NAME_BYTES], token: [0; TOKEN_BYTES] };
        for bytes in [&mut ticket.name, &mut ticket.token] {
            rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
                .map_err(|errno| Error::io("read random bytes from", "/dev/urandom", errno))?;
        }
        Ok(ticket)
    }

    /// Returns the bytes that the client writes first into a lane.
    pub(crate) fn opening(&self, lane: u32) -> [u8; OPENING_BYTES] {
        let mut opening = [0; OPENING_BYTES];
        opening[..NAME_BYTES].copy_from_slice(&self.name);
        opening[NAME_BYTES..][..TOKEN_BYTES].copy_from_slice(&self.token);
        opening[NAME_BYTES + TOKEN_BYTES..].copy_from_slice(&lane.to_le_bytes());
        opening
    }

    /// Returns the address of the agent's socket.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        address(&self.name)
    }

    /// Returns the number of the lane, if its claim is right.
    pub(crate) fn admit(&self, claim: &[u8; CLAIM_BYTES]) -> Option<u32> {
        let (token, lane) = claim.split_first_chunk::<TOKEN_BYTES>()?;
        (*token == self.token).then_some(u32::from_le_bytes(lane.try_into().ok()?))
    }
}

/// Splits an opening into the agent's address and the claim to show there.
pub(crate) fn read_opening(opening: &[u8; OPENING_BYTES]) -> std::io::Result<(SocketAddr, [u8; CLAIM_BYTES])> {
    let (name, claim) = opening.split_at(NAME_BYTES);
    let mut shown = [0; CLAIM_BYTES];
    shown.copy_from_slice(claim);
    Ok((address(name)?, shown))
}

fn address(name: &[u8]) -> std::io::Result<SocketAddr> {
    let digits: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    SocketAddr::from_abstract_name(format!("cutover-{digits}"))
}

/// Returns whether a process of this user is at the other end of a socket.
pub(crate) fn is_own(socket: &impl AsFd) -> bool {
    socket_peercred(socket).is_ok_and(|peer| peer.uid == geteuid())
}

/// Waits for the answer to an opening. Returns false if the time is over.
pub(crate) fn wait_for_answer(input: &impl AsFd, cancel: &Cancel) -> Result<bool, Error> {
    wait_readable(input, Instant::now() + STEP_TIMEOUT, cancel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_admits_its_own_lanes_alone() {
        let (ticket, other) = (Ticket::new().unwrap(), Ticket::new().unwrap());
        let (_, claim) = read_opening(&ticket.opening(7)).unwrap();
        assert_eq!(ticket.admit(&claim), Some(7));
        assert_eq!(other.admit(&claim), None);
        assert_eq!(Ticket { name: ticket.name, token: other.token }.admit(&claim), None);
    }
}
