//! Pinned host keys for the system's `ssh`.
//!
//! `ssh` reads keys from files only. Ours is in memory and has no name, so nothing has to be removed after a crash:
//! `ssh` opens it through `/proc`, as it closes the descriptors that it inherits.
//!
//! Every other source of trust is switched off: the files of `known_hosts`, a command that prints keys, DNS, and a
//! shared connection, which somebody else may have checked less strictly. A proxy on the way keeps its own settings.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::error::{Error, LoginError};
use crate::host_key::HostKey;
use crate::wire::login::Exit;
use crate::wire::ssh_version;

/// The last line of `ssh` if it does not accept the host key.
const REFUSED: &str = "Host key verification failed.";

/// The words of `ssh` before the fingerprint of a key that it does not accept.
const SENT: &str = "sent by the remote host is";

/// The first OpenSSH with `KnownHostsCommand`.
const KNOWN_HOSTS_COMMAND: (u32, u32) = (8, 5);

/// A file of pinned keys, as long as `ssh` needs it.
#[derive(Debug)]
pub(super) struct PinnedKeys {
    file: File,
}

impl PinnedKeys {
    /// Writes the keys, if there are any.
    pub(super) fn write(keys: &[HostKey]) -> Result<Option<PinnedKeys>, Error> {
        if keys.is_empty() {
            return Ok(None);
        }
        let file = write_keys(keys).map_err(|error| Error::io("write", "known_hosts", error))?;
        Ok(Some(PinnedKeys { file }))
    }

    /// Returns the options of `ssh`, each behind its `-o`. An older `ssh` does not know a command for host keys.
    pub(super) fn options(&self, has_command: bool) -> Vec<String> {
        let mut options = vec![
            format!("UserKnownHostsFile=/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "VerifyHostKeyDNS=no".to_owned(),
            "NoHostAuthenticationForLocalhost=no".to_owned(),
            "CheckHostIP=no".to_owned(),
            "ControlMaster=no".to_owned(),
            "ControlPath=none".to_owned(),
        ];
        if has_command {
            options.push("KnownHostsCommand=none".to_owned());
        }
        options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect()
    }
}

fn write_keys(keys: &[HostKey]) -> io::Result<File> {
    let mut file = File::from(memfd_create("known_hosts", MemfdFlags::CLOEXEC)?);
    for key in keys {
        writeln!(file, "* {key}")?;
    }
    Ok(file)
}

/// The options of an `ssh` that a person uses, so that it accepts only pinned keys.
#[derive(Debug)]
pub struct PinningOptions {
    /// The options, each behind its `-o`.
    pub options: Vec<String>,
    /// The file that they name. It is also open in the program that takes the place of this process.
    _keys: PinnedKeys,
}

impl PinningOptions {
    /// Writes the keys. Returns nothing if there are none. `ssh` must be started by the program that takes the place of this
    /// process, which holds the file open meanwhile.
    pub fn write(keys: &[HostKey]) -> io::Result<Option<PinningOptions>> {
        if keys.is_empty() {
            return Ok(None);
        }
        let has_command = ssh_version::installed()? >= Some(KNOWN_HOSTS_COMMAND);
        let keys = PinnedKeys { file: write_keys(keys)? };
        fcntl_setfd(&keys.file, FdFlags::empty())?;
        Ok(Some(PinningOptions { options: keys.options(has_command), _keys: keys }))
    }
}

/// Returns the error for a key that is not pinned. `shown` is its kind and fingerprint, if they are known.
pub(super) fn not_pinned(host: String, shown: Option<String>, keys: &[HostKey]) -> Error {
    let pinned: Vec<String> = keys.iter().map(HostKey::fingerprint).collect();
    Error::from(LoginError::HostKeyNotPinned { host, shown, pinned: pinned.join(" or ") })
}

/// Returns that error if `ssh` ended because of the server's key. The last line tells it from a proxy's key, after
/// which the connection is closed too.
pub(super) fn judge(exit: &Exit, host: &str, keys: &[HostKey]) -> Option<Error> {
    let output = String::from_utf8_lossy(&exit.stderr);
    let is_refused = !keys.is_empty() && output.trim_end().lines().last().map(str::trim) == Some(REFUSED);
    is_refused.then(|| {
        let sent = output.split_once(SENT).and_then(|(_, rest)| rest.split_ascii_whitespace().next());
        let fingerprint = sent.map(|word| word.trim_end_matches('.').to_owned());
        not_pinned(host.to_owned(), fingerprint.filter(|word| word.starts_with("SHA256:")), keys)
    })
}
