//! The client's half of a conversation: frames out, answers in.
//!
//! A thread of its own reads, so that a write never waits while answers are unread. What only tells (progress,
//! warnings) goes to the observer at once; answers wait until they are asked for. An agent that says nothing for long
//! is taken for dead; while this side has nothing to say it says that it is alive.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::{Error, Refusal};
use crate::event::{Event, Observer};
use crate::release::ReleaseId;
use crate::report::{DeployFailure, LiveNow};
use crate::wire::connection::{Carrier, Connection};
use crate::wire::frame::{Counter, FrameKind, FrameReader, FrameWriter};
use crate::wire::message::{self, BaseName, FromAgent, Live, Reply, ToAgent};

/// An agent that is alive says something every ten seconds.
const AGENT_SILENT_MAX: Duration = Duration::from_secs(60);
/// How often this side says that it is alive.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long the agent may take to say what is live after this side has left it.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How soon an interruption is noticed.
const CANCEL_EVERY: Duration = Duration::from_millis(50);

/// The longest manifest that is taken, in bytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

enum Received {
    Message(Box<FromAgent>),
    Part(Vec<u8>),
    Lost(Error),
}

/// A conversation with an agent.
pub(crate) struct Talk {
    out: Arc<Mutex<Option<FrameWriter<Output>>>>,
    received: Receiver<Received>,
    /// Answers that came before anybody waited for them, in order.
    early: Mutex<VecDeque<Received>>,
    heard: Arc<Mutex<Instant>>,
    live: Arc<Mutex<Option<ReleaseId>>>,
    may_switch: AtomicBool,
    sent: Counter,
    read: Counter,
    cancel: Cancel,
    carrier: Mutex<Option<Box<dyn Carrier>>>,
    /// Dropped with the conversation, which ends the thread that says that this side is alive.
    _alive: Sender<()>,
    /// Waits so far.
    round_trips: Mutex<u64>,
}

