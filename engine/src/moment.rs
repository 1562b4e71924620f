//! A moment in Unix time, to the millisecond. In JSON it is in seconds, as all times are.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in Unix time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The milliseconds since 1970.
    pub millis: u64,
}

impl Moment {
    /// Returns its second.
    pub fn second(self) -> u64 {
        self.millis / 1000
    }

    /// Returns the seconds since another moment, or 0 if that one is later.
    pub fn seconds_since(self, other: Moment) -> f64 {
        self.millis.saturating_sub(other.millis) as f64 / 1000.0
    }
}

impl fmt::Display for Moment {
    /// Writes it as in JSON, in seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.second(), self.millis % 1000)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.millis as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        // A cast brings a number that is no time into the range.
        f64::deserialize(deserializer).map(|seconds| Moment { millis: (seconds * 1000.0).round() as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_seconds_and_read_back() {
        let check = |millis: u64, text: &str| {
            assert_eq!(serde_json::to_string(&Moment { millis }).unwrap(), text);
            assert_eq!(serde_json::from_str::<Moment>(text).unwrap(), Moment { millis });
            assert_eq!(serde_json::from_str::<Moment>(&Moment { millis }.to_string()).unwrap(), Moment { millis });
        };
        check(0, "0.0");
        check(1_796_034_029_214, "1796034029.214");
        check(1_796_034_029_000, "1796034029.0");
        check(1_796_034_029_001, "1796034029.001");
        assert_eq!(serde_json::from_str::<Moment>("7").unwrap().second(), 7);
        assert_eq!(serde_json::from_str::<Moment>("-1.5").unwrap().millis, 0);
    }
}
