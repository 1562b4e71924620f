//! What the agent says, as it comes: what only tells is told at once, and what is an answer waits.

use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::client::load::Load;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::report::LiveNow;
use crate::wire::frame::{FrameKind, FrameReader};
use crate::wire::lane::Ticket;
use crate::wire::message::{self, FromAgent, Taken};

use super::live_now;

/// What came.
pub(super) enum Received {
    Message(Box<FromAgent>),
    Part(Vec<u8>),
    Lost(Error),
}

/// The agent's answer to `WantLanes`, once it is there.
pub(crate) type TicketSlot = Arc<OnceLock<Option<Ticket>>>;

/// The base that the agent takes, once it has said so; none where it answers without one.
pub(super) type TakenBase = Arc<OnceLock<Taken>>;

/// Reads on a thread of its own.
pub(super) struct Listener {
    pub(super) observer: Arc<dyn Observer>,
    pub(super) live: Arc<Mutex<LiveNow>>,
    pub(super) taken_base: TakenBase,
    pub(super) load: Load,
    pub(super) ticket: TicketSlot,
    pub(super) sender: Sender<Received>,
}

impl Listener {
    /// Reads until the agent says nothing more, or nobody listens.
    pub(super) fn listen(self, mut reader: FrameReader<File>) {
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
            FromAgent::LockTakenOver(holder) => {
                Event::Warning(format!("Took over the lock of a deploy that died: {holder}"))
            }
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
