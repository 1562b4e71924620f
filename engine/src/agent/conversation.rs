//! The agent's half of a conversation: messages out, frames in.
//!
//! A thread reads frames, so that the agent notices a client that goes away while it works. Another thread sends
//! `Ping` while the agent has nothing to send, because a `syncfs` may take long. If no byte arrives from a client for
//! [`CLIENT_SILENT_MAX`], the agent treats it as dead: a connection may be lost without notice, and the lock must not
//! outlive it.

pub(crate) mod alive;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, never, select};

use crate::error::Error;
use crate::event::Phase;
use crate::journal::JournalEntry;
use crate::live::LiveNow;
use crate::news::News;
use crate::release::ReleaseId;
use crate::threads;
use crate::wire::frame::{Counter, FrameKind, FrameReader, FrameWriter};
use crate::wire::last_byte::LastByte;
use crate::wire::message::{self, FromAgent, ToAgent};

use super::reporter::Reporter;
use super::run::RunnerProgram;
use super::site::journal::Journal;
use super::site::lock::{Interrupt, Pulse};

/// The longest silence of a client. A live client sends something every few seconds.
pub(crate) const CLIENT_SILENT_MAX: Duration = Duration::from_secs(90);

/// Frames that are read ahead, at most.
const READ_AHEAD: usize = 1;

/// The shortest time between two progress messages, and the longest delay of a queued message. A packet takes some 50
/// bytes beside its content, and work that ends sooner needs no progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// The shortest time between two `Read` messages. A block keeps a receiver busy for about as long.
const READ_EVERY: Duration = Duration::from_millis(250);

/// The client's stream has ended.
const GONE: u8 = 1;

/// The user interrupted.
const STOPPED: u8 = 2;

type Frame = Result<(FrameKind, Vec<u8>), Error>;

/// A conversation with a client.
pub(crate) struct Conversation {
    /// The program that runs as the runner.
    pub(crate) program: RunnerProgram,
    /// The journal, once the lock is held.
    journal: OnceLock<Journal>,
    /// The way in which the client ended its stream, once it has: also while frames before that end are unread.
    last_word: Arc<AtomicU8>,
    out: Mutex<FrameWriter<Box<dyn Write + Send>>>,
    frames: Receiver<Frame>,
    began: Instant,
    last_byte: LastByte,
    silent_max: Duration,
    last_progress: Mutex<Instant>,
    /// The bytes that were read on all connections.
    read: Counter,
    /// While content is received: the last report of the bytes read.
    last_report: Mutex<Option<ReadReport>>,
    switching: Mutex<Option<ReleaseId>>,
    /// The signs of the lock that this run holds.
    pulse: Mutex<Option<Arc<Pulse>>>,
    /// Gets an item when another run interrupts this one, and keeps it.
    interrupts: (Sender<Interrupt>, Receiver<Interrupt>),
    /// Whether a report of this run could not be sent.
    has_failed_send: AtomicBool,
}

/// The last report of the bytes read.
struct ReadReport {
    sent: Instant,
    bytes: u64,
    commits: u32,
}

/// A frame of a deploy, decoded.
pub(crate) enum Incoming {
    /// A message.
    Message(ToAgent),
    /// Content.
    Block(Vec<u8>),
    /// A part of a manifest.
    Part(Vec<u8>),
}

/// The next item from one of two sources.
pub(crate) enum Next<T> {
    /// A frame of the client.
    Client(Incoming),
    /// An item of the other channel.
    Other(T),
}

