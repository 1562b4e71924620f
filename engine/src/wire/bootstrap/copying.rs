//! The agent on its way to a server: sends it to the script that takes it, tells how much has arrived, and reads the answer.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::wire::arrived::Arrived;
use crate::wire::greeting::wait_readable;
use crate::wire::login::{Ended, Running};

/// How much of what is printed is kept: its end, as what a login prints comes before the answer.
const ANSWER_MAX: usize = 64 << 10;
/// How often it is told how much of the agent has arrived.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// A copy of the agent, as it travels.
pub(super) struct Copying<'a> {
    /// The agent, packed or as it is.
    pub(super) content: &'a [u8],
    /// How long the server may be silent while nothing arrives.
    pub(super) timeout: Duration,
    /// Is told how much has arrived.
    pub(super) observer: &'a dyn Observer,
    /// Ends it.
    pub(super) cancel: &'a Cancel,
}

impl Copying<'_> {
    /// Sends the agent. Returns what the script printed, and how it ended.
    pub(super) fn run(&self, mut running: Running) -> Result<(Vec<u8>, Ended), Error> {
        self.observer.observe(Event::Began(Phase::CopyAgent));
        self.tell(running.arrived.as_ref());
        self.send(&mut running)?;
        let told = self.read_to_end(running)?;
        self.observer.observe(Event::Ended(Phase::CopyAgent));
        Ok(told)
    }

    fn send(&self, running: &mut Running) -> Result<(), Error> {
        for part in self.content.chunks(64 << 10) {
            self.cancel.check()?;
            self.tell(running.arrived.as_ref());
            // The script ended early; what it printed says why.
            if running.output.write_all(part).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn read_to_end(&self, running: Running) -> Result<(Vec<u8>, Ended), Error> {
        let Running { mut input, output, process, arrived } = running;
        drop(output);
        let mut printed = Vec::new();
        let mut buffer = [0; 4096];
        let mut deadline = Instant::now() + self.timeout;
        let mut last = None;
        loop {
            if !wait_readable(&input, deadline.min(Instant::now() + TELL_EVERY), self.cancel)? {
                let now = self.tell(arrived.as_ref());
                // While it arrives, however slowly, nobody is late.
                if now != last {
                    (last, deadline) = (now, Instant::now() + self.timeout);
                } else if Instant::now() >= deadline {
                    break;
                }
                continue;
            }
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => {
                    printed.extend_from_slice(&buffer[..bytes]);
                    printed.drain(..printed.len().saturating_sub(ANSWER_MAX));
                }
                Err(source) => return Err(Error::LineLost { source }),
            }
        }
        drop(input);
        Ok((printed, process.wait()?))
    }

    /// Tells how much has arrived, and returns it; nothing where the transport does not know.
    fn tell(&self, arrived: Option<&Arrived>) -> Option<u64> {
        let bytes_total = self.content.len() as u64;
        let arrived = arrived.and_then(Arrived::bytes).map(|bytes| bytes.min(bytes_total));
        self.observer.observe(Event::Progress {
            phase: Phase::CopyAgent,
            files: 0,
            files_total: 0,
            bytes: arrived.unwrap_or_default(),
            bytes_total,
        });
        arrived
    }
}
