//! The agent's half of a conversation: messages out, frames in.
//!
//! A thread of its own reads frames, so that a client that goes away is noticed while the agent works; another says
//! that the agent is alive while it is silent, as a `syncfs` may take long. A client of which not a byte comes for long
//! is taken for dead, so that its lock does not outlive it when the line is cut without a word.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded, never, select};

use crate::error::Error;
use crate::event::Phase;
use crate::live::LiveNow;
use crate::release::ReleaseId;
use crate::threads;
use crate::wire::bounds;
use crate::wire::frame::{Counter, FrameKind, FrameReader, FrameWriter};
use crate::wire::last_byte::LastByte;
use crate::wire::message::{self, FromAgent, ToAgent};

use super::tell::Tell;

/// A client that is alive says something every few seconds.
pub(crate) const CLIENT_SILENT_MAX: Duration = Duration::from_secs(90);

/// Frames read ahead: what waits here is bounded by this many blocks.
const READ_AHEAD: usize = 1;

/// How often progress is sent at most, and after what time what is to be said soon. A packet takes some 50 bytes beside
/// what is in it, and what is over sooner needs no progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How often it is sent at most how much was read. A block keeps a receiver busy for about as long.
const READ_EVERY: Duration = Duration::from_millis(250);

type Frame = Result<(FrameKind, Vec<u8>), Error>;

/// A conversation with a client.
pub(crate) struct Talk {
    out: Mutex<FrameWriter<Box<dyn Write + Send>>>,
    frames: Receiver<Frame>,
    last_byte: LastByte,
    silent_max: Duration,
    told: Mutex<Instant>,
    /// Counts what was read on all connections.
    read: Counter,
    /// While it receives: what was said last of what was read, and when.
    receiving: Mutex<Option<Receiving>>,
    switching: Mutex<Option<ReleaseId>>,
    /// Whether something that a run told could not be said.
    is_unheard: AtomicBool,
}

/// What was said of what was read.
struct Receiving {
    told: Instant,
    bytes: u64,
    commits: u32,
}

/// What comes in, in a deploy.
pub(crate) enum Incoming {
    /// A message.
    Message(ToAgent),
    /// Content.
    Block(Vec<u8>),
    /// A part of a manifest.
    Part(Vec<u8>),
}

/// What comes next, of two things.
pub(crate) enum Next<T> {
    /// From the client.
    Here(Incoming),
    /// From beside.
    Beside(T),
}

