//! Logs in: with keys, then with answers of a person.
//!
//! | way | who is asked |
//! |---|---|
//! | `publickey` | nobody for a plain key and for the SSH agent's; a person for the passphrase of a locked key |
//! | `keyboard-interactive` | a person, what the server asks |
//! | `password` | a person |
//!
//! `PreferredAuthentications` changes the order. A server that accepts a key may want more (a second factor); the next
//! way then takes its turn. Where nobody can be asked, the refusal says what the server wanted.
//!
//! libssh2 cannot sign with a key on a FIDO token, does not tell the SSH agent which server a key is for (`ssh-add
//! -h`), lets the agent sign for an RSA certificate with an algorithm that servers no longer accept, and cannot sign
//! for a certificate in a file while the agent holds its key. In each of these cases the system's `ssh` may still log
//! in.

mod answers;
mod keys;

use std::path::{Path, PathBuf};

use ssh2::{Agent, ErrorCode, Session};

use crate::error::{Error, LoginRemedy};
use crate::event::{Event, Observer};
use crate::path::Shown;
use crate::target::Reach;
use crate::wire::host_settings::{HostSettings, Method};
use crate::wire::identity::identities;
use crate::wire::key_file::KeyForm;
use crate::wire::ssh_agent;
use crate::wire::steps::Steps;

/// libssh2's answers for "the server does not accept this key", for "there is no signature, or it was not enough",
/// and for "the server hung up".
const REFUSED: ErrorCode = ErrorCode::Session(-18);
const UNVERIFIED: ErrorCode = ErrorCode::Session(-19);
const HUNG_UP: [ErrorCode; 3] = [ErrorCode::Session(-7), ErrorCode::Session(-13), ErrorCode::Session(-43)];

/// The server accepted the login.
pub(super) struct Admission {
    /// Whether a further connection can log in without a question.
    pub(super) is_repeatable: bool,
}

/// The server accepted no login.
pub(super) struct LoginRefusal {
    /// The attempts, a line each.
    pub(super) tried: Vec<String>,
    /// Whether one of the keys can only be used by the system's `ssh`.
    pub(super) can_use_openssh: bool,
    /// The way out, for the hint.
    pub(super) remedy: LoginRemedy,
}

/// Logs in, or returns the refusal.
pub(super) fn log_in(
    steps: &Steps,
    session: &Session,
    settings: &HostSettings,
    reach: &Reach,
    observer: &dyn Observer,
) -> Result<Result<Admission, LoginRefusal>, Error> {
    let mut attempts = Attempts {
        steps,
        session,
        settings,
        reach,
        agent: None,
        refused: LoginRefusal { tried: Vec::new(), can_use_openssh: false, remedy: LoginRemedy::Key },
        offered: None,
        is_half_way: false,
        locked: None,
        answered: false,
    };
    for &method in &settings.login.methods {
        let answer = match method {
            Method::PublicKey => attempts.try_keys()?,
            Method::KeyboardInteractive => attempts.try_interview()?,
            Method::Password => attempts.try_password()?,
        };
        match answer {
            Answer::LoggedIn(how) => {
                observer.observe(Event::Detail(format!("Logged in as {} {how}", settings.user)));
                return Ok(Ok(Admission { is_repeatable: method != Method::KeyboardInteractive }));
            }
            Answer::Next => {}
            Answer::HungUp => break,
        }
    }
    attempts.conclude();
    Ok(Err(attempts.refused))
}

/// Returns notes on the keys that the system's `ssh` could not use, and the way out, after it refused a login.
/// `methods` are the login methods that the server accepts.
pub(super) fn explain(settings: &HostSettings, reach: &Reach, methods: Option<&str>) -> (Vec<String>, LoginRemedy) {
    let of_agent = settings.login.agent.as_ref().map(|socket| ssh_agent::public_keys(socket)).unwrap_or_default();
    let identities = identities(settings, reach.identity.as_deref());
    let locked: Vec<&Path> = identities
        .iter()
        .filter(|identity| identity.has_form(KeyForm::Locked))
        .filter(|identity| identity.public().is_none_or(|public| !of_agent.contains(public)))
        .map(|identity| identity.path.as_path())
        .collect();
    let notes =
        locked.iter().map(|path| format!("`{}`: has a passphrase, which `ssh` did not ask for", path.display()));
    (notes.collect(), remedy(settings, locked.first().map(|path| path.to_path_buf()), methods))
}

