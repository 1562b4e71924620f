//! The inlets: the agent of the first connection takes over the streams of all lanes and reads blocks from them.
//!
//! A lane is admitted if it shows the ticket that the client got, and if its process belongs to the agent's own user.
//! One thread for each lane reads one block ahead. An error in a lane ends that lane and nothing else: its missing
//! blocks are lacking after the commit, and the agent asks for them again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::agent::conversation::CLIENT_SILENT_MAX;
use crate::error::Error;
use crate::threads;
use crate::wire::bounds::{LANES_AT_ONCE_MAX, LANES_MAX};
use crate::wire::frame::{Counter, FrameKind, FrameReader};
use crate::wire::lane::{CLAIM_BYTES, STEP_TIMEOUT, TAKEN, Ticket, is_own};
use crate::wire::last_byte::LastByte;

/// How often the wait for lanes checks whether to go on.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// An item from a lane.
pub(crate) enum Arrival {
    /// The lane was admitted.
    Began { lane: u32, last_byte: LastByte },
    /// A block of the lane.
    Block { lane: u32, payload: Vec<u8> },
    /// The lane has ended, and its missing blocks will not arrive.
    Ended { lane: u32 },
}

/// The lanes of a deploy.
pub(crate) struct Inlets {
    ticket: Option<Ticket>,
    arrivals: Receiver<Arrival>,
    /// Keeps the channel open when no lane is left, as that is no failure.
    _sender: Option<Sender<Arrival>>,
    lanes: HashMap<u32, Inlet>,
    /// The number of blocks that the client sent, by lane.
    sent: Vec<(u32, u64)>,
    /// The counter of received bytes.
    counter: Counter,
    /// The longest silence of a lane with missing blocks.
    silent_max: Duration,
}

/// The state of one lane.
struct Inlet {
    blocks: u64,
    has_ended: bool,
    last_byte: LastByte,
}

impl Inlets {
    /// Makes inlets that admit nobody before [`Inlets::open`].
    pub(crate) fn closed(counter: Counter) -> Inlets {
        let (lanes, sent, silent_max) = (HashMap::new(), Vec::new(), CLIENT_SILENT_MAX);
        Inlets { ticket: None, arrivals: never(), _sender: None, lanes, sent, counter, silent_max }
    }

    /// Begins to admit lanes that show the ticket, and returns the ticket.
    pub(crate) fn open(&mut self) -> Result<Ticket, Error> {
        if let Some(ticket) = self.ticket {
            return Ok(ticket);
        }
        let ticket = Ticket::new()?;
        let failed = |source| Error::io("listen for", "lanes", source);
        let address = ticket.address().map_err(failed)?;
        let listener = UnixListener::bind_addr(&address).map_err(failed)?;
        let (sender, arrivals) = bounded(0);
        let to_keep = sender.clone();
        // The thread ends with the process. A lane that comes later finds nobody.
        let counter = self.counter.clone();
        threads::spawn(move || admit_all(&listener, ticket, &sender, &counter))?;
        self._sender = Some(to_keep);
        self.arrivals = arrivals;
        self.ticket = Some(ticket);
        Ok(ticket)
    }

    /// Tells whether lanes may have been admitted.
    pub(crate) fn are_open(&self) -> bool {
        self.ticket.is_some()
    }

    /// Returns the channel of arrivals. Pass each of them to [`Inlets::note`].
    pub(crate) fn arrivals(&self) -> &Receiver<Arrival> {
        &self.arrivals
    }

    /// Updates the state of the lane, and returns the block, if the arrival is one.
    pub(crate) fn note(&mut self, arrival: Arrival) -> Option<Vec<u8>> {
        match arrival {
            Arrival::Began { lane, last_byte } => {
                self.lanes.insert(lane, Inlet { blocks: 0, has_ended: false, last_byte });
                None
            }
            Arrival::Block { lane, payload } => {
                if let Some(inlet) = self.lanes.get_mut(&lane) {
                    inlet.blocks += 1;
                }
                Some(payload)
            }
            Arrival::Ended { lane } => {
                if let Some(inlet) = self.lanes.get_mut(&lane) {
                    inlet.has_ended = true;
                }
                None
            }
        }
    }

    /// Sets the number of blocks that the client sent, by lane.
    pub(crate) fn expect(&mut self, sent: Vec<(u32, u64)>) {
        self.sent = sent;
    }

    /// Passes on the blocks that the client sent and that are still on their way. Calls `check` every second, to
    /// learn whether waiting is still of use. Afterwards no more blocks are expected.
    pub(crate) fn receive_rest(
        &mut self,
        mut give: impl FnMut(Vec<u8>) -> Result<(), Error>,
        check: impl Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut listening = Instant::now();
        while self.are_due(listening) {
            match self.arrivals.recv_timeout(CHECK_EVERY) {
                Ok(arrival) => {
                    if let Some(payload) = self.note(arrival) {
                        give(payload)?;
                        // What the lanes have sent since had to wait for this block.
                        listening = Instant::now();
                    }
                }
                Err(_) => check()?,
            }
        }
        self.sent = Vec::new();
        Ok(())
    }

