//! Content hashes.
//!
//! Everything that is named by content is named by a 32-byte blake3 hash. A hash of a structure (a directory) uses
//! blake3's key derivation with a context of its own, so that no file's content can pose as a directory.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A blake3 hash of content. Printed as 64 lowercase hexadecimal digits, also in JSON; 32 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// The bytes of a mark. A mark is only compared with one likely equal: a file of the same size at the same path.
pub(crate) const MARK_BYTES: usize = 4;

/// The text is not 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Not a hash of 64 hexadecimal digits")]
pub struct NotAHash;

impl Hash {
    /// Returns the hash of `content`.
    pub fn of(content: &[u8]) -> Hash {
        Hash(*blake3::hash(content).as_bytes())
    }

    /// Returns the hash of a structure of this kind. No content has it.
    pub(crate) fn of_structure(kind: &str, encoded: &[u8]) -> Hash {
        Hash(blake3::derive_key(kind, encoded))
    }

    /// Wraps bytes that are known to be a hash: received, or read back from a manifest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Hash {
        Hash(bytes)
    }

    /// Returns a placeholder for the unknown hash of an entry. It differs from that of every other entry and from the
    /// hash of any content.
    pub(crate) fn placeholder(entry: u32) -> Hash {
        let mut bytes = [0xff; 32];
        bytes[28..].copy_from_slice(&entry.to_be_bytes());
        Hash(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the mark: the first bytes, which recognise content if nothing depends on it.
    pub(crate) fn mark(&self) -> [u8; MARK_BYTES] {
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&self.0[..MARK_BYTES]);
        mark
    }

    /// Returns the stand-in for a hash of which only the mark is known. No content has a hash with so many zeros at its
    /// end.
    pub(crate) fn of_mark(mark: [u8; MARK_BYTES]) -> Hash {
        let mut bytes = [0; 32];
        bytes[..MARK_BYTES].copy_from_slice(&mark);
        Hash(bytes)
    }

    /// Tells whether only the mark of the hash is known.
    pub(crate) fn is_mark(&self) -> bool {
        self.0[MARK_BYTES..].iter().all(|&byte| byte == 0)
    }

    /// Tells whether this hash equals `known`, or has its mark if only that is known.
    pub(crate) fn fits(&self, known: &Hash) -> bool {
        self == known || (known.is_mark() && self.mark() == known.mark())
    }
}

impl From<blake3::Hash> for Hash {
    fn from(hash: blake3::Hash) -> Hash {
        Hash(*hash.as_bytes())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            Deserialize::deserialize(deserializer).map(Hash)
        }
    }
}

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Hash, NotAHash> {
        // `blake3` accepts capitals too, but one content must have one name.
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NotAHash);
        }
        blake3::Hash::from_hex(text).map(Hash::from).map_err(|_| NotAHash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back_what_it_prints() {
        let hash = Hash::of(b"content");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn a_hash_is_text_in_json_and_32_bytes_on_the_wire() {
        let hash = Hash::of(b"content");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<Hash>(&json.to_uppercase()).is_err());
        let bytes = postcard::to_stdvec(&hash).unwrap();
        assert_eq!(bytes, hash.as_bytes());
        assert_eq!(postcard::from_bytes::<Hash>(&bytes).unwrap(), hash);
    }

    #[test]
    fn a_structure_has_another_hash_than_content_and_than_another_kind() {
        let hashes = [Hash::of(b"same"), Hash::of_structure("one", b"same"), Hash::of_structure("other", b"same")];
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
    }

    #[test]
    fn a_mark_fits_the_hash_that_it_is_of() {
        let (hash, other) = (Hash::of(b"content"), Hash::of(b"other"));
        let mark = Hash::of_mark(hash.mark());
        assert!(hash.fits(&hash) && hash.fits(&mark) && mark.is_mark());
        assert!(!hash.is_mark() && !mark.fits(&hash) && !hash.fits(&other) && !hash.fits(&Hash::of_mark(other.mark())));
    }

    #[test]
    fn other_spellings_of_a_hash_are_refused() {
        let text = Hash::of(b"content").to_string();
        for wrong in [text.to_uppercase(), text[..63].to_owned(), format!("{text}0"), text.replace('a', "g")] {
            assert_eq!(wrong.parse::<Hash>(), Err(NotAHash), "{wrong}");
        }
    }
}
