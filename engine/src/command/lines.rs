//! Splits the output of a command into lines, without secrets.

use super::output::Mask;

/// The longest line in bytes. A longer one is split: a program may write without a newline for ever.
const LINE_BYTES_MAX: usize = 4 << 10;

/// The beginning of a line whose end has not come yet.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    mask: &'a Mask,
    begun: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Begins.
    pub(super) fn new(mask: &'a Mask) -> Lines<'a> {
        Lines { mask, begun: Vec::new() }
    }

    /// Adds output, and gives away each line that is complete.
    pub(super) fn add(&mut self, output: &[u8], take: &mut impl FnMut(String)) {
        let mut parts = output.split(|&byte| byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.begun.extend_from_slice(part);
            self.split(take);
            self.give(take);
        }
        self.begun.extend_from_slice(last);
        self.split(take);
    }

    /// Gives away a last line without a newline.
    pub(super) fn finish(mut self, take: &mut impl FnMut(String)) {
        if !self.begun.is_empty() {
            self.give(take);
        }
    }

    /// Gives away the begin of a line that grows too long. Its end stays, because it may be the begin of a secret.
    fn split(&mut self, take: &mut impl FnMut(String)) {
        let kept = self.mask.begun_bytes_max();
        if self.begun.len() <= LINE_BYTES_MAX + kept {
            return;
        }
        if kept > 0 {
            // As bytes: a character of a secret may have come in part.
            self.begun = self.mask.masked(&self.begun).unwrap_or(std::mem::take(&mut self.begun));
        }
        while self.begun.len() > LINE_BYTES_MAX + kept {
            let rest = self.begun.split_off(LINE_BYTES_MAX);
            self.give(take);
            self.begun = rest;
        }
    }

    /// Gives away the line. Of a line that was drawn over itself, the last state counts.
    fn give(&mut self, take: &mut impl FnMut(String)) {
        let line = std::mem::take(&mut self.begun);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let line = memchr::memrchr(b'\r', line).map_or(line, |at| &line[at + 1..]);
        let masked = self.mask.masked(line);
        take(String::from_utf8_lossy(masked.as_deref().unwrap_or(line)).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parts: &[&[u8]], expected: &[&str]) {
        let mut found = Vec::new();
        let mask = Mask::default();
        let mut lines = Lines::new(&mask);
        for part in parts {
            lines.add(part, &mut |line| found.push(line));
        }
        lines.finish(&mut |line| found.push(line));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_secret_that_comes_in_parts_is_not_shown() {
        let (secret, mask) = ("pässwörd", Mask::new(&["pässwörd".to_owned()]));
        let before = "x".repeat(LINE_BYTES_MAX);
        // Each cut, also within a character, in a long line.
        for cut in 0..=secret.len() {
            let mut found = String::new();
            let mut lines = Lines::new(&mask);
            let (one, two) = secret.as_bytes().split_at(cut);
            for part in [before.as_bytes(), b"yyyyyyyyyy", one, two, b"z\xff"] {
                lines.add(part, &mut |line| found += &line);
            }
            lines.finish(&mut |line| found += &line);
            assert_eq!(found, format!("{before}yyyyyyyyyy***z\u{fffd}"), "{cut}");
        }
    }

    #[test]
    fn a_line_ends_with_a_newline_or_where_it_grows_too_long() {
        check(&[b"one\ntw", b"o\n\nlast"], &["one", "two", "", "last"]);
        check(&[b"windows\r\n", b"10 %\r90 %\rdone\n"], &["windows", "done"]);
        check(&[b"\xff\xfe\n"], &["\u{fffd}\u{fffd}"]);
        let long = "x".repeat(LINE_BYTES_MAX);
        check(&[long.as_bytes(), b"y\n"], &[&long, "y"]);
        check(&[], &[]);
    }
}
