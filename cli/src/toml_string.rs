//! Strings of TOML, for the lines of a config that a person pastes.

use std::fmt::Write as _;

/// Returns a string of TOML. A text with double quotes stands in single ones, if it can.
pub(crate) fn toml_string(text: &str) -> String {
    let is_literal = !text.contains('\'') && !text.contains(char::is_control);
    if is_literal && text.contains(['"', '\\']) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                write!(quoted, "\\u{:04x}", u32::from(control)).unwrap_or_default();
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}
