//! The beginning of a text from PHP, to be shown.

use crate::path::Shown;

/// The length of a text that is shown of an answer.
const SHOWN_BYTES: usize = 300;

/// Shows the beginning of a text from PHP, on one line.
pub(crate) fn beginning(text: &[u8]) -> String {
    let words: Vec<String> = text[..text.len().min(SHOWN_BYTES)]
        .split(u8::is_ascii_whitespace)
        .map(|word| Shown(word).to_string())
        .collect();
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