enum Answer {
    /// The server accepted this: "with `key`".
    LoggedIn(String),
    Next,
    HungUp,
}

struct Attempts<'a> {
    steps: &'a Steps,
    session: &'a Session,
    settings: &'a HostSettings,
    reach: &'a Reach,
    agent: Option<Agent>,
    refused: LoginRefusal,
    /// The ways to log in that the server offers, once it was asked.
    offered: Option<String>,
    /// The server accepted a key, and asks for a second factor.
    is_half_way: bool,
    /// The first key that needs a passphrase, is not in the SSH agent, and was not opened.
    locked: Option<PathBuf>,
    /// A person has answered a question of the server.
    answered: bool,
}

impl Attempts<'_> {
    /// Asks which ways to log in the server offers, if that is not known. Some servers know the user by other means,
    /// and accept the login here.
    fn find_offered(&mut self) -> Result<Answer, Error> {
        if self.offered.is_some() {
            return Ok(Answer::Next);
        }
        let user = &self.settings.user;
        let ask = || self.session.auth_methods(user).map(str::to_owned);
        match self.steps.attempt(self.session, "log in", ask)? {
            _ if self.session.authenticated() => Ok(Answer::LoggedIn("without a key".into())),
            Ok(offered) => {
                self.offered = Some(offered);
                Ok(Answer::Next)
            }
            Err(_) => Ok(Answer::HungUp),
        }
    }

    /// Returns whether the server offers a way, as far as is known.
    fn offers(&self, method: Method) -> bool {
        self.offered.as_ref().is_some_and(|offered| offered.split(',').any(|name| name == method.name()))
    }

    /// Returns whether a person can be asked.
    fn can_ask(&self) -> bool {
        self.settings.login.may_ask && self.reach.answers.can_ask()
    }

    /// Returns the reason that nobody can be asked.
    fn why_not_ask(&self) -> &'static str {
        if self.settings.login.may_ask {
            "there is no terminal to ask for it"
        } else {
            "`BatchMode` forbids to ask for it"
        }
    }

    /// Judges an attempt with something of this name: "`key`".
    fn judge(&mut self, name: &str, outcome: Result<(), ssh2::Error>) -> Answer {
        let Err(error) = outcome else { return Answer::LoggedIn(format!("with {name}")) };
        if is_hung_up(&error) {
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
        self.note(format!("{name}: {message}"));
        Answer::Next
    }

    fn conclude(&mut self) {
        if let Some(offered) = &self.offered {
            let next = if self.is_half_way { "wants next" } else { "accepts" };
            let note = format!("the server {next}: {}", Shown(offered.as_bytes()));
            self.note(note);
        }
        let locked = self.locked.take().filter(|_| !self.is_half_way);
        self.refused.remedy = match remedy(self.settings, locked, self.offered.as_deref()) {
            LoginRemedy::Answer { .. } | LoginRemedy::Key if self.answered => LoginRemedy::AnswerAgain,
            remedy => remedy,
        };
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

/// Returns whether nothing signed, although the server would have accepted the key.
fn is_unsigned(error: &ssh2::Error) -> bool {
    error.code() == UNVERIFIED && error.message().starts_with("Callback")
}

/// Returns whether the server ended the connection.
fn is_hung_up(error: &ssh2::Error) -> bool {
    let is_of_login = [REFUSED, UNVERIFIED].contains(&error.code());
    HUNG_UP.contains(&error.code()) || (is_of_login && error.message().starts_with("Waiting"))
}
