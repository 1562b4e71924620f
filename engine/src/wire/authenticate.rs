//! Logs in with a public key: first the key named on the command line, then the keys of the SSH agent, then the usual
//! files.
//!
//! Servers hang up after a few keys (`MaxAuthTries`, 6), so keys of the SSH agent that the configuration names go
//! before its others. A certificate goes before its key. Keys that need a passphrase are skipped: only the SSH agent
//! asks for one.
//!
//! libssh2 cannot sign with a key on a FIDO token, does not tell the SSH agent which server a key is for (`ssh-add
//! -h`), lets the agent sign for an RSA certificate with an algorithm that servers no longer accept, and cannot sign
//! for a certificate in a file while the agent holds its key. In each of these cases the system's `ssh` may still log
//! in.

use std::io;
use std::path::{Path, PathBuf};

use ssh2::{Agent, ErrorCode, PublicKey, Session};

use crate::error::{Error, LoginRemedy};
use crate::event::{Event, Observer};
use crate::path::Shown;
use crate::target::Reach;
use crate::wire::host_settings::{HostSettings, IdentityFile};
use crate::wire::key_file::{self, KeyFile, KeyForm, certificate_beside, certified_key};
use crate::wire::steps::Steps;

/// libssh2's answers for "the server does not accept this key", for "there is no signature, or it was not enough",
/// and for "the server hung up".
const REFUSED: ErrorCode = ErrorCode::Session(-18);
const UNVERIFIED: ErrorCode = ErrorCode::Session(-19);
const HUNG_UP: [ErrorCode; 3] = [ErrorCode::Session(-7), ErrorCode::Session(-13), ErrorCode::Session(-43)];

/// The server accepted no key.
pub(super) struct LoginRefusal {
    /// The attempts, a line each.
    pub(super) tried: Vec<String>,
    /// Whether one of the keys can only be used by the system's `ssh`.
    pub(super) can_use_openssh: bool,
    /// The way out, for the hint.
    pub(super) remedy: LoginRemedy,
}

/// A key to try.
enum Key {
    OfAgent(PublicKey),
    InFile {
        path: PathBuf,
        certificate: Option<PathBuf>,
    },
    /// A file with no usable key, and the reason.
    Unusable(String),
}

/// A key file and its certificates.
struct Identity {
    path: PathBuf,
    is_usual: bool,
    read: io::Result<KeyFile>,
    certificates: Vec<PathBuf>,
}

impl Identity {
    fn public(&self) -> Option<&Vec<u8>> {
        self.read.as_ref().ok()?.public.as_ref()
    }

    fn has_form(&self, wanted: KeyForm) -> bool {
        self.read.as_ref().is_ok_and(|file| file.form == wanted)
    }
}

/// Logs in, or returns the refusal.
pub(super) fn log_in(
    steps: &Steps,
    session: &Session,
    settings: &HostSettings,
    reach: &Reach,
    observer: &dyn Observer,
) -> Result<Option<LoginRefusal>, Error> {
    let mut attempts = Attempts {
        steps,
        session,
        settings,
        agent: None,
        refused: LoginRefusal::new(),
        is_half_way: false,
        locked: None,
    };
    let keys = attempts.open_agent();
    let identities = identities(settings, reach.identity.as_deref());
    let keys = attempts.order_keys(keys, &identities, reach.identity.is_some());
    for key in keys {
        match attempts.attempt(key)? {
            Answer::LoggedIn(name) => {
                observer.observe(Event::Detail(format!("Logged in as {} with {name}", settings.user)));
                return Ok(None);
            }
            Answer::Next => {}
            Answer::HungUp => return Ok(Some(attempts.refused)),
        }
    }
    let methods = attempts.methods()?;
    if session.authenticated() {
        observer.observe(Event::Detail(format!("Logged in as {} without a key", settings.user)));
        return Ok(None);
    }
    attempts.conclude(methods.as_deref());
    Ok(Some(attempts.refused))
}

/// Returns notes on the keys that the system's `ssh` could not use, and the way out, after it refused a login.
/// `methods` are the login methods that the server accepts.
pub(super) fn explain(settings: &HostSettings, reach: &Reach, methods: Option<&str>) -> (Vec<String>, LoginRemedy) {
    let listed =
        settings.login.agent.as_ref().map(|socket| Session::new().and_then(|session| list_agent(&session, socket)));
    let of_agent: Vec<Vec<u8>> = listed
        .and_then(Result::ok)
        .map(|(_, keys)| keys.iter().map(|key| key.blob().to_vec()).collect())
        .unwrap_or_default();
    let identities = identities(settings, reach.identity.as_deref());
    let locked: Vec<&Path> = identities
        .iter()
        .filter(|identity| identity.has_form(KeyForm::Locked))
        .filter(|identity| identity.public().is_none_or(|public| !of_agent.contains(public)))
        .map(|identity| identity.path.as_path())
        .collect();
    let notes = locked.iter().map(|path| needs_passphrase(path)).collect();
    (notes, remedy(settings, locked.first().map(|path| path.to_path_buf()), methods))
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
    refused: LoginRefusal,
    /// The server accepted a key, and asks for a second factor.
    is_half_way: bool,
    /// The first key that needs a passphrase and is not in the SSH agent.
    locked: Option<PathBuf>,
}

impl LoginRefusal {
    fn new() -> LoginRefusal {
        LoginRefusal { tried: Vec::new(), can_use_openssh: false, remedy: LoginRemedy::Key }
    }
}

