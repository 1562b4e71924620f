//! Logs in with a public key: the one that was named, then those of the agent, then the usual files.
//!
//! Servers hang up after a few keys (`MaxAuthTries`, 6), so the keys of the agent that the configuration names go
//! before its others. A key that needs a passphrase is left out: asking is the agent's business.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ssh2::{Agent, ErrorCode, PublicKey, Session};

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::path::Shown;
use crate::target::Reach;
use crate::wire::host_settings::HostSettings;
use crate::wire::known_hosts;
use crate::wire::ssh::Steps;

/// How private keys of OpenSSH begin that are not encrypted: the format's name, then `none` for a cipher.
const PLAIN_OPENSSH_KEY: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbm";
/// libssh2's answers for "the server does not take this key" and for "the server hung up".
const REFUSED: [ErrorCode; 2] = [ErrorCode::Session(-18), ErrorCode::Session(-19)];
const HUNG_UP: [ErrorCode; 3] = [ErrorCode::Session(-7), ErrorCode::Session(-13), ErrorCode::Session(-43)];

/// That no key was accepted.
pub(super) struct Refused {
    /// What was tried, a line each.
    pub(super) tried: Vec<String>,
    /// Among the keys is one that only the system's `ssh` can use.
    pub(super) openssh_may: bool,
}

/// A key to try.
enum Key {
    OfAgent(PublicKey),
    InFile(PathBuf),
}

/// Logs in, or returns what was tried.
pub(super) fn log_in(
    steps: &Steps,
    session: &Session,
    settings: &HostSettings,
    reach: &Reach,
    observer: &dyn Observer,
) -> Result<Option<Refused>, Error> {
    let mut attempts =
        Attempts { steps, session, settings, agent: None, refused: Refused { tried: Vec::new(), openssh_may: false } };
    let keys = attempts.open_agent();
    for key in in_order(keys, settings, reach.identity.as_deref()) {
        match attempts.attempt(&key)? {
            Answer::LoggedIn(name) => {
                observer.observe(Event::Detail(format!("Logged in as {} with {name}", settings.user)));
                return Ok(None);
            }
            Answer::Next => {}
            Answer::HungUp => return Ok(Some(attempts.refused)),
        }
    }
    if attempts.needs_no_key()? {
        observer.observe(Event::Detail(format!("Logged in as {} without a key", settings.user)));
        return Ok(None);
    }
    Ok(Some(attempts.refused))
}

enum Answer {
    LoggedIn(String),
    Next,
    HungUp,
}

struct Attempts<'a> {
    steps: &'a Steps,
    session: &'a Session,
    settings: &'a HostSettings,
    agent: Option<Agent>,
    refused: Refused,
}

impl Attempts<'_> {
    /// Returns the keys of the user's agent. One that does not answer has none.
    fn open_agent(&mut self) -> Vec<PublicKey> {
        let Some(socket) = &self.settings.agent else {
            return Vec::new();
        };
        let opened = self.session.agent().and_then(|mut agent| {
            agent.set_identity_path(socket)?;
            agent.connect()?;
            agent.list_identities()?;
            let keys = agent.identities()?;
            Ok((agent, keys))
        });
        match opened {
            Ok((agent, keys)) => {
                self.agent = Some(agent);
                keys
            }
            Err(error) => {
                self.note(format!("the agent at `{}`: {}", socket.display(), error.message()));
                Vec::new()
            }
        }
    }

    fn attempt(&mut self, key: &Key) -> Result<Answer, Error> {
        match key {
            Key::OfAgent(key) => self.attempt_agent(key),
            Key::InFile(path) => self.attempt_file(path),
        }
    }

    fn attempt_agent(&mut self, key: &PublicKey) -> Result<Answer, Error> {
        let Some(agent) = self.agent.take() else {
            return Ok(Answer::Next);
        };
        let algorithm = known_hosts::algorithm(key.blob());
        let name = format!("{algorithm} {} of the agent", Shown(key.comment().as_bytes()));
        self.refused.openssh_may |= algorithm.starts_with("sk-");
        let user = &self.settings.user;
        let outcome = self.steps.attempt(self.session, "log in", || agent.userauth(user, key))?;
        self.agent = Some(agent);
        Ok(self.judge(name, outcome))
    }

    fn attempt_file(&mut self, path: &Path) -> Result<Answer, Error> {
        let name = format!("`{}`", path.display());
        match read_key(path) {
            Ok(KeyFile::Plain) => {}
            Ok(KeyFile::Encrypted) => {
                // Without `BatchMode`, the system's `ssh` asks for the passphrase.
                self.refused.openssh_may |= self.settings.batch_mode == Some(false);
                self.note(format!("{name}: needs a passphrase; load it with `ssh-add`"));
                return Ok(Answer::Next);
            }
            Ok(KeyFile::Token) => {
                self.refused.openssh_may = true;
                self.note(format!("{name}: lies on a security key"));
                return Ok(Answer::Next);
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound || self.is_named(path) {
                    self.note(format!("{name}: {error}"));
                }
                return Ok(Answer::Next);
            }
        }
        let user = &self.settings.user;
        let outcome =
            self.steps.attempt(self.session, "log in", || self.session.userauth_pubkey_file(user, None, path, None))?;
        Ok(self.judge(name, outcome))
    }

    /// Of the usual files, those that do not exist are no news.
    fn is_named(&self, path: &Path) -> bool {
        self.settings.identities_named || !self.settings.identity_files.iter().any(|usual| usual == path)
    }

    fn judge(&mut self, name: String, outcome: Result<(), ssh2::Error>) -> Answer {
        match outcome {
            Ok(()) => return Answer::LoggedIn(name),
            Err(error) if REFUSED.contains(&error.code()) => self.note(format!("{name}: not accepted")),
            Err(error) if HUNG_UP.contains(&error.code()) => {
                self.note(format!("{name}: the server hung up"));
                return Answer::HungUp;
            }
            Err(error) => self.note(format!("{name}: {}", error.message())),
        }
        Answer::Next
    }

    /// Some servers know who is there by other means, and ask for nothing.
    fn needs_no_key(&mut self) -> Result<bool, Error> {
        let user = &self.settings.user;
        let methods =
            self.steps.attempt(self.session, "log in", || self.session.auth_methods(user).map(str::to_owned))?;
        if let Ok(methods) = methods {
            self.note(format!("the server accepts: {}", Shown(methods.as_bytes())));
        }
        Ok(self.session.authenticated())
    }

    fn note(&mut self, line: String) {
        self.refused.tried.push(line);
    }
}

