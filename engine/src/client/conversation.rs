//! The client's half of a conversation: frames out, answers in.
//!
//! A thread of its own reads, so that a write never waits while answers are unread. Progress and warnings go to the
//! observer at once. Answers wait until they are asked for. An agent from which no byte arrives for long counts as
//! dead. While the client has nothing to send, it sends `Ping`.

mod answers;
mod ending;
mod inbox;
mod lanes;
mod listener;
mod live;
mod output;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::cancel::Cancel;
use crate::client::delivery::Delivery;
use crate::error::{Error, Refusal};
use crate::event::Observer;
use crate::live::LiveNow;
use crate::procedure::Procedure;
use crate::report::{DeployFailure, TrafficReport};
use crate::threads;
use crate::wire::bounds::TREE_BYTES_MAX;
use crate::wire::connection::{Carrier, Connection, Lanes};
use crate::wire::frame::{Counter, FrameKind, FrameReader, FrameWriter, Parts};
use crate::wire::last_byte::LastByte;
use crate::wire::message::{self, AgentBase, BaseName, FromAgent, ToAgent};

use answers::Answers;
use inbox::{Arrival, EmptyInbox};
use lanes::{LaneSet, OpenLane};
use listener::Listener;
use output::{CANCEL_EVERY, Output, keep_alive};

pub(crate) use answers::TicketSlot;
pub(crate) use lanes::LaneWriter;

/// An agent that is alive sends something every ten seconds.
const AGENT_SILENT_MAX: Duration = Duration::from_secs(60);

/// A conversation with an agent.
pub(crate) struct Conversation {
    stream: Stream,
    answers: Answers,
    lanes: LaneSet,
    traffic: Traffic,
    cancel: Cancel,
    can_switch: AtomicBool,
    /// Whether the agent has asked for the verdict on the live release.
    has_judged: AtomicBool,
    /// Whether the server runs hooks: after an interruption it needs time for those that follow a failure.
    has_hooks: AtomicBool,
    /// Whether the server may leave a release that it has made live.
    may_return: AtomicBool,
}

/// The stream to the agent, and the signs that the agent is alive.
struct Stream {
    /// None once it was closed.
    out: Arc<Mutex<Option<FrameWriter<Output>>>>,
    last_byte: LastByte,
    silent_max: Duration,
    carrier: Mutex<Option<Box<dyn Carrier>>>,
    /// Its drop, with the conversation, ends the thread that sends `Ping`.
    _alive: Sender<()>,
}

/// The traffic of the first connection.
struct Traffic {
    sent: Counter,
    read: Counter,
    /// The bytes that the line accepted.
    flow: Arc<AtomicU64>,
    /// The bytes a second that it accepted before the conversation, if that was measured.
    copied_at: Option<f64>,
    /// The length of the agent, if it is only lent.
    lent_bytes: Option<u64>,
    /// The number of waits so far.
    round_trips: AtomicU64,
}

impl Conversation {
    /// Begins a conversation over a connection.
    pub(crate) fn new(
        connection: Connection,
        observer: Arc<dyn Observer>,
        cancel: Cancel,
    ) -> Result<Conversation, Error> {
        Conversation::begin(connection, observer, cancel, AGENT_SILENT_MAX)
    }

    /// As [`Conversation::new`]. An agent from which nothing arrives for `silent_max` counts as dead.
    fn begin(
        connection: Connection,
        observer: Arc<dyn Observer>,
        cancel: Cancel,
        silent_max: Duration,
    ) -> Result<Conversation, Error> {
        let Connection { input, output, carrier, lanes, copied_at, lent_bytes, noise: _ } = connection;
        let reader = FrameReader::new::<FromAgent>(input);
        let last_byte = reader.last_byte();
        let output = Output::new(output, [cancel.clone(), Cancel::default()], last_byte.clone(), silent_max);
        let flow = output.flow.clone();
        let writer = FrameWriter::new(output);
        let (sent, read) = (writer.counter(), reader.counter());
        let answers = Answers::new(observer.clone(), &cancel);
        let listener = Listener::new(observer, answers.clone());
        let out = Arc::new(Mutex::new(Some(writer)));
        threads::spawn(move || listener.listen(reader))?;
        let alive = keep_alive(out.clone())?;
        Ok(Conversation {
            stream: Stream { out, last_byte, silent_max, carrier: Mutex::new(Some(carrier)), _alive: alive },
            answers,
            lanes: LaneSet::new(lanes),
            traffic: Traffic { sent, read, flow, copied_at, lent_bytes, round_trips: AtomicU64::new(0) },
            cancel,
            can_switch: AtomicBool::new(false),
            has_judged: AtomicBool::new(false),
            has_hooks: AtomicBool::new(false),
            may_return: AtomicBool::new(false),
        })
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &ToAgent) -> Result<(), Error> {
        self.send_frame(FrameKind::Message, &message::to_bounded_bytes(message)?)
    }

