//! The client's half of a conversation: frames out, answers in.
//!
//! A thread of its own reads, so that a write never waits while answers are unread. What only tells (progress,
//! warnings) goes to the observer at once; answers wait until they are asked for. An agent of which not a byte comes for
//! long is taken for dead; while this side has nothing to say it says that it is alive.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::client::load::Load;
use crate::error::{Error, Kind, Refusal};
use crate::event::{Event, Observer};
use crate::report::{DeployFailure, DeployState, LiveNow};
use crate::wire::connection::{Carrier, Connection};
use crate::wire::frame::{Counter, FrameKind, FrameReader, FrameWriter};
use crate::wire::heard::Heard;
use crate::wire::lane::{Lanes, Ticket};
use crate::wire::message::{self, BaseName, FromAgent, Live, Reply, Taken, ToAgent};

/// An agent that is alive says something every ten seconds.
const AGENT_SILENT_MAX: Duration = Duration::from_secs(60);
/// How often this side says that it is alive.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long the agent may take to say what is live after this side has left it.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long this side waits for the agent to tidy up after a failure.
const TIDYING: Duration = Duration::from_secs(5);
/// How long the agent may take to end after its answer.
const ENDING: Duration = Duration::from_secs(30);
/// How soon an interruption is noticed.
const CANCEL_EVERY: Duration = Duration::from_millis(50);

/// The longest manifest that is taken, in bytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

enum Received {
    Message(Box<FromAgent>),
    Part(Vec<u8>),
    Lost(Error),
}

/// The agent's answer to `WantLanes`, once it is there.
pub(crate) type TicketSlot = Arc<OnceLock<Option<Ticket>>>;

/// The base that the agent takes, once it has said so; none where it answers without one.
type TakenBase = Arc<OnceLock<Taken>>;

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
    received: Receiver<Received>,
    /// Answers that came before anybody waited for them, in order.
    early: Mutex<VecDeque<Received>>,
    heard: Heard,
    silent_max: Duration,
    /// What the agent said last of what is live.
    live: Arc<Mutex<LiveNow>>,
    taken_base: TakenBase,
    load: Load,
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
    /// Dropped with the conversation, which ends the thread that says that this side is alive.
    _alive: Sender<()>,
    /// Waits so far.
    round_trips: Mutex<u64>,
}

impl Talk {
    /// Begins a conversation over a connection.
    pub(crate) fn new(connection: Connection, observer: Arc<dyn Observer>, cancel: Cancel) -> Talk {
        Talk::begin(connection, observer, cancel, AGENT_SILENT_MAX)
    }

