//! Sizes as people write them: `500 MB`, `2GiB`, `5%`.

use engine::min_free::MinFree;

/// The expected form, for messages.
pub(crate) const EXPECTED: &str = "a number with a unit, such as `500 MB` or `2 GiB`, or a percentage, such as `5%`";

/// The units and their bytes.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("TB", 1000 * 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Parses the space to leave free. Upper and lower case of a unit mean the same.
pub(crate) fn min_free(text: &str) -> Option<MinFree> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start_matches(' ');
    if unit == "%" {
        return number.parse().ok().filter(|percent| *percent < 100).map(MinFree::Percent);
    }
    let (_, bytes) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*bytes).map(MinFree::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_is_a_percentage() {
        let check = |text: &str, expected: Option<MinFree>| assert_eq!(min_free(text), expected, "{text:?}");
        check("0 B", Some(MinFree::Bytes(0)));
        check("500 MB", Some(MinFree::Bytes(500_000_000)));
        check("500mb", Some(MinFree::Bytes(500_000_000)));
        check("2GiB", Some(MinFree::Bytes(2 << 30)));
        check("5%", Some(MinFree::Percent(5)));
        check("5 %", Some(MinFree::Percent(5)));
        for wrong in ["", "5", "MB", "1.5 GB", "-1 MB", "100%", "5 M", "99999999999 TB", "5% ", "1 MB 2"] {
            check(wrong, None);
        }
    }
}
