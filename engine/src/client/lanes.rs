//! Spreads blocks over lanes: further connections, opened while much is left to send and the window is the limit.
//!
//! A channel of SSH carries at most a window in a round trip, whatever the link's rate. If the rate comes near to that,
//! the link may well carry more. Then the client opens another lane, and another while each brings about as much as the
//! one before. On a link that is slower than the window, or near, it opens none. All lanes take blocks from one queue,
//! so that each gets as much as it can carry.
//!
//! The first connection reports at the end how many blocks went over each lane that is still open, and the agent waits
//! for these. Blocks of a broken lane are not reported: the agent lacks them after the commit, and asks for them again.

mod gauge;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};

use crate::cancel::Cancel;
use crate::client::conversation::{Conversation, LaneWriter, TicketSlot};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::report::DeployFailure;
use crate::threads;
use crate::wire::connection::{Connection, Lanes};
use crate::wire::frame::FrameKind;
use crate::wire::lane::{STEP_TIMEOUT, TAKEN, Ticket, wait_for_answer};
use crate::wire::message::ToAgent;

use gauge::Gauge;

/// The most connections at once. Five carry 1 Gbit/s at 80 ms. Each costs the server up to 14 MiB, and the client 10.
const LANES_MAX: u32 = 5;

/// The bytes that fill the pipes and buffers of a new lane. They say nothing about the link.
const BUFFERED_BYTES: u64 = 3 << 20;

/// The time between two checks of the rate.
const TICK: Duration = Duration::from_millis(50);

/// The time between two checks for the ticket.
const TICKET_EVERY: Duration = Duration::from_millis(5);

/// The most bytes that are sent before the agent has said that it takes the base that they are described against.
const UNCONFIRMED_BYTES_MAX: u64 = 2 << 20;

/// The parameters of sending blocks.
pub(crate) struct Outlet<'a> {
    /// The first connection.
    pub(crate) conversation: &'a Conversation,
    /// Receives details about lanes.
    pub(crate) observer: &'a dyn Observer,
    /// The number of connections, from the beginning. None: as many as the link has use for.
    pub(crate) lanes: Option<u32>,
    /// Whether all blocks are described against the named base, and are sent before the agent says that it takes it.
    pub(crate) is_unasked: bool,
    /// Returns the bytes that are still to be packed, as they travel.
    pub(crate) left: &'a (dyn Fn() -> u64 + Sync),
}

/// Sends blocks, in any order, until the queue has ended or they are of no use. Calls `before` for each block before it
/// is written, and `after` afterwards, with the time that the write took.
pub(crate) fn send<T: AsRef<[u8]> + Send>(
    outlet: &Outlet<'_>,
    blocks: Receiver<Result<T, Error>>,
    before: impl Fn(&T) + Sync,
    after: impl Fn(&T, Duration) + Sync,
) -> Result<(), DeployFailure> {
    // Blocks that are sent again after a lane broke are few, and not worth further lanes.
    let lanes = outlet.conversation.lanes().filter(|_| outlet.conversation.connections() == 1);
    let block_sender = BlockSender {
        outlet,
        can_open: lanes.is_some(),
        before: &before,
        after: &after,
        stop: Cancel::default(),
        opening: Cancel::default(),
        wants_ticket: AtomicBool::new(false),
        failed: Mutex::default(),
        returned: Mutex::default(),
        delivered: Mutex::default(),
        opened: AtomicU32::new(0),
    };
    std::thread::scope(|scope| {
        let (end, ended) = bounded(0);
        let (ready, is_ready) = bounded(0);
        if let Some(lanes) = lanes {
            let (block_sender, blocks) = (&block_sender, blocks.clone());
            // Without a thread to open lanes there are none.
            drop(threads::spawn_scoped(scope, move || block_sender.open_lanes(scope, &lanes, &blocks, &ended, ready)));
        } else {
            drop((ended, ready));
        }
        let written = block_sender.write_blocks(blocks, &is_ready);
        if written.is_err() {
            block_sender.stop.cancel();
        }
        drop(end);
        written
    })?;
    block_sender.finish()
}

struct BlockSender<'a, T, B, S> {
    outlet: &'a Outlet<'a>,
    before: &'a B,
    after: &'a S,
    can_open: bool,
    /// Ends lanes at once.
    stop: Cancel,
    /// Ends the opening of lanes.
    opening: Cancel,
    /// Whether the first connection is to ask for a ticket.
    wants_ticket: AtomicBool,
    /// The first error of a packer that a lane received.
    failed: Mutex<Option<Error>>,
    /// The blocks whose lane broke while they were written.
    returned: Mutex<Vec<T>>,
    /// The number of blocks by lane, of unbroken lanes.
    delivered: Mutex<Vec<(u32, u64)>>,
    /// The number of lanes that were opened.
    opened: AtomicU32,
}

