//! Bytes, counts and times as they are shown to people.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// A Unix time in UTC: `2026-03-25 14:00:00Z`, which RFC 3339 allows.
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).ok();
        match seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
            Some(timestamp) => f.pad(&timestamp.to_string().replacen('T', " ", 1)),
            None => write!(f, "second {}", self.0),
        }
    }
}

/// A duration in minutes and seconds: `15 min`, `1 min 15 s`.
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs() / 60, self.0.as_secs() % 60) {
            (0, seconds) => write!(f, "{seconds} s"),
            (minutes, 0) => write!(f, "{minutes} min"),
            (minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
        }
    }
}

/// A whole number with thousands separators: `78,622`.
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A number of bytes in decimal units, as disks and networks are sold: `12.3 MB`.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        if self.0 < 1000 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1000.0;
        let mut unit = 0;
        // A value that would round to `1000.0` belongs to the next unit.
        while value >= 999.95 && unit + 1 < UNITS.len() {
            value /= 1000.0;
            unit += 1;
        }
        f.pad(&format!("{value:.1} {}", UNITS[unit]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_minutes_and_seconds() {
        let check = |seconds, expected: &str| assert_eq!(Span(Duration::from_secs(seconds)).to_string(), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(75, "1 min 15 s");
        check(900, "15 min");
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        let check = |count: u64, expected: &str| assert_eq!(Count(count).to_string(), expected);
        check(0, "0");
        check(999, "999");
        check(1000, "1,000");
        check(1_234_567, "1,234,567");
        assert_eq!(format!("{:>6}|", Count(1000)), " 1,000|");
    }

    #[test]
    fn bytes_have_one_decimal_and_never_four_digits_before_it() {
        let check = |bytes: u64, expected: &str| assert_eq!(Bytes(bytes).to_string(), expected, "{bytes}");
        check(0, "0 B");
        check(999, "999 B");
        check(1000, "1.0 kB");
        check(12_345_678, "12.3 MB");
        check(999_949, "999.9 kB");
        check(999_950, "1.0 MB");
        check(u64::MAX, "18.4 EB");
    }
}
