//! Paths inside a release, as bytes.
//!
//! Names on Linux are bytes, not text: they need not be UTF-8 and may hold newlines. A [`RelativePath`] and every name
//! of a manifest are checked here, at the edge, so that no path can lead out of a release.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name that Linux filesystems store, in bytes (`NAME_MAX`).
pub const NAME_MAX: usize = 255;

/// Why a name or a relative path is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Nothing at all, or two slashes in a row.
    #[error("a part of it is empty")]
    Empty,
    /// It begins with `/`.
    #[error("it is absolute")]
    Absolute,
    /// `.` or `..` as a part.
    #[error("it holds `.` or `..`")]
    Dots,
    /// A NUL byte, or a slash within a name.
    #[error("it holds a NUL byte or a slash")]
    Byte,
    /// A part longer than [`NAME_MAX`].
    #[error("a part of it is longer than 255 bytes")]
    TooLong,
}

/// Checks one name: the bytes between two slashes.
pub fn check_name(name: &[u8]) -> Result<(), BadPath> {
    match name {
        b"" => Err(BadPath::Empty),
        b"." | b".." => Err(BadPath::Dots),
        _ if name.len() > NAME_MAX => Err(BadPath::TooLong),
        _ if name.iter().any(|&byte| byte == 0 || byte == b'/') => Err(BadPath::Byte),
        _ => Ok(()),
    }
}

/// A checked path below some directory: one name or more, joined by `/`, none of them `.` or `..`.
///
/// In JSON it is text that reads back to the same bytes: a byte that is not UTF-8 is written `\xff`, a backslash `\\`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelativePath(Vec<u8>);

impl RelativePath {
    /// Checks `bytes`. One slash at the end is dropped, as people write directories that way.
    pub fn parse(bytes: &[u8]) -> Result<RelativePath, BadPath> {
        if bytes.first() == Some(&b'/') {
            return Err(BadPath::Absolute);
        }
        let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
        for name in bytes.split(|&byte| byte == b'/') {
            check_name(name)?;
        }
        Ok(RelativePath(bytes.to_vec()))
    }

    /// Returns the bytes, without a slash at either end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path as one of the standard library.
    pub fn as_path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// Iterates over the names.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/')
    }

    /// Tells whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &RelativePath) -> bool {
        self.0.strip_prefix(other.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl Serialize for RelativePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&spell(&self.0))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for RelativePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RelativePath, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            read_spelling(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("a path misspelt"))?
        } else {
            Vec::deserialize(deserializer)?
        };
        RelativePath::parse(&bytes).map_err(D::Error::custom)
    }
}

/// Spells bytes as text that [`read_spelling`] reads back: a backslash is doubled, a byte that is not UTF-8 is `\xff`.
fn spell(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        text.extend(chunk.invalid().iter().map(|byte| format!(r"\x{byte:02x}")));
    }
    text
}

/// Reads the output of [`spell`]. None if the text is not the one spelling of some bytes.
fn read_spelling(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    while let Some(part) = parts.next() {
        if let Some(digits) = part.strip_prefix('x') {
            bytes.push(u8::from_str_radix(digits.get(..2)?, 16).ok()?);
            bytes.extend_from_slice(&digits.as_bytes()[2..]);
        } else if part.is_empty() {
            bytes.push(b'\\');
            bytes.extend_from_slice(parts.next()?.as_bytes());
        } else {
            return None;
        }
    }
    (spell(&bytes) == text).then_some(bytes)
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(&self.0).fmt(f)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Tells whether a character may not be shown as it is: it could move the cursor of a terminal, end a line, change the
/// direction of the text beside it, or it cannot be seen. Joiners stay: words of some languages need them.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns a path for a message, as [`Shown`] writes it.
pub(crate) fn shown_path(path: &Path) -> String {
    Shown(path.as_os_str().as_bytes()).to_string()
}

/// Bytes from a filesystem or from another machine, to be shown. Characters that are not printable are escaped, so that
/// a name can neither move the cursor of a terminal nor forge a line of a log.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_unprintable(character) {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Shows a text of several lines: each line is escaped and without blanks at its end, and empty lines are dropped.
pub fn shown_lines(text: &[u8]) -> String {
    let lines = text.split(|byte| b"\r\n".contains(byte)).map(<[u8]>::trim_ascii_end);
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(|line| Shown(line).to_string()).collect();
    lines.join("\n")
}

/// Appends `name` to `path` with a slash between, unless `path` is empty.
pub fn push_name(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_stay_inside_are_accepted() {
        let check = |text: &str, expected: Result<&str, BadPath>| {
            let parsed = RelativePath::parse(text.as_bytes());
            assert_eq!(
                parsed.as_ref().map(RelativePath::as_bytes),
                expected.as_ref().map(|text| text.as_bytes()),
                "{text:?}"
            );
        };
        check("storage/app", Ok("storage/app"));
        check("storage/", Ok("storage"));
        check("...", Ok("..."));
        check("", Err(BadPath::Empty));
        check("/", Err(BadPath::Absolute));
        check("/etc", Err(BadPath::Absolute));
        check("a//b", Err(BadPath::Empty));
        check("a/../b", Err(BadPath::Dots));
        check("./a", Err(BadPath::Dots));
        check("..", Err(BadPath::Dots));
        check("a\0b", Err(BadPath::Byte));
        check(&"n".repeat(256), Err(BadPath::TooLong));
    }

    #[test]
    fn within_means_the_same_path_or_below_it() {
        let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(!path("ab").is_within(&path("a")));
        assert!(!path("a").is_within(&path("a/b")));
    }

    #[test]
    fn a_path_in_json_reads_back_to_the_same_bytes() {
        let check = |bytes: &[u8], json: &str| {
            let path = RelativePath::parse(bytes).unwrap();
            assert_eq!(serde_json::to_string(&path).unwrap(), json);
            assert_eq!(serde_json::from_str::<RelativePath>(json).unwrap(), path);
            let wire = postcard::to_stdvec(&path).unwrap();
            assert_eq!(postcard::from_bytes::<RelativePath>(&wire).unwrap(), path);
        };
        check(b"storage/app", r#""storage/app""#);
        check("caf\u{e9}/\n".as_bytes(), r#""café/\n""#);
        check(b"\xff\xfe/x", r#""\\xff\\xfe/x""#);
        check(br"\xff\", r#""\\\\xff\\\\""#);
        for wrong in [r"\", r"\y", r"\x6", r"\x61", r"\xFF", r"\xc3\xa9", "../up", "/"] {
            let json = serde_json::to_string(wrong).unwrap();
            assert!(serde_json::from_str::<RelativePath>(&json).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_cannot_forge_a_line() {
        assert_eq!(shown_lines(b"one\r\n\n\x1b[2Jtwo \n"), "one\n\\u{1b}[2Jtwo");
        assert_eq!(Shown(b"caf\xc3\xa9\n\x1b[31m\xff").to_string(), "café\\n\\u{1b}[31m\\xff");
        let shown = |text: &str| Shown(text.as_bytes()).to_string();
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{2028}d\u{9b}e"), "a\\u{202e}b\\u{2066}c\\u{2028}d\\u{9b}e");
        assert_eq!(shown("\u{feff}\u{200b}\u{ad}\u{e0041}"), "\\u{feff}\\u{200b}\\u{ad}\\u{e0041}");
        // A name in Persian, and a family.
        assert_eq!(shown("می\u{200c}خواهم 👨\u{200d}👩"), "می\u{200c}خواهم 👨\u{200d}👩");
    }
}
