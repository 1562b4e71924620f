//! The client's half of a conversation: frames out, answers in.
//!
//! A thread of its own reads, so that a write never waits while answers are unread. What only tells (progress,
//! warnings) goes to the observer at once; answers wait until they are asked for. An agent of which not a byte comes for
//! long is taken for dead; while this side has nothing to say it says that it is alive.

mod inbox;
mod listener;
mod output;

use std::fs::File;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::cancel::Cancel;
use crate::client::delivery::Delivery;
use crate::client::load::Load;
use crate::error::{Error, Kind, Refusal};
use crate::event::Observer;
use crate::live::LiveNow;
use crate::report::{DeployFailure, DeployState};
use crate::threads;
use crate::wire::bounds::TREE_BYTES_MAX;
use crate::wire::connection::{Carrier, Connection, Lanes};
use crate::wire::frame::{Counter, FrameKind, FrameReader, FrameWriter, Parts};
use crate::wire::heard::Heard;
use crate::wire::message::{self, BaseName, FromAgent, Reply, Taken, ToAgent};

use inbox::{Inbox, NothingTaken, Received};
pub(crate) use listener::TicketSlot;
use listener::{Listener, TakenBase, Told};
use output::{Output, keep_alive};

/// An agent that is alive says something every ten seconds.
const AGENT_SILENT_MAX: Duration = Duration::from_secs(60);
/// How long the agent may take to say what is live after this side has left it.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long this side waits for the agent to tidy up after a failure.
const TIDYING: Duration = Duration::from_secs(5);
/// How soon an agent that has answered ends by itself.
const ANSWERED: Duration = Duration::from_secs(2);
/// How long the agent may take to end after its answer.
const ENDING: Duration = Duration::from_secs(30);
/// How soon an interruption is noticed.
const CANCEL_EVERY: Duration = Duration::from_millis(50);

/// Writes to a lane.
pub(crate) type LaneWriter = FrameWriter<Output>;

/// What is kept of a lane: it ends when both its streams are closed.
struct KeptLane {
    sent: Counter,
    _input: File,
    _carrier: Box<dyn Carrier>,
}

/// A conversation with an agent.
pub(crate) struct Talk {
    out: Arc<Mutex<Option<FrameWriter<Output>>>>,
    inbox: Inbox,
    heard: Heard,
    silent_max: Duration,
    /// What the agent said last of what is live.
    live: Arc<Mutex<LiveNow>>,
    taken_base: TakenBase,
    load: Load,
    delivery: Delivery,
    may_switch: AtomicBool,
    has_committed: AtomicBool,
    sent: Counter,
    read: Counter,
    cancel: Cancel,
    carrier: Mutex<Option<Box<dyn Carrier>>>,
    /// What opens lanes, where they are of use.
    lanes: Option<Arc<dyn Lanes>>,
    ticket: TicketSlot,
    next_lane: AtomicU32,
    /// Lanes that were opened. The agent may still be reading what was written to them.
    kept_lanes: Mutex<Vec<KeptLane>>,
    /// Bytes that the line took.
    flow: Arc<AtomicU64>,
    /// How many it took a second before the conversation, where that was measured.
    copied_at: Option<f64>,
    /// Dropped with the conversation, which ends the thread that says that this side is alive.
    _alive: Sender<()>,
    /// Waits so far.
    round_trips: Mutex<u64>,
}

impl Talk {
    /// Begins a conversation over a connection.
    pub(crate) fn new(connection: Connection, observer: Arc<dyn Observer>, cancel: Cancel) -> Result<Talk, Error> {
        Talk::begin(connection, observer, cancel, AGENT_SILENT_MAX)
    }

