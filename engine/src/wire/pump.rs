//! Moves bytes between an SSH channel and two pipes.
//!
//! libssh2 allows one thread at a time in a session, and notices that a window has grown only when it is called. So
//! one thread owns session and channel, blocks only in `poll`, and always moves both directions: if writing waited
//! while replies are unread, the server might wait for its replies to be read, and neither would go on.
//!
//! ```text
//! caller ── pipe ──▶ up ──▶ channel ──▶ the command's stdin
//! caller ◀── pipe ── down ◀── channel ◀── its stdout         its stderr ──▶ tail
//! ```
//!
//! Any call of libssh2 may take any packet off the socket, and `poll` does not announce that packet again. So a round
//! begins with reading and ends with writing, and before it waits it checks whether something for an earlier step has
//! arrived since: bytes to read, or a window that has grown.
//!
//! A packet that the socket accepts only in part must be finished before anything else is sent. libssh2 recognizes
//! the packet by the address of its data, which is on the stack for packets that libssh2 makes itself. The pump
//! therefore sends those only while the socket has room for a whole packet.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use ssh2::{BlockDirections, Channel, Session, Stream};

use crate::error::Error;
use crate::threads;
use crate::wire::ack_meter::AckMeter;
use crate::wire::buffer::Buffer;
use crate::wire::greeting::timespec;
use crate::wire::login::{Exit, LINGER, Process, RemoteCommand, Tail};

/// The largest pipe of an unprivileged process.
const PIPE_BYTES: usize = 1 << 20;

/// The detection of a dead connection: a question after each silent interval, and the number of questions that may
/// stay unanswered.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeepAlive {
    pub(super) interval: Duration,
    pub(super) maximum: u32,
}

/// A session and its socket.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) session: Session,
    pub(super) socket: Arc<TcpStream>,
    pub(super) alive: KeepAlive,
}

/// Starts the thread for a channel on which a command was started.
pub(super) fn start(line: Line, channel: Channel) -> Result<RemoteCommand, Error> {
    let failed = |source| Error::Io { action: "make a pipe for", path: "the SSH channel".into(), source };
    let (from_caller, output) = pipe().map_err(failed)?;
    let (input, to_caller) = pipe().map_err(failed)?;
    set_nonblocking(&from_caller).map_err(failed)?;
    set_nonblocking(&to_caller).map_err(failed)?;
    let ack_meter = AckMeter::new(line.socket.clone());
    let pump = Pump {
        written_bytes: ack_meter.written_bytes(),
        stderr: channel.stderr(),
        channel,
        up: Buffer::new(),
        down: Buffer::new(),
        from_caller: Some(from_caller),
        to_caller: Some(to_caller),
        eof_sent: false,
        window: 0,
        closed: false,
        unanswered: 0,
        next_question: Instant::now() + line.alive.interval,
        lingers_until: None,
        tail: Tail::default(),
        line,
    };
    let thread = threads::spawn(|| pump.run())?;
    Ok(RemoteCommand { input, output, ack_meter: Some(ack_meter), process: Box::new(PumpProcess(thread)) })
}

fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    // A user with very many pipes gets only smaller ones; they work too.
    rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES).ok();
    Ok((OwnedFd::from(reader).into(), OwnedFd::from(writer).into()))
}

fn set_nonblocking(file: &File) -> io::Result<()> {
    Ok(fcntl_setfl(file, fcntl_getfl(file)? | OFlags::NONBLOCK)?)
}

struct PumpProcess(JoinHandle<Result<Exit, Error>>);

impl Process for PumpProcess {
    fn wait(self: Box<Self>) -> Result<Exit, Error> {
        self.0.join().unwrap_or_else(|_| Err(Error::Bug("the thread of the SSH session panicked".into())))
    }
}

