//! The second of a release: the mtime of all its new content.
//!
//! The client proposes one second to all servers of a stage, so that a file has one ETag on all of them. A server
//! uses the proposal if it is later than every earlier second there: to a browser, two contents of equal size and
//! mtime are the same. Otherwise the server uses the next free second. It does not trust a proposal far from its own
//! clock: one of the two clocks is wrong, and a browser compares mtimes with the server's.

use crate::agent::clock::{AHEAD_SECONDS_MAX, now};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::trash;
use crate::error::Error;

/// How far a proposal may be behind the server's clock, in seconds. The tree travels between the hello and the
/// decision: ten minutes are enough for a million files at 1 Mbit/s. A browser without further instructions keeps a
/// file for a tenth of its age: that is a minute more.
const BEHIND_MAX: u32 = 600;

/// The input for the choice of a second.
#[derive(Debug, Clone, Copy)]
struct Seconds {
    /// The proposal of the client.
    proposed: u32,
    /// The latest second of any release so far.
    used: u32,
    /// The server's clock.
    now: u32,
    /// Whether the filesystem keeps only whole seconds. An edit in place within the chosen second would not show
    /// there, so that second must be over.
    has_whole_seconds: bool,
}

/// Chooses the second of a new release of a deploy path.
pub(crate) fn choose_for(
    layout: &Layout,
    releases: &Releases,
    proposed: u32,
    has_whole_seconds: bool,
) -> Result<u32, Error> {
    let used = releases.records.iter().map(|record| record.second).chain([layout.store.second]);
    let used = used.chain(trash::greatest_second(layout)?).max().unwrap_or(0);
    Ok(choose(Seconds { proposed, used, now: now() as u32, has_whole_seconds }))
}

/// Chooses the second of a release.
fn choose(seconds: Seconds) -> u32 {
    let Seconds { proposed, used, now, has_whole_seconds } = seconds;
    let latest = if has_whole_seconds { now.saturating_sub(1) } else { now.saturating_add(AHEAD_SECONDS_MAX) };
    let is_plausible = (now.saturating_sub(BEHIND_MAX)..=latest).contains(&proposed);
    let fallback = now.saturating_sub(u32::from(has_whole_seconds));
    let wanted = if is_plausible { proposed } else { fallback };
    wanted.max(used.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;

    #[test]
    fn a_proposal_is_taken_where_it_is_free_and_near_the_clock() {
        let check = |proposed, used, has_whole_seconds, expected| {
            let seconds = Seconds { proposed, used, now: NOW, has_whole_seconds };
            assert_eq!(choose(seconds), expected, "{seconds:?}");
        };
        for has_whole_seconds in [false, true] {
            check(NOW - 1, 0, has_whole_seconds, NOW - 1);
            check(NOW - BEHIND_MAX, 0, has_whole_seconds, NOW - BEHIND_MAX);
            // In use, or earlier than the latest second.
            check(NOW - 1, NOW - 1, has_whole_seconds, NOW);
            check(NOW - 5, NOW + 1000, has_whole_seconds, NOW + 1001);
            // Too old, and too far in the future.
            let fallback = NOW - u32::from(has_whole_seconds);
            check(NOW - BEHIND_MAX - 1, 0, has_whole_seconds, fallback);
            check(0, 0, has_whole_seconds, fallback);
            check(NOW + AHEAD_SECONDS_MAX + 1, 0, has_whole_seconds, fallback);
            check(u32::MAX, 0, has_whole_seconds, fallback);
        }
        check(NOW + AHEAD_SECONDS_MAX, 0, false, NOW + AHEAD_SECONDS_MAX);
        check(NOW, 0, false, NOW);
        // This second is not over.
        check(NOW, 0, true, NOW - 1);
        check(NOW + 1, 0, true, NOW - 1);
        check(u32::MAX, u32::MAX, false, u32::MAX);
    }
}