/// Puts the keys in order: the one named on the command line, those of the agent that the configuration names, its
/// others, and the files that the agent does not have.
fn in_order(keys: Vec<PublicKey>, settings: &HostSettings, identity: Option<&Path>) -> Vec<Key> {
    let named: Vec<Option<String>> =
        identity.into_iter().chain(settings.identity_files.iter().map(PathBuf::as_path)).map(public_key).collect();
    let of_agent: Vec<String> = keys.iter().map(|key| known_hosts::base64(key.blob())).collect();
    let place = |text: &String| named.iter().position(|name| name.as_ref() == Some(text));
    let is_first = |text: &String| identity.is_some() && place(text) == Some(0);

    let mut ordered: Vec<(usize, Key)> = Vec::new();
    for (key, text) in keys.into_iter().zip(&of_agent) {
        match place(text) {
            _ if is_first(text) => ordered.push((0, Key::OfAgent(key))),
            Some(_) => ordered.push((2, Key::OfAgent(key))),
            None if settings.identities_only => {}
            None => ordered.push((3, Key::OfAgent(key))),
        }
    }
    let lacks = |at: usize| named[at].as_ref().is_none_or(|text| !of_agent.contains(text));
    for (at, path) in identity.into_iter().chain(settings.identity_files.iter().map(PathBuf::as_path)).enumerate() {
        if lacks(at) {
            let rank = if identity.is_some() && at == 0 { 1 } else { 4 };
            ordered.push((rank, Key::InFile(path.to_owned())));
        }
    }
    ordered.sort_by_key(|(rank, _)| *rank);
    ordered.into_iter().map(|(_, key)| key).collect()
}

/// Returns the public key that stands beside a private one, in base64.
fn public_key(private: &Path) -> Option<String> {
    let text = fs::read_to_string(public_key_path(private)).ok()?;
    text.split_ascii_whitespace().nth(1).map(str::to_owned)
}

/// Returns where the public key of a private one stands.
fn public_key_path(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

enum KeyFile {
    Plain,
    Encrypted,
    /// Only a handle of a FIDO token.
    Token,
}

fn read_key(path: &Path) -> io::Result<KeyFile> {
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let public = fs::read_to_string(public_key_path(path)).unwrap_or_default();
    if public.starts_with("sk-") {
        return Ok(KeyFile::Token);
    }
    Ok(if is_encrypted(&text) { KeyFile::Encrypted } else { KeyFile::Plain })
}

fn is_encrypted(text: &str) -> bool {
    let mut lines = text.lines();
    match lines.next().map(str::trim_end) {
        Some("-----BEGIN OPENSSH PRIVATE KEY-----") => {
            !lines.next().is_some_and(|line| line.starts_with(PLAIN_OPENSSH_KEY))
        }
        Some("-----BEGIN ENCRYPTED PRIVATE KEY-----") => true,
        _ => text.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_needs_a_passphrase_is_recognised() {
        let directory = tempfile::tempdir().unwrap();
        for (kind, format, passphrase) in [
            ("ed25519", None, ""),
            ("ed25519", None, "secret"),
            ("rsa", Some("PEM"), ""),
            ("rsa", Some("PEM"), "secret"),
            ("ecdsa", Some("PKCS8"), ""),
            ("ecdsa", Some("PKCS8"), "secret"),
        ] {
            let path = directory.path().join(format!("{kind}{format:?}{passphrase}"));
            let mut command = std::process::Command::new("ssh-keygen");
            command.args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(&path);
            if let Some(format) = format {
                command.args(["-m", format]);
            }
            assert!(command.status().unwrap().success());
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(is_encrypted(&text), !passphrase.is_empty(), "{kind} {format:?} {passphrase:?}");
        }
    }
}
