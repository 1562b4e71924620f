//! The output of a command on its way to people: without secrets, and not more than anybody reads.

use std::collections::VecDeque;

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
    secrets: Vec<String>,
}

impl Mask {
    /// Makes a mask of these texts, of one line each.
    pub fn new(secrets: &[String]) -> Mask {
        let is_secret = |text: &&String| !text.trim().is_empty() && !MASKED.contains(text.as_str());
        let mut secrets: Vec<String> = secrets.iter().filter(is_secret).cloned().collect();
        // A secret may contain another one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Mask { secrets }
    }

    /// Returns a text without secrets.
    pub fn mask(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| match text.contains(secret.as_str()) {
            true => text.replace(secret.as_str(), MASKED),
            false => text,
        })
    }

    /// Returns the most bytes of a secret that may stand at the end of a text without the rest.
    pub(super) fn begun_bytes_max(&self) -> usize {
        self.secrets.first().map_or(0, |longest| longest.len() - 1)
    }
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
