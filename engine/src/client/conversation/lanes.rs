//! The lanes of a conversation: further connections that only carry blocks.
//!
//! An open lane is kept until the conversation ends: the agent may still be reading blocks from it.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::wire::connection::Carrier;
use crate::wire::connection::Lanes;
use crate::wire::frame::{Counter, FrameWriter};

use super::output::Output;

/// A writer to a lane.
pub(crate) type LaneWriter = FrameWriter<Output>;

/// An open lane. It ends when both its streams are closed.
pub(super) struct OpenLane {
    pub(super) sent: Counter,
    pub(super) _input: File,
    pub(super) _carrier: Box<dyn Carrier>,
}

/// See the module's description.
pub(super) struct LaneSet {
    opener: Option<Arc<dyn Lanes>>,
    next_number: AtomicU32,
    open: Mutex<Vec<OpenLane>>,
}

impl LaneSet {
    /// Begins without lanes. `opener` opens them, if they are of use.
    pub(super) fn new(opener: Option<Arc<dyn Lanes>>) -> LaneSet {
        LaneSet { opener, next_number: AtomicU32::new(1), open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, Vec<OpenLane>> {
        self.open.lock().expect("nobody panics while a lane is added")
    }

    /// Returns the opener of lanes.
    pub(super) fn opener(&self) -> Option<Arc<dyn Lanes>> {
        self.opener.clone()
    }

    /// Returns the number of the next lane.
    pub(super) fn next_number(&self) -> u32 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds an open lane.
    pub(super) fn add(&self, lane: OpenLane) {
        self.open().push(lane);
    }

    /// Returns the number of lanes that were opened.
    pub(super) fn len(&self) -> usize {
        self.open().len()
    }

    /// Returns the bytes sent on all lanes.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.open().iter().map(|lane| lane.sent.bytes()).sum()
    }
}
