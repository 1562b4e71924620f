//! The stream to the agent, and the `Ping` that keeps it alive.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::threads;
use crate::wire::frame::{FrameKind, FrameWriter};
use crate::wire::last_byte::LastByte;
use crate::wire::message::{self, ToAgent};

/// The time in which an interruption is noticed.
pub(super) const CANCEL_EVERY: Duration = Duration::from_millis(50);

/// The time between two `Ping`s.
const PING_EVERY: Duration = Duration::from_secs(15);

/// The stream to the agent. The user can interrupt even a stuck line: a write that cannot go on gives up then. It also
/// gives up when the agent is silent for longer than a living agent is.
pub(crate) struct Output {
    file: File,
    /// Each of them ends a write.
    cancels: [Cancel; 2],
    /// The bytes that the line accepted.
    pub(super) flow: Arc<AtomicU64>,
    last_byte: LastByte,
    silent_max: Duration,
}

impl Output {
    pub(super) fn new(file: File, cancels: [Cancel; 2], last_byte: LastByte, silent_max: Duration) -> Output {
        // If this cannot be set, a write waits as long as the line does.
        fcntl_getfl(&file).and_then(|flags| fcntl_setfl(&file, flags | OFlags::NONBLOCK)).unwrap_or_default();
        Output { file, cancels, flow: Arc::default(), last_byte, silent_max }
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
        if self.last_byte.silence(began) > self.silent_max {
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

/// Sends `Ping` now and then, until the returned sender is dropped.
pub(super) fn keep_alive(out: Arc<Mutex<Option<FrameWriter<Output>>>>) -> Result<Sender<()>, Error> {
    let (alive, ended) = bounded::<()>(0);
    threads::spawn(move || {
        let ping = message::to_bytes(&ToAgent::Ping);
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(PING_EVERY) {
            // A sender that is at work shows by it that the client is alive.
            let Ok(mut out) = out.try_lock() else { continue };
            // Frames that are held back while packing takes long must not hold back the ping.
            let ping =
                |out: &mut FrameWriter<Output>| out.write(FrameKind::Message, &ping).and_then(|()| out.flush_queued());
            match out.as_mut().map(ping) {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    })?;
    Ok(alive)
}