    /// Sends a frame.
    pub(crate) fn send_frame(&self, kind: FrameKind, payload: &[u8]) -> Result<(), Error> {
        self.cancel.check()?;
        let mut out = self.stream.out.lock().expect("no sender panics");
        let writer = out.as_mut().ok_or_else(|| Error::Bug("a frame after the end".into()))?;
        let written = writer.write(kind, payload);
        // After an interruption, a write that fails is no news: the line is of no more use.
        self.cancel.check()?;
        written
    }

    /// Holds back the frames that `send` sends while they are short, so that they go in as few packets as possible.
    pub(crate) fn batched<T>(&self, send: impl FnOnce() -> Result<T, DeployFailure>) -> Result<T, DeployFailure> {
        self.hold(true)?;
        let sent = send()?;
        self.hold(false)?;
        Ok(sent)
    }

    fn hold(&self, hold: bool) -> Result<(), Error> {
        self.stream.out.lock().expect("no sender panics").as_mut().map_or(Ok(()), |out| out.hold(hold))
    }

    /// Sends the bytes that a message announced.
    pub(crate) fn send_parts(&self, bytes: &[u8]) -> Result<(), Error> {
        bytes.chunks(1 << 20).try_for_each(|part| self.send_frame(FrameKind::Part, part))
    }

    /// Waits for the next answer. `Failed` is an error here.
    pub(crate) fn next(&self) -> Result<FromAgent, DeployFailure> {
        match self.receive()? {
            Arrival::Message(message) => match *message {
                FromAgent::Failed { refusal, live } => Err(failure(refusal, live)),
                message => Ok(message),
            },
            Arrival::Part(_) => Err(Error::Protocol("a part that nothing announced".into()).into()),
            Arrival::Lost(error) => Err(self.lost(error)),
        }
    }

    /// Waits for the next arrival.
    fn receive(&self) -> Result<Arrival, DeployFailure> {
        let listening = Instant::now();
        loop {
            self.cancel.check()?;
            match self.answers.inbox.take(Instant::now() + CANCEL_EVERY) {
                Ok(arrival) => return Ok(arrival),
                Err(reason) => self.check_line(reason, listening)?,
            }
        }
    }

    /// Fails if the stream has ended, or if nothing has arrived for long since `listening`.
    fn check_line(&self, reason: EmptyInbox, listening: Instant) -> Result<(), DeployFailure> {
        let lost = |kind: ErrorKind| Err(self.lost(Error::LineLost { source: kind.into() }));
        match reason {
            EmptyInbox::Ended => lost(ErrorKind::UnexpectedEof),
            EmptyInbox::TimedOut if self.stream.last_byte.silence(listening) > self.stream.silent_max => {
                lost(ErrorKind::TimedOut)
            }
            EmptyInbox::TimedOut => Ok(()),
        }
    }

    /// As [`Conversation::next`], and counts the wait.
    pub(crate) fn wait(&self) -> Result<FromAgent, DeployFailure> {
        self.count_wait();
        self.next()
    }

    /// Returns the failure that ends the conversation, if it has arrived already. Other answers stay in the inbox: the
    /// agent answers frames that were sent unasked while they are still being sent.
    pub(crate) fn early_failure(&self) -> Option<DeployFailure> {
        match self.answers.inbox.take_end()? {
            Arrival::Lost(error) => Some(self.lost(error)),
            Arrival::Message(message) => match *message {
                FromAgent::Failed { refusal, live } => Some(failure(refusal, live)),
                _ => None,
            },
            Arrival::Part(_) => None,
        }
    }

    /// Tells whether the agent has said that it takes another base than the named one, or none.
    pub(crate) fn has_rejected_base(&self) -> bool {
        self.answers.taken_base.get().is_some_and(|taken| *taken != AgentBase::Proposed)
    }

    /// Waits until the agent has said which base it takes. Answers stay in the inbox.
    pub(crate) fn wait_for_base(&self) -> Result<(), DeployFailure> {
        if self.answers.taken_base.get().is_some() {
            return Ok(());
        }
        self.count_wait();
        let listening = Instant::now();
        let has_said = || self.answers.taken_base.get().is_some();
        while !has_said() {
            self.cancel.check()?;
            if let Some(failure) = self.early_failure() {
                return Err(failure);
            }
            if let Err(reason) = self.answers.inbox.wait_until(has_said, Instant::now() + CANCEL_EVERY) {
                self.check_line(reason, listening)?;
            }
        }
        Ok(())
    }

