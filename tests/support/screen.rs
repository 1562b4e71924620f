//! A run of the program as a person sees it, with varying text in brackets.
//!
//! ```text
//! $ cutover rollback
//! [exit 0]
//! Release 1 is live; it replaces 2
//! [stderr]
//! Note: …
//! ```
//!
//! All varying text is defined here, and nowhere else: paths and names from the test, and texts of a known form.

use std::process::Command;

/// The digit in [`FORMS`].
const DIGIT: char = '0';

/// Forms of varying text, digit for digit.
const FORMS: [(&str, &str); 4] = [
    ("0000-00-00 00:00:00Z", "[TIME]"),
    ("0000-00-00T00:00:00Z", "[TIME]"),
    ("00000000000000.000-", "[TIME]-"),
    ("00000000000000", "[RELEASE]"),
];

/// The text before a fingerprint.
const FINGERPRINT: &str = "SHA256:";

/// The text behind a varying number, and the replacement of both. Single bytes do not vary, except for sent bytes,
/// which contain the name of this host.
const UNITS: [(&str, &str); 6] = [
    ("kB", "[SIZE]"),
    ("MB", "[SIZE]"),
    ("GB", "[SIZE]"),
    ("TB", "[SIZE]"),
    ("s", "[SECONDS]"),
    ("inodes", "[INODES]"),
];

/// The text before a varying number.
const BEFORE: [(&str, &str); 2] = [("process ", "[PID]"), ("port ", "[PORT]")];

/// Runs a command, and returns its output as a person sees it. `names` are varying texts with their replacements.
pub(crate) fn shown(command: &mut Command, names: &[(&str, &str)]) -> String {
    let output = command.output().unwrap();
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let code = output.status.code().map_or("killed".to_owned(), |code| format!("exit {code}"));
    let stdout = without_phases(&String::from_utf8(output.stdout).unwrap());
    let stderr = in_order(&String::from_utf8(output.stderr).unwrap());
    let stderr = if stderr.is_empty() { stderr } else { format!("[stderr]\n{stderr}") };
    normalised(&format!("$ cutover {}\n[{code}]\n{stdout}{stderr}", words.join(" ")), names)
}

/// Leaves out the times of phases: a phase is named if it takes long enough.
fn without_phases(stdout: &str) -> String {
    stdout.split_inclusive('\n').filter(|line| !line.starts_with("  phases   ")).collect()
}

/// Puts the connection before the scan: they run at once, and either may end first.
fn in_order(stderr: &str) -> String {
    let (first, rest): (Vec<&str>, Vec<&str>) = stderr.lines().partition(|line| line.starts_with("Connected in "));
    first.iter().chain(&rest).map(|line| format!("{line}\n")).collect()
}

/// Replaces varying text by brackets.
pub(crate) fn normalised(text: &str, names: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (name, shown) in names {
        text = text.replace(name, shown);
    }
    // Help has lines of only spaces, which the sources must not contain. Which phases took long varies.
    text = text
        .lines()
        .filter(|line| !line.starts_with("  phases "))
        .map(|line| format!("{}\n", without_target(line.trim_end())))
        .collect();
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

/// Replaces the name of the target in the path of a log, which has a hash.
fn without_target(line: &str) -> String {
    let parts = line.strip_prefix("Log: ").and_then(|path| path.split_once("/logs/"));
    let name = parts.and_then(|(directory, log)| Some((directory, log.split_once('/')?.1)));
    name.map_or_else(|| line.to_owned(), |(directory, name)| format!("Log: {directory}/logs/[TARGET]/{name}"))
}

/// Returns the replacement and the length of the varying text at the beginning, if there is one.
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
