//! Sends content to one host: threads pack it, and lanes write the blocks.
//!
//! The queue between them is short, so memory is a few blocks, however much is sent.

mod keeper;

use std::collections::BTreeMap;
use std::sync::Mutex;

use crossbeam_channel::bounded;

use crate::client::conversation::Conversation;
use crate::client::delivery::Amount;
use crate::client::lanes::{self, Outlet};
use crate::client::level::Line;
use crate::client::outgoing_file::{OldSources, OutgoingFile};
use crate::client::packer::{PackedBlock, Packer, Packing};
use crate::client::source::SourceReader;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::report::DeployFailure;
use crate::threads;
use crate::units::Bytes;

use keeper::CacheKeeper;

/// The packed blocks that wait for the wire: so many that neither the packing threads nor the wire wait for a block
/// that takes longer than others.
const QUEUE_BLOCKS: usize = 4;

/// The parameters of an upload.
#[derive(Clone, Copy)]
pub(crate) struct Upload<'a> {
    /// The conversation with the host.
    pub(crate) conversation: &'a Conversation,
    /// The reader of the content. Sent content is kept in the content cache, if there is one.
    pub(crate) reader: SourceReader<'a>,
    /// The sources of old content.
    pub(crate) old_versions: OldSources<'a>,
    /// The zstd level. None: the level that the line has time for.
    pub(crate) level: Option<i32>,
    /// Receives the details.
    pub(crate) observer: &'a dyn Observer,
    /// The number of connections. None: as many as the link has use for.
    pub(crate) lanes: Option<u32>,
    /// Whether all content is described against the named base, and is sent before the agent says that it takes it.
    pub(crate) is_unasked: bool,
}

impl Upload<'_> {
    /// Sends files, in order. Stops early if the agent takes another base. Returns the bytes of content by zstd level,
    /// 0 being none.
    pub(crate) fn send(&self, outgoing_files: Vec<OutgoingFile>) -> Result<BTreeMap<i32, u64>, DeployFailure> {
        let &Upload { conversation, reader, old_versions, level, observer, lanes, is_unasked } = self;
        if outgoing_files.is_empty() {
            return Ok(BTreeMap::new());
        }
        let files = outgoing_files.len() as u64;
        let threads = Packing::usual_threads();
        let round_trip = conversation.lanes().map(|lanes| lanes.round_trip());
        let line = Line { rate: conversation.copied_at(), round_trip };
        let packer = Packer::new(reader, old_versions, Packing { level, threads, line }, outgoing_files);
        let total = Amount { files, bytes: packer.bytes_total() };
        conversation.delivery().begin(total, conversation.sent_bytes());
        let keeper = Mutex::new(CacheKeeper::begin(old_versions.cache, observer));
        let (sender, blocks) = bounded::<Result<PackedBlock, Error>>(QUEUE_BLOCKS);
        let sent = std::thread::scope(|scope| {
            for number in 0..threads {
                let (packer, own) = (&packer, sender.clone());
                let pack = move || {
                    if let Err(error) = packer.run(&own) {
                        // If the queue is closed, another error came first.
                        drop(own.send(Err(error)));
                    }
                };
                match threads::spawn_scoped(scope, pack) {
                    Ok(_) => {}
                    Err(error) if number == 0 => return Err(error.into()),
                    // The existing threads do all the work.
                    Err(_) => break,
                }
            }
            drop(sender);
            let outlet = Outlet { conversation, observer, lanes, is_unasked, left: &|| packer.left() };
            let before =
                |packed: &PackedBlock| conversation.delivery().note(packed.block.payload.len() as u64, packed.holds);
            let sent = lanes::send(&outlet, blocks, before, |packed: &PackedBlock, took| {
                packer.sent(packed, took, conversation.connections().max(1) as u32, conversation.stalled_share());
                keeper.lock().expect("no keeper panics").keep(packed);
            });
            packer.end();
            sent
        });
        // Sent or not, it is content of the source.
        keeper.into_inner().expect("no keeper panics").finish();
        sent?;
        let levels = packer.tally();
        observer.observe(Event::Detail(levels_text(&levels)));
        Ok(levels)
    }
}

/// Returns the packed bytes by level, as `1.2 GB at zstd level 6, 3.0 MB uncompressed`.
fn levels_text(levels: &BTreeMap<i32, u64>) -> String {
    let part = |(&level, &bytes): (&i32, &u64)| match level {
        0 => format!("{} as it is", Bytes(bytes)),
        level => format!("{} at zstd level {level}", Bytes(bytes)),
    };
    let parts: Vec<String> = levels.iter().rev().map(part).collect();
    format!("Packed {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_are_told_from_the_highest() {
        assert_eq!(levels_text(&[(0, 7), (3, 2_000_000)].into()), "Packed 2.0 MB at zstd level 3, 7 B as it is");
    }
}
