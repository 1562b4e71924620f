//! Sends the agent to the script that reads it, reports how much has arrived, and reads the answer.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::wire::ack_meter::AckMeter;
use crate::wire::greeting::wait_readable;
use crate::wire::login::{Exit, RemoteCommand};

/// The part of the output that is kept: its end, because the output of the login comes before the answer.
const ANSWER_MAX: usize = 64 << 10;
/// The interval of the progress reports.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// A copy of the agent on its way to the server.
pub(super) struct AgentTransfer<'a> {
    /// The agent, packed or as it is.
    pub(super) content: &'a [u8],
    /// The time that the server may be silent while nothing arrives.
    pub(super) timeout: Duration,
    /// Receives the progress.
    pub(super) observer: &'a dyn Observer,
    /// Interrupts the copy.
    pub(super) cancel: &'a Cancel,
}

impl AgentTransfer<'_> {
    /// Sends the agent. Returns the script's output and its exit.
    pub(super) fn run(&self, mut running: RemoteCommand) -> Result<(Vec<u8>, Exit), Error> {
        self.observer.observe(Event::Began(Phase::CopyAgent));
        self.report(running.ack_meter.as_ref());
        self.send(&mut running)?;
        let told = self.read_to_end(running)?;
        self.observer.observe(Event::Ended(Phase::CopyAgent));
        Ok(told)
    }

    fn send(&self, running: &mut RemoteCommand) -> Result<(), Error> {
        for part in self.content.chunks(64 << 10) {
            self.cancel.check()?;
            self.report(running.ack_meter.as_ref());
            // The script ended early; its output shows the reason.
            if running.output.write_all(part).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn read_to_end(&self, running: RemoteCommand) -> Result<(Vec<u8>, Exit), Error> {
        let RemoteCommand { mut input, output, process, ack_meter } = running;
        drop(output);
        let mut printed = Vec::new();
        let mut buffer = [0; 4096];
        let mut deadline = Instant::now() + self.timeout;
        let mut last = None;
        loop {
            if !wait_readable(&input, deadline.min(Instant::now() + TELL_EVERY), self.cancel)? {
                let now = self.report(ack_meter.as_ref());
                // As long as bytes arrive, however slowly, the server is not late.
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

    /// Reports and returns how many bytes have arrived, or returns nothing if the transport does not know.
    fn report(&self, ack_meter: Option<&AckMeter>) -> Option<u64> {
        let bytes_total = self.content.len() as u64;
        let arrived = ack_meter.and_then(AckMeter::bytes).map(|bytes| bytes.min(bytes_total));
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