    /// As [`Talk::new`]; an agent of which nothing comes for `silent_max` is taken for dead.
    fn begin(
        connection: Connection,
        observer: Arc<dyn Observer>,
        cancel: Cancel,
        silent_max: Duration,
    ) -> Result<Talk, Error> {
        let Connection { input, output, carrier, lanes, copied_at } = connection;
        let reader = FrameReader::new::<FromAgent>(input);
        let heard = reader.heard();
        let output = Output::new(output, [cancel.clone(), Cancel::default()], heard.clone(), silent_max);
        let flow = output.flow.clone();
        let writer = FrameWriter::new(output);
        let (sent, read) = (writer.counter(), reader.counter());
        let out = Arc::new(Mutex::new(Some(writer)));
        let live = Arc::new(Mutex::new(LiveNow::Unchanged));
        let inbox = Inbox::default();
        let load = Load::default();
        let ticket = TicketSlot::default();
        let taken_base = TakenBase::default();
        let delivery = Delivery::new(observer.clone());
        let listener = Listener {
            observer,
            delivery: delivery.clone(),
            live: live.clone(),
            taken_base: taken_base.clone(),
            load: load.clone(),
            ticket: ticket.clone(),
            inbox: inbox.clone(),
            told: Told::default(),
        };
        threads::spawn(move || listener.listen(reader))?;
        let alive = keep_alive(out.clone())?;
        let carrier = Mutex::new(Some(carrier));
        Ok(Talk {
            out,
            inbox,
            heard,
            silent_max,
            live,
            taken_base,
            load,
            delivery,
            may_switch: AtomicBool::new(false),
            has_committed: AtomicBool::new(false),
            sent,
            read,
            cancel,
            carrier,
            lanes,
            ticket,
            next_lane: AtomicU32::new(1),
            kept_lanes: Mutex::default(),
            flow,
            copied_at,
            _alive: alive,
            round_trips: Mutex::new(0),
        })
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &ToAgent) -> Result<(), Error> {
        if matches!(message, ToAgent::Commit) {
            self.has_committed.store(true, Ordering::Relaxed);
        }
        self.send_frame(FrameKind::Message, &message::to_bounded_bytes(message)?)
    }

    /// Sends a frame.
    pub(crate) fn send_frame(&self, kind: FrameKind, payload: &[u8]) -> Result<(), Error> {
        self.cancel.check()?;
        let mut out = self.out.lock().expect("no sender panics");
        let writer = out.as_mut().ok_or_else(|| Error::Bug("a frame after the end".into()))?;
        let written = writer.write(kind, payload);
        // An interruption ends a write that could not go on; that the line is of no more use then is not the news.
        self.cancel.check()?;
        written
    }

    /// Holds back what `say` sends as long as it is short, so that it goes in as few packets as it fits into.
    pub(crate) fn together<T>(&self, say: impl FnOnce() -> Result<T, DeployFailure>) -> Result<T, DeployFailure> {
        self.hold(true)?;
        let said = say()?;
        self.hold(false)?;
        Ok(said)
    }

    fn hold(&self, hold: bool) -> Result<(), Error> {
        self.out.lock().expect("no sender panics").as_mut().map_or(Ok(()), |out| out.hold(hold))
    }

    /// Sends bytes that a message announced.
    pub(crate) fn send_parts(&self, bytes: &[u8]) -> Result<(), Error> {
        bytes.chunks(1 << 20).try_for_each(|part| self.send_frame(FrameKind::Part, part))
    }

    /// Waits for the next answer. `Failed` is an error here.
    pub(crate) fn next(&self) -> Result<FromAgent, DeployFailure> {
        match self.receive()? {
            Received::Message(message) => match *message {
                FromAgent::Failed { refusal, live } => Err(failure(refusal, live)),
                message => Ok(message),
            },
            Received::Part(_) => Err(Error::Protocol("a part that nothing announced".into()).into()),
            Received::Lost(error) => Err(self.lost(error)),
        }
    }

    /// Waits for what comes next.
    fn receive(&self) -> Result<Received, DeployFailure> {
        let listening = Instant::now();
        loop {
            self.cancel.check()?;
            match self.inbox.take(Instant::now() + CANCEL_EVERY) {
                Ok(received) => return Ok(received),
                Err(nothing) => self.check_line(nothing, listening)?,
            }
        }
    }

    /// Fails where nothing comes any more, or nothing has come for long since this side listens.
    fn check_line(&self, nothing: NothingTaken, listening: Instant) -> Result<(), DeployFailure> {
        let lost = |kind: ErrorKind| Err(self.lost(Error::LineLost { source: kind.into() }));
        match nothing {
            NothingTaken::Ended => lost(ErrorKind::UnexpectedEof),
            NothingTaken::TimedOut if self.heard.silence(listening) > self.silent_max => lost(ErrorKind::TimedOut),
            NothingTaken::TimedOut => Ok(()),
        }
    }

    /// As [`Talk::next`], and counts that this side had to wait for it.
    pub(crate) fn wait(&self) -> Result<FromAgent, DeployFailure> {
        self.count_wait();
        self.next()
    }

    /// Returns the failure that ends the conversation, if it is there already. Answers wait for whoever asks for them:
    /// what was sent unasked is answered while it is being sent.
    pub(crate) fn failed_early(&self) -> Option<DeployFailure> {
        match self.inbox.take_end()? {
            Received::Lost(error) => Some(self.lost(error)),
            Received::Message(message) => match *message {
                FromAgent::Failed { refusal, live } => Some(failure(refusal, live)),
                _ => None,
            },
            Received::Part(_) => None,
        }
    }

