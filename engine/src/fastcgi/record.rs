//! The records of FastCGI.
//!
//! ```text
//! 1 byte     the version, 1
//! 1 byte     the type
//! 2 bytes    the request, 1: this client sends one on a connection
//! 2 bytes    the length of the content
//! 1 byte     the length of the padding
//! 1 byte     nothing
//! …          the content, then the padding
//! ```
//!
//! Numbers are big-endian. A stream, such as the output, is any number of records, of which an empty one is the last.

/// The length of the head of a record.
pub(super) const HEAD_BYTES: usize = 8;

/// The version.
const VERSION: u8 = 1;

/// The number of the request.
const REQUEST: u16 = 1;

/// Begins a request.
const BEGIN_REQUEST: u8 = 1;
/// Ends a request.
pub(super) const END_REQUEST: u8 = 3;
/// The variables of a request.
const PARAMS: u8 = 4;
/// The body of a request.
const STDIN: u8 = 5;
/// The headers and the body of the answer.
pub(super) const STDOUT: u8 = 6;
/// The messages of PHP.
pub(super) const STDERR: u8 = 7;

/// The role of a server that answers a request.
const RESPONDER: u16 = 1;

/// A lengthier name or value has a length of four bytes.
const SHORT_BYTES_MAX: usize = 127;

/// The head of a record that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The type.
    pub(super) kind: u8,
    /// The length of the content.
    pub(super) content: usize,
    /// The length of the padding.
    pub(super) padding: usize,
}

impl Head {
    /// Reads a head. None: it is not one of FastCGI, or of another request.
    pub(super) fn read(bytes: [u8; HEAD_BYTES]) -> Option<Head> {
        let [version, kind, id_high, id_low, length_high, length_low, padding, _] = bytes;
        let is_ours = version == VERSION && u16::from_be_bytes([id_high, id_low]) == REQUEST;
        let content = usize::from(u16::from_be_bytes([length_high, length_low]));
        is_ours.then_some(Head { kind, content, padding: usize::from(padding) })
    }
}

/// Makes the record that begins a request. The server closes the connection after the answer.
pub(super) fn begin() -> Vec<u8> {
    let [high, low] = RESPONDER.to_be_bytes();
    record(BEGIN_REQUEST, &[high, low, 0, 0, 0, 0, 0, 0])
}

/// Makes the records of the variables, and those of an empty body.
pub(super) fn params(variables: &[(&str, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    for (name, value) in variables {
        content.extend(length(name.len()));
        content.extend(length(value.len()));
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(value.as_bytes());
    }
    let mut records: Vec<u8> =
        content.chunks(usize::from(u16::MAX)).flat_map(|content| record(PARAMS, content)).collect();
    records.extend(record(PARAMS, &[]));
    records.extend(record(STDIN, &[]));
    records
}

fn length(bytes: usize) -> Vec<u8> {
    match u8::try_from(bytes) {
        Ok(short) if bytes <= SHORT_BYTES_MAX => vec![short],
        _ => (u32::try_from(bytes).unwrap_or(u32::MAX) | 1 << 31).to_be_bytes().to_vec(),
    }
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [id_high, id_low] = REQUEST.to_be_bytes();
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut record = vec![VERSION, kind, id_high, id_low, high, low, 0, 0];
    record.extend_from_slice(content);
    record
}
