//! The second of a release: the mtime of all that it brings.
//!
//! The client proposes it, to all servers alike: what is served from several of them then has one ETag. A server takes it
//! where it is later than every second that was given there before, as two contents of one size and second are one to a
//! browser; otherwise the next free second. A proposal that is far from the server's own clock is not believed: one of
//! the two clocks is wrong, and it is the server's that a browser compares an mtime with.

/// How far a proposal may be behind the server's clock, in seconds. From the hello to the decision the tree travels: ten
/// minutes are enough for a million files at 1 Mbit/s. A browser that is told nothing else keeps a file for a tenth of its
/// age: that is a minute more.
const BEHIND_MAX: u32 = 600;

/// How far it may be ahead, in seconds: more than clocks differ that are set at all. Until that time has come, a web server
/// tells no mtime that is later than its own clock, or tells one that is in the future.
const AHEAD_MAX: u32 = 60;

/// What a second is chosen by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds {
    /// What the client proposes.
    pub(super) proposed: u32,
    /// The greatest that was given before.
    pub(super) given: u32,
    /// The server's clock.
    pub(super) now: u32,
    /// Whether the filesystem keeps whole seconds alone. There an edit in place in the second that was chosen would not show,
    /// so that second must be over.
    pub(super) has_whole_seconds: bool,
}

/// Chooses the second of a release.
pub(super) fn choose(seconds: Seconds) -> u32 {
    let Seconds { proposed, given, now, has_whole_seconds } = seconds;
    let latest = if has_whole_seconds { now.saturating_sub(1) } else { now.saturating_add(AHEAD_MAX) };
    let is_believed = (now.saturating_sub(BEHIND_MAX)..=latest).contains(&proposed);
    let own = now.saturating_sub(u32::from(has_whole_seconds));
    let wished = if is_believed { proposed } else { own };
    wished.max(given.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;

    #[test]
    fn a_proposal_is_taken_where_it_is_free_and_near_the_clock() {
        let check = |proposed, given, has_whole_seconds, expected| {
            let seconds = Seconds { proposed, given, now: NOW, has_whole_seconds };
            assert_eq!(choose(seconds), expected, "{seconds:?}");
        };
        for has_whole_seconds in [false, true] {
            check(NOW - 1, 0, has_whole_seconds, NOW - 1);
            check(NOW - BEHIND_MAX, 0, has_whole_seconds, NOW - BEHIND_MAX);
            // Taken, or earlier than one that was given.
            check(NOW - 1, NOW - 1, has_whole_seconds, NOW);
            check(NOW - 5, NOW + 1000, has_whole_seconds, NOW + 1001);
            // Too old, and far in the future.
            let own = NOW - u32::from(has_whole_seconds);
            check(NOW - BEHIND_MAX - 1, 0, has_whole_seconds, own);
            check(0, 0, has_whole_seconds, own);
            check(NOW + AHEAD_MAX + 1, 0, has_whole_seconds, own);
            check(u32::MAX, 0, has_whole_seconds, own);
        }
        check(NOW + AHEAD_MAX, 0, false, NOW + AHEAD_MAX);
        check(NOW, 0, false, NOW);
        // It is not over.
        check(NOW, 0, true, NOW - 1);
        check(NOW + 1, 0, true, NOW - 1);
        check(u32::MAX, u32::MAX, false, u32::MAX);
    }
}