    /// Tells whether a block may still be on its way. `listening` is the begin of the wait. A lane that is silent for
    /// too long no longer counts.
    fn are_due(&self, listening: Instant) -> bool {
        let is_due = |&(lane, blocks): &(u32, u64)| {
            self.lanes.get(&lane).is_some_and(|inlet| {
                !inlet.has_ended && inlet.blocks < blocks && inlet.last_byte.silence(listening) < self.silent_max
            })
        };
        self.sent.iter().any(is_due)
    }
}

fn admit_all(listener: &UnixListener, ticket: Ticket, arrivals: &Sender<Arrival>, counter: &Counter) {
    let mut admitted = Vec::new();
    let standing = Arc::new(AtomicUsize::new(0));
    for socket in listener.incoming() {
        let Ok(socket) = socket else { return };
        if admitted.len() == LANES_MAX {
            return;
        }
        let Some((lane, stream)) = is_own(&socket).then(|| claim(&socket, &ticket)).flatten() else { continue };
        if admitted.contains(&lane) || standing.load(Ordering::Acquire) == LANES_AT_ONCE_MAX {
            continue;
        }
        admitted.push(lane);
        let reader = FrameReader::of_blocks(stream, counter.clone());
        // This comes before the client learns that the lane is admitted, and so before it reports what it sent there.
        if arrivals.send(Arrival::Began { lane, last_byte: reader.last_byte() }).is_err() {
            return;
        }
        standing.fetch_add(1, Ordering::AcqRel);
        let (own, standing) = (arrivals.clone(), standing.clone());
        let started = threads::spawn(move || {
            read(lane, socket, reader, &own);
            standing.fetch_sub(1, Ordering::AcqRel);
            // If nobody receives this, the deploy is over.
            drop(own.send(Arrival::Ended { lane }));
        });
        // The lane was never confirmed, and its socket is closed now.
        if started.is_err() && arrivals.send(Arrival::Ended { lane }).is_err() {
            return;
        }
    }
}

/// Reads the claim of a lane, and takes over its stream if the claim is right.
fn claim(socket: &UnixStream, ticket: &Ticket) -> Option<(u32, File)> {
    socket.set_read_timeout(Some(STEP_TIMEOUT)).ok()?;
    let mut claim = [0; CLAIM_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut claim)];
    let received = recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC).ok()?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let stream: OwnedFd = descriptors.flatten().next()?;
    let lane = ticket.admit(&claim).filter(|_| received.bytes == CLAIM_BYTES)?;
    Some((lane, File::from(stream)))
}

