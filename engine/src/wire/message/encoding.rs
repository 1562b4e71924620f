//! Messages as bytes: postcard, whose first byte is the number of the kind. No message is longer than its kind may
//! be.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::wire::bounds::MessageBounds;

/// Encodes a message.
pub(crate) fn to_bytes<M: Serialize>(message: &M) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages can always be serialized")
}

/// Encodes a message, and refuses one that the other side would refuse as too long.
pub(crate) fn to_bounded_bytes<M: Serialize + MessageBounds>(message: &M) -> Result<Vec<u8>, Error> {
    let bytes = to_bytes(message);
    let bytes_max = bytes.first().and_then(|&kind| M::BYTES_MAX.get(usize::from(kind))).copied().unwrap_or_default();
    if bytes.len() > bytes_max {
        return Err(Error::MessageTooLong { bytes: bytes.len() as u64, most: bytes_max as u64 });
    }
    Ok(bytes)
}

/// Decodes a message.
pub(crate) fn from_bytes<'a, M: Deserialize<'a>>(bytes: &'a [u8]) -> Result<M, Error> {
    postcard::from_bytes(bytes).map_err(|error| Error::Protocol(format!("a message that cannot be read ({error})")))
}
