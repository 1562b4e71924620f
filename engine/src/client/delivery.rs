//! The arrived part of an upload, as the agent reports it.
//!
//! Bytes that a write has accepted are not there yet: sockets, windows and pipes between the two sides hold megabytes.
//! The agent reports now and then how many bytes it has read on all connections. This module finds out whose content
//! they are. Blocks of several connections pass each other on the way, so the result is a guess then, right but for a
//! few of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::event::{Event, Observer, Phase};

/// An amount of content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// The files that it completes.
    pub(crate) files: u64,
    /// The bytes, unpacked.
    pub(crate) bytes: u64,
}

/// The delivery of uploads. Clones share it.
#[derive(Clone)]
pub(crate) struct Delivery(Arc<Shared>);

struct Shared {
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    upload: Option<Transit>,
    /// The duration of the uploads before.
    duration: Duration,
}

/// The fate of the blocks that were on their way when an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remainder {
    Arrived,
    Dropped,
}

/// An upload that has not ended.
struct Transit {
    began: Instant,
    total: Amount,
    /// The number of bytes that the agent had read at the begin of the first block that has not arrived.
    begin: u64,
    /// The bytes after that begin that have arrived.
    read: u64,
    /// The blocks on their way: the length on the wire, and the content.
    blocks: VecDeque<(u64, Amount)>,
    /// The content of the blocks that have arrived whole.
    arrived: Amount,
    /// The commit after which no block is on its way.
    last_commit: Option<u32>,
}

impl Delivery {
    /// Begins without an upload.
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Delivery {
        Delivery(Arc::new(Shared { observer, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panics while content is counted")
    }

    /// Begins an upload, after `written` bytes on all connections.
    pub(crate) fn begin(&self, total: Amount, written: u64) {
        let mut state = self.state();
        // Content is only sent again after a commit that the agent has read.
        self.end(&mut state, Remainder::Dropped);
        state.upload = Some(Transit {
            began: Instant::now(),
            total,
            begin: written,
            read: 0,
            blocks: VecDeque::new(),
            arrived: Amount::default(),
            last_commit: None,
        });
        drop(state);
        self.0.observer.observe(Event::Began(Phase::Upload));
        self.tell(Amount::default(), total);
    }

    /// Notes a block that is about to be written: its length on the wire, and its content.
    pub(crate) fn note(&self, length: u64, content: Amount) {
        if let Some(upload) = &mut self.state().upload {
            upload.blocks.push_back((length, content));
        }
    }

    /// Notes that all blocks were written, and that the commit of this number comes next.
    pub(crate) fn note_written(&self, commit: u32) {
        if let Some(upload) = &mut self.state().upload {
            upload.last_commit = Some(commit);
        }
    }

    /// Notes the bytes that the agent has read on all connections, and the number of commits.
    pub(crate) fn note_read(&self, read: u64, commits: u32) {
        let mut state = self.state();
        let Some(upload) = &mut state.upload else { return };
        upload.take(read);
        if upload.last_commit.is_some_and(|last| last <= commits) {
            return self.end(&mut state, Remainder::Arrived);
        }
        let content = upload.arrived_amount();
        let total = upload.total;
        drop(state);
        self.tell(content, total);
    }

    /// Ends the upload, as the agent has answered: all content of use has arrived.
    pub(crate) fn finish(&self) {
        self.end(&mut self.state(), Remainder::Arrived);
    }

    /// Returns the time for which content was on its way.
    pub(crate) fn duration(&self) -> Duration {
        let state = self.state();
        state.duration + state.upload.as_ref().map_or(Duration::ZERO, |upload| upload.began.elapsed())
    }

    fn end(&self, state: &mut State, rest: Remainder) {
        let Some(upload) = state.upload.take() else { return };
        state.duration += upload.began.elapsed();
        if rest == Remainder::Arrived {
            let on_their_way = upload.blocks.iter().map(|(_, content)| *content);
            self.tell(on_their_way.fold(upload.arrived, Amount::plus), upload.total);
        }
        self.0.observer.observe(Event::Ended(Phase::Upload));
    }

    fn tell(&self, content: Amount, total: Amount) {
        self.0.observer.observe(Event::Progress {
            phase: Phase::Upload,
            files: content.files.min(total.files),
            files_total: total.files,
            bytes: content.bytes.min(total.bytes),
            bytes_total: total.bytes,
        });
    }
}

impl Amount {
    fn plus(self, other: Amount) -> Amount {
        Amount { files: self.files + other.files, bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Transit {
    /// Removes the blocks that were read whole.
    fn take(&mut self, read: u64) {
        self.read = self.read.max(read.saturating_sub(self.begin));
        while let Some(&(length, content)) = self.blocks.front().filter(|(length, _)| *length <= self.read) {
            self.blocks.pop_front();
            self.begin += length;
            self.read -= length;
            self.arrived = self.arrived.plus(content);
        }
    }

    /// Returns the content that has arrived. A block that was read in part counts in proportion.
    fn arrived_amount(&self) -> Amount {
        let part = self
            .blocks
            .front()
            .map_or(0, |&(length, content)| (content.bytes as f64 * self.read as f64 / length.max(1) as f64) as u64);
        self.arrived.plus(Amount { files: 0, bytes: part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Recorder;

    const TOTAL: Amount = Amount { files: 3, bytes: 300 };

    /// Begins when 1000 bytes were written, with three blocks of 10 bytes that hold a file of 100 each.
    fn delivery() -> (Arc<Recorder>, Delivery) {
        let recorder = Arc::new(Recorder::default());
        let delivery = Delivery::new(recorder.clone());
        delivery.begin(TOTAL, 1000);
        (0..3).for_each(|_| delivery.note(10, Amount { files: 1, bytes: 100 }));
        (recorder, delivery)
    }

    fn last(recorder: &Recorder) -> Option<(u64, u64)> {
        match recorder.events().last() {
            Some(Event::Progress { files, bytes, .. }) => Some((*files, *bytes)),
            _ => None,
        }
    }

    #[test]
    fn what_was_written_counts_once_the_agent_has_read_it() {
        let (recorder, delivery) = delivery();
        assert_eq!(last(&recorder), Some((0, 0)));
        let check = |read, expected| {
            delivery.note_read(read, 0);
            assert_eq!(last(&recorder), Some(expected), "{read}");
        };
        check(900, (0, 0));
        check(1000, (0, 0));
        check(1005, (0, 50));
        check(1010, (1, 100));
        check(1029, (2, 290));
        // A late report changes nothing.
        check(1012, (2, 290));
        check(u64::MAX, (3, 300));
    }

    #[test]
    fn an_upload_ends_when_the_agent_has_read_the_commit_behind_it() {
        let ended = |recorder: &Recorder| recorder.events().last() == Some(&Event::Ended(Phase::Upload));
        let (recorder, delivery) = delivery();
        delivery.note_read(1030, 2);
        assert!(!ended(&recorder));
        delivery.note_written(2);
        delivery.note_read(1030, 1);
        assert!(!ended(&recorder));
        delivery.note_read(1030, 2);
        assert!(ended(&recorder));
        let (recorder, delivery) = self::delivery();
        delivery.finish();
        assert!(ended(&recorder));
        let told = recorder.events().len();
        delivery.finish();
        delivery.note_read(2000, 9);
        assert_eq!(recorder.events().len(), told);
    }
}
