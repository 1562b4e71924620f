//! Reads and writes the compact binary forms: manifests and blocks.
//!
//! Numbers are LEB128 varints (seven bits a byte, least significant first). Every read is checked against the bytes
//! that are left, so no declared length is trusted before its bytes have arrived.

/// The bytes end too early, or a number is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ends too early or holds a number out of range")]
pub(crate) struct Malformed;

/// Appends `value` to `out`.
pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a number with a sign in zigzag form: numbers near zero are short.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_number(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends the length of `bytes`, then `bytes`.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteReader<'a>(&'a [u8]);

impl<'a> ByteReader<'a> {
    /// Starts at the front of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> ByteReader<'a> {
        ByteReader(bytes)
    }

    /// Returns the bytes that were not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Reads `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads `N` bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Reads one byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a number.
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Reads a number that [`put_signed`] wrote.
    pub(crate) fn signed(&mut self) -> Result<i64, Malformed> {
        self.number().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads a number that must be at most `limit`.
    pub(crate) fn number_within(&mut self, limit: u64) -> Result<u64, Malformed> {
        self.number().and_then(|value| if value <= limit { Ok(value) } else { Err(Malformed) })
    }

    /// Reads a number that must fit 32 bits.
    pub(crate) fn index(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }

    /// Reads a length, then that many bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.number_within(self.0.len() as u64)?;
        self.take(count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!(ByteReader::new(&out).number(), Ok(value));
            let mut out = Vec::new();
            put_signed(&mut out, value as i64);
            assert_eq!(ByteReader::new(&out).signed(), Ok(value as i64));
        }
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_malformed() {
        for bytes in [&[][..], &[0x80], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]] {
            assert_eq!(ByteReader::new(bytes).number(), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(ByteReader::new(&[5, b'a']).bytes(), Err(Malformed));
        assert_eq!(ByteReader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).index(), Err(Malformed));
    }
}
