//! A run of the program as a person sees it, with what is never the same twice in brackets.
//!
//! ```text
//! $ cutover rollback
//! [exit 0]
//! Release 1 is live, after 2
//! [stderr]
//! Note: …
//! ```
//!
//! All that varies is named here, and nowhere else: paths and names that the test gives, and what is told by its form.

use std::process::Command;

/// What a digit stands for in [`FORMS`].
const DIGIT: char = '0';

/// What is told by its form, digit for digit.
const FORMS: [(&str, &str); 3] =
    [("0000-00-00 00:00:00Z", "[TIME]"), ("0000-00-00T00:00:00Z", "[TIME]"), ("00000000000000", "[RELEASE]")];

/// What stands before the fingerprint of a key.
const FINGERPRINT: &str = "SHA256:";

/// What stands behind a number that varies, and what is shown for both. What is counted in single bytes is known, but for
/// what was sent: that holds the name of this host.
const UNITS: [(&str, &str); 6] = [
    ("kB", "[SIZE]"),
    ("MB", "[SIZE]"),
    ("GB", "[SIZE]"),
    ("TB", "[SIZE]"),
    ("s", "[SECONDS]"),
    ("inodes", "[INODES]"),
];

/// What stands before a number that varies.
const BEFORE: [(&str, &str); 2] = [("process ", "[PID]"), ("port ", "[PORT]")];

/// Runs a command, and returns what a person sees. `names` are texts that vary, each with what is shown for it.
pub(crate) fn shown(command: &mut Command, names: &[(&str, &str)]) -> String {
    let output = command.output().unwrap();
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let code = output.status.code().map_or("killed".to_owned(), |code| format!("exit {code}"));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = in_order(&String::from_utf8(output.stderr).unwrap());
    let stderr = if stderr.is_empty() { stderr } else { format!("[stderr]\n{stderr}") };
    normalised(&format!("$ cutover {}\n[{code}]\n{stdout}{stderr}", words.join(" ")), names)
}

/// Puts the connection before the scan: they work at once, and either may be done first.
fn in_order(stderr: &str) -> String {
    let (first, rest): (Vec<&str>, Vec<&str>) = stderr.lines().partition(|line| line.starts_with("Connected in "));
    first.iter().chain(&rest).map(|line| format!("{line}\n")).collect()
}

/// Puts brackets in the place of what varies.
pub(crate) fn normalised(text: &str, names: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (name, shown) in names {
        text = text.replace(name, shown);
    }
    // Help has lines of spaces alone, which no source is to have.
    text = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let mut left = text.as_str();
    let mut done = String::new();
    while let Some(next) = left.chars().next() {
        let is_inside = done.ends_with(|c: char| c.is_alphanumeric() || c == '.');
        if let Some((shown, length)) = varying(left, &done).filter(|_| !is_inside) {
            done.push_str(shown);
            left = &left[length..];
        } else {
            done.push(next);
            left = &left[next.len_utf8()..];
        }
    }
    done
}

/// Tells whether a text begins with what varies: what is shown for that, and how long it is.
fn varying<'a>(text: &str, before: &str) -> Option<(&'a str, usize)> {
    if let Some((form, shown)) = FORMS.iter().find(|(form, _)| has_form(text, form)) {
        return Some((shown, form.len()));
    }
    if let Some(key) = text.strip_prefix(FINGERPRINT) {
        let digits = key.chars().take_while(|c| c.is_alphanumeric() || "+/".contains(*c)).count();
        return Some(("SHA256:[KEY]", FINGERPRINT.len() + digits));
    }
    let number = text.chars().take_while(|&c| c.is_ascii_digit() || ".,".contains(c)).count();
    if number == 0 || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some((_, shown)) = BEFORE.iter().find(|(words, _)| before.ends_with(words)) {
        return Some((shown, number));
    }
    let after = text[number..].strip_prefix(' ')?;
    let unit: String = after.chars().take_while(|c| c.is_alphanumeric()).collect();
    if unit == "B" && before.trim_end().ends_with("sent") {
        return Some(("[SIZE]", number + " B".len()));
    }
    let (unit, shown) = UNITS.iter().find(|(known, _)| *known == unit)?;
    Some((shown, number + 1 + unit.len()))
}

fn has_form(text: &str, form: &str) -> bool {
    let fits = |(c, form): (char, char)| if form == DIGIT { c.is_ascii_digit() } else { c == form };
    text.len() >= form.len() && text.chars().zip(form.chars()).all(fits)
}