impl Conversation {
    /// Begins a conversation. A client that sends nothing for `silent_max` is treated as dead.
    pub(crate) fn new(
        program: RunnerProgram,
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        silent_max: Duration,
    ) -> Result<Conversation, Error> {
        let out: Box<dyn Write + Send> = Box::new(output);
        let mut out = FrameWriter::new(out);
        let (sender, frames) = bounded(READ_AHEAD);
        let mut reader = FrameReader::new::<ToAgent>(input);
        let (last_byte, counter) = (reader.last_byte(), reader.counter());
        let (ping, stop) = (message::to_bytes(&ToAgent::Ping), message::to_bytes(&ToAgent::Stop));
        let last_word = Arc::new(AtomicU8::new(0));
        let ending = last_word.clone();
        let read = move || {
            loop {
                let frame = match reader.read() {
                    // A ping is not queued: it would hide the end of the connection behind it.
                    Ok(Some((FrameKind::Message, payload))) if payload == ping => continue,
                    // The user interrupted: nothing that follows counts.
                    Ok(Some((FrameKind::Message, payload))) if payload == stop => {
                        ending.store(STOPPED, Ordering::Relaxed);
                        Err(Error::Interrupted)
                    }
                    Ok(Some(frame)) => Ok(frame),
                    Ok(None) => {
                        ending.store(GONE, Ordering::Relaxed);
                        return;
                    }
                    Err(error) => {
                        ending.store(GONE, Ordering::Relaxed);
                        Err(error)
                    }
                };
                let is_last = frame.is_err();
                if sender.send(frame).is_err() || is_last {
                    return;
                }
            }
        };
        if let Err(error) = threads::spawn(read) {
            // The client has asked nothing yet, but the error must reach it.
            let failed = FromAgent::Failed { refusal: error.to_refusal(), live: LiveNow::Unchanged };
            out.write(FrameKind::Message, &message::to_bytes(&failed))?;
            return Err(error);
        }
        Ok(Conversation {
            program,
            journal: OnceLock::new(),
            last_word,
            out: Mutex::new(out),
            frames,
            began: Instant::now(),
            last_byte,
            silent_max,
            last_progress: Mutex::new(Instant::now()),
            read: counter,
            last_report: Mutex::default(),
            switching: Mutex::default(),
            pulse: Mutex::default(),
            interrupts: bounded(1),
            has_failed_send: AtomicBool::new(false),
        })
    }

    /// Tells whether the client has ended its stream, and then whether the user interrupted.
    pub(crate) fn last_word(&self) -> Option<bool> {
        match self.last_word.load(Ordering::Relaxed) {
            STOPPED => Some(true),
            GONE => Some(false),
            _ => None,
        }
    }

    /// Begins the journal of the run. From now on, news goes there too.
    pub(crate) fn begin_journal(&self, journal: Journal) {
        self.journal.get_or_init(|| journal);
    }

    /// Makes the journal stand, before another process continues it.
    pub(crate) fn ensure_journal(&self) {
        if let Some(journal) = self.journal.get() {
            journal.ensure_begun();
        }
    }

    /// Tells whether there is news in the journal.
    pub(crate) fn has_journal(&self) -> bool {
        self.journal.get().is_some_and(Journal::has_begun)
    }

    /// Writes the result of the run into the journal.
    pub(crate) fn end_journal(&self, error: Option<String>, live: Option<ReleaseId>, is_heard: bool) {
        if let Some(journal) = self.journal.get() {
            journal.end(error, live, is_heard);
        }
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &FromAgent) -> Result<(), Error> {
        let bytes = message::to_bounded_bytes(message)?;
        self.out.lock().expect("no sender panics").write(FrameKind::Message, &bytes)
    }

    /// Sends the bytes that a message announced.
    pub(crate) fn send_parts(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = self.out.lock().expect("no sender panics");
        bytes.chunks(1 << 20).try_for_each(|part| out.write(FrameKind::Part, part))
    }

    /// Waits for the next frame of the client.
    pub(crate) fn next(&self) -> Result<Incoming, Error> {
        match self.next_or(&never::<Infallible>())? {
            Next::Client(incoming) => Ok(incoming),
            Next::Other(never) => match never {},
        }
    }

    /// Waits for a frame of the client or an item of `beside`. The sender of `beside` must exist.
    pub(crate) fn next_or<T>(&self, beside: &Receiver<T>) -> Result<Next<T>, Error> {
        let frame = match self.receive(beside)? {
            Ok(frame) => frame,
            Err(other) => return Ok(Next::Other(other)),
        };
        Ok(Next::Client(match frame {
            (FrameKind::Block, payload) => Incoming::Block(payload),
            (FrameKind::Part, payload) => Incoming::Part(payload),
            (FrameKind::Message, payload) => Incoming::Message(message::from_bytes(&payload)?),
        }))
    }

