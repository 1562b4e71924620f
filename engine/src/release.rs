//! Release names, and the record of a release.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::Hash;
use crate::link::Link;
use crate::path::RelativePath;
use crate::pin::Pin;
use crate::writable::Writable;

/// The name of a release: a directory in `releases/`. It has a digit, so no plain word is one.
///
/// By default it is the time of the deploy in UTC, `YYYYMMDDHHMMSS`. Names say nothing of the order: the record does.
///
/// Readers get text. On the wire, a name that is a plain number takes the bytes of a number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReleaseId(String);

/// A release's name on the wire.
#[derive(Serialize, Deserialize)]
enum Packed {
    Number(u64),
    Text(String),
}

/// The text cannot name a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a release: a letter or a digit, then at most 63 letters, digits, `.`, `_` or `-`, with a digit in it"
)]
pub struct NotAReleaseId(String);

impl ReleaseId {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The default form of a release's name.
const TIME_FORM: &str = "%Y%m%d%H%M%S";

impl ReleaseId {
    /// Returns the name for a time, in Unix seconds.
    pub fn at(second: u64) -> ReleaseId {
        let at =
            i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok()).unwrap_or_default();
        ReleaseId(at.strftime(TIME_FORM).to_string())
    }

    /// Returns the time that the name is, in Unix seconds. None if it is none.
    pub(crate) fn time(&self) -> Option<u64> {
        let time = jiff::civil::DateTime::strptime(TIME_FORM, &self.0).ok()?;
        time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second().try_into().ok()
    }

    /// Returns the name one second later. None if this name is not a time.
    pub(crate) fn a_second_later(&self) -> Option<ReleaseId> {
        let time = jiff::civil::DateTime::strptime(TIME_FORM, &self.0).ok()?;
        let later = time.checked_add(jiff::Span::new().seconds(1)).ok()?;
        Some(ReleaseId(later.strftime(TIME_FORM).to_string()))
    }
}

impl FromStr for ReleaseId {
    type Err = NotAReleaseId;

    fn from_str(text: &str) -> Result<ReleaseId, NotAReleaseId> {
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
        let holds = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if starts && has_digit && holds && text.len() <= 64 {
            Ok(ReleaseId(text.to_owned()))
        } else {
            Err(NotAReleaseId(text.escape_debug().to_string()))
        }
    }
}

impl Serialize for ReleaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&self.0);
        }
        match self.0.parse::<u64>() {
            Ok(number) if number.to_string() == self.0 => Packed::Number(number),
            _ => Packed::Text(self.0.clone()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ReleaseId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReleaseId, D::Error> {
        let text = match deserializer.is_human_readable() {
            true => String::deserialize(deserializer)?,
            false => match Packed::deserialize(deserializer)? {
                Packed::Number(number) => number.to_string(),
                Packed::Text(text) => text,
            },
        };
        text.parse().map_err(D::Error::custom)
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> String {
        id.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The person who makes a release, and its commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The person or job that deploys, as `user`.
    pub who: String,
    /// The host that the deploy runs on.
    pub from: String,
    /// The commit of the source, if the source is a git checkout.
    pub commit: Option<String>,
    /// The branch of the commit, or the name by which it was asked for.
    pub branch: Option<String>,
    /// Whether the source had changes since the commit. None if that is unknown, or there is no commit.
    pub dirty: Option<bool>,
    /// The version of the program that deploys.
    pub version: String,
    /// The job of the CI that deploys: its address or its name.
    pub job: Option<String>,
}

impl Provenance {
    /// Returns the person and the host, as `user@host`.
    pub fn person(&self) -> String {
        format!("{}@{}", self.who, self.from)
    }
}

/// The marks of a release: what verbs note of it after it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The reason not to go back to it. None for a good release.
    pub bad: Option<Bad>,
    /// The pin that keeps it from being removed.
    pub pinned: Option<Pin>,
    /// The names of the migrations that ran for it, in order.
    pub migrations: Vec<String>,
}

/// The mark of a bad release: no rollback goes to it unless it is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// The reason.
    pub reason: String,
    /// The time of the mark, in Unix seconds.
    pub at: u64,
    /// The person whose command marked it, as `user@host`.
    pub by: String,
    /// The release that a rollback went to from it, if one did. A return leads from there to this release.
    pub left_for: Option<ReleaseId>,
}

/// The longest reason and the longest note in a record, in bytes. Both are in every list of releases.
pub const NOTED_BYTES_MAX: usize = 500;

/// The content of `.cutover/releases/<id>/record`, as JSON: all that is known of a release beside its content.
///
/// The record does not say whether the release is live: `current` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The release.
    pub id: ReleaseId,
    /// The order of releases: one more than the greatest before.
    pub sequence: u64,
    /// The root of the manifest: the identity of the content.
    pub root: Hash,
    /// The mtime of the files that this release brought, in Unix seconds. It is later than that of any earlier release.
    pub second: u32,
    /// The time at which the release was made, in Unix seconds.
    pub created: u64,
    /// The person who made the release, and its commit.
    pub provenance: Provenance,
    /// The number of entries other than directories.
    pub files: u64,
    /// The sum of the sizes of all files, in bytes.
    pub bytes: u64,
    /// The bytes of the objects that came with this release.
    pub new_bytes: u64,
    /// The paths in the release that lead into `shared/`, sorted.
    pub shared: Vec<RelativePath>,
    /// The patterns of paths that are private copies, as configured.
    pub copy_paths: Vec<String>,
    /// The way in which its files got their content from the store.
    pub link: Link,
    /// The directories that the application writes to, as configured.
    pub writable: Writable,
    /// Each time at which the release went live, in Unix seconds. Empty for a release that is only ready.
    pub went_live: Vec<u64>,
    /// The number of the switch that made the release live last, counted in this deploy path from 1. It is 0 for a
    /// release that is only ready. Clocks may be set, so this is the order in which releases were live.
    pub live_turn: u64,
    /// The time at which another release last replaced it as the live one, in Unix seconds. None while it is live.
    pub retired: Option<u64>,
    /// The release that was live before a deploy, a switch or a return made this one live. A rollback to this one
    /// changes nothing here: the next rollback goes one further back.
    pub previous: Option<ReleaseId>,
    /// The time from its making until it was last replaced, by the clock of a boot. None if that clock could not be
    /// read.
    pub span: Option<BootSpan>,
    /// What verbs noted of it since.
    pub marks: Marks,
    /// Its trial, while it is live and the trial has not ended.
    pub trial: Option<Trial>,
    /// Whether another tool made its tree: then its files have modes, times and owners that are not in the manifest.
    pub is_taken_over: bool,
}

