//! The agent's answers so far. The listener fills it, and the conversation reads it. Clones share it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use crate::cancel::Cancel;
use crate::client::delivery::Delivery;
use crate::client::load::Load;
use crate::event::Observer;
use crate::live::LiveNow;
use crate::wire::lane::Ticket;
use crate::wire::message::AgentBase;

use super::inbox::Inbox;

/// The agent's answer to `WantLanes`, once it has arrived.
pub(crate) type TicketSlot = Arc<OnceLock<Option<Ticket>>>;

/// The base that the agent takes, once it has said so. `Nothing` if its answer needs no base.
pub(super) type TakenBase = Arc<OnceLock<AgentBase>>;

/// See the module's description.
#[derive(Clone)]
pub(super) struct Answers {
    /// The answers that wait until they are asked for.
    pub(super) inbox: Inbox,
    /// The agent's last word on the live release.
    live: Arc<Mutex<LiveNow>>,
    /// The moment of its first word that a release is live.
    pub(super) live_at: Arc<OnceLock<Instant>>,
    /// Set once the agent waits for no verdict any more.
    pub(super) has_decided: Cancel,
    pub(super) taken_base: TakenBase,
    /// The load of the agent.
    pub(super) load: Load,
    pub(super) ticket: TicketSlot,
    /// The delivery of the upload.
    pub(super) delivery: Delivery,
}

impl Answers {
    /// Begins without answers.
    pub(super) fn new(observer: Arc<dyn Observer>, cancel: &Cancel) -> Answers {
        Answers {
            inbox: Inbox::default(),
            live: Arc::new(Mutex::new(LiveNow::Unchanged)),
            live_at: Arc::default(),
            has_decided: cancel.part(),
            taken_base: TakenBase::default(),
            load: Load::default(),
            ticket: TicketSlot::default(),
            delivery: Delivery::new(observer),
        }
    }

    /// Notes the live release.
    pub(super) fn note_live(&self, live: LiveNow) {
        *self.live.lock().expect("no listener panics") = live;
    }

    /// Returns the agent's last word on the live release.
    pub(super) fn live(&self) -> LiveNow {
        self.live.lock().expect("no listener panics").clone()
    }
}