    fn receive<T>(&self, beside: &Receiver<T>) -> Result<Result<(FrameKind, Vec<u8>), T>, Error> {
        // The client may have waited until now for room in the queue: its silence counts from here.
        let listening = Instant::now();
        let lost = |kind: std::io::ErrorKind| Error::LineLost { source: kind.into() };
        loop {
            let left = self.silent_max.saturating_sub(self.last_byte.silence(listening));
            select! {
                recv(self.frames) -> frame => {
                    return frame.unwrap_or_else(|_| Err(lost(std::io::ErrorKind::UnexpectedEof))).map(Ok);
                }
                recv(self.interrupts.1) -> interrupt => {
                    return Err(interrupt.map_or(Error::Interrupted, |interrupt| self.interrupted_by(interrupt)));
                }
                recv(beside) -> other => {
                    return other.map(Err).map_err(|_| Error::Bug("the other channel has ended".into()));
                }
                default(left) => {
                    if self.last_byte.silence(listening) >= self.silent_max {
                        return Err(lost(std::io::ErrorKind::TimedOut));
                    }
                }
            }
        }
    }

    /// Returns the release that is being switched to, if the switch has begun.
    pub(crate) fn switching(&self) -> Option<ReleaseId> {
        self.switching.lock().expect("no holder panics").clone()
    }

    /// Returns the error of a run that is interrupted, at every later look too.
    fn interrupted_by(&self, interrupt: Interrupt) -> Error {
        self.interrupts.0.try_send(interrupt.clone()).ok();
        interrupt.into_error()
    }

    /// Forgets that another run interrupts this one. The next look finds it again, if that run has not given up.
    pub(crate) fn forget_interrupt(&self) {
        self.interrupts.1.try_recv().ok();
    }

    /// Fails if the client has gone, missed a report or is silent for too long, or if another run interrupts this one.
    /// Call it only while no frame is due: it drops the frames that it finds.
    pub(crate) fn check_client(&self) -> Result<(), Error> {
        if let Ok(interrupt) = self.interrupts.1.try_recv() {
            return Err(self.interrupted_by(interrupt));
        }
        self.check_line()
    }

    /// Fails if the client has gone or missed a report. Call it only while no frame is due: it drops the frames that
    /// it finds.
    pub(crate) fn check_line(&self) -> Result<(), Error> {
        if self.has_failed_send.load(Ordering::Relaxed) {
            return Err(Error::LineLost { source: std::io::ErrorKind::BrokenPipe.into() });
        }
        loop {
            match self.frames.try_recv() {
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    return Err(Error::LineLost { source: std::io::ErrorKind::UnexpectedEof.into() });
                }
                Ok(frame) => drop(frame?),
            }
        }
    }

    /// Remembers that a report could not be sent.
    fn note_send(&self, sent: &Result<(), Error>) {
        if sent.is_err() {
            self.has_failed_send.store(true, Ordering::Relaxed);
        }
    }

    /// Sends news. The begin and the end of a phase are sent with the next message, or soon.
    pub(crate) fn pass_on(&self, news: News) {
        if matches!(news, News::Began(_)) {
            // A phase that ends soon needs no progress.
            *self.last_progress.lock().expect("no sender panics") = Instant::now();
        }
        let is_phase = matches!(news, News::Began(_) | News::Ended(_));
        let message = FromAgent::News(news.fitting());
        let sent = match is_phase {
            true => self.out.lock().expect("no sender panics").queue(&message::to_bytes(&message)),
            false => self.send(&message),
        };
        self.note_send(&sent);
    }

    /// Notes that a switch to a release may have begun.
    pub(crate) fn note_switching(&self, to: &ReleaseId) {
        *self.switching.lock().expect("no holder panics") = Some(to.clone());
    }

    fn flush(&self) -> Result<(), Error> {
        self.out.lock().expect("no sender panics").flush_queued()
    }

    /// Returns the counter of received bytes, for further connections.
    pub(crate) fn counter(&self) -> Counter {
        self.read.clone()
    }

    /// Begins to report how many bytes were read.
    pub(crate) fn begin_receiving(&self, commits: u32) {
        let report = ReadReport { sent: Instant::now(), bytes: self.read.bytes(), commits };
        *self.last_report() = Some(report);
    }

    /// Reports how many bytes were read so far, and for how long blocks had to wait. Does nothing if the last report was too
    /// recent.
    pub(crate) fn report_read(&self, stalled: Option<Duration>) -> Result<(), Error> {
        let mut report = self.last_report();
        let bytes = self.read.bytes();
        let Some(report) = &mut *report else { return Ok(()) };
        if report.sent.elapsed() < READ_EVERY || report.bytes == bytes {
            return Ok(());
        }
        (report.sent, report.bytes) = (Instant::now(), bytes);
        let stalled = stalled.map(|time| time.as_micros() as u64);
        self.send(&FromAgent::Read { bytes, commits: report.commits, stalled })
    }

    /// Queues the number of commits that were read, and stops these reports.
    pub(crate) fn end_receiving(&self, commits: u32) -> Result<(), Error> {
        *self.last_report() = None;
        let message = message::to_bytes(&FromAgent::Read { bytes: self.read.bytes(), commits, stalled: None });
        self.out.lock().expect("no sender panics").queue(&message)
    }

    fn last_report(&self) -> MutexGuard<'_, Option<ReadReport>> {
        self.last_report.lock().expect("no sender panics")
    }
}

