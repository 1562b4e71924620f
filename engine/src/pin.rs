//! Pins: a pinned release is not removed by retention, and does not count for it.
//!
//! A pin holds until the end of a day in UTC, or without end. The server's clock decides when that day is over.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A day of the calendar, as `2026-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(jiff::civil::Date);

/// The text is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no day: write it as `2026-12-31`")]
pub struct NotADay(String);

/// The form of a day.
const FORM: &str = "%Y-%m-%d";
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

impl Day {
    /// Returns the day of a time in Unix seconds, in UTC.
    pub fn at(second: u64) -> Day {
        let second = i64::try_from(second).ok();
        let at = second.and_then(|second| jiff::Timestamp::from_second(second).ok()).unwrap_or_default();
        Day(jiff::tz::TimeZone::UTC.to_datetime(at).date())
    }

    /// Returns the first second after the day in UTC, in Unix seconds.
    pub fn end(self) -> u64 {
        let start = jiff::tz::TimeZone::UTC.to_zoned(self.0.to_datetime(jiff::civil::Time::midnight()));
        let start = start.map_or(0, |start| start.timestamp().as_second());
        u64::try_from(start).map_or(0, |start| start + SECONDS_A_DAY)
    }
}

impl FromStr for Day {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Day, NotADay> {
        let date = jiff::civil::Date::strptime(FORM, text).map(Day);
        // The parser also takes `2026-1-1`.
        date.ok().filter(|day| day.to_string() == text).ok_or_else(|| NotADay(text.escape_debug().to_string()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The terms of a pin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinTerms {
    /// The last day on which it holds, in UTC. None: without end.
    pub until: Option<Day>,
    /// The reason.
    pub note: Option<String>,
}

/// The pin of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The last day on which it holds, in UTC. None: without end.
    pub until: Option<Day>,
    /// The reason, in the words of the person who pinned it.
    pub note: Option<String>,
    /// The person who pinned it, as `user@host`.
    pub by: String,
}

impl Pin {
    /// Tells whether it holds at a time, in Unix seconds.
    pub fn holds(&self, at: u64) -> bool {
        self.until.is_none_or(|day| at < day.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_in_one_way() {
        for text in ["2026-12-31", "2024-02-29", "1970-01-01"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        for text in ["2026-1-1", "2026-02-29", "2026-13-01", "31.12.2026", "20261231", "tomorrow", "", "2026-12-31 "] {
            assert_eq!(text.parse::<Day>(), Err(NotADay(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn a_pin_holds_until_the_end_of_its_day() {
        let pin = |until: Option<&str>| Pin { until: until.map(|day| day.parse().unwrap()), note: None, by: "".into() };
        let end = 1_798_761_600; // 2027-01-01 00:00:00Z
        assert_eq!(
            (Day::at(end - 1).to_string(), Day::at(end).to_string()),
            ("2026-12-31".into(), "2027-01-01".into())
        );
        let check = |until, at, holds: bool| assert_eq!(pin(until).holds(at), holds, "{until:?} {at}");
        check(Some("2026-12-31"), end - 1, true);
        check(Some("2026-12-31"), end, false);
        check(Some("2026-12-31"), 0, true);
        check(None, u64::MAX, true);
    }
}
