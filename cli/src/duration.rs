//! Durations as people write them: `60s`, `10m`, `1h30m`, `7d`, `0s`.

use std::time::Duration;

/// What to write instead of a text that is no duration.
pub(crate) const EXPECTED: &str = "a number and a unit, such as `60s`, `10m`, `1h30m` or `7d`";

/// Reads a duration: whole numbers, each with one of the units `d`, `h`, `m` and `s`, the larger first, each once.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    seconds(text).map(Duration::from_secs).ok_or_else(|| format!("expected {EXPECTED}"))
}

fn seconds(text: &str) -> Option<u64> {
    let mut units = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)].into_iter();
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit())?;
        let (number, tail) = rest.split_at(end);
        let name = tail.chars().next()?;
        let (_, unit) = units.find(|(unit, _)| *unit == name)?;
        let part = number.parse::<u64>().ok()?.checked_mul(unit)?;
        total = total.checked_add(part)?;
        rest = &tail[name.len_utf8()..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_falling_units() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(seconds(text), expected, "{text:?}");
        check("0s", Some(0));
        check("60s", Some(60));
        check("10m", Some(600));
        check("1h30m", Some(5400));
        check("7d", Some(604_800));
        check("1d1h1m1s", Some(90_061));
        check("", None);
        check("60", None);
        check("s", None);
        check("-1s", None);
        check("1.5h", None);
        check("1 h", None);
        check("30m1h", None);
        check("1s1s", None);
        check("1µ", None);
        check("18446744073709551616s", None);
        check("18446744073709551615m", None);
    }
}
