//! One run of one program, as it is kept.
//!
//! ```text
//! seconds                  from the client's start to its end
//! syncfs_seconds           a `syncfs` of the server's filesystem afterwards: work that the tool left to others
//! cpu                      processor time: client_seconds with its `ssh`, server_seconds with `sshd`
//! memory                   peaks: client_bytes of its largest process, server_bytes of the tool's processes together
//! wire                     TCP payload: sent_bytes, received_bytes
//! report                   of `--json`, the fields in `KEPT`
//! ```
//! A figure that was not observed is left out. Runs that are timed have nothing beside them, so on the loopback they have
//! no bytes, and nowhere the server's memory.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// The fields of a report that are kept; the others name releases and paths, or repeat the sample.
const KEPT: [&str; 10] = [
    "connections",
    "files_changed",
    "files_new",
    "files_removed",
    "objects_linked",
    "objects_new",
    "reused",
    "round_trips",
    "seconds",
    "zstd_levels",
];

/// One run of one program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    /// The line that was run. A track keeps it once.
    #[serde(skip)]
    pub(crate) command: String,
    /// From the client's start to its end.
    #[serde(serialize_with = "nanoseconds")]
    pub(crate) seconds: f64,
    /// `syncfs` of the server's filesystem afterwards: work that the tool left to others.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "some_nanoseconds")]
    pub(crate) syncfs_seconds: Option<f64>,
    /// Processor time.
    pub(crate) cpu: Cpu,
    /// Peak memory.
    pub(crate) memory: Memory,
    /// TCP payload, where it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wire: Option<WireBytes>,
    /// The report of `--json`.
    #[serde(default, skip_serializing_if = "Report::has_no_figures")]
    pub(crate) report: Report,
}

/// Processor time of both sides.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Cpu {
    /// Of the client, with the `ssh` that it may run.
    #[serde(serialize_with = "nanoseconds")]
    pub(crate) client_seconds: f64,
    /// Of everything below the listening `sshd`, with its cryptography.
    #[serde(serialize_with = "nanoseconds")]
    pub(crate) server_seconds: f64,
}

/// Peak memory of both sides.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Of the client's largest process.
    pub(crate) client_bytes: u64,
    /// Of the tool's processes on the server that are alive at once, their peaks added up; in observed runs. Pages that
    /// forked processes share count for each, so for rsync, which forks, this is an upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_bytes: Option<u64>,
}

/// TCP payload of one run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct WireBytes {
    /// From the client to the server.
    pub(crate) sent_bytes: u64,
    /// From the server to the client.
    pub(crate) received_bytes: u64,
}

impl WireBytes {
    /// Returns both directions.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.sent_bytes + self.received_bytes
    }
}

/// The report of `--json`; null for programs without one. While the bench runs it is whole; the record keeps the fields
/// of which figures are made.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Report(pub(crate) Value);

impl Report {
    /// Returns the number at a JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> Option<f64> {
        self.0.pointer(pointer)?.as_f64()
    }

    /// Returns a text of the report.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// Returns a field, null where there is none.
    pub(crate) fn field(&self, field: &str) -> &Value {
        self.0.get(field).unwrap_or(&Value::Null)
    }

    /// Tells whether nothing of it is kept.
    fn has_no_figures(&self) -> bool {
        self.kept().next().is_none()
    }

    fn kept(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        KEPT.into_iter().map(|name| (name, self.field(name))).filter(|(_, value)| !value.is_null())
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.kept() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The kernel counts no less than nanoseconds. Digits beyond them are an effect of binary fractions, and would change with
/// each time that a record is read and written.
fn nanoseconds<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1e9).round() / 1e9)
}

fn some_nanoseconds<S: Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seconds {
        Some(seconds) => nanoseconds(seconds, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_is_read_as_it_was_written() {
        let sample = Sample {
            seconds: 1.5,
            syncfs_seconds: Some(0.25),
            memory: Memory { client_bytes: 7, server_bytes: None },
            wire: Some(WireBytes { sent_bytes: 3, received_bytes: 4 }),
            report: Report(json!({ "round_trips": 1, "release": "20260101000000", "reused": null })),
            ..Sample::default()
        };
        let text = serde_json::to_string(&sample).unwrap();
        assert!(!text.contains("server_bytes") && !text.contains("2026") && !text.contains("null"), "{text}");
        let read: Sample = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.report, Report(json!({ "round_trips": 1 })));
    }

    #[test]
    fn seconds_have_no_digits_beyond_nanoseconds() {
        let cpu = Cpu { client_seconds: 0.639_999_999_999_997, server_seconds: 1.136_337_833_999_999_9 };
        assert_eq!(serde_json::to_string(&cpu).unwrap(), r#"{"client_seconds":0.64,"server_seconds":1.136337834}"#);
    }

    #[test]
    fn a_program_without_a_report_has_none_in_the_record() {
        let text = serde_json::to_string(&Sample::default()).unwrap();
        assert!(!text.contains("report"), "{text}");
        let other = Sample { report: Report(json!({ "release": "1" })), ..Sample::default() };
        assert_eq!(serde_json::to_string(&other).unwrap(), text);
    }
}
