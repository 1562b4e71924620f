//! The streams of an outline, each compressed on its own.

use zstd::bulk::Compressor;

use crate::bytes::{ByteReader, Malformed, put_bytes, put_number};
use crate::hash::Hash;
use crate::manifest::decode::decompress;
use crate::manifest::encode::BadEncoding;
use crate::manifest::{ENTRIES_MAX, TEXT_BYTES_MAX};

/// The zstd level. Names are most of the content: a few percent less than at level 3, for a few milliseconds.
const LEVEL: i32 = 12;

/// The most bytes of each stream, unpacked. An entry has a shape of 6 bytes, a name and a target with a zero behind
/// each, a size of 9, a mark, a hash.
pub(super) const STREAM_BYTES_MAX: [u64; 5] = [
    6 * ENTRIES_MAX as u64,
    (TEXT_BYTES_MAX + 2 * ENTRIES_MAX) as u64,
    9 * ENTRIES_MAX as u64,
    4 * ENTRIES_MAX as u64,
    (size_of::<Hash>() * ENTRIES_MAX) as u64,
];

/// The most bytes of an outline on the wire: of a tree of which the client has nothing. A file has a mark or a hash.
pub(crate) const OUTLINE_BYTES_MAX: u64 =
    STREAM_BYTES_MAX[0] + STREAM_BYTES_MAX[1] + STREAM_BYTES_MAX[2] + STREAM_BYTES_MAX[4] + (1 << 10);

/// The streams of an outline that is being written.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) shapes: Vec<u8>,
    pub(super) names: Vec<u8>,
    pub(super) sizes: Vec<u8>,
    pub(super) marks: Vec<u8>,
    pub(super) hashes: Vec<u8>,
}

impl Streams {
    /// Returns the compressed streams.
    pub(super) fn pack(self) -> std::io::Result<Vec<u8>> {
        let mut compressor = Compressor::new(LEVEL)?;
        let mut out = Vec::new();
        for stream in [self.shapes, self.names, self.sizes, self.marks, self.hashes] {
            let packed = compressor.compress(&stream)?;
            put_number(&mut out, stream.len() as u64);
            let is_smaller = packed.len() < stream.len();
            out.push(u8::from(is_smaller));
            put_bytes(&mut out, if is_smaller { &packed } else { &stream });
        }
        Ok(out)
    }
}

/// Decompresses the next stream, of at most `len_max` bytes.
pub(super) fn unpack(reader: &mut ByteReader<'_>, len_max: u64) -> Result<Vec<u8>, BadEncoding> {
    let len = reader.number_within(len_max)?;
    let packing = reader.byte()?;
    let bytes = reader.bytes()?;
    let stream = match packing {
        0 => bytes.to_vec(),
        1 => decompress(bytes, len)?,
        _ => return Err(Malformed.into()),
    };
    if stream.len() as u64 == len { Ok(stream) } else { Err(Malformed.into()) }
}