impl<T: AsRef<[u8]> + Send, B: Fn(&T) + Sync, S: Fn(&T, Duration) + Sync> BlockSender<'_, T, B, S> {
    /// Writes blocks to the first connection. It owns its receiver of the queue: when it stops early, packers find the
    /// queue closed and end.
    #[expect(clippy::needless_pass_by_value, reason = "its end is the end of the queue")]
    fn write_blocks(&self, blocks: Receiver<Result<T, Error>>, is_ready: &Receiver<()>) -> Result<(), DeployFailure> {
        let conversation = self.outlet.conversation;
        if self.can_open && self.outlet.lanes.is_some_and(|lanes| lanes > 1) {
            conversation.send(&ToAgent::WantLanes)?;
            while let Err(RecvTimeoutError::Timeout) = is_ready.recv_timeout(TICK) {
                conversation.check()?;
            }
        }
        let mut bytes = 0;
        loop {
            // A block may take long to make, and a failure must not wait for it.
            let block = blocks.recv_timeout(TICK);
            conversation.check()?;
            if let Some(failure) = conversation.early_failure() {
                return Err(failure);
            }
            if self.stop.check().is_err() {
                return Ok(());
            }
            if self.wants_ticket.swap(false, Ordering::Relaxed) {
                conversation.send(&ToAgent::WantLanes)?;
            }
            let block = match block {
                Ok(block) => block?,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            bytes += block.as_ref().len() as u64;
            if !self.is_wanted(bytes)? {
                return Ok(());
            }
            (self.before)(&block);
            self.write_block(&block)?;
        }
    }

    /// Tells whether to send this many bytes in all. An agent that takes another base drops them.
    fn is_wanted(&self, bytes: u64) -> Result<bool, DeployFailure> {
        if !self.outlet.is_unasked {
            return Ok(true);
        }
        if bytes > UNCONFIRMED_BYTES_MAX {
            self.outlet.conversation.wait_for_base()?;
        }
        Ok(!self.outlet.conversation.has_rejected_base())
    }

    fn write_block(&self, block: &T) -> Result<(), Error> {
        let began = Instant::now();
        self.outlet.conversation.send_frame(FrameKind::Block, block.as_ref())?;
        (self.after)(block, began.elapsed());
        Ok(())
    }

    /// Sends the blocks of broken lanes, and reports the blocks of each lane. All lanes have ended.
    fn finish(self) -> Result<(), DeployFailure> {
        if let Some(error) = self.failed.lock().expect("no lane panics").take() {
            return Err(error.into());
        }
        let returned = std::mem::take(&mut *self.returned.lock().expect("no lane panics"));
        returned.iter().try_for_each(|block| self.write_block(block))?;
        let delivered = std::mem::take(&mut *self.delivered.lock().expect("no lane panics"));
        if !delivered.is_empty() {
            self.outlet.conversation.send(&ToAgent::SentOnLanes(delivered))?;
        }
        Ok(())
    }

    /// Opens lanes while they are of use, until the queue has ended. Drops `ready` once the requested lanes are open.
    fn open_lanes<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        lanes: &Arc<dyn Lanes>,
        blocks: &Receiver<Result<T, Error>>,
        ended: &Receiver<()>,
        ready: Sender<()>,
    ) where
        T: 'scope,
    {
        let conversation = self.outlet.conversation;
        let mut gauge = Gauge::new(lanes.round_trip(), Instant::now());
        let mut flows = vec![conversation.flow()];
        let (sender, opened) = bounded(LANES_MAX as usize);
        let mut pending = 0;
        let mut ready = Some(ready);
        loop {
            let now = Instant::now();
            let standing = flows.len() as u32 + pending;
            let wants = match self.outlet.lanes {
                Some(wanted) => standing < wanted.min(LANES_MAX) && ready.is_some() && !gauge.has_given_up(),
                None => {
                    gauge.note(now, flows.iter().map(|flow| beyond_buffers(flow)).sum());
                    // The second waits until the first has logged in.
                    standing < LANES_MAX && pending < 2 && gauge.wants_more(now, (self.outlet.left)())
                }
            };
            if wants {
                if self.outlet.lanes.is_none() && conversation.ticket().get().is_none() {
                    self.wants_ticket.store(true, Ordering::Relaxed);
                }
                self.start_opening(lanes, conversation.next_lane(), &sender);
                pending += 1;
                continue;
            }
            if pending == 0 && self.outlet.lanes.is_some() {
                ready = None;
            }
            select! {
                recv(ended) -> _ => break,
                recv(opened) -> lane => {
                    pending -= 1;
                    match lane {
                        Ok(Ok(lane)) => match self.start_lane(scope, lane, blocks.clone()) {
                            Ok(flow) => {
                                flows.push(flow);
                                gauge.lane_began(Instant::now());
                            }
                            Err(_) => gauge.give_up(),
                        },
                        Ok(Err(error)) => {
                            self.report(format!("Could not open another connection: {}", error.with_cause()));
                            // The same cause would prevent the next one.
                            gauge.give_up();
                        }
                        Err(_) => {}
                    }
                }
                default(TICK) => {}
            }
        }
        // A login that is under way delays nobody.
        self.opening.cancel();
    }

    fn start_opening(&self, lanes: &Arc<dyn Lanes>, number: u32, opened: &Sender<Result<Lane, Error>>) {
        let (lanes, opened) = (Arc::clone(lanes), opened.clone());
        let (ticket, cancel) = (self.outlet.conversation.ticket().clone(), self.opening.clone());
        let to_fail = opened.clone();
        let started = threads::spawn(move || {
            // A lane that comes after everything was sent is closed.
            drop(opened.send(Lane::open(&*lanes, number, &ticket, &cancel)));
        });
        if let Err(error) = started {
            drop(to_fail.send(Err(error)));
        }
    }

    /// Starts the thread that writes to a lane. Returns the counter of its bytes.
    fn start_lane<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        lane: Lane,
        blocks: Receiver<Result<T, Error>>,
    ) -> Result<Arc<AtomicU64>, Error>
    where
        T: 'scope,
    {
        let (writer, flow) = self.outlet.conversation.add_lane(lane.connection, self.stop.clone());
        threads::spawn_scoped(scope, move || self.run_lane(lane.number, writer, blocks))?;
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 2;
        self.report(format!("Sending over {number} connections"));
        Ok(flow)
    }

    fn run_lane(&self, number: u32, mut writer: LaneWriter, blocks: Receiver<Result<T, Error>>) {
        let mut count = 0;
        for block in blocks {
            if self.stop.check().is_err() {
                return;
            }
            let block = match block {
                Ok(block) => block,
                Err(error) => {
                    self.failed.lock().expect("no lane panics").get_or_insert(error);
                    self.stop.cancel();
                    return;
                }
            };
            (self.before)(&block);
            let began = Instant::now();
            if let Err(error) = writer.write(FrameKind::Block, block.as_ref()) {
                // A lane that was told to stop was not lost.
                if self.stop.check().and_then(|()| self.outlet.conversation.check()).is_ok() {
                    self.report(format!("A further connection was lost: {}", error.with_cause()));
                }
                self.returned.lock().expect("no lane panics").push(block);
                return;
            }
            (self.after)(&block, began.elapsed());
            count += 1;
        }
        self.delivered.lock().expect("no lane panics").push((number, count));
    }

    fn report(&self, detail: String) {
        self.outlet.observer.observe(Event::Detail(detail));
    }
}

