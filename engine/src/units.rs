//! Bytes as they are shown to people.

use std::fmt;

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