    /// As [`Talk::new`]; an agent of which nothing comes for `silent_max` is taken for dead.
    fn begin(connection: Connection, observer: Arc<dyn Observer>, cancel: Cancel, silent_max: Duration) -> Talk {
        let Connection { input, output, carrier, lanes } = connection;
        let reader = FrameReader::new(input);
        let heard = reader.heard();
        let output = Output::new(output, [cancel.clone(), Cancel::default()], heard.clone(), silent_max);
        let flow = output.flow.clone();
        let writer = FrameWriter::new(output);
        let (sent, read) = (writer.counter(), reader.counter());
        let out = Arc::new(Mutex::new(Some(writer)));
        let live = Arc::new(Mutex::new(LiveNow::Unchanged));
        let (sender, received) = unbounded();
        let load = Load::default();
        let ticket = TicketSlot::default();
        let taken_base = TakenBase::default();
        let listener = Listener {
            observer,
            live: live.clone(),
            taken_base: taken_base.clone(),
            load: load.clone(),
            ticket: ticket.clone(),
            sender,
        };
        std::thread::spawn(move || listener.listen(reader));
        let alive = keep_alive(out.clone());
        let carrier = Mutex::new(Some(carrier));
        let early = Mutex::default();
        Talk {
            out,
            received,
            early,
            heard,
            silent_max,
            live,
            taken_base,
            load,
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
            _alive: alive,
            round_trips: Mutex::new(0),
        }
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &ToAgent) -> Result<(), Error> {
        if matches!(message, ToAgent::Commit) {
            self.has_committed.store(true, Ordering::Relaxed);
        }
        self.send_frame(FrameKind::Message, &message::to_bytes(message))
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
        let lost = |kind: ErrorKind| self.lost(Error::LineLost { source: kind.into() });
        loop {
            self.cancel.check()?;
            match self.early().map_or_else(|| self.received.recv_timeout(CANCEL_EVERY), Ok) {
                Ok(received) => return Ok(received),
                Err(RecvTimeoutError::Disconnected) => return Err(lost(ErrorKind::UnexpectedEof)),
                Err(RecvTimeoutError::Timeout) if self.heard.silence(listening) > self.silent_max => {
                    return Err(lost(ErrorKind::TimedOut));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn early(&self) -> Option<Received> {
        self.early.lock().expect("no listener panics").pop_front()
    }

    /// As [`Talk::next`], and counts that this side had to wait for it.
    pub(crate) fn wait(&self) -> Result<FromAgent, DeployFailure> {
        self.count_wait();
        self.next()
    }

    /// Returns the failure that ends the conversation, if it is there already. Answers wait for whoever asks for them:
    /// what was sent unasked is answered while it is being sent.
    pub(crate) fn failed_early(&self) -> Option<DeployFailure> {
        while let Ok(received) = self.received.try_recv() {
            match received {
                Received::Lost(error) => return Some(self.lost(error)),
                Received::Message(message) => match *message {
                    FromAgent::Failed { refusal, live } => return Some(failure(refusal, live)),
                    message => self.keep(Received::Message(Box::new(message))),
                },
                part @ Received::Part(_) => self.keep(part),
            }
        }
        None
    }

    fn keep(&self, received: Received) {
        self.early.lock().expect("no listener panics").push_back(received);
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
        let mut answers = Vec::new();
        while self.taken_base.get().is_none() {
            match self.receive()? {
                Received::Lost(error) => return Err(self.lost(error)),
                answer => answers.push(answer),
            }
        }
        let mut early = self.early.lock().expect("no listener panics");
        answers.into_iter().rev().for_each(|answer| early.push_front(answer));
        Ok(())
    }

    fn count_wait(&self) {
        *self.round_trips.lock().expect("nobody panics while counting") += 1;
    }

    /// Receives a manifest that was announced.
    pub(crate) fn parts(&self, length: u64) -> Result<Vec<u8>, DeployFailure> {
        if length > MANIFEST_BYTES_MAX {
            return Err(Error::Protocol(format!("a manifest of {length} bytes")).into());
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            match self.receive()? {
                Received::Part(part) => bytes.extend_from_slice(&part),
                Received::Lost(error) => return Err(self.lost(error)),
                Received::Message(_) => return Err(Error::Protocol("a manifest that breaks off".into()).into()),
            }
        }
        Ok(bytes)
    }

    /// Waits for a manifest and its name.
    pub(crate) fn manifest(&self) -> Result<(BaseName, Vec<u8>), DeployFailure> {
        match self.wait()? {
            FromAgent::Manifest { name, length } => Ok((name, self.parts(length)?)),
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
            match self.early().map_or_else(|| self.received.recv_deadline(deadline), Ok) {
                Ok(Received::Message(message)) => match *message {
                    FromAgent::Failed { live, .. } => return live_now(live),
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
            match self.received.recv_deadline(deadline) {
                Ok(_) => {}
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
    }

    /// Ends the conversation in good order.
    pub(crate) fn finish(self) {
        self.close();
        // The carrier waits for the end of what the agent says, and that may never come.
        let ended = self.await_end(ENDING);
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

    /// Returns for which share of the time the agent took no blocks.
    pub(crate) fn stalled(&self) -> f64 {
        self.load.stalled()
    }

    /// Returns how often this side waited.
    pub(crate) fn round_trips(&self) -> u64 {
        *self.round_trips.lock().expect("nobody panics while counting")
    }
}

/// The stream to the agent. A line that is stuck keeps nobody from interrupting: a write that cannot go on gives up,
/// as it does when the agent is silent meanwhile for as long as none is that lives.
pub(crate) struct Output {
    file: File,
    /// Each of them ends a write.
    cancels: [Cancel; 2],
    /// Bytes taken.
    flow: Arc<AtomicU64>,
    heard: Heard,
    silent_max: Duration,
}

impl Output {
    fn new(file: File, cancels: [Cancel; 2], heard: Heard, silent_max: Duration) -> Output {
        // Where it cannot be set, a write waits as long as the line does.
        fcntl_getfl(&file).and_then(|flags| fcntl_setfl(&file, flags | OFlags::NONBLOCK)).unwrap_or_default();
        Output { file, cancels, flow: Arc::default(), heard, silent_max }
    }

    fn persist(&self, write: impl Fn(&File) -> io::Result<usize>) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            match write(&self.file) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(began)?,
                Ok(bytes) => {
                    self.flow.fetch_add(bytes as u64, Ordering::Relaxed);
                    return Ok(bytes);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn wait(&self, began: Instant) -> io::Result<()> {
        self.cancels.iter().try_for_each(Cancel::check).map_err(|_| ErrorKind::TimedOut)?;
        if self.heard.silence(began) > self.silent_max {
            return Err(ErrorKind::TimedOut.into());
        }
        let timeout = Timespec::try_from(CANCEL_EVERY).map_err(|_| ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.persist(|mut file| file.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.persist(|mut file| file.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error of the agent, as an error of this side.
fn failure(refusal: Refusal, live: Live) -> DeployFailure {
    DeployFailure { error: Error::Agent(refusal), live: live_now(live) }
}

fn live_now(live: Live) -> LiveNow {
    match live {
        Live::Release(release) => LiveNow::Release(release),
        Live::Switched(release) => LiveNow::Switched(release),
        Live::Nothing => LiveNow::Nothing,
        Live::Unchanged => LiveNow::Unchanged,
        Live::Unknown => LiveNow::Unknown,
    }
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

fn keep_alive(out: Arc<Mutex<Option<FrameWriter<Output>>>>) -> Sender<()> {
    let (alive, ended) = bounded::<()>(0);
    std::thread::spawn(move || {
        let ping = message::to_bytes(&ToAgent::Ping);
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(PING_EVERY) {
            // A sender at work says by it that this side is alive.
            let Ok(mut out) = out.try_lock() else { continue };
            match out.as_mut().map(|out| out.write(FrameKind::Message, &ping)) {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    });
    alive
}

struct Listener {
    observer: Arc<dyn Observer>,
    live: Arc<Mutex<LiveNow>>,
    taken_base: TakenBase,
    load: Load,
    ticket: TicketSlot,
    sender: Sender<Received>,
}

impl Listener {
    fn listen(self, mut reader: FrameReader<File>) {
        loop {
            let received = match reader.read() {
                Ok(None) => return,
                Ok(Some((FrameKind::Part, payload))) => Received::Part(payload),
                Ok(Some((FrameKind::Message, payload))) => match message::from_bytes(&payload) {
                    Ok(message) => match self.tell(message) {
                        Some(message) => Received::Message(Box::new(message)),
                        None => continue,
                    },
                    Err(error) => Received::Lost(error),
                },
                Ok(Some((FrameKind::Block, _))) => Received::Lost(Error::Protocol("content from the agent".into())),
                Err(error) => Received::Lost(error),
            };
            let is_last = matches!(received, Received::Lost(_));
            if self.sender.send(received).is_err() || is_last {
                return;
            }
        }
    }

    /// Passes on what only tells; returns what is an answer.
    fn tell(&self, message: FromAgent) -> Option<FromAgent> {
        let event = match message {
            FromAgent::Progress { phase, files, files_total } => {
                Event::Progress { phase, files, files_total, bytes: 0, bytes_total: 0 }
            }
            FromAgent::Phase { phase, ended: false } => Event::Began(phase),
            FromAgent::Phase { phase, ended: true } => Event::Ended(phase),
            FromAgent::LockTakenOver(holder) => Event::LockTakenOver { holder },
            FromAgent::Warning(warning) => Event::Warning(warning),
            FromAgent::Removed(release) => Event::ReleaseRemoved { release },
            FromAgent::Live(release) => {
                self.note(LiveNow::Switched(release.clone()));
                Event::Live { release }
            }
            FromAgent::Ready { holding, base, live, commit } => {
                self.note(live_now(live.clone()));
                self.taken_base.get_or_init(|| base.clone());
                return Some(FromAgent::Ready { holding, base, live, commit });
            }
            FromAgent::Stalled { micros } => {
                self.load.note(Instant::now(), Duration::from_micros(micros));
                return None;
            }
            FromAgent::Lanes(ticket) => {
                // There is one for the whole conversation.
                self.ticket.get_or_init(|| ticket);
                return None;
            }
            FromAgent::Ping => return None,
            end @ (FromAgent::Done(_) | FromAgent::Failed { .. }) => {
                self.taken_base.get_or_init(|| Taken::Nothing);
                return Some(end);
            }
            answer => return Some(answer),
        };
        self.observer.observe(event);
        None
    }

    fn note(&self, live: LiveNow) {
        *self.live.lock().expect("no listener panics") = live;
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::event::Silent;

    struct Nothing;

    impl Carrier for Nothing {
        fn finish(self: Box<Self>) -> Result<(), Error> {
            Ok(())
        }
    }

    /// The agent's ends of a conversation: what it hears, and what it says.
    struct Agent {
        _hears: io::PipeReader,
        says: io::PipeWriter,
    }

    /// Waits for an agent that never ends.
    struct Frozen;

    impl Carrier for Frozen {
        fn finish(self: Box<Self>) -> Result<(), Error> {
            loop {
                std::thread::park();
            }
        }
    }

    impl Agent {
        fn begin(silent_max: Duration) -> (Agent, Talk, Cancel) {
            Agent::begin_over(Box::new(Nothing), silent_max)
        }

        fn begin_over(carrier: Box<dyn Carrier>, silent_max: Duration) -> (Agent, Talk, Cancel) {
            let (input, says) = io::pipe().unwrap();
            let (hears, output) = io::pipe().unwrap();
            let connection = Connection {
                input: File::from(OwnedFd::from(input)),
                output: File::from(OwnedFd::from(output)),
                carrier,
                lanes: None,
            };
            let cancel = Cancel::default();
            let talk = Talk::begin(connection, Arc::new(Silent), cancel.clone(), silent_max);
            (Agent { _hears: hears, says }, talk, cancel)
        }

        fn say(&mut self, message: &FromAgent) {
            FrameWriter::new(&mut self.says).write(FrameKind::Message, &message::to_bytes(message)).unwrap();
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    fn id(text: &str) -> crate::release::ReleaseId {
        text.parse().unwrap()
    }

    fn ready(live: Live) -> FromAgent {
        FromAgent::Ready { holding: None, base: Taken::Nothing, live, commit: None }
    }

    #[test]
    fn an_agent_that_neither_reads_nor_speaks_is_taken_for_dead() {
        let (_agent, talk, _) = Agent::begin(Duration::from_millis(100));
        // More than a pipe holds.
        let Err(Error::LineLost { source }) = talk.send_frame(FrameKind::Block, &vec![7; 8 << 20]) else {
            panic!("the silence was not noticed");
        };
        assert_eq!(source.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_part_may_come_slower_than_silence_is_suffered() {
        let silent_max = Duration::from_secs(1);
        let (mut agent, talk, _) = Agent::begin(silent_max);
        let mut bytes = Vec::new();
        FrameWriter::new(&mut bytes).write(FrameKind::Part, &[7; 50]).unwrap();
        let began = Instant::now();
        let trickle = std::thread::spawn(move || {
            for byte in bytes {
                std::thread::sleep(Duration::from_millis(30));
                agent.says.write_all(&[byte]).unwrap();
            }
        });
        assert_eq!(talk.parts(50).unwrap(), [7; 50]);
        assert!(began.elapsed() > silent_max, "the part came too fast to show anything");
        trickle.join().unwrap();
    }

    #[test]
    fn an_agent_of_which_nothing_comes_is_taken_for_dead() {
        let (_agent, talk, _) = Agent::begin(Duration::from_millis(100));
        let Err(DeployFailure { error: Error::LineLost { source }, .. }) = talk.wait() else {
            panic!("the silence was not noticed")
        };
        assert_eq!(source.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn the_end_of_an_agent_that_is_taken_for_dead_is_not_waited_for() {
        let (_agent, talk, _) = Agent::begin_over(Box::new(Frozen), Duration::from_millis(100));
        let (tell, told) = bounded(1);
        std::thread::spawn(move || tell.send(talk.wait().map_err(|failure| failure.error)));
        let said = told.recv_timeout(LONG).expect("nobody waits any more");
        assert!(matches!(said, Err(Error::LineLost { source }) if source.kind() == ErrorKind::TimedOut));
    }

    /// Interrupts a conversation in which the agent has said this, and returns what is then known to be live.
    fn interrupted_after(messages: &[FromAgent], may_switch: bool) -> LiveNow {
        let (mut agent, talk, cancel) = Agent::begin(LONG);
        if may_switch {
            talk.may_switch();
        }
        messages.iter().for_each(|message| agent.say(message));
        let heard = || *talk.live.lock().unwrap() != LiveNow::Unchanged || !talk.received.is_empty();
        let began = Instant::now();
        while !messages.is_empty() && !heard() {
            assert!(began.elapsed() < LONG, "what the agent said was not heard");
            std::thread::yield_now();
        }
        cancel.cancel();
        let failure = talk.settle(talk.wait().unwrap_err());
        assert!(matches!(failure.error, Error::Interrupted));
        failure.live
    }

    #[test]
    fn an_interruption_after_the_switch_says_what_is_live() {
        let live = interrupted_after(&[FromAgent::Live(id("2")), FromAgent::Ping], true);
        assert_eq!(live, LiveNow::Switched(id("2")));
    }

    #[test]
    fn an_interruption_that_the_answer_outran_says_what_it_says() {
        use crate::wire::message::DeployDone;
        let check = |state, release: Option<&str>, previous: Option<&str>, expected: LiveNow| {
            let mut done = DeployDone::of(state);
            done.release = release.map(id);
            done.previous = previous.map(id);
            let answer = FromAgent::Done(Reply::Deploy(Box::new(done)));
            assert_eq!(interrupted_after(&[answer], true), expected);
        };
        check(DeployState::Live, Some("2"), Some("1"), LiveNow::Switched(id("2")));
        check(DeployState::Unchanged, Some("1"), Some("1"), LiveNow::Release(id("1")));
        check(DeployState::Ready, Some("2"), Some("1"), LiveNow::Release(id("1")));
        check(DeployState::Ready, Some("2"), None, LiveNow::Nothing);
    }

    #[test]
    fn before_a_commit_what_the_holder_of_the_lock_said_is_live() {
        assert_eq!(interrupted_after(&[ready(Live::Release(id("1")))], false), LiveNow::Release(id("1")));
        assert_eq!(interrupted_after(&[ready(Live::Nothing)], false), LiveNow::Nothing);
        assert_eq!(interrupted_after(&[], false), LiveNow::Unchanged);
    }

    #[test]
    fn a_line_that_is_lost_leaves_known_only_what_was_switched() {
        let check = |message: FromAgent, may_switch, expected: LiveNow| {
            let (mut agent, talk, _) = Agent::begin(LONG);
            if may_switch {
                talk.may_switch();
            }
            agent.say(&message);
            drop(agent);
            let failure = loop {
                if let Err(failure) = talk.wait() {
                    break talk.settle(failure);
                }
            };
            assert!(matches!(failure.error, Error::LineLost { .. }));
            assert_eq!(failure.live, expected);
        };
        check(ready(Live::Release(id("1"))), false, LiveNow::Unchanged);
        check(ready(Live::Release(id("1"))), true, LiveNow::Unknown);
        check(FromAgent::Live(id("2")), true, LiveNow::Switched(id("2")));
    }
}
