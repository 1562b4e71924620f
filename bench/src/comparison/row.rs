//! One comparison: a quantity of Cutover, the same of a rival, their ratio, and its aim.

/// Median and spread of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
    /// Their number.
    pub(crate) samples: usize,
}

impl Summary {
    /// Summarizes; none when there are none.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Summary> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Summary { median: f64::midpoint(lower, upper), min, max, samples: sorted.len() })
    }
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Wall or processor time.
    Seconds,
    /// Bytes on a wire or disk; shown in powers of 1000.
    Bytes,
    /// Memory; shown in MiB, as limits of memory are given.
    Memory,
    /// How often something happened.
    Times,
}

/// The aim of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aim {
    /// Ours divided by theirs.
    RatioAtMost(f64),
    /// Ours alone.
    OursAtMost(f64),
}

/// A comparison.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The quantity.
    pub(crate) quantity: String,
    /// Its unit.
    pub(crate) unit: Unit,
    /// Cutover's figure.
    pub(crate) ours: Option<Summary>,
    /// The rival's name.
    pub(crate) rival: String,
    /// The rival's figure.
    pub(crate) theirs: Option<Summary>,
    /// The aim, if there is one.
    pub(crate) aim: Option<Aim>,
}

impl Row {
    /// Compares samples of ours with those of a rival.
    pub(crate) fn new(quantity: &str, unit: Unit, ours: Vec<f64>, rival: &str, theirs: Vec<f64>) -> Row {
        let (ours, theirs) = (Summary::of(ours), Summary::of(theirs));
        Row { quantity: quantity.to_owned(), unit, ours, rival: rival.to_owned(), theirs, aim: None }
    }

    /// Gives it an aim.
    pub(crate) fn aim(self, aim: impl Into<Option<Aim>>) -> Row {
        Row { aim: aim.into(), ..self }
    }

    /// Returns ours divided by theirs, of medians: below 1 is better for Cutover.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let both = self.ours.zip(self.theirs).filter(|(_, theirs)| theirs.median > 0.0);
        both.map(|(ours, theirs)| ours.median / theirs.median)
    }

    /// Tells whether the aim is met, where there is one and figures for it.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match self.aim? {
            Aim::RatioAtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Aim::OursAtMost(most) => self.ours.map(|ours| ours.median <= most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let check = |samples: &[f64], expected: f64| {
            let summary = Summary::of(samples.iter().copied()).unwrap();
            assert_eq!(summary.median.to_bits(), expected.to_bits(), "{samples:?}");
        };
        check(&[3.0], 3.0);
        check(&[9.0, 1.0, 2.0], 2.0);
        check(&[4.0, 1.0, 2.0, 9.0], 3.0);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn an_aim_is_met_or_not() {
        let is_met = |aim| Row::new("x", Unit::Seconds, vec![1.0], "rsync", vec![2.0]).aim(aim).is_met();
        assert_eq!(is_met(Aim::RatioAtMost(0.5)), Some(true));
        assert_eq!(is_met(Aim::RatioAtMost(0.4)), Some(false));
        assert_eq!(is_met(Aim::OursAtMost(0.9)), Some(false));
        let without_ours = Row::new("x", Unit::Seconds, vec![], "rsync", vec![2.0]);
        assert_eq!(without_ours.aim(Aim::RatioAtMost(0.5)).is_met(), None);
    }
}
