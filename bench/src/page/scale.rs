//! Where a value stands on an axis.
//!
//! An axis begins at zero, or is logarithmic: then each step is ten times the one before, and it begins at a power of ten
//! below the least value.

use crate::row::Unit;

/// From this ratio on, the least of the bars could not be seen on an axis that begins at zero.
const WIDE: f64 = 100.0;

/// An axis. Places on it go from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    /// From zero.
    Linear {
        /// The value at its end.
        end: f64,
    },
    /// From a power of ten to another.
    Log {
        /// The exponent at its beginning.
        from: i32,
        /// The exponent at its end.
        to: i32,
    },
}

impl Scale {
    /// Chooses for some values: logarithmic where the least would vanish beside the greatest.
    pub(crate) fn fitting(values: &[f64]) -> Scale {
        let (least, greatest) = range(values);
        if least > 0.0 && greatest / least >= WIDE { Scale::log(values) } else { Scale::linear(values) }
    }

    /// Begins at zero and ends at the greatest value.
    pub(crate) fn linear(values: &[f64]) -> Scale {
        let (_, greatest) = range(values);
        Scale::Linear { end: if greatest > 0.0 { greatest } else { 1.0 } }
    }

    /// Goes from a power of ten to another.
    pub(crate) fn log(values: &[f64]) -> Scale {
        let (least, greatest) = range(values);
        if greatest <= 0.0 {
            return Scale::Log { from: 0, to: 1 };
        }
        // A value on the first power itself would be a bar without length.
        let from = (least.log10() - 0.05).floor() as i32;
        Scale::Log { from, to: (greatest.log10().ceil() as i32).max(from + 1) }
    }

    /// Tells whether it is logarithmic.
    pub(crate) fn is_log(&self) -> bool {
        matches!(self, Scale::Log { .. })
    }

    /// Returns where a value stands: from 0 at the beginning to 1 at the end. Nothing stands before the beginning.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let place = match *self {
            Scale::Linear { end } => value / end,
            Scale::Log { .. } if value <= 0.0 => 0.0,
            Scale::Log { from, to } => (value.log10() - f64::from(from)) / f64::from(to - from),
        };
        place.clamp(0.0, 1.0)
    }

    /// Returns the values that are marked, about as many as wanted.
    pub(crate) fn ticks(&self, wanted: u32) -> Vec<f64> {
        match *self {
            Scale::Linear { end } => {
                let step = round_step(end / f64::from(wanted.max(1)));
                (0..).map(|number| f64::from(number) * step).take_while(|tick| *tick <= end * 1.000_001).collect()
            }
            Scale::Log { from, to } => {
                let every = ((to - from) as usize).div_ceil(wanted.max(1) as usize).max(1);
                (from..=to).step_by(every).map(|exponent| 10_f64.powi(exponent)).collect()
            }
        }
    }
}

/// Returns the least positive value and the greatest.
fn range(values: &[f64]) -> (f64, f64) {
    let positive = || values.iter().copied().filter(|value| value.is_finite() && *value > 0.0);
    (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max))
}

/// Returns 1, 2 or 5 times a power of ten, not below the given step.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999_999).unwrap_or(10.0);
    factor * power
}

/// Prints the value of a tick, short: `0`, `200 MB`, `0.5 s`.
pub(crate) fn tick(value: f64, unit: Unit) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (scaled, name) = match unit {
        Unit::Seconds => (value, "s"),
        Unit::Times => (value, "times"),
        Unit::Memory => (value / f64::from(1 << 20), "MiB"),
        Unit::Bytes if value >= 1e9 => (value / 1e9, "GB"),
        Unit::Bytes if value >= 1e6 => (value / 1e6, "MB"),
        Unit::Bytes if value >= 1e3 => (value / 1e3, "KB"),
        Unit::Bytes => (value, "B"),
    };
    // Rounded, since a step such as 0.1 is not exact; then without the zeros that say nothing.
    format!("{} {name}", (scaled * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_begins_at_zero_unless_a_bar_would_vanish() {
        let check = |values: &[f64], expected| assert_eq!(Scale::fitting(values), expected);
        check(&[3.0, 14.0], Scale::Linear { end: 14.0 });
        check(&[1.0, 99.0], Scale::Linear { end: 99.0 });
        check(&[6477.0, 1.6e6], Scale::Log { from: 3, to: 7 });
        check(&[1000.0, 1e6], Scale::Log { from: 2, to: 6 });
        check(&[0.0, 5.0], Scale::Linear { end: 5.0 });
        check(&[], Scale::Linear { end: 1.0 });
        check(&[0.0], Scale::Linear { end: 1.0 });
    }

    #[test]
    fn places_go_from_beginning_to_end() {
        let check = |scale: Scale, value: f64, expected: f64| {
            assert!((scale.place(value) - expected).abs() < 1e-9, "{scale:?} {value}: {}", scale.place(value));
        };
        let linear = Scale::Linear { end: 20.0 };
        check(linear, 0.0, 0.0);
        check(linear, 5.0, 0.25);
        let log = Scale::Log { from: 3, to: 7 };
        check(log, 1e3, 0.0);
        check(log, 1e5, 0.5);
        check(log, 1e7, 1.0);
        check(log, 0.0, 0.0);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::Linear { end: 13.9 }.ticks(4), [0.0, 5.0, 10.0]);
        assert_eq!(Scale::Linear { end: 0.35 }.ticks(4).len(), 4);
        assert_eq!(Scale::Log { from: 3, to: 7 }.ticks(4), [1e3, 1e4, 1e5, 1e6, 1e7]);
        assert_eq!(Scale::Log { from: 2, to: 9 }.ticks(4), [1e2, 1e4, 1e6, 1e8]);
    }

    #[test]
    fn ticks_are_short() {
        let check = |value, unit, expected: &str| assert_eq!(tick(value, unit), expected);
        check(0.0, Unit::Seconds, "0");
        check(0.30000000000000004, Unit::Seconds, "0.3 s");
        check(2e8, Unit::Bytes, "200 MB");
        check(1e3, Unit::Bytes, "1 KB");
        check(2.5e9, Unit::Bytes, "2.5 GB");
    }
}
