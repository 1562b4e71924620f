//! The parts of a login for which a person is asked: locked keys, the server's questions, passwords.
//!
//! As with `ssh`, the server says first whether it accepts a locked key, and nobody is asked about one that it does
//! not. libssh2 finds that out with a passphrase that is wrong: it asks the server before it reads the key.

use std::fs;
use std::path::PathBuf;

use ssh2::ErrorCode;
use zeroize::Zeroizing;

use super::{Answer, Attempts, REFUSED, is_hung_up, is_unsigned};
use crate::ask::{Question, Secret, Subject, Topic};
use crate::error::Error;
use crate::path::Shown;
use crate::wire::host_settings::Method;
use crate::wire::interview::{Interview, Unanswered};
use crate::wire::key_file;

/// libssh2's answers for a private key that it cannot read, most often because the passphrase is wrong.
const UNREADABLE: [ErrorCode; 2] = [ErrorCode::Session(-16), ErrorCode::Session(-48)];

/// A private key that needs a passphrase.
pub(super) struct LockedKey {
    pub(super) path: PathBuf,
    /// Its public key or a certificate for it, if that is known.
    pub(super) public: Option<Vec<u8>>,
}

impl Attempts<'_> {
    /// Tries a locked key, with a passphrase of this run or of a person.
    pub(super) fn attempt_locked(&mut self, key: &LockedKey) -> Result<Answer, Error> {
        let name = format!("`{}`", key.path.display());
        let topic = Topic::Passphrase(key.path.clone());
        let text = match fs::read_to_string(&key.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                self.note(format!("{name}: {error}"));
                return Ok(Answer::Next);
            }
        };
        if let Some(passphrase) = self.reach.answers.kept(&topic) {
            let outcome = self.sign(key, &text, &passphrase)?;
            return Ok(self.judge(&name, outcome));
        }
        if !self.can_ask() {
            let why = self.why_not_ask();
            self.note(format!("{name}: has a passphrase, and {why}"));
            return Ok(Answer::Next);
        }
        if key.public.is_some() {
            let outcome = self.sign(key, &text, "")?;
            if !outcome.as_ref().is_err_and(is_unsigned) {
                return Ok(self.judge(&name, outcome));
            }
        }
        for number in 0..self.settings.login.tries {
            let about = Subject::Passphrase { key: key.path.clone() };
            let Some(passphrase) = self.ask(about, number)?.filter(|passphrase| !passphrase.is_empty()) else {
                self.note(format!("{name}: no passphrase was given"));
                return Ok(Answer::Next);
            };
            let outcome = self.sign(key, &text, &passphrase)?;
            if !outcome.as_ref().is_err_and(|error| is_unsigned(error) || UNREADABLE.contains(&error.code())) {
                self.reach.answers.keep(topic, passphrase);
                self.locked = self.locked.take().filter(|locked| *locked != key.path);
                return Ok(self.judge(&name, outcome));
            }
        }
        self.note(format!("{name}: the passphrase was wrong"));
        Ok(Answer::Next)
    }

    fn sign(&self, key: &LockedKey, text: &str, passphrase: &str) -> Result<Result<(), ssh2::Error>, Error> {
        let public = key.public.as_deref().map(key_file::line);
        let user = &self.settings.user;
        let log_in = || self.session.userauth_pubkey_memory(user, public.as_deref(), text, Some(passphrase));
        self.steps.attempt(self.session, "log in", log_in)
    }

    fn ask(&self, about: Subject, number: u32) -> Result<Option<Secret>, Error> {
        let question = Question { about, echo: false, is_again: number > 0 };
        self.reach.answers.ask(&question, &self.steps.cancel)
    }

    /// Lets the server ask a person.
    pub(super) fn try_interview(&mut self) -> Result<Answer, Error> {
        const NAME: &str = "`keyboard-interactive`";
        match self.find_offered()? {
            Answer::Next if self.offers(Method::KeyboardInteractive) => {}
            other => return Ok(other),
        }
        let answers = Some(&self.reach.answers).filter(|_| self.can_ask());
        for number in 0..self.settings.login.tries {
            let mut interview = Interview::new(self.steps, answers, number > 0);
            let user = &self.settings.user;
            let log_in = || self.session.userauth_keyboard_interactive(user, &mut interview);
            let outcome = self.steps.attempt(self.session, "log in", log_in);
            let (rounds, unanswered) = (interview.rounds, interview.unanswered);
            if let Some(unanswered) = unanswered {
                return self.end_interview(unanswered);
            }
            self.answered |= rounds > 0;
            match outcome? {
                // A server that refuses without a question will do so again.
                Err(error) if error.code() == REFUSED && !is_hung_up(&error) && rounds > 0 => {}
                outcome => return Ok(self.judge(NAME, outcome)),
            }
        }
        self.note(format!("{NAME}: not accepted"));
        Ok(Answer::Next)
    }

    /// Notes what the server wanted. The connection has ended.
    fn end_interview(&mut self, unanswered: Unanswered) -> Result<Answer, Error> {
        let note = match unanswered {
            Unanswered::Failed(error) => return Err(error),
            Unanswered::Declined => "the server asked, and got no answer".to_owned(),
            Unanswered::TooMuch => "the server asked too many questions".to_owned(),
            Unanswered::Nobody(questions) => {
                let questions: Vec<String> =
                    questions.iter().map(|text| format!("`{}`", Shown(text.as_bytes()))).collect();
                format!("the server asks {}, and {}", questions.join(", "), self.why_not_ask())
            }
        };
        self.note(note);
        Ok(Answer::HungUp)
    }

    /// Tries the user's password.
    pub(super) fn try_password(&mut self) -> Result<Answer, Error> {
        match self.find_offered()? {
            Answer::Next if self.offers(Method::Password) => {}
            other => return Ok(other),
        }
        let (user, server) = (self.settings.user.clone(), self.settings.server.clone());
        let topic = Topic::Password(user.clone(), server.to_string());
        let log_in = |password: &Secret| {
            self.steps.attempt(self.session, "log in", || self.session.userauth_password(&user, password))
        };
        if let Some(password) = self.reach.answers.kept(&topic) {
            let outcome = log_in(&password)?;
            return Ok(self.judge("the password", outcome));
        }
        if !self.can_ask() {
            let why = self.why_not_ask();
            self.note(format!("the server accepts a password, and {why}"));
            return Ok(Answer::Next);
        }
        for number in 0..self.settings.login.tries {
            let about = Subject::Password { user: user.clone(), server: server.clone() };
            let Some(password) = self.ask(about, number)? else {
                self.note("no password was given".to_owned());
                return Ok(Answer::Next);
            };
            let outcome = log_in(&password)?;
            self.answered = true;
            if !outcome.as_ref().is_err_and(|error| error.code() == REFUSED && !is_hung_up(error)) {
                self.reach.answers.keep(topic, password);
                return Ok(self.judge("the password", outcome));
            }
        }
        self.note("the password: not accepted".to_owned());
        Ok(Answer::Next)
    }
}