struct Pump {
    line: Line,
    channel: Channel,
    stderr: Stream,
    /// Counts the bytes that the socket accepted.
    written_bytes: Arc<AtomicU64>,
    up: Buffer,
    down: Buffer,
    /// None once the caller closed it, or the command reads no more.
    from_caller: Option<File>,
    /// None once everything was written, or the caller closed it.
    to_caller: Option<File>,
    eof_sent: bool,
    /// The server's window at the last attempt to send.
    window: u32,
    /// Whether the server has closed the channel.
    closed: bool,
    unanswered: u32,
    next_question: Instant,
    lingers_until: Option<Instant>,
    tail: Tail,
}

impl Pump {
    fn run(mut self) -> Result<Exit, Error> {
        let outcome = self.pump();
        // The caller sees the end of its streams before it waits for this thread.
        self.from_caller = None;
        self.to_caller = None;
        outcome.map_err(|source| Error::LineLost { source })?;
        Ok(Exit { status: self.exit_status(), stderr: self.tail.bytes() })
    }

    fn pump(&mut self) -> io::Result<()> {
        loop {
            let mut moved = self.receive_stderr()?;
            moved |= self.receive_down()?;
            moved |= self.flush_down();
            moved |= self.fill_up()?;
            moved |= self.send_up()?;
            self.note_close()?;
            if self.closed && self.down.is_empty() {
                while self.receive_stderr()? {}
                return Ok(());
            }
            moved |= self.is_behind();
            self.wait(moved)?;
        }
    }

    /// Returns whether a step took bytes off the socket that an earlier step waits for.
    fn is_behind(&self) -> bool {
        let has_come = self.channel.read_window().available > 0 && !self.down.is_full();
        has_come || (!self.up.is_empty() && self.channel.write_window().remaining > self.window)
    }

