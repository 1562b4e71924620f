//! Lets the system's `ssh` evaluate `ssh_config` (`ssh -G`): the result for `Match`, tokens, patterns and new
//! keywords is then the one that `ssh` itself uses.
//!
//! The evaluation takes some milliseconds, so it starts early and its result is awaited late. It gets the same
//! options as the later `ssh`, and a command, because some criteria of `Match` depend on them. `ssh -G` prints a line
//! for each keyword, also for those with their default, and does not print where a value comes from.
//!
//! A keyword of a newer `ssh` may have a default that the table does not know. So before a keyword counts as a reason
//! to use the system's `ssh`, its value is compared with the value that `ssh` prints for a host without
//! configuration.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::cancel::Cancel;
use crate::error::{Error, LoginError};
use crate::path::shown_lines;
use crate::target::{Reach, SshDestination};
use crate::threads;
use crate::wire::greeting::wait_readable;
use crate::wire::keyword_support::spelling;
use crate::wire::ssh_config::{Value, Values};

/// The time limit: `ssh_config` may look up names and run commands.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most output, in bytes: more than any configuration needs.
const OUTPUT_MAX: u64 = 16 << 20;

/// A running `ssh -G`.
pub(super) struct Evaluation {
    child: Child,
    words: Option<JoinHandle<Vec<u8>>>,
}

/// The result of an evaluation.
pub(super) enum SshAnswer {
    /// The values that `ssh` printed.
    Values(Values),
    /// The system has no `ssh` that can evaluate `ssh_config`.
    Unavailable,
}

impl Evaluation {
    /// Starts `ssh -G`. Returns nothing if the system has no `ssh`.
    pub(super) fn start(destination: &SshDestination, reach: &Reach) -> Result<Option<Evaluation>, Error> {
        let config = reach.ssh_config.as_ref().map(|file| file.clone().into_os_string());
        Evaluation::spawn(arguments(destination, config))
    }

    fn spawn(arguments: Vec<OsString>) -> Result<Option<Evaluation>, Error> {
        let mut ssh = Command::new("ssh");
        ssh.args(["-G", "-T", "-o", "RemoteCommand=none"]).args(arguments);
        ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let failed = |source| Error::io("run", "ssh", source);
        let mut child = match ssh.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let stderr = child.stderr.take().ok_or_else(|| Error::Bug("`ssh` lacks its stderr".into()))?;
        // Made before anything can fail: dropping it ends `ssh`.
        let mut evaluation = Evaluation { child, words: None };
        evaluation.words = Some(threads::spawn(move || {
            let mut words = Vec::new();
            // If reading fails, only a part of a message is missing.
            stderr.take(OUTPUT_MAX).read_to_end(&mut words).unwrap_or_default();
            words
        })?);
        Ok(Some(evaluation))
    }

    /// Waits for the result.
    pub(super) fn finish(mut self, cancel: &Cancel) -> Result<SshAnswer, Error> {
        let text = self.read(cancel)?;
        let status = self.child.wait().map_err(|source| Error::io("wait for", "ssh", source))?;
        let values = parse(&text);
        if status.success() && values.get("hostname").is_some() {
            return Ok(SshAnswer::Values(values));
        }
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        if status.success() || is_unavailable(&String::from_utf8_lossy(&words)) {
            return Ok(SshAnswer::Unavailable);
        }
        Err(LoginError::SshConfigRefused { said: shown_lines(&words) }.into())
    }

    fn read(&mut self, cancel: &Cancel) -> Result<String, Error> {
        let failed = |source| Error::io("read from", "ssh", source);
        let stdout = self.child.stdout.as_mut().ok_or_else(|| Error::Bug("`ssh` lacks its stdout".into()))?;
        let deadline = Instant::now() + TIMEOUT;
        let mut text = Vec::new();
        let mut buffer = [0; 16 << 10];
        while wait_readable(stdout, deadline, cancel)? {
            match stdout.read(&mut buffer) {
                Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
                Ok(bytes) => text.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
            if text.len() as u64 > OUTPUT_MAX {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
        }
        Err(LoginError::SshConfigRefused { said: format!("`ssh -G` did not end within {} seconds", TIMEOUT.as_secs()) }
            .into())
    }
}

impl Drop for Evaluation {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // `ssh` may still wait for a command that `Match exec` runs: kill the whole group.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process_group(group, Signal::KILL).ok();
        }
        self.child.wait().ok();
    }
}

