//! Signs of life, to the client and to other runs.
//!
//! The thread that sends `Ping` also shows other runs that the holder of the lock is alive, and looks whether one of
//! them interrupts it. A silent client does not end these signs: they are the agent's own, and the agent itself gives
//! up such a client.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::error::Error;
use crate::event::Phase;
use crate::news::News;
use crate::threads;
use crate::wire::message::FromAgent;

use super::{Conversation, PROGRESS_EVERY};
use crate::agent::reporter::Reporter;
use crate::agent::site::lock::taking::Onlooker;
use crate::agent::site::lock::{BEAT_EVERY, Pulse};

/// The time for which an agent whose client has gone shows that it is alive. It only tidies up then: one that takes
/// longer may be stuck, and the next run may end it. A runner shows that it is alive by itself.
const ALONE_MAX: Duration = Duration::from_secs(600);

impl Conversation {
    /// Notes the signs of the lock that this run holds.
    pub(crate) fn note_lock(&self, pulse: Arc<Pulse>) {
        *self.pulse.lock().expect("no holder panics") = Some(pulse);
    }

    /// Shows other runs that this one is alive.
    fn beat(&self) {
        if let Some(pulse) = &*self.pulse.lock().expect("no holder panics") {
            pulse.beat();
        }
    }

    /// Looks whether another run interrupts this one, unless a runner does.
    fn look_for_interrupt(&self) {
        let pulse = self.pulse.lock().expect("no holder panics").clone();
        let interrupt = pulse.filter(|pulse| !pulse.is_lent()).and_then(|pulse| pulse.interrupt());
        if let Some(interrupt) = interrupt {
            // One item is enough.
            self.interrupts.0.try_send(interrupt).ok();
        }
    }
}

impl Onlooker for Conversation {
    fn waits_for(&self, holder: &str) {
        self.began(Phase::Lock);
        self.tell(News::LockWait(holder.to_owned()));
    }

    fn has_waited(&self) {
        self.ended(Phase::Lock);
    }

    fn inform(&self, message: String) {
        self.warn(message);
    }

    fn check(&self) -> Result<(), Error> {
        if self.last_byte.silence(self.began) >= self.silent_max {
            return Err(Error::LineLost { source: ErrorKind::TimedOut.into() });
        }
        self.check_client()
    }
}

/// Runs `work`. Meanwhile sends queued messages, and a `Ping` every few seconds; shows that the holder of the lock is
/// alive, and looks whether it is interrupted.
pub(crate) fn keep_alive<T>(conversation: &Conversation, work: impl FnOnce() -> T) -> Result<T, Error> {
    const TICKS_A_PING: u32 = 20;
    const TICKS_A_BEAT: u32 = (BEAT_EVERY.as_millis() / PROGRESS_EVERY.as_millis()) as u32;
    std::thread::scope(|scope| {
        let (stop, stopped) = bounded::<()>(0);
        threads::spawn_scoped(scope, move || {
            let (mut ticks, mut alone_since) = (0, None::<Instant>);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PROGRESS_EVERY) {
                ticks = (ticks + 1) % TICKS_A_PING;
                if ticks % TICKS_A_BEAT == 0 && alone_since.is_none_or(|since| since.elapsed() < ALONE_MAX) {
                    conversation.beat();
                }
                conversation.look_for_interrupt();
                if alone_since.is_some() {
                    continue;
                }
                let sent = if ticks == 0 { conversation.send(&FromAgent::Ping) } else { conversation.flush() };
                let sent = sent.and_then(|()| conversation.report_read(None));
                conversation.note_send(&sent);
                if sent.is_err() {
                    alone_since = Some(Instant::now());
                }
            }
        })?;
        let result = work();
        drop(stop);
        Ok(result)
    })
}
