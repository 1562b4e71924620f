//! Tokens: the random part of a name, so that no two runs choose the same one.
//!
//! Hexadecimal digits. What is removed or renamed by its name alone is known as ours by them.

use crate::error::Error;

/// Digits of a [`random_name`].
pub(crate) const RANDOM_NAME_DIGITS: usize = 32;

/// Tells whether a part of a name is as many digits as a [`random_name`] has, or as many as were taken of it.
pub(crate) fn is_random(digits: &[u8], length: usize) -> bool {
    digits.len() == length && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns random hexadecimal digits.
pub(crate) fn random_name() -> Result<String, Error> {
    let mut bytes = [0_u8; RANDOM_NAME_DIGITS / 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Error::io("read random bytes from", "/dev/urandom", e))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
