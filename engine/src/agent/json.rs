//! The JSON of `.cutover/`: one line for each value, for people to read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::Dir;
use crate::error::{DamageError, Error};

/// Returns a value of ours as one line of JSON.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("our own values can always be serialized");
    text.push('\n');
    text
}

/// Reads a file of ours with one value, if it exists.
pub(crate) fn read_json<T: DeserializeOwned>(dir: &Dir, name: &[u8]) -> Result<Option<T>, Error> {
    let Some(bytes) = dir.read(name)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let path = dir.path_of(name).display().to_string();
        Error::Damage(DamageError::File { path, reason: format!("it cannot be read ({error})") })
    })
}
