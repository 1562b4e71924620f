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

use crate::error::{Error, LoginError};
use crate::host_key::HostKey;
use crate::wire::login::Exit;

/// The last line of `ssh` if it does not accept the host key.
const REFUSED: &str = "Host key verification failed.";

/// The words of `ssh` before the fingerprint of a key that it does not accept.
const SENT: &str = "sent by the remote host is";

/// A file of pinned keys, as long as `ssh` needs it.
pub(super) struct PinnedKeys {
    file: File,
}

impl PinnedKeys {
    /// Writes the keys, if there are any.
    pub(super) fn write(keys: &[HostKey]) -> Result<Option<PinnedKeys>, Error> {
        if keys.is_empty() {
            return Ok(None);
        }
        let write = || -> io::Result<File> {
            let mut file = File::from(memfd_create("known_hosts", MemfdFlags::CLOEXEC)?);
            for key in keys {
                writeln!(file, "* {key}")?;
            }
            Ok(file)
        };
        let file = write().map_err(|error| Error::io("write", "known_hosts", error))?;
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
