//! JSON for a terminal and for scripts that read line by line.
//!
//! Some of its texts come from servers. JSON lets characters through that a terminal obeys or that change the direction
//! of text, and between its values it lets line breaks through.

use std::fmt::Write;

use engine::path::is_unprintable;

/// Returns the same JSON on one line, with these characters escaped.
pub(crate) fn on_one_line(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // Within a text they are escaped already, so these stand between values.
            '\n' | '\r' | '\t' => text.push(' '),
            character if is_unprintable(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04x}").unwrap_or_default();
                }
            }
            character => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_moves_the_cursor_or_ends_the_line_and_all_mean_the_same() {
        let evil = "é\u{9b}2J \u{7f} \u{202e} \u{2028} \u{e0041} \x1b\n";
        let json = format!("{{\"a\":\n\t{}\r}}", serde_json::json!(evil));
        let line = on_one_line(&json);
        assert_eq!(line, "{\"a\":  \"é\\u009b2J \\u007f \\u202e \\u2028 \\udb40\\udc41 \\u001b\\n\" }");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["a"], evil);
    }
}
