//! The text of the lock: `.cutover/lock`, one object of JSON on one line.
//!
//! ```text
//! {"beat":          81234567,"fence":7,"who":"anna","from":"laptop",…,"process":{…},"switching":false}
//! ```
//! It is for people, and for a run that finds the lock held. `beat` has a fixed width, so that the holder can overwrite
//! it alone. It counts milliseconds on a clock that no person sets and that stops while the machine sleeps: the time of
//! day may be wrong by an hour, and a holder that slept with its machine was not silent. On another machine it means
//! nothing.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::agent::json::to_json;
use crate::process::ProcessIdentity;
use crate::report::LockHolder;

/// The place of the beat in the text, and its width: that of the largest number.
pub(super) const BEAT_AT: u64 = r#"{"beat":"#.len() as u64;
const BEAT_WIDTH: usize = 20;

/// The text of the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockText {
    /// The holder's last sign of life.
    #[serde(skip_serializing, default)]
    pub(super) beat: u64,
    /// The fencing number.
    #[serde(default)]
    pub(super) fence: u64,
    /// The holder.
    #[serde(flatten)]
    pub(crate) holder: LockHolder,
    /// The holder's process. None if the server has no `/proc`.
    pub(super) process: Option<ProcessIdentity>,
    /// The process of the hook that runs now, once it has one. It lives on if its runner is killed.
    #[serde(default)]
    pub(super) hook_process: Option<ProcessIdentity>,
    /// Whether the holder has begun to switch.
    #[serde(default)]
    pub(super) switching: bool,
}

impl LockText {
    /// Makes the text of this process.
    pub(super) fn new(holder: LockHolder, fence: u64) -> LockText {
        let mut text = LockText { beat: now(), fence, holder, process: None, hook_process: None, switching: false };
        text.move_to_this_process();
        text
    }

    /// Names this process as the holder's.
    pub(super) fn move_to_this_process(&mut self) {
        self.holder.pid = std::process::id();
        self.process = ProcessIdentity::own();
    }

    /// Notes the hook that begins, or that none runs.
    pub(super) fn note_hook(&mut self, hook: Option<&str>) {
        self.holder.hook = hook.map(str::to_owned);
        self.hook_process = None;
    }

    /// Notes the process of the hook.
    pub(super) fn note_hook_process(&mut self, pid: u32) {
        self.hook_process = ProcessIdentity::of(pid);
    }

    /// Returns the process of the hook, if it runs.
    pub(super) fn running_hook(&self) -> Option<&ProcessIdentity> {
        self.hook_process.as_ref().filter(|process| process.is_running())
    }

    /// Parses the text. Returns nothing for another one.
    pub(super) fn parse(bytes: &[u8]) -> Option<LockText> {
        serde_json::from_slice(bytes).ok()
    }

    /// Returns the text, with a beat of now.
    pub(super) fn to_text(&self) -> String {
        let rest = to_json(self);
        format!("{{\"beat\":{},{}", beat(), rest.trim_start_matches('{'))
    }

    /// Returns the time since the holder's last sign of life. None if its process is on another machine, or if this
    /// machine cannot tell.
    pub(super) fn silence(&self) -> Option<Duration> {
        let is_of_this_boot = self.process.as_ref().is_some_and(ProcessIdentity::is_of_this_boot);
        is_of_this_boot.then(|| Duration::from_millis(now().saturating_sub(self.beat)))
    }
}

/// Returns the beat of now, in its width.
pub(super) fn beat() -> String {
    format!("{:>BEAT_WIDTH$}", now())
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn holder() -> LockHolder {
        let (who, from, verb) = ("anna".to_owned(), "laptop".to_owned(), "deploy".to_owned());
        LockHolder { who, from, since: 1_774_447_200, pid: 0, verb, commit: None, job: None, hook: None }
    }

    #[test]
    fn a_text_is_read_as_it_was_written_and_its_beat_has_one_place() {
        let mut text = LockText::new(holder(), 7);
        let written = text.to_text();
        let read = LockText::parse(written.as_bytes()).unwrap();
        text.beat = read.beat;
        assert_eq!(read, text);
        assert_eq!(read.holder.pid, std::process::id());
        let at = BEAT_AT as usize;
        let changed = format!("{}{:>20}{}", &written[..at], 5, &written[at + 20..]);
        assert_eq!(LockText::parse(changed.as_bytes()).unwrap().beat, 5);
        assert_eq!(LockText::parse(b""), None);
        assert_eq!(LockText::parse(&written.as_bytes()[..50]), None);
    }

    #[test]
    fn silence_is_counted_on_the_clock_of_this_boot_alone() {
        let mut text = LockText::new(holder(), 7);
        text.beat = now() - 61_000;
        let silence = text.silence().unwrap();
        assert!((61..90).contains(&silence.as_secs()), "{silence:?}");
        // A clock that is an hour off changes nothing: neither this machine's, which is not asked, nor the holder's.
        text.holder.since += 3600;
        assert!(text.silence().unwrap().as_secs() < 90);
        text.beat = u64::MAX;
        assert_eq!(text.silence(), Some(Duration::ZERO));
        text.process.as_mut().unwrap().boot = "another".into();
        assert_eq!(text.silence(), None);
        text.process = None;
        assert_eq!(text.silence(), None);
    }
}