    /// Reads the caller's bytes.
    fn fill_up(&mut self) -> io::Result<bool> {
        let Some(from_caller) = &mut self.from_caller else {
            return Ok(false);
        };
        if !self.up.is_empty() {
            return Ok(false);
        }
        match from_caller.read(self.up.space()) {
            Ok(0) => self.from_caller = None,
            Ok(bytes) => self.up.add(bytes),
            Err(error) if is_later(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn send_up(&mut self) -> io::Result<bool> {
        let mut moved = false;
        while !self.up.is_empty() {
            match self.channel.write(self.up.content()) {
                Ok(0) => break,
                Ok(bytes) => {
                    self.up.take(bytes);
                    self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                }
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error),
            }
            moved = true;
        }
        self.window = self.channel.write_window().remaining;
        let ended = self.from_caller.is_none() && self.up.is_empty() && !self.eof_sent;
        if ended && self.socket_has_room()? {
            match self.channel.send_eof() {
                Ok(()) => self.eof_sent = true,
                Err(error) => return later_or(error.into()).map(|()| false),
            }
        }
        Ok(moved)
    }

    fn receive_stderr(&mut self) -> io::Result<bool> {
        let mut words = [0; 4096];
        match self.stderr.read(&mut words) {
            Ok(bytes) => {
                self.tail.push(&words[..bytes]);
                Ok(bytes > 0)
            }
            Err(error) => later_or(error).map(|()| false),
        }
    }

    fn receive_down(&mut self) -> io::Result<bool> {
        if self.down.is_full() {
            return Ok(false);
        }
        match self.channel.read(self.down.space()) {
            Ok(bytes) => {
                self.down.add(bytes);
                Ok(bytes > 0)
            }
            Err(error) => later_or(error).map(|()| false),
        }
    }

    /// Writes the server's bytes to the caller, or drops them once the caller has closed its stream.
    fn flush_down(&mut self) -> bool {
        let mut moved = false;
        while !self.down.is_empty() {
            let written = match &mut self.to_caller {
                Some(to_caller) => to_caller.write(self.down.content()),
                None => Ok(self.down.content().len()),
            };
            match written {
                Ok(bytes) => self.down.take(bytes),
                Err(error) if is_later(&error) => break,
                Err(_) => self.to_caller = None,
            }
            moved = true;
        }
        moved
    }

    /// Notes the end of the command. The end of its stdout is not enough: it may still read.
    fn note_close(&mut self) -> io::Result<()> {
        if self.closed || !self.channel.eof() {
            return Ok(());
        }
        if self.down.is_empty() {
            self.to_caller = None;
        }
        match self.channel.wait_close() {
            Ok(()) => {
                self.closed = true;
                self.from_caller = None;
                self.up.clear();
                Ok(())
            }
            Err(error) => later_or(error.into()),
        }
    }

    /// Waits for something to do, or returns at once if something `moved`.
    fn wait(&mut self, moved: bool) -> io::Result<()> {
        let now = Instant::now();
        let until = self.lingers_until.map_or(self.next_question, |until| until.min(self.next_question));
        let timeout = if moved { Duration::ZERO } else { until.saturating_duration_since(now) };
        let (socket, to_caller) = self.poll(timeout)?;
        if to_caller.contains(PollFlags::ERR) {
            self.to_caller = None;
        }
        if socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.unanswered = 0;
            self.next_question = Instant::now() + self.line.alive.interval;
        }
        self.check_linger()?;
        self.check_alive()
    }

    fn poll(&self, timeout: Duration) -> io::Result<(PollFlags, PollFlags)> {
        let blocked = matches!(self.line.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        let wants_eof = self.from_caller.is_none() && self.up.is_empty() && !self.eof_sent && !self.closed;
        let mut socket = PollFlags::IN;
        socket.set(PollFlags::OUT, wants_eof || (blocked && !self.up.is_empty()));
        let mut polled = vec![PollFd::new(&*self.line.socket, socket)];
        if let Some(to_caller) = &self.to_caller {
            let wanted = if self.down.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            polled.push(PollFd::new(to_caller, wanted));
        }
        let callers = polled.len();
        if let (Some(from_caller), true) = (&self.from_caller, self.up.is_empty()) {
            polled.push(PollFd::new(from_caller, PollFlags::IN));
        }
        match poll(&mut polled, Some(&timespec(timeout))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let to_caller = if callers == 2 { polled[1].revents() } else { PollFlags::empty() };
        Ok((polled[0].revents(), to_caller))
    }

    /// Fails if the command does not end although both its streams are closed.
    fn check_linger(&mut self) -> io::Result<()> {
        if self.from_caller.is_some() || self.to_caller.is_some() {
            return Ok(());
        }
        let until = *self.lingers_until.get_or_insert_with(|| Instant::now() + LINGER);
        if Instant::now() < until {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::TimedOut, "The command on the server does not end"))
    }

    fn check_alive(&mut self) -> io::Result<()> {
        if Instant::now() < self.next_question {
            return Ok(());
        }
        if self.unanswered >= self.line.alive.maximum {
            return Err(io::Error::new(ErrorKind::TimedOut, "The server does not answer any more"));
        }
        self.unanswered += 1;
        self.next_question = Instant::now() + self.line.alive.interval;
        if self.socket_has_room()? {
            self.line.session.keepalive_send()?;
        }
        Ok(())
    }

    fn socket_has_room(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&*self.line.socket, PollFlags::OUT)];
        match poll(&mut polled, Some(&timespec(Duration::ZERO))) {
            Ok(_) => Ok(polled[0].revents().contains(PollFlags::OUT)),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn exit_status(&mut self) -> Option<i32> {
        // Only a courtesy: the server has already closed the channel.
        self.channel.close().ok();
        let killed = self.channel.exit_signal().is_ok_and(|signal| signal.exit_signal.is_some());
        if killed { None } else { self.channel.exit_status().ok() }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn later_or(error: io::Error) -> io::Result<()> {
    if is_later(&error) { Ok(()) } else { Err(error) }
}