/// Reads blocks until the lane ends or sends anything else.
fn read(lane: u32, mut socket: UnixStream, mut reader: FrameReader<File>, arrivals: &Sender<Arrival>) {
    if socket.write_all(&[TAKEN]).is_err() {
        return;
    }
    while let Ok(Some((FrameKind::Block, payload))) = reader.read() {
        if arrivals.send(Arrival::Block { lane, payload }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Read};

    use crossbeam_channel::RecvTimeoutError;

    use super::*;
    use crate::agent::lane::serve_lane;
    use crate::wire::frame::FrameWriter;

    const SOON: Duration = Duration::from_secs(20);

    /// Runs the process of a lane as a thread. Returns the client's end, the answers, and the thread.
    fn lane() -> Lane {
        let (input, client) = std::io::pipe().unwrap();
        let (answers, output) = std::io::pipe().unwrap();
        let input = File::from(OwnedFd::from(input));
        (client, answers, std::thread::spawn(move || serve_lane(input, output)))
    }

    type Lane = (PipeWriter, std::io::PipeReader, std::thread::JoinHandle<Result<(), Error>>);

    fn next(inlets: &mut Inlets) -> Option<Vec<u8>> {
        let arrival = inlets.arrivals().recv_timeout(SOON).unwrap();
        inlets.note(arrival)
    }

    #[test]
    fn a_lane_brings_blocks_until_its_end() {
        let mut inlets = Inlets::closed(Counter::default());
        let ticket = inlets.open().unwrap();
        let (mut client, mut answers, lane) = lane();
        client.write_all(&ticket.opening(3)).unwrap();
        assert_eq!(next(&mut inlets), None);
        let mut taken = [0];
        answers.read_exact(&mut taken).unwrap();
        assert_eq!(taken, [TAKEN]);
        let mut writer = FrameWriter::new(client);
        writer.write(FrameKind::Block, b"one").unwrap();
        writer.write(FrameKind::Block, b"two").unwrap();
        inlets.expect(vec![(3, 2)]);
        assert_eq!(next(&mut inlets).unwrap(), b"one");
        assert!(inlets.are_due(Instant::now()));
        assert_eq!(next(&mut inlets).unwrap(), b"two");
        assert!(!inlets.are_due(Instant::now()));
        drop(writer);
        assert_eq!(next(&mut inlets), None);
        lane.join().unwrap().unwrap();
    }

    #[test]
    fn a_lane_whose_blocks_nobody_had_time_for_is_not_given_up() {
        let mut inlets = Inlets { silent_max: Duration::from_millis(100), ..Inlets::closed(Counter::default()) };
        let ticket = inlets.open().unwrap();
        let (mut client, _answers, lane) = lane();
        client.write_all(&ticket.opening(1)).unwrap();
        next(&mut inlets);
        let mut writer = FrameWriter::new(client);
        [b"one", b"two"].into_iter().for_each(|block| writer.write(FrameKind::Block, block).unwrap());
        inlets.expect(vec![(1, 2)]);
        let mut taken = Vec::new();
        let slowly = |block| {
            std::thread::sleep(Duration::from_millis(300));
            taken.push(block);
            Ok(())
        };
        inlets.receive_rest(slowly, || Ok(())).unwrap();
        assert_eq!(taken, [b"one", b"two"]);
        // The third block never comes.
        inlets.expect(vec![(1, 3)]);
        inlets.receive_rest(|_| panic!("nothing was sent"), || Ok(())).unwrap();
        drop(writer);
        next(&mut inlets);
        lane.join().unwrap().unwrap();
    }

    #[test]
    fn a_lane_that_breaks_off_is_not_waited_for() {
        let mut inlets = Inlets::closed(Counter::default());
        let ticket = inlets.open().unwrap();
        let (mut client, _answers, lane) = lane();
        client.write_all(&ticket.opening(1)).unwrap();
        next(&mut inlets);
        // The length of a block and its kind, without the block.
        client.write_all(&[9, 0, 0, 0, FrameKind::Block as u8, 1]).unwrap();
        inlets.expect(vec![(1, 1)]);
        assert!(inlets.are_due(Instant::now()));
        drop(client);
        assert_eq!(next(&mut inlets), None);
        assert!(!inlets.are_due(Instant::now()));
        lane.join().unwrap().unwrap();
    }

    #[test]
    fn a_lane_that_brings_a_message_is_ended() {
        let mut inlets = Inlets::closed(Counter::default());
        let ticket = inlets.open().unwrap();
        let (mut client, _answers, lane) = lane();
        client.write_all(&ticket.opening(1)).unwrap();
        next(&mut inlets);
        FrameWriter::new(&mut client).write(FrameKind::Message, b"commit").unwrap();
        assert_eq!(next(&mut inlets), None);
        lane.join().unwrap().unwrap();
    }

    #[test]
    fn a_lane_without_the_ticket_is_refused() {
        let mut inlets = Inlets::closed(Counter::default());
        let ticket = inlets.open().unwrap();
        let right = ticket.opening(1);
        let altered = |at: usize| {
            let mut opening = right;
            opening[at] ^= 1;
            opening
        };
        // In the name of the socket, and in the token.
        for opening in [altered(0), altered(16), altered(31)] {
            let (mut client, mut answers, lane) = lane();
            client.write_all(&opening).unwrap();
            assert!(matches!(lane.join().unwrap(), Err(Error::Io { .. })));
            let mut said = Vec::new();
            answers.read_to_end(&mut said).unwrap();
            assert_eq!(said, b"");
        }
        assert!(inlets.arrivals().is_empty());
    }

    #[test]
    fn where_no_more_lanes_are_let_in_it_goes_on_with_none() {
        let mut inlets = Inlets::closed(Counter::default());
        let ticket = inlets.open().unwrap();
        let (mut opened, mut lanes) = (0, Vec::new());
        let mut open = |lanes: &mut Vec<Lane>, inlets: &mut Inlets| {
            let (mut client, answers, lane) = lane();
            client.write_all(&ticket.opening(opened)).unwrap();
            assert_eq!(next(inlets), None);
            lanes.push((client, answers, lane));
            opened += 1;
        };
        let refused = |number| {
            let (mut client, _answers, refused) = lane();
            client.write_all(&ticket.opening(number)).unwrap();
            assert!(matches!(refused.join().unwrap(), Err(Error::Io { .. })));
        };
        let close = |lanes: &mut Vec<Lane>, inlets: &mut Inlets| {
            for (client, _, lane) in std::mem::take(lanes) {
                drop(client);
                assert_eq!(next(inlets), None);
                lane.join().unwrap().unwrap();
            }
        };
        for _ in 0..LANES_MAX / LANES_AT_ONCE_MAX {
            (0..LANES_AT_ONCE_MAX).for_each(|_| open(&mut lanes, &mut inlets));
            refused(u32::MAX);
            close(&mut lanes, &mut inlets);
        }
        refused(u32::MAX);
        let nothing = inlets.arrivals().recv_timeout(Duration::from_millis(200));
        assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
    }

    #[test]
    fn a_number_is_given_once() {
        let mut inlets = Inlets::closed(Counter::default());
        let ticket = inlets.open().unwrap();
        let (mut first, _answers, _lane) = lane();
        first.write_all(&ticket.opening(1)).unwrap();
        next(&mut inlets);
        let (mut second, _more_answers, refused) = lane();
        second.write_all(&ticket.opening(1)).unwrap();
        assert!(matches!(refused.join().unwrap(), Err(Error::Io { .. })));
    }
}
