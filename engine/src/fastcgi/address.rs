//! The address of PHP-FPM.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The address on which a pool of PHP-FPM listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FpmAddress {
    /// A socket, by its absolute path.
    Socket(PathBuf),
    /// A host and a port.
    Tcp(String),
}

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the absolute path of a socket, or a host and a port such as `127.0.0.1:9000`")]
pub struct BadFpmAddress;

impl FromStr for FpmAddress {
    type Err = BadFpmAddress;

    fn from_str(text: &str) -> Result<FpmAddress, BadFpmAddress> {
        if text.chars().any(char::is_control) {
            return Err(BadFpmAddress);
        }
        if text.starts_with('/') {
            return Ok(FpmAddress::Socket(text.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or(BadFpmAddress)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        if host.is_empty() || !host.bytes().all(is_host) || !is_port {
            return Err(BadFpmAddress);
        }
        Ok(FpmAddress::Tcp(text.to_owned()))
    }
}

impl fmt::Display for FpmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FpmAddress::Socket(path) => write!(f, "{}", path.display()),
            FpmAddress::Tcp(address) => f.write_str(address),
        }
    }
}
