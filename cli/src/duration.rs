//! Durations as people write them: `60s`, `10m`, `1h30m`, `7d`, `0s`.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, SpanRelativeTo};

/// The expected form, for messages.
pub(crate) const EXPECTED: &str = "a number and a unit, such as `60s`, `10m`, `1h30m` or `7d`";

/// Parses a duration: whole numbers, each with one of the units `d`, `h`, `m` and `s`, the larger first, each once.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    whole_seconds(text).ok_or_else(|| format!("expected {EXPECTED}"))
}

/// Accepts only forms that mean one length to everybody: `jiff` knows more (`1.5 hours`, `1h ago`, years).
fn whole_seconds(text: &str) -> Option<Duration> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"dhms".contains(&byte)) && !text.contains("ms");
    let span = is_plain.then(|| SpanParser::new().parse_span(text).ok())??;
    let duration: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (duration.subsec_nanos() == 0).then(|| duration.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_falling_units() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(whole_seconds(text), expected.map(Duration::from_secs), "{text:?}");
        };
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
        check("5ms", None);
        check("5000ms", None);
        check("18446744073709551616s", None);
        check("18446744073709551615m", None);
    }
}
