//! The version of the system's `ssh`.

use std::io;
use std::process::{Command, Stdio};

/// Returns the version of the `ssh` that is installed, or nothing if it is another program than OpenSSH.
pub(super) fn installed() -> io::Result<Option<(u32, u32)>> {
    let output = Command::new("ssh").arg("-V").stdin(Stdio::null()).output()?;
    Ok(parse(&String::from_utf8_lossy(&output.stderr)))
}

/// Parses `OpenSSH_9.2p1 Debian-2, OpenSSL 3.0`.
fn parse(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once("OpenSSH_")?.1.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_openssh_is_read() {
        assert_eq!(parse("OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026"), Some((9, 2)));
        assert_eq!(parse("OpenSSH_8.10, LibreSSL 3.3.6"), Some((8, 10)));
        assert_eq!(parse("Dropbear v2022.83"), None);
        assert!(Some((8, 10)) > Some((8, 4)) && Some((7, 9)) < Some((8, 4)) && None < Some((8, 4)));
    }
}
