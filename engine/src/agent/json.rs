//! The JSON of `.cutover/`: a line each, for people to read.

use serde::Serialize;

/// Returns a value of ours as a line of JSON.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("our own values can always be serialized");
    text.push('\n');
    text
}
