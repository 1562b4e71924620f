//! What the agent has said so far: the listener fills it, and the side that speaks reads it. Cloning shares it.

use std::sync::{Arc, Mutex, OnceLock};

use crate::client::delivery::Delivery;
use crate::client::load::Load;
use crate::event::Observer;
use crate::live::LiveNow;
use crate::wire::lane::Ticket;
use crate::wire::message::AgentBase;

use super::inbox::Inbox;

/// The agent's answer to `WantLanes`, once it is there.
pub(crate) type TicketSlot = Arc<OnceLock<Option<Ticket>>>;

/// The base that the agent takes, once it has said so; none where it answers without one.
pub(super) type TakenBase = Arc<OnceLock<AgentBase>>;

/// See the module's description.
#[derive(Clone)]
pub(super) struct Answers {
    /// Answers that wait until they are asked for.
    pub(super) inbox: Inbox,
    /// What the agent said last of what is live.
    live: Arc<Mutex<LiveNow>>,
    pub(super) taken_base: TakenBase,
    /// Whether the agent keeps up.
    pub(super) load: Load,
    pub(super) ticket: TicketSlot,
    /// What has arrived of an upload.
    pub(super) delivery: Delivery,
}

impl Answers {
    /// Begins, with nothing said.
    pub(super) fn new(observer: Arc<dyn Observer>) -> Answers {
        Answers {
            inbox: Inbox::default(),
            live: Arc::new(Mutex::new(LiveNow::Unchanged)),
            taken_base: TakenBase::default(),
            load: Load::default(),
            ticket: TicketSlot::default(),
            delivery: Delivery::new(observer),
        }
    }

    /// Notes what is live.
    pub(super) fn note_live(&self, live: LiveNow) {
        *self.live.lock().expect("no listener panics") = live;
    }

    /// Returns what the agent said last of what is live.
    pub(super) fn live(&self) -> LiveNow {
        self.live.lock().expect("no listener panics").clone()
    }
}