impl Talk {
    /// Begins a conversation over a connection.
    pub(crate) fn new(connection: Connection, observer: Arc<dyn Observer>, cancel: Cancel) -> Talk {
        let Connection { input, output, carrier } = connection;
        let writer = FrameWriter::new(Output::new(output, cancel.clone()));
        let reader = FrameReader::new(input);
        let (sent, read) = (writer.counter(), reader.counter());
        let out = Arc::new(Mutex::new(Some(writer)));
        let heard = Arc::new(Mutex::new(Instant::now()));
        let live = Arc::new(Mutex::new(None));
        let (sender, received) = unbounded();
        let listener = Listener { observer, heard: heard.clone(), live: live.clone(), sender };
        std::thread::spawn(move || listener.listen(reader));
        let alive = keep_alive(out.clone());
        let carrier = Mutex::new(Some(carrier));
        let early = Mutex::default();
        Talk {
            out,
            received,
            early,
            heard,
            live,
            may_switch: AtomicBool::new(false),
            sent,
            read,
            cancel,
            carrier,
            _alive: alive,
            round_trips: Mutex::new(0),
        }
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &ToAgent) -> Result<(), Error> {
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

    /// Sends bytes that a message announced.
    pub(crate) fn send_parts(&self, bytes: &[u8]) -> Result<(), Error> {
        bytes.chunks(1 << 20).try_for_each(|part| self.send_frame(FrameKind::Part, part))
    }

    /// Waits for the next answer. `Failed` is an error here.
    pub(crate) fn next(&self) -> Result<FromAgent, DeployFailure> {
        loop {
            self.cancel.check()?;
            let early = self.early.lock().expect("no listener panics").pop_front();
            match early.map_or_else(|| self.received.recv_timeout(CANCEL_EVERY), Ok) {
                Ok(Received::Message(message)) => {
                    return match *message {
                        FromAgent::Failed { refusal, live } => Err(failure(refusal, live)),
                        message => Ok(message),
                    };
                }
                Ok(Received::Part(_)) => return Err(Error::Protocol("a part that nothing announced".into()).into()),
                Ok(Received::Lost(error)) => return Err(self.lost(error)),
                Err(RecvTimeoutError::Timeout) => {
                    if self.heard.lock().expect("no listener panics").elapsed() > AGENT_SILENT_MAX {
                        return Err(self.lost(Error::LineLost { source: ErrorKind::TimedOut.into() }));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.lost(Error::LineLost { source: ErrorKind::UnexpectedEof.into() }));
                }
            }
        }
    }

    /// As [`Talk::next`], and counts that this side had to wait for it.
    pub(crate) fn wait(&self) -> Result<FromAgent, DeployFailure> {
        *self.round_trips.lock().expect("nobody panics while counting") += 1;
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

    /// Receives a manifest that was announced.
    pub(crate) fn parts(&self, length: u64) -> Result<Vec<u8>, DeployFailure> {
        if length > MANIFEST_BYTES_MAX {
            return Err(Error::Protocol(format!("a manifest of {length} bytes")).into());
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            self.cancel.check()?;
            match self.received.recv_timeout(AGENT_SILENT_MAX) {
                Ok(Received::Part(part)) => bytes.extend_from_slice(&part),
                Ok(Received::Lost(error)) => return Err(self.lost(error)),
                Ok(Received::Message(_)) => return Err(Error::Protocol("a manifest that breaks off".into()).into()),
                Err(_) => return Err(self.lost(Error::LineLost { source: ErrorKind::TimedOut.into() })),
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
        let error = match carrier.map(Carrier::finish) {
            Some(Err(reason)) => reason,
            _ => error,
        };
        let live = self.live.lock().expect("no listener panics").clone();
        DeployFailure { error, live: live.map_or(LiveNow::Unchanged, LiveNow::Release) }
    }

    /// Notes that from now on the agent may switch without this side hearing of it.
    pub(crate) fn may_switch(&self) {
        self.may_switch.store(true, Ordering::Relaxed);
    }

    /// Finds out what is live after a failure, as far as this side can know: what the agent said, or what it says when
    /// it is left. Where it may have switched and says nothing, nobody knows.
    pub(crate) fn settle(&self, failure: DeployFailure) -> DeployFailure {
        let DeployFailure { error, live } = failure;
        let is_told = live != LiveNow::Unchanged || matches!(error, Error::Agent(_));
        if is_told || !self.may_switch.load(Ordering::Relaxed) {
            return DeployFailure { error, live };
        }
        self.close();
        let deadline = Instant::now() + LAST_WORDS;
        let live = loop {
            if let Some(live) = self.live.lock().expect("no listener panics").clone() {
                break LiveNow::Release(live);
            }
            match self.received.recv_deadline(deadline) {
                Ok(Received::Message(message)) => match *message {
                    FromAgent::Failed { live, .. } => break live_now(live),
                    FromAgent::Done(Reply::Switch(report)) => break LiveNow::Release(report.release),
                    _ => {}
                },
                Ok(Received::Part(_)) => {}
                Ok(Received::Lost(_)) | Err(_) => break LiveNow::Unknown,
            }
        };
        DeployFailure { error, live }
    }

    /// Stops sending: the agent ends when it has done what it was told.
    pub(crate) fn close(&self) {
        drop(self.out.lock().expect("no sender panics").take());
    }

    /// Ends the conversation in good order.
    pub(crate) fn finish(self) {
        self.close();
        // The answer is there; how the carrier ends changes nothing of it.
        if let Some(carrier) = self.carrier.lock().expect("nobody panics while closing").take() {
            drop(carrier.finish());
        }
    }

    /// Returns bytes sent so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent.bytes()
    }

    /// Returns bytes received so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.read.bytes()
    }

    /// Returns how often this side waited.
    pub(crate) fn round_trips(&self) -> u64 {
        *self.round_trips.lock().expect("nobody panics while counting")
    }
}

/// The stream to the agent. A line that is stuck keeps nobody from interrupting: a write that cannot go on gives up.
struct Output {
    file: File,
    cancel: Cancel,
}

impl Output {
    fn new(file: File, cancel: Cancel) -> Output {
        // Where it cannot be set, a write waits as long as the line does.
        fcntl_getfl(&file).and_then(|flags| fcntl_setfl(&file, flags | OFlags::NONBLOCK)).unwrap_or_default();
        Output { file, cancel }
    }

    fn persist(&self, write: impl Fn(&File) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match write(&self.file) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait()?,
                other => return other,
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        self.cancel.check().map_err(|_| ErrorKind::TimedOut)?;
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
        Live::Nothing => LiveNow::Nothing,
        Live::Unchanged => LiveNow::Unchanged,
        Live::Unknown => LiveNow::Unknown,
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
    heard: Arc<Mutex<Instant>>,
    live: Arc<Mutex<Option<ReleaseId>>>,
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
            *self.heard.lock().expect("no listener panics") = Instant::now();
            let is_last = matches!(received, Received::Lost(_));
            if self.sender.send(received).is_err() || is_last {
                return;
            }
        }
    }

    /// Passes on what only tells; returns what is an answer.
    fn tell(&self, message: FromAgent) -> Option<FromAgent> {
        *self.heard.lock().expect("no listener panics") = Instant::now();
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
                *self.live.lock().expect("no listener panics") = Some(release.clone());
                Event::Live { release }
            }
            FromAgent::Ping => return None,
            answer => return Some(answer),
        };
        self.observer.observe(event);
        None
    }
}