impl Talk {
    /// Begins a conversation. A client of which nothing comes for `silent_max` is taken for dead.
    pub(crate) fn new(
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        silent_max: Duration,
    ) -> Result<Talk, Error> {
        let out: Box<dyn Write + Send> = Box::new(output);
        let mut out = FrameWriter::new(out);
        let (sender, frames) = bounded(READ_AHEAD);
        let mut reader = FrameReader::new::<ToAgent>(input);
        let (last_byte, counter) = (reader.last_byte(), reader.counter());
        let ping = message::to_bytes(&ToAgent::Ping);
        let read = move || {
            loop {
                let frame = match reader.read() {
                    // Heard is heard: waiting in the queue, it would keep the end of the line from being seen.
                    Ok(Some((FrameKind::Message, payload))) if payload == ping => continue,
                    Ok(Some(frame)) => Ok(frame),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let is_last = frame.is_err();
                if sender.send(frame).is_err() || is_last {
                    return;
                }
            }
        };
        if let Err(error) = threads::spawn(read) {
            // The client has asked nothing yet, and is told all the same.
            let failed = FromAgent::Failed { refusal: error.to_refusal(), live: LiveNow::Unchanged };
            out.write(FrameKind::Message, &message::to_bytes(&failed))?;
            return Err(error);
        }
        Ok(Talk {
            out: Mutex::new(out),
            frames,
            last_byte,
            silent_max,
            told: Mutex::new(Instant::now()),
            read: counter,
            receiving: Mutex::default(),
            switching: Mutex::default(),
            is_unheard: AtomicBool::new(false),
        })
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &FromAgent) -> Result<(), Error> {
        let bytes = message::to_bounded_bytes(message)?;
        self.out.lock().expect("no sender panics").write(FrameKind::Message, &bytes)
    }

    /// Sends bytes that a message announced.
    pub(crate) fn send_parts(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = self.out.lock().expect("no sender panics");
        bytes.chunks(1 << 20).try_for_each(|part| out.write(FrameKind::Part, part))
    }

    /// Waits for what comes next.
    pub(crate) fn next(&self) -> Result<Incoming, Error> {
        match self.next_or(&never::<Infallible>())? {
            Next::Here(incoming) => Ok(incoming),
            Next::Beside(never) => match never {},
        }
    }

    /// Waits for what comes next, here or from `beside`, whose other end must stand.
    pub(crate) fn next_or<T>(&self, beside: &Receiver<T>) -> Result<Next<T>, Error> {
        let frame = match self.receive(beside)? {
            Ok(frame) => frame,
            Err(other) => return Ok(Next::Beside(other)),
        };
        Ok(Next::Here(match frame {
            (FrameKind::Block, payload) => Incoming::Block(payload),
            (FrameKind::Part, payload) => Incoming::Part(payload),
            (FrameKind::Message, payload) => Incoming::Message(message::from_bytes(&payload)?),
        }))
    }

    fn receive<T>(&self, beside: &Receiver<T>) -> Result<Result<(FrameKind, Vec<u8>), T>, Error> {
        // Before, there may have been no room for what the client has to say.
        let listening = Instant::now();
        let lost = |kind: std::io::ErrorKind| Error::LineLost { source: kind.into() };
        loop {
            let left = self.silent_max.saturating_sub(self.last_byte.silence(listening));
            select! {
                recv(self.frames) -> frame => {
                    return frame.unwrap_or_else(|_| Err(lost(std::io::ErrorKind::UnexpectedEof))).map(Ok);
                }
                recv(beside) -> other => {
                    return other.map(Err).map_err(|_| Error::Bug("what was listened to beside has ended".into()));
                }
                default(left) => {
                    if self.last_byte.silence(listening) >= self.silent_max {
                        return Err(lost(std::io::ErrorKind::TimedOut));
                    }
                }
            }
        }
    }

    /// Returns the release that the switch, where it has begun, goes to.
    pub(crate) fn switching(&self) -> Option<ReleaseId> {
        self.switching.lock().expect("nobody panics while noting").clone()
    }

    /// Fails where the client has gone, or did not hear something that it was told. To be called where nothing is due from
    /// it: what comes is dropped.
    pub(crate) fn check_client(&self) -> Result<(), Error> {
        if self.is_unheard.load(Ordering::Relaxed) {
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

    /// Notes where something could not be said.
    fn tell(&self, said: &Result<(), Error>) {
        if said.is_err() {
            self.is_unheard.store(true, Ordering::Relaxed);
        }
    }

    /// Says that a phase began or ended: with what is said next, or soon.
    fn phase(&self, phase: Phase, ended: bool) {
        let message = message::to_bytes(&FromAgent::Phase { phase, ended });
        self.tell(&self.out.lock().expect("no sender panics").queue(&message));
    }

    fn flush(&self) -> Result<(), Error> {
        self.out.lock().expect("no sender panics").flush_queued()
    }

    /// Returns what counts the bytes that are read, for further connections.
    pub(crate) fn counter(&self) -> Counter {
        self.read.clone()
    }

    /// Says from now on how much was read.
    pub(crate) fn begin_receiving(&self, commits: u32) {
        let receiving = Receiving { told: Instant::now(), bytes: self.read.bytes(), commits };
        *self.receiving() = Some(receiving);
    }

    /// Says how much was read so far, and for how long no blocks were taken; too soon after the last time, not.
    pub(crate) fn tell_read(&self, stalled: Option<Duration>) -> Result<(), Error> {
        let mut receiving = self.receiving();
        let bytes = self.read.bytes();
        let Some(receiving) = &mut *receiving else { return Ok(()) };
        if receiving.told.elapsed() < READ_EVERY || receiving.bytes == bytes {
            return Ok(());
        }
        (receiving.told, receiving.bytes) = (Instant::now(), bytes);
        let stalled = stalled.map(|time| time.as_micros() as u64);
        self.send(&FromAgent::Read { bytes, commits: receiving.commits, stalled })
    }

    /// Says with what is said next, or soon, that so many commits were read, and no more of what comes.
    pub(crate) fn end_receiving(&self, commits: u32) -> Result<(), Error> {
        *self.receiving() = None;
        let message = message::to_bytes(&FromAgent::Read { bytes: self.read.bytes(), commits, stalled: None });
        self.out.lock().expect("no sender panics").queue(&message)
    }

    fn receiving(&self) -> MutexGuard<'_, Option<Receiving>> {
        self.receiving.lock().expect("no sender panics")
    }
}

impl Tell for Talk {
    fn began(&self, phase: Phase) {
        // Progress is for what takes a while.
        *self.told.lock().expect("no sender panics") = Instant::now();
        self.phase(phase, false);
    }

    fn ended(&self, phase: Phase) {
        self.phase(phase, true);
    }

    /// Too soon after the last time, nothing is said.
    fn progress(&self, phase: Phase, files: u64, files_total: u64) {
        let Ok(mut told) = self.told.try_lock() else { return };
        if told.elapsed() >= PROGRESS_EVERY {
            *told = Instant::now();
            self.tell(&self.send(&FromAgent::Progress { phase, files, files_total }));
        }
    }

    fn warn(&self, warning: String) {
        self.tell(&self.send(&FromAgent::Warning(bounds::cut_off(warning, bounds::REPORTED_TEXT_BYTES_MAX))));
    }

    fn lock_taken_over(&self, holder: String) {
        self.tell(&self.send(&FromAgent::LockTakenOver(bounds::cut_off(holder, bounds::REPORTED_TEXT_BYTES_MAX))));
    }

    fn begin_switch(&self, to: &ReleaseId) -> Result<(), Error> {
        self.check_client()?;
        *self.switching.lock().expect("nobody panics while noting") = Some(to.clone());
        Ok(())
    }

    fn live(&self, release: &ReleaseId) {
        self.tell(&self.send(&FromAgent::Live(release.clone())));
    }

    fn removed(&self, release: &ReleaseId) {
        self.tell(&self.send(&FromAgent::Removed(release.clone())));
    }
}

/// Runs `work`; says meanwhile what is to be said soon, and every few seconds that the agent is alive.
pub(crate) fn alive<T>(talk: &Talk, work: impl FnOnce() -> T) -> Result<T, Error> {
    const TICKS_A_PING: u32 = 20;
    std::thread::scope(|scope| {
        let (stop, stopped) = bounded::<()>(0);
        threads::spawn_scoped(scope, move || {
            let mut ticks = 0;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PROGRESS_EVERY) {
                ticks = (ticks + 1) % TICKS_A_PING;
                let said = if ticks == 0 { talk.send(&FromAgent::Ping) } else { talk.flush() };
                let said = said.and_then(|()| talk.tell_read(None));
                if said.is_err() {
                    return;
                }
            }
        })?;
        let result = work();
        drop(stop);
        Ok(result)
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A client whose words come a byte at a time.
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
        let talk = Talk::new(Trickle(bytes.into_iter()), io::sink(), silent_max).unwrap();
        assert!(matches!(talk.next(), Ok(Incoming::Block(payload)) if payload == [7; 50]));
        assert!(began.elapsed() > silent_max, "the block came too fast to show anything");
    }

    #[test]
    fn a_client_that_has_gone_is_noticed_behind_its_pings() {
        let (input, mut client) = io::pipe().unwrap();
        let talk = Talk::new(input, io::sink(), Duration::from_secs(20)).unwrap();
        for _ in 0..10 {
            FrameWriter::new(&mut client).write(FrameKind::Message, &message::to_bytes(&ToAgent::Ping)).unwrap();
        }
        talk.begin_switch(&"1".parse().unwrap()).unwrap();
        drop(client);
        let given_up = Instant::now() + Duration::from_secs(5);
        while talk.begin_switch(&"1".parse().unwrap()).is_ok() {
            assert!(Instant::now() < given_up, "it was not noticed");
        }
    }

    #[test]
    fn a_client_of_which_nothing_comes_is_taken_for_dead() {
        let (input, mut client) = io::pipe().unwrap();
        let talk = Talk::new(input, io::sink(), Duration::from_millis(100)).unwrap();
        client.write_all(&[9]).unwrap();
        let Err(Error::LineLost { source }) = talk.next() else { panic!("the silence was not noticed") };
        assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn no_switch_begins_where_something_was_not_heard() {
        let (input, _client) = io::pipe().unwrap();
        let (answers, output) = io::pipe().unwrap();
        let talk = Talk::new(input, output, Duration::from_secs(20)).unwrap();
        talk.warn("heard".to_owned());
        talk.begin_switch(&"1".parse().unwrap()).unwrap();
        drop(answers);
        talk.warn("not heard".to_owned());
        assert!(matches!(talk.begin_switch(&"2".parse().unwrap()), Err(Error::LineLost { .. })));
        assert_eq!(talk.switching(), Some("1".parse().unwrap()));
    }
}