/// The trial of a live release: the hooks after its switch, its checks, its confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The confirmation that it waits for. None: it needs none.
    pub confirmation: Option<Confirmation>,
    /// The release that a failure leads back to. None: the release on trial stays.
    pub back_to: Option<ReleaseId>,
    /// Whether a failure marks the release bad. It does not if a rollback made the release live.
    pub marks_bad: bool,
}

/// The confirmation that a live release waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The identity of the boot. None if it could not be read.
    pub boot: Option<String>,
    /// The time by which it must come, in milliseconds since the boot.
    pub until: u64,
}

/// A span of time by the clock of one boot, which nobody sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootSpan {
    /// The identity of the boot.
    pub boot: String,
    /// The begin, in milliseconds since the boot.
    pub from: u64,
    /// The end, if the span has ended.
    pub until: Option<u64>,
}

impl Record {
    /// Tells whether the release was ever live. Only such releases count for retention.
    pub fn was_live(&self) -> bool {
        !self.went_live.is_empty()
    }

    /// Tells whether the release is marked bad.
    pub fn is_bad(&self) -> bool {
        self.marks.bad.is_some()
    }

    /// Tells whether the release is pinned at a time, in Unix seconds.
    pub fn is_pinned(&self, at: u64) -> bool {
        self.marks.pinned.as_ref().is_some_and(|pin| pin.holds(at))
    }

    /// Notes that a rollback went away from the release. An earlier reason stays: it names the fault.
    pub(crate) fn leave(&mut self, bad: Bad) {
        let left_for = bad.left_for.clone();
        self.marks.bad.get_or_insert(bad).left_for = left_for;
    }

    /// Notes that the switch of this number made the release live. Whoever makes it live again no longer holds it for
    /// bad.
    pub(crate) fn go_live(&mut self, at: u64, turn: u64) {
        self.went_live.push(at);
        self.live_turn = turn;
        self.retired = None;
        self.marks.bad = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_time_has_a_next_one() {
        let id: ReleaseId = "20261231235959".parse().unwrap();
        assert_eq!(id.a_second_later().unwrap().as_str(), "20270101000000");
        assert_eq!("1.2.3".parse::<ReleaseId>().unwrap().a_second_later(), None);
        assert_eq!(ReleaseId::at(1_774_440_000).as_str(), "20260325120000");
    }

    #[test]
    fn a_name_reads_back_from_a_message_and_a_time_is_short_there() {
        for (name, bytes) in
            [("20261231235959", 8), ("0", 2), ("007", 5), ("1.2.3-rc_1", 12), ("18446744073709551616", 22)]
        {
            let id: ReleaseId = name.parse().unwrap();
            let message = crate::wire::message::to_bytes(&id);
            assert_eq!(message.len(), bytes, "{name}");
            assert_eq!(crate::wire::message::from_bytes::<ReleaseId>(&message).unwrap(), id);
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{name}\""));
        }
        assert!(crate::wire::message::from_bytes::<ReleaseId>(b"\x01\x02..").is_err());
    }

    #[test]
    fn a_release_has_a_digit_and_is_one_plain_name() {
        for good in ["20260325120000", "1", "1.2.3-rc_1", "v1.2", "release-42", "Z9"] {
            assert_eq!(good.parse::<ReleaseId>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "live", "source", "shop", "../1", ".1", "-1", "_1", "1/2", "1 2", "1\n", "é1", &"1".repeat(65)]
        {
            assert!(bad.parse::<ReleaseId>().is_err(), "{bad:?}");
        }
    }
}
