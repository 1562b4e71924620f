//! The goal of a rollback, as the caller names it.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::release::ReleaseId;

/// A rollback.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The goal.
    pub to: RollbackTo,
    /// The reason for the mark of the release that it leaves. None: that it was rolled back.
    pub reason: Option<String>,
    /// Whether it may leave releases that ran migrations, which it does not undo.
    pub accepts_migrations: bool,
}

/// The goal of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RollbackTo {
    /// So many good releases back. One is the release that was live before.
    Back(u32),
    /// A release by its name or its commit.
    Release(ReleaseName),
    /// The release that the last rollback left.
    Forward,
}

impl Default for RollbackTo {
    fn default() -> RollbackTo {
        RollbackTo::Back(1)
    }
}

/// The name of a release, or the first digits of its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseName(String);

/// The text names no release and no commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no release and no commit")]
pub struct NotAReleaseName(String);

/// The fewest digits of a commit that name it, as git shows them.
const COMMIT_DIGITS_MIN: usize = 7;
/// The most digits of a commit: those of SHA-256.
const COMMIT_DIGITS_MAX: usize = 64;

impl ReleaseName {
    /// Returns it as the name of a release, if it can be one.
    pub fn id(&self) -> Option<ReleaseId> {
        self.0.parse().ok()
    }

    /// Returns it as the first digits of a commit, if it can be.
    pub fn commit(&self) -> Option<&str> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_commit = (COMMIT_DIGITS_MIN..=COMMIT_DIGITS_MAX).contains(&self.0.len()) && self.0.bytes().all(is_digit);
        is_commit.then_some(self.0.as_str())
    }
}

impl FromStr for ReleaseName {
    type Err = NotAReleaseName;

    fn from_str(text: &str) -> Result<ReleaseName, NotAReleaseName> {
        let name = ReleaseName(text.to_owned());
        let is_one = name.id().is_some() || name.commit().is_some();
        if is_one { Ok(name) } else { Err(NotAReleaseName(text.escape_debug().to_string())) }
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ReleaseName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ReleaseName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReleaseName, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_by_its_name_or_by_its_commit() {
        let check = |text: &str, is_id: bool, is_commit: bool| {
            let name: Option<ReleaseName> = text.parse().ok();
            let found = name.map(|name| (name.id().is_some(), name.commit().is_some()));
            assert_eq!(found, (is_id || is_commit).then_some((is_id, is_commit)), "{text:?}");
        };
        check("20260325140000", true, true);
        check("1.2-rc", true, false);
        check("abcdef0", true, true);
        check("v1.2", true, false);
        check("0abcdef", true, true);
        check(&"a".repeat(64), false, true);
        for text in ["abcdef", "ABCDEF", "shop", "", "-1", "../1", &"a".repeat(65), "abcdefg"] {
            check(text, false, false);
        }
    }
}