impl Reporter for Conversation {
    fn tell(&self, news: News) {
        if let Some(journal) = self.journal.get() {
            journal.add(JournalEntry::News(news.clone()));
        }
        self.pass_on(news);
    }

    /// Does nothing if the last progress message was too recent.
    fn progress(&self, phase: Phase, files: u64, files_total: u64) {
        let Ok(mut last) = self.last_progress.try_lock() else { return };
        if last.elapsed() >= PROGRESS_EVERY {
            *last = Instant::now();
            self.note_send(&self.send(&FromAgent::Progress { phase, files, files_total }));
        }
    }

    fn begin_switch(&self, to: &ReleaseId) -> Result<(), Error> {
        self.check_client()?;
        self.note_switching(to);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A client whose bytes arrive one at a time.
    struct Trickle(std::vec::IntoIter<u8>);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(30));
            let Some(byte) = self.0.next() else { return Ok(0) };
            buffer[0] = byte;
            Ok(1)
        }
    }

    #[test]
    fn a_block_may_come_slower_than_silence_is_suffered() {
        let mut bytes = Vec::new();
        FrameWriter::new(&mut bytes).write(FrameKind::Block, &[7; 50]).unwrap();
        let began = Instant::now();
        let silent_max = Duration::from_secs(1);
        let conversation =
            Conversation::new(RunnerProgram::default(), Trickle(bytes.into_iter()), io::sink(), silent_max).unwrap();
        assert!(matches!(conversation.next(), Ok(Incoming::Block(payload)) if payload == [7; 50]));
        assert!(began.elapsed() > silent_max, "the block came too fast to show anything");
    }

    #[test]
    fn a_client_that_has_gone_is_noticed_behind_its_pings() {
        let (input, mut client) = io::pipe().unwrap();
        let conversation =
            Conversation::new(RunnerProgram::default(), input, io::sink(), Duration::from_secs(20)).unwrap();
        for _ in 0..10 {
            FrameWriter::new(&mut client).write(FrameKind::Message, &message::to_bytes(&ToAgent::Ping)).unwrap();
        }
        conversation.begin_switch(&"1".parse().unwrap()).unwrap();
        drop(client);
        let given_up = Instant::now() + Duration::from_secs(5);
        while conversation.begin_switch(&"1".parse().unwrap()).is_ok() {
            assert!(Instant::now() < given_up, "it was not noticed");
        }
    }

    #[test]
    fn a_client_of_which_nothing_comes_is_taken_for_dead() {
        let (input, mut client) = io::pipe().unwrap();
        let conversation =
            Conversation::new(RunnerProgram::default(), input, io::sink(), Duration::from_millis(100)).unwrap();
        client.write_all(&[9]).unwrap();
        let Err(Error::LineLost { source }) = conversation.next() else { panic!("the silence was not noticed") };
        assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn no_switch_begins_where_something_was_not_heard() {
        let (input, _client) = io::pipe().unwrap();
        let (answers, output) = io::pipe().unwrap();
        let conversation = Conversation::new(RunnerProgram::default(), input, output, Duration::from_secs(20)).unwrap();
        conversation.warn("heard".to_owned());
        conversation.begin_switch(&"1".parse().unwrap()).unwrap();
        drop(answers);
        conversation.warn("not heard".to_owned());
        assert!(matches!(conversation.begin_switch(&"2".parse().unwrap()), Err(Error::LineLost { .. })));
        assert_eq!(conversation.switching(), Some("1".parse().unwrap()));
    }
}
