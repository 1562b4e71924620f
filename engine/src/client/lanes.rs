//! Spreads blocks over lanes: further connections, opened while much is to be sent and the window is the limit.
//!
//! A channel of SSH carries at most a window in a round trip, whatever the link's rate. Where the rate comes near to
//! that, the link may well carry more: another lane is opened, and another while each brings about as much as the one
//! before. On a link that is slower than the window, or near, none is. All lanes take blocks from one queue, so that each
//! gets as much as it can carry.
//!
//! The first connection tells at the end how many blocks went over each lane that stands, and the agent waits for these.
//! What a lane that broke had taken is not told: it is lacking after the commit, and asked for again.

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

/// The most connections at once. Five carry 1 Gbit/s at 80 ms; each costs the server up to 14 MiB, and the client 10.
const LANES_MAX: u32 = 5;

/// Bytes that a lane takes at once, and that say nothing about the link: they fill pipes and buffers.
const BUFFERED_BYTES: u64 = 3 << 20;

/// How often the rate is looked at.
const TICK: Duration = Duration::from_millis(50);

/// How often it is looked whether a ticket came.
const TICKET_EVERY: Duration = Duration::from_millis(5);

/// So much is sent before the agent has said that it takes the base that it is described against, in bytes.
const BELIEVED_BYTES_MAX: u64 = 2 << 20;

/// What blocks are sent with.
pub(crate) struct Outlet<'a> {
    /// The first connection.
    pub(crate) conversation: &'a Conversation,
    /// Is told of lanes.
    pub(crate) observer: &'a dyn Observer,
    /// As many connections as this, from the beginning; where none is said, as many as the link has use for.
    pub(crate) lanes: Option<u32>,
    /// Whether all is described against the base that was named, and the agent need not have said yet that it takes it.
    pub(crate) is_unasked: bool,
    /// Returns how much is still to be packed, in bytes as they are sent.
    pub(crate) left: &'a (dyn Fn() -> u64 + Sync),
}

/// Sends blocks, in any order, until there are no more or they are of no use. Calls `sending` for each before it is
/// written, and `sent` afterwards, with the time that its connection took.
pub(crate) fn send<T: AsRef<[u8]> + Send>(
    outlet: &Outlet<'_>,
    blocks: Receiver<Result<T, Error>>,
    sending: impl Fn(&T) + Sync,
    sent: impl Fn(&T, Duration) + Sync,
) -> Result<(), DeployFailure> {
    // What is sent again because a lane broke is little, and not worth further ones.
    let lanes = outlet.conversation.lanes().filter(|_| outlet.conversation.connections() == 1);
    let spread = Spread {
        outlet,
        may_open: lanes.is_some(),
        sending: &sending,
        sent: &sent,
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
            let (spread, blocks) = (&spread, blocks.clone());
            // Without a thread that opens lanes there are none.
            drop(threads::spawn_scoped(scope, move || spread.open_lanes(scope, &lanes, &blocks, &ended, ready)));
        } else {
            drop((ended, ready));
        }
        let written = spread.write(blocks, &is_ready);
        if written.is_err() {
            spread.stop.cancel();
        }
        drop(end);
        written
    })?;
    spread.finish()
}

struct Spread<'a, T, B, S> {
    outlet: &'a Outlet<'a>,
    sending: &'a B,
    sent: &'a S,
    may_open: bool,
    /// Ends lanes at once.
    stop: Cancel,
    /// Ends what opens lanes.
    opening: Cancel,
    /// The first connection is to ask for a ticket.
    wants_ticket: AtomicBool,
    /// The first error of a packer that a lane came upon.
    failed: Mutex<Option<Error>>,
    /// Blocks whose lane broke while it took them.
    returned: Mutex<Vec<T>>,
    /// Blocks by lane, of those that stand.
    delivered: Mutex<Vec<(u32, u64)>>,
    /// Lanes that were opened.
    opened: AtomicU32,
}

