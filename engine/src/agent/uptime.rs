//! The uptime: the clock of this boot. Nobody sets it, and the kernel gives the start of a process by it.
//!
//! It shows which processes started while a release was live, even if the time of day was wrong or was set since. A
//! boot has an identity: of an earlier boot no process is left.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::boot;
use crate::release::BootSpan;

/// A moment of this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uptime {
    /// The identity of the boot.
    boot: String,
    /// Milliseconds since the boot.
    millis: u64,
}

impl Uptime {
    /// Returns the present moment, or nothing if the boot has no identity, as without `/proc`.
    pub(crate) fn now() -> Option<Uptime> {
        Some(Uptime { boot: boot::id()?, millis: millis() })
    }
}

/// Returns the milliseconds since the boot. This clock also runs while the machine sleeps.
pub(crate) fn millis() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

impl BootSpan {
    /// Returns the span of a release that is being made.
    pub(crate) fn begin(now: Option<Uptime>) -> Option<BootSpan> {
        now.map(|Uptime { boot, millis }| BootSpan { boot, from: millis, until: None })
    }

    /// Returns the span of a release that goes live. After a reboot its begin is unknown: the release may have been
    /// there since the boot.
    pub(crate) fn open(span: Option<&BootSpan>, now: Option<Uptime>) -> Option<BootSpan> {
        let Uptime { boot, .. } = now?;
        let from = span.filter(|span| span.boot == boot).map_or(0, |span| span.from);
        Some(BootSpan { boot, from, until: None })
    }

    /// Returns the span of a release that was replaced as the live one, at this moment or before.
    pub(crate) fn close(span: Option<&BootSpan>, now: Option<Uptime>) -> Option<BootSpan> {
        if let Some(closed) = span.filter(|span| span.until.is_some()) {
            return Some(closed.clone());
        }
        let until = now.as_ref()?.millis + 1;
        BootSpan::open(span, now).map(|span| BootSpan { until: Some(until), ..span })
    }

    /// Tells whether the grace after the span still runs. Returns nothing if the span has not ended, or ended in
    /// another boot.
    pub(crate) fn is_in_grace(&self, grace: Duration, now: &Uptime) -> Option<bool> {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let until = self.until.filter(|_| self.boot == now.boot)?;
        Some(now.millis < until.saturating_add(grace))
    }

    /// Tells whether a process that started in this range of milliseconds started in the span, or within the grace
    /// after it.
    pub(crate) fn holds(&self, started: &std::ops::Range<u64>, grace: Duration, now: &Uptime) -> bool {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        match self.until {
            // It ended in an earlier boot.
            Some(_) if self.boot != now.boot => false,
            Some(until) => started.end > self.from && started.start <= until.saturating_add(grace),
            None => self.boot != now.boot || started.end > self.from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: &str, millis: u64) -> Uptime {
        Uptime { boot: boot.into(), millis }
    }

    fn span(boot: &str, from: u64, until: Option<u64>) -> BootSpan {
        BootSpan { boot: boot.into(), from, until }
    }

    #[test]
    fn a_span_goes_from_the_making_to_the_last_retirement() {
        let made = BootSpan::begin(Some(at("a", 50))).unwrap();
        assert_eq!(made, span("a", 50, None));
        let live = BootSpan::open(Some(&made), Some(at("a", 60))).unwrap();
        assert_eq!(live, span("a", 50, None));
        let retired = BootSpan::close(Some(&live), Some(at("a", 90))).unwrap();
        assert_eq!(retired, span("a", 50, Some(91)));
        assert_eq!(BootSpan::close(Some(&retired), Some(at("a", 95))), Some(retired.clone()));
        assert_eq!(BootSpan::open(Some(&retired), Some(at("a", 100))), Some(span("a", 50, None)));
    }

    #[test]
    fn after_a_boot_a_span_began_with_it() {
        let before = span("a", 50, None);
        assert_eq!(BootSpan::close(Some(&before), Some(at("b", 10))), Some(span("b", 0, Some(11))));
        assert_eq!(BootSpan::open(None, Some(at("b", 10))), Some(span("b", 0, None)));
        assert_eq!(BootSpan::close(Some(&before), None), None);
    }

    #[test]
    fn what_started_in_a_span_or_its_grace_is_in_it() {
        let now = at("a", 10_000);
        let check = |span: &BootSpan, start: u64, expected: bool| {
            let holds = span.holds(&(start..start + 10), Duration::from_millis(100), &now);
            assert_eq!(holds, expected, "{span:?} {start}");
        };
        for (start, expected) in [(0, false), (990, false), (991, true), (1500, true), (2100, true), (2101, false)] {
            check(&span("a", 1000, Some(2000)), start, expected);
        }
        for (start, expected) in [(0, false), (990, false), (1000, true), (9000, true)] {
            check(&span("a", 1000, None), start, expected);
        }
        // Of an earlier boot no process is left. But a release that was not retired since may be entered at any time.
        check(&span("earlier", 1000, Some(2000)), 1500, false);
        check(&span("earlier", 1000, None), 0, true);
    }
}