    /// Tells whether the agent takes another base than the one that this side named, or none, as far as it has said.
    pub(crate) fn takes_another(&self) -> bool {
        self.taken_base.get().is_some_and(|taken| *taken != Taken::Named)
    }

    /// Waits until the agent has said which base it takes. Answers wait for whoever asks for them.
    pub(crate) fn wait_for_base(&self) -> Result<(), DeployFailure> {
        if self.taken_base.get().is_some() {
            return Ok(());
        }
        self.count_wait();
        let listening = Instant::now();
        let has_said = || self.taken_base.get().is_some();
        while !has_said() {
            self.cancel.check()?;
            if let Some(failure) = self.failed_early() {
                return Err(failure);
            }
            if let Err(nothing) = self.inbox.wait_until(has_said, Instant::now() + CANCEL_EVERY) {
                self.check_line(nothing, listening)?;
            }
        }
        Ok(())
    }

    fn count_wait(&self) {
        *self.round_trips.lock().expect("nobody panics while counting") += 1;
    }

    /// Receives what was announced as parts of so many bytes together, of which there may be no more than `most`.
    pub(crate) fn parts(&self, length: u64, most: u64) -> Result<Vec<u8>, DeployFailure> {
        let mut parts = Parts::begin(length, most)?;
        while !parts.are_all() {
            match self.receive()? {
                Received::Part(part) => parts.add(&part)?,
                Received::Lost(error) => return Err(self.lost(error)),
                Received::Message(_) => return Err(Error::Protocol("parts that break off".into()).into()),
            }
        }
        Ok(parts.finish())
    }

    /// Waits for a manifest and its name.
    pub(crate) fn manifest(&self) -> Result<(BaseName, Vec<u8>), DeployFailure> {
        match self.wait()? {
            FromAgent::Manifest { name, length } => Ok((name, self.parts(length, TREE_BYTES_MAX)?)),
            _ => Err(Error::Protocol("something else where a manifest was due".into()).into()),
        }
    }

    /// Turns a broken stream into what is known of why it broke.
    fn lost(&self, error: Error) -> DeployFailure {
        self.close();
        let carrier = self.carrier.lock().expect("nobody panics while closing").take();
        let is_silent = matches!(&error, Error::LineLost { source } if source.kind() == ErrorKind::TimedOut);
        // An agent that does not speak does not end either.
        let error = match carrier.filter(|_| !is_silent).map(Carrier::finish) {
            Some(Err(reason)) => reason,
            _ => error,
        };
        // The lock is gone with the line, so that what was live before may not be any more.
        let live = Some(self.live()).filter(LiveNow::is_switched).unwrap_or(LiveNow::Unchanged);
        DeployFailure { error, live }
    }

    fn live(&self) -> LiveNow {
        self.live.lock().expect("no listener panics").clone()
    }

    /// Notes that from now on the agent may switch without this side hearing of it.
    pub(crate) fn may_switch(&self) {
        self.may_switch.store(true, Ordering::Relaxed);
    }

    /// Tells whether all content was said to be sent. What is asked for after that did not come as it should.
    pub(crate) fn has_committed(&self) -> bool {
        self.has_committed.load(Ordering::Relaxed)
    }

    /// Finds out what is live after a failure, as far as this side can know: what the agent said, or what it says when
    /// it is left. Where it may have switched and says nothing, nobody knows.
    pub(crate) fn settle(&self, failure: DeployFailure) -> DeployFailure {
        let DeployFailure { error, live } = failure;
        if live != LiveNow::Unchanged || matches!(error, Error::Agent(_)) {
            return DeployFailure { error, live };
        }
        if self.may_switch.load(Ordering::Relaxed) {
            return DeployFailure { error, live: self.last_words() };
        }
        // While the line stands, the agent holds the lock: nobody else has switched.
        let live = if error.kind() == Kind::Line { live } else { self.live() };
        DeployFailure { error, live }
    }

