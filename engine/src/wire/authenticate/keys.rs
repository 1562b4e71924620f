//! The keys of a login: first the key named on the command line, then the keys of the SSH agent, then the files.
//!
//! Servers hang up after a few keys (`MaxAuthTries`, 6), so keys of the SSH agent that the configuration names go
//! before its others. A certificate goes before its key. Keys that need a passphrase go last, unless one is named on
//! the command line: nobody is asked where another key will do.

use std::io;
use std::path::{Path, PathBuf};

use ssh2::PublicKey;

use super::answers::LockedKey;
use super::{Answer, Attempts, is_unsigned};
use crate::error::Error;
use crate::path::Shown;
use crate::wire::host_settings::Method;
use crate::wire::identity::{Identity, identities};
use crate::wire::key_file::{self, KeyForm, certified_key};
use crate::wire::ssh_agent;

/// A key to try.
enum Key {
    OfAgent(PublicKey),
    InFile {
        path: PathBuf,
        certificate: Option<PathBuf>,
    },
    Locked(LockedKey),
    /// A file with no usable key, and the reason.
    Unusable(String),
}

impl Attempts<'_> {
    /// Tries the keys.
    pub(super) fn try_keys(&mut self) -> Result<Answer, Error> {
        let keys = self.open_agent();
        let named = self.reach.identity.as_deref();
        let identities = identities(self.settings, named);
        for key in self.order_keys(keys, &identities, named.is_some()) {
            match self.attempt(key)? {
                Answer::Next => {}
                done => return Ok(done),
            }
            if self.is_half_way && self.offered.is_none() {
                match self.find_offered()? {
                    Answer::Next if !self.offers(Method::PublicKey) => return Ok(Answer::Next),
                    Answer::Next => {}
                    done => return Ok(done),
                }
            }
        }
        if self.refused.tried.is_empty() {
            self.note("no key was found, neither in a file nor with an agent".to_owned());
        }
        self.find_offered()
    }

    /// Returns the keys of the user's SSH agent, or none if it does not answer.
    fn open_agent(&mut self) -> Vec<PublicKey> {
        let Some(socket) = &self.settings.login.agent else {
            return Vec::new();
        };
        match ssh_agent::open(self.session, socket) {
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

    /// Puts the keys in order: the key named on the command line, which is the first of the files; those of the SSH
    /// agent that the configuration names; its other keys; the files whose key the agent lacks.
    fn order_keys(&mut self, keys: Vec<PublicKey>, identities: &[Identity], is_named: bool) -> Vec<Key> {
        let place = |key: &PublicKey| {
            let plain = certified_key(key.blob());
            identities.iter().position(|identity| identity.public().is_some() && identity.public() == plain.as_ref())
        };
        let mut ordered: Vec<(usize, Key)> = Vec::new();
        let mut of_agent = vec![false; identities.len()];
        for key in keys {
            let kind = key_file::kind(key.blob());
            let place = place(&key);
            if let Some(place) = place {
                of_agent[place] |= !kind.contains("-cert-");
            }
            let rank = match place {
                Some(0) if is_named => 0,
                Some(_) => 2,
                None if self.settings.login.identities_only => continue,
                None => 3,
            };
            if self.settings.algorithms.signatures.allows_key(&kind) {
                ordered.push((rank * 2 + usize::from(!kind.contains("-cert-")), Key::OfAgent(key)));
            }
        }
        for (at, identity) in identities.iter().enumerate() {
            let rank = match identity.has_form(KeyForm::Locked) {
                _ if is_named && at == 0 => 1,
                true => 5,
                false => 4,
            };
            let keys = self.keys_of(identity, of_agent[at]).into_iter();
            ordered.extend(keys.map(|key| (rank * 2, key)));
        }
        ordered.sort_by_key(|(rank, _)| *rank);
        ordered.into_iter().map(|(_, key)| key).collect()
    }

    /// Returns the keys to try from a file.
    fn keys_of(&mut self, identity: &Identity, is_with_agent: bool) -> Vec<Key> {
        let path = &identity.path;
        let name = format!("`{}`", path.display());
        let unusable = |why: &str| vec![Key::Unusable(format!("{name}: {why}"))];
        let file = match &identity.read {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && identity.is_usual => return Vec::new(),
            Err(error) => return unusable(&error.to_string()),
        };
        if is_with_agent {
            // libssh2 does not ask the SSH agent to sign for a certificate in a file.
            self.refused.can_use_openssh |= !identity.certificates.is_empty();
            return Vec::new();
        }
        let is_allowed = |kind: &str| self.settings.algorithms.signatures.allows_key(kind);
        match file.form {
            KeyForm::Plain => {
                if file.public.as_ref().is_some_and(|public| !is_allowed(&key_file::kind(public))) {
                    return unusable("`PubkeyAcceptedAlgorithms` leaves its kind out");
                }
                let certificates = identity.certificates.iter().cloned().map(Some);
                let with = |certificate| Key::InFile { path: path.clone(), certificate };
                certificates.chain([None]).map(with).collect()
            }
            KeyForm::Locked => {
                self.locked.get_or_insert_with(|| path.clone());
                let certificates = identity.certificates.iter().filter_map(|file| key_file::read_public(file).ok());
                let publics = certificates.map(Some).chain([file.public.clone()]);
                publics.map(|public| Key::Locked(LockedKey { path: path.clone(), public })).collect()
            }
            KeyForm::Token => {
                self.refused.can_use_openssh = true;
                unusable("lies on a security key")
            }
            KeyForm::Public => unusable("is a public key, and no agent has the private one"),
        }
    }

    fn attempt(&mut self, key: Key) -> Result<Answer, Error> {
        match key {
            Key::OfAgent(key) => self.attempt_agent(&key),
            Key::InFile { path, certificate } => self.attempt_file(&path, certificate.as_deref()),
            Key::Locked(key) => self.attempt_locked(&key),
            Key::Unusable(note) => {
                self.note(note);
                Ok(Answer::Next)
            }
        }
    }

    fn attempt_agent(&mut self, key: &PublicKey) -> Result<Answer, Error> {
        let Some(agent) = self.agent.take() else {
            return Ok(Answer::Next);
        };
        let kind = key_file::kind(key.blob());
        let name = format!("{kind} {} of the agent", Shown(key.comment().as_bytes()));
        self.refused.can_use_openssh |= kind.starts_with("sk-") || kind.contains("-cert-");
        let user = &self.settings.user;
        let outcome = self.steps.attempt(self.session, "log in", || agent.userauth(user, key))?;
        self.agent = Some(agent);
        // The key may be restricted to certain servers, or wait for a token.
        self.refused.can_use_openssh |= outcome.as_ref().is_err_and(is_unsigned);
        Ok(self.judge(&name, outcome))
    }

    fn attempt_file(&mut self, path: &Path, certificate: Option<&Path>) -> Result<Answer, Error> {
        let name = format!("`{}`", certificate.unwrap_or(path).display());
        let user = &self.settings.user;
        let log_in = || self.session.userauth_pubkey_file(user, certificate, path, None);
        let outcome = self.steps.attempt(self.session, "log in", log_in)?;
        self.refused.can_use_openssh |= certificate.is_some();
        Ok(self.judge(&name, outcome))
    }
}
