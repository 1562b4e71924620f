//! The client, as the runner knows it: there or gone, and its verdict on the live release.
//!
//! A thread reads the agent's messages and notes them here. If the agent itself ends, so does its client's attendance.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::{Error, Refusal};
use crate::wire::frame::FrameReader;
use crate::wire::message;

use super::order::ToRunner;
use super::trial::Deadline;

/// A verdict: the reason why the release is not good, if there is one.
pub(super) type Verdict = Option<Box<Refusal>>;

/// The client's attendance. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Attendance(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The interruption, for work that takes one.
    stop: Cancel,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    is_gone: bool,
    /// The verdict, once it has come. Inside, the reason why the release is not good.
    verdict: Option<Verdict>,
}

impl Attendance {
    /// Notes the messages of the agent until its stream ends.
    pub(super) fn listen(&self, mut reader: FrameReader<std::os::unix::net::UnixStream>) {
        while let Ok(Some((_, payload))) = reader.read() {
            let mut state = self.state();
            match message::from_bytes(&payload) {
                Ok(ToRunner::Stop) => {
                    state.is_stopped = true;
                    self.0.stop.cancel();
                }
                Ok(ToRunner::ClientGone) => state.is_gone = true,
                Ok(ToRunner::Verdict(verdict)) => state.verdict = Some(verdict),
                Ok(ToRunner::Order(_)) | Err(_) => break,
            }
            self.0.changed.notify_all();
        }
        self.note_gone();
    }

    /// Notes that the client has gone.
    pub(super) fn note_gone(&self) {
        self.state().is_gone = true;
        self.0.changed.notify_all();
    }

    /// Tells whether the user interrupted.
    pub(super) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// Returns the interruption.
    pub(super) fn cancel(&self) -> Cancel {
        self.0.stop.clone()
    }

    /// Tells whether the client has gone.
    pub(super) fn is_gone(&self) -> bool {
        self.state().is_gone
    }

    /// Fails if the user interrupted or the client has gone.
    pub(super) fn check(&self) -> Result<(), Error> {
        let state = self.state();
        if state.is_stopped {
            return Err(Error::Interrupted);
        }
        if state.is_gone {
            return Err(Error::LineLost { source: std::io::ErrorKind::BrokenPipe.into() });
        }
        Ok(())
    }

    /// Waits for the verdict until the time is over. Without a deadline, a client that has gone is not waited for. Returns
    /// nothing if none has come.
    pub(super) fn wait_for_verdict(&self, deadline: Option<Deadline>) -> Option<Verdict> {
        const LOOK_EVERY: Duration = Duration::from_millis(200);
        let mut state = self.state();
        loop {
            if state.is_stopped {
                return None;
            }
            // One that has come counts, also if the client has gone since.
            if let Some(verdict) = state.verdict.take() {
                return Some(verdict);
            }
            if deadline.map_or(state.is_gone, Deadline::is_over) {
                return None;
            }
            let waited = self.0.changed.wait_timeout(state, LOOK_EVERY);
            state = waited.expect("no holder panics").0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::frame::{FrameKind, FrameWriter};

    use super::*;

    /// Returns the attendance after these messages and the end of the agent.
    fn after(said: &[ToRunner]) -> Attendance {
        let (own, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut writer = FrameWriter::new(other);
        for message in said {
            writer.write(FrameKind::Message, &message::to_bytes(message)).unwrap();
        }
        drop(writer);
        let attendance = Attendance::default();
        attendance.listen(FrameReader::new::<ToRunner>(own));
        attendance
    }

    #[test]
    fn a_verdict_counts_also_if_its_client_has_gone_since() {
        let refusal = Error::Interrupted.to_refusal();
        let attendance = after(&[ToRunner::Verdict(Some(Box::new(refusal.clone()))), ToRunner::ClientGone]);
        assert_eq!(attendance.wait_for_verdict(None), Some(Some(Box::new(refusal))));
        assert_eq!(after(&[ToRunner::ClientGone]).wait_for_verdict(None), None);
        assert_eq!(after(&[ToRunner::Verdict(None), ToRunner::Stop]).wait_for_verdict(None), None);
    }
}