    /// Leaves the agent, and hears what it says to that.
    fn last_words(&self) -> LiveNow {
        self.close();
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            let live = self.live();
            if live.is_switched() {
                return live;
            }
            match self.take_until(deadline) {
                Ok(Received::Message(message)) => match *message {
                    FromAgent::Failed { live, .. } => return live,
                    FromAgent::Done(reply) => return live_after(&reply),
                    _ => {}
                },
                Ok(Received::Part(_)) => {}
                Ok(Received::Lost(_)) | Err(_) => {
                    return Some(self.live()).filter(LiveNow::is_switched).unwrap_or(LiveNow::Unknown);
                }
            }
        }
    }

    /// Stops sending: the agent ends when it has done what it was told.
    pub(crate) fn close(&self) {
        drop(self.out.lock().expect("no sender panics").take());
    }

    /// Leaves after a failure. The agent gets a moment to tidy up and to let go of the lock: whoever runs the command
    /// again should not meet it.
    pub(crate) fn leave(self) {
        self.close();
        self.await_end(TIDYING);
    }

    /// Waits until the agent says nothing more. Says whether it came to that in time.
    fn await_end(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.take_until(deadline) {
                Ok(_) => {}
                Err(nothing) => return nothing == NothingTaken::Ended,
            }
        }
    }

    /// Takes what comes next; nothing after `deadline`, however much there is.
    fn take_until(&self, deadline: Instant) -> Result<Received, NothingTaken> {
        if Instant::now() < deadline { self.inbox.take(deadline) } else { Err(NothingTaken::TimedOut) }
    }

    /// Ends the conversation in good order.
    pub(crate) fn finish(self) {
        // The agent ends once it has answered. To tell it that no more comes would only be a packet more.
        let mut ended = self.await_end(ANSWERED);
        self.close();
        // The carrier waits for the end of what the agent says, and that may never come.
        ended |= self.await_end(ENDING);
        // The answer is there; how the carrier ends changes nothing of it.
        if ended && let Some(carrier) = self.carrier.lock().expect("nobody panics while closing").take() {
            drop(carrier.finish());
        }
    }

    /// Fails once the user interrupted.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.cancel.check()
    }

    /// Returns what opens lanes, where they are of use.
    pub(crate) fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        self.lanes.clone()
    }

    /// Returns where the agent's ticket for lanes comes.
    pub(crate) fn ticket(&self) -> &TicketSlot {
        &self.ticket
    }

    /// Returns what counts the bytes that the line took.
    pub(crate) fn flow(&self) -> Arc<AtomicU64> {
        self.flow.clone()
    }

    /// Returns a number for a lane.
    pub(crate) fn next_lane(&self) -> u32 {
        self.next_lane.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a lane that stands. Returns what writes to it, until `stop`, and what counts the bytes that it took.
    pub(crate) fn add_lane(&self, connection: Connection, stop: Cancel) -> (LaneWriter, Arc<AtomicU64>) {
        let Connection { input, output, carrier, .. } = connection;
        let output = Output::new(output, [self.cancel.clone(), stop], self.heard.clone(), self.silent_max);
        let flow = output.flow.clone();
        let writer = FrameWriter::new(output);
        let kept = KeptLane { sent: writer.counter(), _input: input, _carrier: carrier };
        self.kept_lanes.lock().expect("nobody panics while adding").push(kept);
        (writer, flow)
    }

    /// Returns how many connections content went over.
    pub(crate) fn connections(&self) -> u64 {
        self.kept_lanes.lock().expect("nobody panics while adding").len() as u64 + 1
    }

    /// Returns bytes sent so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        let lanes = self.kept_lanes.lock().expect("nobody panics while adding");
        self.sent.bytes() + lanes.iter().map(|lane| lane.sent.bytes()).sum::<u64>()
    }

    /// Returns bytes received so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.read.bytes()
    }

    /// Returns what counts what has arrived of an upload.
    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Returns for which share of the time the agent took no blocks.
    pub(crate) fn stalled(&self) -> f64 {
        self.load.stalled()
    }

    /// Returns how many bytes a second the line took before the conversation, where that was measured.
    pub(crate) fn copied_at(&self) -> Option<f64> {
        self.copied_at
    }

    /// Returns how often this side waited.
    pub(crate) fn round_trips(&self) -> u64 {
        *self.round_trips.lock().expect("nobody panics while counting")
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.inbox.leave();
    }
}

/// An error of the agent, as an error of this side.
fn failure(refusal: Refusal, live: LiveNow) -> DeployFailure {
    DeployFailure { error: Error::Agent(refusal), live }
}

/// What is live after an answer.
fn live_after(reply: &Reply) -> LiveNow {
    match reply {
        Reply::Deploy(done) => match (done.state, &done.release, &done.previous) {
            (DeployState::Live, Some(release), _) => LiveNow::Switched(release.clone()),
            (DeployState::Unchanged, Some(release), _) => LiveNow::Release(release.clone()),
            (DeployState::Ready, _, Some(previous)) => LiveNow::Release(previous.clone()),
            (DeployState::Ready, _, None) => LiveNow::Nothing,
            (_, None, _) => LiveNow::Unknown,
        },
        Reply::Switch(report) if report.switched => LiveNow::Switched(report.release.clone()),
        Reply::Switch(report) => LiveNow::Release(report.release.clone()),
        _ => LiveNow::Unknown,
    }
}

#[cfg(test)]
mod tests;