impl<T: AsRef<[u8]> + Send, B: Fn(&T) + Sync, S: Fn(&T, Duration) + Sync> Spread<'_, T, B, S> {
    /// Writes blocks to the first connection. The queue is taken by value: when writing stops early, packers find nobody
    /// listening and end.
    #[expect(clippy::needless_pass_by_value, reason = "its end is the end of the queue")]
    fn write(&self, blocks: Receiver<Result<T, Error>>, is_ready: &Receiver<()>) -> Result<(), DeployFailure> {
        let conversation = self.outlet.conversation;
        if self.may_open && self.outlet.lanes.is_some_and(|lanes| lanes > 1) {
            conversation.send(&ToAgent::WantLanes)?;
            while let Err(RecvTimeoutError::Timeout) = is_ready.recv_timeout(TICK) {
                conversation.check()?;
            }
        }
        let mut bytes = 0;
        loop {
            // A block may be long in the making, and a failure must not wait for it.
            let block = blocks.recv_timeout(TICK);
            conversation.check()?;
            if let Some(failure) = conversation.failed_early() {
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
            if !self.is_of_use(bytes)? {
                return Ok(());
            }
            (self.sending)(&block);
            self.write_block(&block)?;
        }
    }

    /// Tells whether to send so many bytes in all. What is described against a base that the agent does not take, it drops.
    fn is_of_use(&self, bytes: u64) -> Result<bool, DeployFailure> {
        if !self.outlet.is_unasked {
            return Ok(true);
        }
        if bytes > BELIEVED_BYTES_MAX {
            self.outlet.conversation.wait_for_base()?;
        }
        Ok(!self.outlet.conversation.takes_another())
    }

    fn write_block(&self, block: &T) -> Result<(), Error> {
        let began = Instant::now();
        self.outlet.conversation.send_frame(FrameKind::Block, block.as_ref())?;
        (self.sent)(block, began.elapsed());
        Ok(())
    }

    /// Sends what lanes gave back, and says what they brought. All of them have ended.
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

    /// Opens lanes while they are of use and until everything was taken; says when those are open that were asked for.
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
                    // The second waits at the door until the first has logged in.
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
                            self.tell(format!("No further connection: {}", error.with_cause()));
                            // Whatever keeps this one out would keep out the next.
                            gauge.give_up();
                        }
                        Err(_) => {}
                    }
                }
                default(TICK) => {}
            }
        }
        // A login that is under way keeps nobody waiting.
        self.opening.cancel();
    }

    fn start_opening(&self, lanes: &Arc<dyn Lanes>, number: u32, opened: &Sender<Result<Lane, Error>>) {
        let (lanes, opened) = (Arc::clone(lanes), opened.clone());
        let (ticket, cancel) = (self.outlet.conversation.ticket().clone(), self.opening.clone());
        let to_fail = opened.clone();
        let started = threads::spawn(move || {
            // One that comes when everything was sent is closed.
            drop(opened.send(Lane::open(&*lanes, number, &ticket, &cancel)));
        });
        if let Err(error) = started {
            drop(to_fail.send(Err(error)));
        }
    }

    /// Starts the thread that writes to a lane. Returns what counts its bytes.
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
        self.tell(format!("Sending over {number} connections"));
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
            (self.sending)(&block);
            let began = Instant::now();
            if let Err(error) = writer.write(FrameKind::Block, block.as_ref()) {
                // One that was told to stop was not lost.
                if self.stop.check().and_then(|()| self.outlet.conversation.check()).is_ok() {
                    self.tell(format!("A further connection was lost: {}", error.with_cause()));
                }
                self.returned.lock().expect("no lane panics").push(block);
                return;
            }
            (self.sent)(&block, began.elapsed());
            count += 1;
        }
        self.delivered.lock().expect("no lane panics").push((number, count));
    }

    fn tell(&self, detail: String) {
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

/// Waits for the answer to `WantLanes`, which was most likely there before the lane's agent.
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