/// Returns the values that `ssh` prints for a host without configuration.
pub(super) fn defaults(destination: &SshDestination, cancel: &Cancel) -> Result<Values, Error> {
    let started = Evaluation::spawn(arguments(destination, Some("none".into())))?;
    match started.map(|evaluation| evaluation.finish(cancel)).transpose()? {
        Some(SshAnswer::Values(values)) => Ok(values),
        _ => Ok(Values::default()),
    }
}

fn arguments(destination: &SshDestination, config: Option<OsString>) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    if let Some(config) = config {
        add("-F", config);
    }
    if let Some(port) = destination.port {
        add("-p", port.to_string().into());
    }
    if let Some(user) = &destination.user {
        add("-l", user.into());
    }
    arguments.extend(["--".into(), destination.host.clone().into(), "true".into()]);
    arguments
}

/// Returns whether the message of `ssh` means that it cannot evaluate anything: an account that only this process
/// knows, another program of that name, or an `ssh` before 7.6, which does not know our own option `RemoteCommand`.
fn is_unavailable(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    if words.contains("command-line") && words.contains("remotecommand") {
        return true;
    }
    ["no user exists", "usage:", "illegal option", "unknown option", "invalid option", "you don't exist"]
        .iter()
        .any(|sign| words.contains(sign))
}

fn parse(text: &str) -> Values {
    let mut values = Values::default();
    for line in text.lines() {
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        let keyword = keyword.to_ascii_lowercase();
        let arguments = match keyword.as_str() {
            "userknownhostsfile" | "globalknownhostsfile" => split_paths(rest),
            _ => vec![rest.to_owned()],
        };
        if keyword != "host" {
            let value = Value { keyword: spelling(&keyword), arguments, place: None };
            values.add(&keyword, value);
        }
    }
    values
}

/// Splits paths at blanks. A word that begins no absolute path belongs to the path before it: `ssh` prints the blanks
/// within a path like those between paths.
fn split_paths(text: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_absolute = |path: &str| path.starts_with(['/', '~']);
        match paths.last_mut().filter(|path| is_absolute(path) && !is_absolute(word)) {
            Some(path) => *path += &format!(" {word}"),
            None => paths.push(word.to_owned()),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_prints_is_read_a_line_a_keyword() {
        let text = "host shop\nhostname 10.0.0.1\nuser me\nidentityfile ~/my key\nidentityfile ~/other\nsetenv A=b c\n";
        let values = parse(text);
        assert_eq!(values.get("hostname").unwrap().first(), "10.0.0.1");
        assert!(values.get("host").is_none());
        let files: Vec<&str> = values.all("identityfile").map(Value::first).collect();
        assert_eq!(files, ["~/my key", "~/other"]);
        assert_eq!(values.get("identityfile").unwrap().keyword, "IdentityFile");
    }

    #[test]
    fn paths_with_blanks_stay_whole() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split_paths(text), expected, "{text}");
        check("/a /b", &["/a", "/b"]);
        check("/home/my self/known /b", &["/home/my self/known", "/b"]);
        check("a b", &["a", "b"]);
        check("none", &["none"]);
    }

    #[test]
    fn a_user_who_is_not_known_is_no_fault_of_the_file() {
        for (words, expected) in [
            ("No user exists for uid 12345", true),
            ("unknown option -- G\nusage: ssh [-1246Aa]", true),
            ("config: line 1: Bad configuration option: foo", false),
            ("config: line 1: Bad configuration option: remotecommand", false),
            ("command-line: line 0: Bad configuration option: remotecommand", true),
        ] {
            assert_eq!(is_unavailable(words), expected, "{words}");
        }
    }
}
