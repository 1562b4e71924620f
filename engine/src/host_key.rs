//! A pinned host key: a public key that the server must show.
//!
//! The text is a line of a `.pub` file, or the part of a line of `known_hosts` behind the name: `ssh-ed25519 AAAA…`.
//! A certificate cannot be pinned: it names an authority, and expires.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine};
use sha2::{Digest, Sha256};

/// The kinds of key that a server may have.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    algorithm: String,
    key: Vec<u8>,
}

/// The reason that a text is no host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// It is a fingerprint.
    #[error("it is a fingerprint, and the whole key is needed")]
    Fingerprint,
    /// It is a private key.
    #[error("it is a private key")]
    Private,
    /// It is a certificate.
    #[error("it is a certificate, and only the key itself can be pinned")]
    Certificate,
    /// It begins with something else, such as a host name.
    #[error("it does not begin with a kind of key, such as `ssh-ed25519`")]
    Kind,
    /// There is no key behind the kind.
    #[error("there is no key behind its kind")]
    Missing,
    /// The key is cut off, or has other characters.
    #[error("its key is cut off or damaged")]
    Damaged,
    /// The key is of another kind.
    #[error("its key is of another kind than it says")]
    OtherKind,
}

impl HostKey {
    /// Returns the kind: `ssh-ed25519`, `ssh-rsa` …
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Returns the key in base64.
    pub(crate) fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.key)
    }

    /// Returns the kind and the fingerprint, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        format!("{} SHA256:{}", self.algorithm, BASE64_STANDARD_NO_PAD.encode(Sha256::digest(&self.key)))
    }
}

impl FromStr for HostKey {
    type Err = HostKeyError;

    fn from_str(text: &str) -> Result<HostKey, HostKeyError> {
        let mut words = text.split_ascii_whitespace();
        let algorithm = words.next().unwrap_or_default();
        if algorithm.starts_with("SHA256:") || algorithm.starts_with("MD5:") {
            return Err(HostKeyError::Fingerprint);
        }
        if text.contains("PRIVATE KEY") {
            return Err(HostKeyError::Private);
        }
        if algorithm.contains("-cert-v01@") || algorithm == "@cert-authority" {
            return Err(HostKeyError::Certificate);
        }
        if !KINDS.contains(&algorithm) {
            return Err(HostKeyError::Kind);
        }
        let key = words.next().ok_or(HostKeyError::Missing)?;
        let key = BASE64_STANDARD.decode(key).map_err(|_| HostKeyError::Damaged)?;
        match parts(&key) {
            Some(parts) if parts.first().is_some_and(|first| *first != algorithm.as_bytes()) => {
                Err(HostKeyError::OtherKind)
            }
            Some(parts) if parts.len() > 1 => Ok(HostKey { algorithm: algorithm.to_owned(), key }),
            _ => Err(HostKeyError::Damaged),
        }
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.base64())
    }
}

/// Splits a key into its parts, each behind its length. Returns nothing for a key that is cut off.
fn parts(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        parts.push(part);
        rest = behind;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn a_public_key_is_read_with_its_fingerprint() {
        for text in [KEY.to_owned(), format!("  {KEY}  root@web1 \n")] {
            let key: HostKey = text.parse().unwrap();
            assert_eq!(key.to_string(), KEY);
            // As `ssh-keygen -l` prints it: this is the key of github.com.
            assert_eq!(key.fingerprint(), "ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
        }
    }

    #[test]
    fn another_text_is_refused_with_its_reason() {
        let check = |text: &str, expected: HostKeyError| {
            assert_eq!(text.parse::<HostKey>(), Err(expected), "{text}");
        };
        let (_, key) = KEY.split_once(' ').unwrap();
        check("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", HostKeyError::Fingerprint);
        check("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", HostKeyError::Private);
        check(&format!("ssh-ed25519-cert-v01@openssh.com {key}"), HostKeyError::Certificate);
        check(&format!("@cert-authority * {KEY}"), HostKeyError::Certificate);
        check(&format!("web1 {KEY}"), HostKeyError::Kind);
        check(key, HostKeyError::Kind);
        check("", HostKeyError::Kind);
        check("ssh-ed25519", HostKeyError::Missing);
        check(&format!("ssh-ed25519 {}", &key[..key.len() - 4]), HostKeyError::Damaged);
        check(&format!("ssh-ed25519 {}", &key[..key.len() - 1]), HostKeyError::Damaged);
        check("ssh-ed25519 AAAA…", HostKeyError::Damaged);
        check("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", HostKeyError::Damaged);
        check(&format!("ssh-rsa {key}"), HostKeyError::OtherKind);
    }
}
