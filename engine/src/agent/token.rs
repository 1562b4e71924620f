//! Tokens: the random part of a name, so that no two runs choose the same name.
//!
//! A token is hexadecimal digits. They mark as ours the files that are removed or renamed by name alone.

use crate::error::Error;

/// The length of a [`random_name`].
pub(crate) const RANDOM_NAME_DIGITS: usize = 32;

/// Tells whether these are as many hexadecimal digits as a token of this length has.
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