    fn count_wait(&self) {
        self.traffic.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// Receives announced parts of `length` bytes together, of which `most` are accepted.
    pub(crate) fn parts(&self, length: u64, most: u64) -> Result<Vec<u8>, DeployFailure> {
        let mut parts = Parts::begin(length, most)?;
        while !parts.is_complete() {
            match self.receive()? {
                Arrival::Part(part) => parts.add(&part)?,
                Arrival::Lost(error) => return Err(self.lost(error)),
                Arrival::Message(_) => return Err(Error::Protocol("parts that break off".into()).into()),
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

    /// Stops sending. The agent ends when it has done its orders.
    pub(crate) fn close(&self) {
        drop(self.stream.out.lock().expect("no sender panics").take());
    }

    /// Notes that from now on the agent may switch without the client learning of it.
    pub(crate) fn note_possible_switch(&self) {
        self.can_switch.store(true, Ordering::Relaxed);
    }

    /// Notes that the agent asks for the verdict. It does once: each time costs the checks of this machine.
    pub(crate) fn note_question(&self) -> Result<(), Error> {
        match self.has_judged.swap(true, Ordering::Relaxed) {
            true => Err(Error::Protocol("a second question for the verdict".into())),
            false => Ok(()),
        }
    }

    /// Returns a request to stop, which is set once the agent waits for no verdict any more.
    pub(crate) fn has_decided(&self) -> Cancel {
        self.answers.has_decided.clone()
    }

    /// Returns the moment at which the agent said that a release is live, if it has.
    pub(crate) fn live_at(&self) -> Option<Instant> {
        self.answers.live_at.get().copied()
    }

    /// Notes what the server does around the switch.
    pub(crate) fn note_procedure(&self, procedure: &Procedure) {
        self.has_hooks.store(procedure.needs_runner(), Ordering::Relaxed);
        self.may_return.store(procedure.may_return(), Ordering::Relaxed);
    }

    /// Fails once the user interrupted.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.cancel.check()
    }

    /// Returns the opener of lanes, if lanes are of use.
    pub(crate) fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        self.lanes.opener()
    }

    /// Returns the slot for the agent's ticket for lanes.
    pub(crate) fn ticket(&self) -> &TicketSlot {
        &self.answers.ticket
    }

    /// Returns the counter of the bytes that the line accepted.
    pub(crate) fn flow(&self) -> Arc<AtomicU64> {
        self.traffic.flow.clone()
    }

    /// Returns the number of the next lane.
    pub(crate) fn next_lane(&self) -> u32 {
        self.lanes.next_number()
    }

    /// Adds an open lane. Returns its writer, which ends at `stop`, and the counter of the bytes that the lane accepted.
    pub(crate) fn add_lane(&self, connection: Connection, stop: Cancel) -> (LaneWriter, Arc<AtomicU64>) {
        let Connection { input, output, carrier, .. } = connection;
        let output =
            Output::new(output, [self.cancel.clone(), stop], self.stream.last_byte.clone(), self.stream.silent_max);
        let flow = output.flow.clone();
        let writer = FrameWriter::new(output);
        let lane = OpenLane { sent: writer.counter(), _input: input, _carrier: carrier };
        self.lanes.add(lane);
        (writer, flow)
    }

    /// Returns the number of connections for content.
    pub(crate) fn connections(&self) -> u64 {
        self.lanes.len() as u64 + 1
    }

    /// Returns the bytes sent so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.traffic.sent.bytes() + self.lanes.sent_bytes()
    }

    /// Returns the delivery of the upload.
    pub(crate) fn delivery(&self) -> &Delivery {
        &self.answers.delivery
    }

    /// Returns the share of the time in which the agent accepted no blocks.
    pub(crate) fn stalled_share(&self) -> f64 {
        self.answers.load.stalled_share()
    }

    /// Returns the bytes a second that the line accepted before the conversation, if that was measured.
    pub(crate) fn copied_at(&self) -> Option<f64> {
        self.traffic.copied_at
    }

    /// Returns the length of the agent, if the server has none and was only lent it.
    pub(crate) fn lent_bytes(&self) -> Option<u64> {
        self.traffic.lent_bytes
    }

    /// Returns the traffic so far, on all connections.
    pub(crate) fn traffic(&self) -> TrafficReport {
        TrafficReport {
            sent_bytes: self.sent_bytes(),
            received_bytes: self.traffic.read.bytes(),
            round_trips: self.traffic.round_trips.load(Ordering::Relaxed),
            connections: self.connections(),
            ..TrafficReport::default()
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.answers.inbox.leave();
    }
}

/// Turns an error of the agent into one of the client.
fn failure(refusal: Refusal, live: LiveNow) -> DeployFailure {
    DeployFailure { error: Error::Agent(refusal), live }
}

#[cfg(test)]
mod tests;
