//! Numbers for people: bytes, counts, seconds and times, each a newtype with a `Display`.

use std::fmt;

use engine::path::Shown;
pub(crate) use engine::units::{Bytes, Count, Time};

/// A count and its noun, in the plural unless it is one: `1 file`, `78,622 files`.
pub(crate) struct Counted(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => write!(f, "1 {}", self.1),
            count => write!(f, "{} {}s", Count(count), self.1),
        }
    }
}

/// Seconds: `0.42 s`, `12.3 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) struct Seconds(pub(crate) f64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.round() as u64;
        match self.0 {
            seconds if seconds < 9.995 => write!(f, "{seconds:.2} s"),
            seconds if seconds < 99.95 => write!(f, "{seconds:.1} s"),
            _ if whole < 3600 => write!(f, "{} min {} s", whole / 60, whole % 60),
            _ => write!(f, "{} h {} min", whole / 3600, whole % 3600 / 60),
        }
    }
}

/// An age: `42 s`, `5 min`, `3 h`, `12 days`.
pub(crate) struct Age(pub(crate) u64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR: u64 = 60 * 60;
        const DAY: u64 = 24 * HOUR;
        match self.0 {
            seconds if seconds < 60 => write!(f, "{seconds} s"),
            seconds if seconds < HOUR => write!(f, "{} min", seconds / 60),
            seconds if seconds < 2 * DAY => write!(f, "{} h", seconds / HOUR),
            seconds => write!(f, "{} days", Count(seconds / DAY)),
        }
    }
}

/// The first digits of a commit: as many as git shows in a large repository.
pub(crate) struct Commit<'a>(pub(crate) &'a str);

impl fmt::Display for Commit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: usize = 12;
        let first: String = self.0.chars().take(DIGITS).collect();
        Shown(first.as_bytes()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let check = |count: u64, expected: &str| assert_eq!(Counted(count, "file").to_string(), expected);
        check(0, "0 files");
        check(1, "1 file");
        check(2000, "2,000 files");
    }

    #[test]
    fn seconds_keep_three_digits() {
        let check = |seconds: f64, expected: &str| assert_eq!(Seconds(seconds).to_string(), expected);
        check(0.0, "0.00 s");
        check(9.99, "9.99 s");
        check(9.996, "10.0 s");
        check(100.0, "1 min 40 s");
        check(7530.0, "2 h 5 min");
    }

    #[test]
    fn an_age_has_one_unit() {
        let check = |seconds: u64, expected: &str| assert_eq!(Age(seconds).to_string(), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min");
        check(3600, "1 h");
        check(47 * 3600, "47 h");
        check(48 * 3600, "2 days");
        check(1234 * 86_400, "1,234 days");
    }

    #[test]
    fn a_commit_is_short_and_cannot_forge_a_line() {
        let check = |commit: &str, expected: &str| assert_eq!(Commit(commit).to_string(), expected);
        check("0123456789abcdef0123456789abcdef01234567", "0123456789ab");
        check("012", "012");
        check("01\n3", "01\\n3");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(Time(1_774_447_200).to_string(), "2026-03-25 14:00:00Z");
        assert_eq!(Time(u64::MAX).to_string(), format!("second {}", u64::MAX));
    }
}