fn beyond_buffers(flow: &AtomicU64) -> u64 {
    flow.load(Ordering::Relaxed).saturating_sub(BUFFERED_BYTES)
}

/// A lane that the agent has taken over.
struct Lane {
    number: u32,
    connection: Connection,
}

impl Lane {
    fn open(lanes: &dyn Lanes, number: u32, ticket: &TicketSlot, cancel: &Cancel) -> Result<Lane, Error> {
        let refused = |what: &str| Error::Protocol(format!("a lane that {what}"));
        let lost = |source| Error::LineLost { source };
        let mut connection = lanes.open(cancel)?;
        let ticket = wait_for(ticket, cancel)?.ok_or_else(|| refused("the server has no socket for"))?;
        connection.output.write_all(&ticket.opening(number)).map_err(lost)?;
        let mut answer = [0];
        if !wait_for_answer(&connection.input, cancel)? {
            return Err(refused("is not taken over in time"));
        }
        let read = connection.input.read(&mut answer).map_err(lost)?;
        if read == 1 && answer == [TAKEN] { Ok(Lane { number, connection }) } else { Err(refused("was refused")) }
    }
}

/// Waits for the answer to `WantLanes`, which mostly arrives before the lane's agent starts.
fn wait_for(ticket: &TicketSlot, cancel: &Cancel) -> Result<Option<Ticket>, Error> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        match ticket.get() {
            Some(ticket) => return Ok(*ticket),
            None if Instant::now() >= deadline => return Ok(None),
            None => cancel.check()?,
        }
        std::thread::sleep(TICKET_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;
    use crate::wire::pipe;

    #[test]
    fn an_interruption_does_not_wait_for_a_block() {
        let (sender, blocks) = bounded::<Result<Vec<u8>, Error>>(1);
        let (tell, told) = bounded(1);
        let cancel = Cancel::default();
        cancel.cancel();
        std::thread::spawn(move || {
            let lost = |source| Error::LineLost { source };
            let agent = move |mut input, _| std::io::copy(&mut input, &mut std::io::sink()).map(drop).map_err(lost);
            let conversation = Conversation::new(pipe::connect(agent).unwrap(), Arc::new(Silent), cancel).unwrap();
            let outlet =
                Outlet { conversation: &conversation, observer: &Silent, lanes: None, is_unasked: false, left: &|| 1 };
            tell.send(send(&outlet, blocks, |_| {}, |_, _| {}).map_err(|failure| failure.error)).unwrap();
        });
        let sent = told.recv_timeout(Duration::from_secs(20));
        assert!(matches!(sent, Ok(Err(Error::Interrupted))), "{sent:?}");
        drop(sender);
    }
}
