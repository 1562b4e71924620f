//! The JSON of `.cutover/`: one line for each value, for people to read.

use serde::Serialize;

/// Returns a value of ours as one line of JSON.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("our own values can always be serialized");
    text.push('\n');
    text
}
