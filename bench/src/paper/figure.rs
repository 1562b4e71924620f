//! Figures as they are written: a value in its unit, a median with its spread, a ratio, an aim.

use std::fmt::{self, Display};

use crate::comparison::row::{Aim, Row, Summary, Unit};

/// A value in its unit, to be printed.
pub(crate) struct Figure(pub(crate) f64, pub(crate) Unit);

impl Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        match self.1 {
            Unit::Times => write!(f, "{value}"),
            Unit::Seconds => write!(f, "{value:.3} s"),
            Unit::Memory => write!(f, "{:.1} MiB", value / f64::from(1 << 20)),
            Unit::Bytes if value.abs() >= 1e9 => write!(f, "{:.3} GB", value / 1e9),
            Unit::Bytes if value.abs() >= 1e6 => write!(f, "{:.2} MB", value / 1e6),
            Unit::Bytes if value.abs() >= 1e4 => write!(f, "{:.1} KB", value / 1e3),
            Unit::Bytes => write!(f, "{value:.0} B"),
        }
    }
}

/// Writes a median with no more than three digits that matter.
pub(crate) fn brief(summary: Option<Summary>, unit: Unit) -> String {
    let Some(Summary { median: value, .. }) = summary else { return none() };
    let (value, name) = match unit {
        Unit::Times => return value.to_string(),
        Unit::Seconds => (value, "s"),
        Unit::Memory => (value / f64::from(1 << 20), "MiB"),
        Unit::Bytes if value >= 1e6 => (value / 1e6, "MB"),
        Unit::Bytes => (value / 1e3, "KB"),
    };
    let decimals = if value >= 99.95 { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.decimals$} {name}")
}

/// Writes a median, and the spread where there is one.
pub(crate) fn shown(summary: Option<Summary>, unit: Unit) -> String {
    let Some(Summary { median, min, max, samples }) = summary else { return none() };
    let figure = |value| Figure(value, unit);
    if samples == 1 {
        return figure(median).to_string();
    }
    format!("{} ({} – {})", figure(median), figure(min), figure(max))
}

/// Writes a median alone.
pub(crate) fn shown_median(summary: Option<Summary>, unit: Unit) -> String {
    summary.map_or_else(none, |summary| Figure(summary.median, unit).to_string())
}

fn none() -> String {
    "–".to_owned()
}

/// Writes the columns that all tables of comparisons have: quantity, Cutover, rival, its figure, ratio, aim.
pub(crate) fn columns(row: &Row) -> String {
    let (ours, theirs) = (shown(row.ours, row.unit), shown(row.theirs, row.unit));
    let ratio = row.ratio().map(shown_ratio).unwrap_or_default();
    format!("{} | {ours} | {} | {theirs} | {ratio} | {}", row.quantity, row.rival, shown_aim(row))
}

/// Small ratios, as of bytes when nothing changed, need more digits.
fn shown_ratio(ratio: f64) -> String {
    if ratio < 0.01 { format!("{ratio:.6}") } else { format!("{ratio:.3}") }
}

/// The aim of a row, and whether it is met.
fn shown_aim(row: &Row) -> String {
    let Some(aim) = row.aim else { return String::new() };
    let text = match aim {
        Aim::RatioAtMost(most) => format!("ratio ≤ {most:.3}"),
        Aim::OursAtMost(most) => format!("≤ {}", Figure(most, row.unit)),
    };
    match row.is_met() {
        Some(true) => format!("{text}: met"),
        Some(false) => format!("{text}: **missed**"),
        None => text,
    }
}

/// Writes enough of a hash to tell builds apart.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_in_their_unit() {
        let check = |value, unit, expected: &str| assert_eq!(Figure(value, unit).to_string(), expected);
        check(1.25, Unit::Seconds, "1.250 s");
        check(209_715_200.0, Unit::Memory, "200.0 MiB");
        check(1842.0, Unit::Bytes, "1842 B");
        check(208_000_000.0, Unit::Bytes, "208.00 MB");
        check(-5_000_000.0, Unit::Bytes, "-5.00 MB");
    }

    #[test]
    fn a_brief_figure_has_three_digits() {
        let check = |value, unit, expected: &str| assert_eq!(brief(Summary::of([value]), unit), expected);
        check(0.1134, Unit::Seconds, "0.11 s");
        check(9.996, Unit::Seconds, "10.0 s");
        check(108.935, Unit::Seconds, "109 s");
        check(4857.0, Unit::Bytes, "4.86 KB");
        check(231_313.0, Unit::Bytes, "231 KB");
        check(1_614_000.0, Unit::Bytes, "1.61 MB");
    }

    #[test]
    fn a_missed_aim_stands_out() {
        let row = Row::new("bytes", Unit::Bytes, vec![3000.0], "rsync", vec![]).aim(Aim::OursAtMost(2000.0));
        assert_eq!(columns(&row), "bytes | 3000 B | rsync | – |  | ≤ 2000 B: **missed**");
    }
}