impl Attempts<'_> {
    /// Returns the keys of the user's SSH agent, or none if it does not answer.
    fn open_agent(&mut self) -> Vec<PublicKey> {
        let Some(socket) = &self.settings.login.agent else {
            return Vec::new();
        };
        match list_agent(self.session, socket) {
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
            let rank = if is_named && at == 0 { 1 } else { 4 };
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
                vec![Key::Unusable(needs_passphrase(path))]
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
        Ok(self.judge(name, outcome))
    }

    fn attempt_file(&mut self, path: &Path, certificate: Option<&Path>) -> Result<Answer, Error> {
        let name = format!("`{}`", certificate.unwrap_or(path).display());
        let user = &self.settings.user;
        let log_in = || self.session.userauth_pubkey_file(user, certificate, path, None);
        let outcome = self.steps.attempt(self.session, "log in", log_in)?;
        self.refused.can_use_openssh |= certificate.is_some();
        Ok(self.judge(name, outcome))
    }

    fn judge(&mut self, name: String, outcome: Result<(), ssh2::Error>) -> Answer {
        let Err(error) = outcome else { return Answer::LoggedIn(name) };
        let hung_up = HUNG_UP.contains(&error.code());
        if hung_up || (error.code() == UNVERIFIED && error.message().starts_with("Waiting")) {
            self.note(format!("{name}: the server hung up"));
            return Answer::HungUp;
        }
        let message = match error.code() {
            REFUSED => "not accepted",
            _ if is_unsigned(&error) => "it does not sign for this server",
            UNVERIFIED => {
                self.is_half_way = true;
                "accepted, and the server wants more"
            }
            _ => error.message(),
        };
        let note = format!("{name}: {message}");
        self.note(note);
        Answer::Next
    }

    /// Asks which login methods the server accepts. Some servers know the user by other means, and accept the login
    /// here.
    fn methods(&mut self) -> Result<Option<String>, Error> {
        let user = &self.settings.user;
        let methods =
            self.steps.attempt(self.session, "log in", || self.session.auth_methods(user).map(str::to_owned))?;
        Ok(methods.ok())
    }

    fn conclude(&mut self, methods: Option<&str>) {
        if self.refused.tried.is_empty() {
            self.note("no key was found, neither in a file nor with an agent".to_owned());
        }
        if let Some(methods) = methods {
            let next = if self.is_half_way { "wants next" } else { "accepts" };
            self.note(format!("the server {next}: {}", Shown(methods.as_bytes())));
        }
        let locked = self.locked.take().filter(|_| !self.is_half_way);
        self.refused.remedy = remedy(self.settings, locked, methods);
    }

    fn note(&mut self, line: String) {
        self.refused.tried.push(line);
    }
}

/// Returns the way out. `locked` is a key that needs a passphrase.
fn remedy(settings: &HostSettings, locked: Option<PathBuf>, methods: Option<&str>) -> LoginRemedy {
    let takes_keys = methods.is_none_or(|methods| methods.split(',').any(|method| method == "publickey"));
    match (takes_keys, locked) {
        (false, _) => LoginRemedy::Answer {
            login: format!("ssh -p {} {}@{}", settings.server.port, settings.user, settings.server.name),
        },
        (true, Some(path)) => LoginRemedy::Unlock { path, has_agent: settings.login.agent.is_some() },
        (true, None) => LoginRemedy::Key,
    }
}

/// Returns whether the SSH agent did not sign, although the server would have accepted the key.
fn is_unsigned(error: &ssh2::Error) -> bool {
    error.code() == UNVERIFIED && error.message().starts_with("Callback")
}

fn needs_passphrase(path: &Path) -> String {
    format!("`{}`: needs a passphrase, which cannot be asked for", path.display())
}

/// Reads the key files, the one named on the command line first, and finds their certificates.
fn identities(settings: &HostSettings, named: Option<&Path>) -> Vec<Identity> {
    let named = named.map(|path| IdentityFile { path: path.to_owned(), is_usual: false });
    let others =
        settings.login.identity_files.iter().filter(|file| named.as_ref().is_none_or(|named| named.path != file.path));
    let others = others.cloned().collect::<Vec<IdentityFile>>();
    let files = named.into_iter().chain(others);
    let further: Vec<(PathBuf, Vec<u8>)> = settings
        .login
        .certificate_files
        .iter()
        .filter_map(|path| Some((path.clone(), certified_key(&key_file::read_public(path).ok()?)?)))
        .collect();
    files.map(|file| identity(file, &further)).collect()
}

fn identity(file: IdentityFile, further: &[(PathBuf, Vec<u8>)]) -> Identity {
    let IdentityFile { path, is_usual } = file;
    let mut identity = Identity { read: KeyFile::read(&path), path, is_usual, certificates: Vec::new() };
    let beside = certificate_beside(&identity.path);
    let named = further.iter().filter(|(_, key)| Some(key) == identity.public()).map(|(path, _)| path.clone());
    let mut certificates: Vec<PathBuf> = named.collect();
    if beside.exists() && !certificates.contains(&beside) {
        certificates.push(beside);
    }
    identity.certificates = certificates;
    identity
}

fn list_agent(session: &Session, socket: &Path) -> Result<(Agent, Vec<PublicKey>), ssh2::Error> {
    let mut agent = session.agent()?;
    agent.set_identity_path(socket)?;
    agent.connect()?;
    agent.list_identities()?;
    let keys = agent.identities()?;
    Ok((agent, keys))
}
