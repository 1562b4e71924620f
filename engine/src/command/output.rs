//! The output of a command on its way to people: without secrets, and not more than anybody reads.

use std::collections::VecDeque;
use std::ops::Range;

use memchr::memmem;

use crate::path::Shown;

/// The text in the place of a secret.
const MASKED: &str = "***";

/// The output of one command that is passed on at once, in bytes. Each line counts for [`LINE_BYTES`] more.
const BEGIN_BYTES_MAX: usize = 512 << 10;

/// The bytes around a line in a journal: its time, its hook.
const LINE_BYTES: usize = 100;

/// The lines behind it that are kept until the end.
const LAST_LINES_MAX: usize = 200;

/// Replaces secrets.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    /// The secrets in all their forms, the longest first.
    secrets: Vec<String>,
}

impl Mask {
    /// Makes a mask of these texts. A text of several lines is masked line by line. Its other forms are masked too: in
    /// JSON, in an address, and as Cutover shows what is not printable.
    pub fn new(secrets: &[String]) -> Mask {
        // Output that is drawn over itself has carriage returns for its line breaks.
        let lines = secrets.iter().flat_map(|secret| secret.split(['\n', '\r']));
        let is_secret = |line: &&str| !line.trim().is_empty() && !MASKED.contains(*line);
        let mut secrets: Vec<String> = lines.filter(is_secret).flat_map(forms).collect();
        secrets.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        secrets.dedup();
        Mask { secrets }
    }

    /// Returns a text without secrets.
    pub fn mask(&self, text: String) -> String {
        match self.masked(text.as_bytes()) {
            // A secret is whole characters, and so is the rest.
            Some(masked) => String::from_utf8_lossy(&masked).into_owned(),
            None => text,
        }
    }

    /// Returns bytes without secrets. None: there are none in them.
    pub(super) fn masked(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let found = self.found(bytes);
        if found.is_empty() {
            return None;
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut end = 0;
        for range in found {
            masked.extend_from_slice(&bytes[end..range.start]);
            masked.extend_from_slice(MASKED.as_bytes());
            end = range.end;
        }
        masked.extend_from_slice(&bytes[end..]);
        Some(masked)
    }

    /// Returns the ranges of secrets, apart from each other. Secrets that overlap are one range: else the end of one
    /// would stay.
    fn found(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for secret in &self.secrets {
            let finder = memmem::Finder::new(secret);
            let mut from = 0;
            while let Some(at) = finder.find(&bytes[from..]) {
                found.push(from + at..from + at + secret.len());
                from += at + 1;
            }
        }
        found.sort_by_key(|range| range.start);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }

    /// Returns the most bytes of a secret that may stand at the end of a text without the rest.
    pub(super) fn begun_bytes_max(&self) -> usize {
        self.secrets.first().map_or(0, |longest| longest.len() - 1)
    }
}

/// Returns the forms in which a secret may stand in an output.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let in_json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let in_address = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    vec![
        secret.to_owned(),
        in_json.to_owned(),
        in_json.replace('/', "\\/"),
        secret.bytes().map(in_address).collect(),
        Shown(secret.as_bytes()).to_string(),
    ]
}

/// Passes on the begin of an output, and its last lines at the end.
#[derive(Debug, Default)]
pub(crate) struct KeptLines {
    passed_bytes: usize,
    last: VecDeque<String>,
    left_out: u64,
}

impl KeptLines {
    /// Passes a line on, or keeps it for the end.
    pub(crate) fn add(&mut self, line: String, pass: &mut impl FnMut(String)) {
        if self.passed_bytes <= BEGIN_BYTES_MAX {
            self.passed_bytes += line.len() + LINE_BYTES;
            return pass(line);
        }
        if self.last.len() == LAST_LINES_MAX {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(line);
    }

    /// Passes on the last lines.
    pub(crate) fn finish(self, pass: &mut impl FnMut(String)) {
        if self.left_out > 0 {
            pass(format!("… {} lines are left out", self.left_out));
        }
        self.last.into_iter().for_each(pass);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown_also_where_one_contains_another() {
        let mask = Mask::new(&["pass".into(), "password1".into(), " ".into()]);
        assert_eq!(mask.mask("a password1 and a pass".into()), "a *** and a ***");
        assert_eq!(Mask::new(&[]).mask("plain".into()), "plain");
    }

    #[test]
    fn secrets_that_overlap_leave_no_end() {
        let mask = Mask::new(&["abcdef".into(), "defghi".into(), "xyxy".into()]);
        assert_eq!(mask.mask("1abcdefghi2".into()), "1***2");
        assert_eq!(mask.mask("1xyxyxy2".into()), "1***2");
        assert_eq!(mask.mask("abcdefabcdef".into()), "******");
    }

    #[test]
    fn a_secret_is_masked_in_its_other_forms() {
        let mask = Mask::new(&["a/\"b c\t€".into(), "one\rmore".into()]);
        let check = |text: &str| assert_eq!(mask.mask(format!("<{text}>")), "<***>");
        check("a/\"b c\t€");
        check("a/\\\"b c\\t€");
        check("a\\/\\\"b c\\t€");
        check("a%2F%22b%20c%09%E2%82%AC");
        check("a/\"b c\\t€");
        check("more");
    }

    #[test]
    fn of_a_long_output_the_begin_and_the_end_are_passed_on() {
        let mut passed = Vec::new();
        let mut kept = KeptLines::default();
        let line = "x".repeat(1024 - LINE_BYTES);
        for _ in 0..3000 {
            kept.add(line.clone(), &mut |line| passed.push(line));
        }
        kept.add("last".into(), &mut |line| passed.push(line));
        kept.finish(&mut |line| passed.push(line));
        assert_eq!(passed.len(), 513 + 1 + 200);
        assert_eq!(passed[513], "… 2288 lines are left out");
        assert_eq!(passed.last().unwrap(), "last");
    }
}
