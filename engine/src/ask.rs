//! Questions to the person who runs the command: passphrases of keys, passwords, and what the server asks.
//!
//! The engine touches no terminal. The caller gives it an [`Asker`], or none if nobody can be asked. What a person has
//! answered is kept in memory for the run, so that a further connection asks nothing again. An answer to a question of
//! the server is not kept: it may be a code that works once.
//!
//! The text of a question may come from a hostile server. Its length and the number of such questions are bounded here
//! and in `wire/interview.rs`; the caller escapes what a terminal would obey.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::server::Server;

/// An answer. Its memory is overwritten when it is dropped.
pub type Secret = Zeroizing<String>;

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The subject.
    pub about: Subject,
    /// Whether the answer may be seen while it is typed.
    pub echo: bool,
    /// Whether the answer before was wrong.
    pub is_again: bool,
}

/// The subject of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The passphrase of a private key.
    Passphrase {
        /// The key's file.
        key: PathBuf,
    },
    /// The password of a user.
    Password {
        /// The user on the server.
        user: String,
        /// The server.
        server: Server,
    },
    /// A question in the words of the server.
    OfServer {
        /// The server.
        server: Server,
        /// Its text before the question; may be empty.
        instruction: String,
        /// Its question.
        text: String,
    },
    /// A question in the words of the system's `ssh`, which may hold those of a server.
    OfSsh {
        /// The question.
        text: String,
    },
}

/// Someone who can be asked.
pub trait Asker: Send + Sync + std::fmt::Debug {
    /// Asks, and waits for the answer. Returns nothing if the person declines to answer, and an error if the command
    /// is interrupted.
    fn ask(&self, question: &Question, cancel: &Cancel) -> Result<Option<Secret>, Error>;
}

/// The answer that is kept for a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The passphrase of the key in this file.
    Passphrase(PathBuf),
    /// The password of a user on a server.
    Password(String, String),
    /// What the system's `ssh` asked in these words.
    Ssh(String),
}

/// The person who can be asked, if there is one, and the answers of this run. Clones share the answers.
#[derive(Clone, Default)]
pub struct Answers {
    asker: Option<Arc<dyn Asker>>,
    kept: Arc<Mutex<BTreeMap<Topic, Secret>>>,
}

impl std::fmt::Debug for Answers {
    /// Shows no answer.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("asker", &self.asker).finish_non_exhaustive()
    }
}

impl Answers {
    /// Returns an empty memory with someone to ask.
    pub fn of(asker: Arc<dyn Asker>) -> Answers {
        Answers { asker: Some(asker), kept: Arc::default() }
    }

    /// Returns these answers without the person: nothing is asked.
    pub(crate) fn without_asker(&self) -> Answers {
        Answers { asker: None, kept: Arc::clone(&self.kept) }
    }

    /// Returns whether someone can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.asker.is_some()
    }

    /// Asks. Returns nothing if nobody answers.
    pub(crate) fn ask(&self, question: &Question, cancel: &Cancel) -> Result<Option<Secret>, Error> {
        cancel.check()?;
        self.asker.as_ref().map_or(Ok(None), |asker| asker.ask(question, cancel))
    }

    /// Returns the kept answer.
    pub(crate) fn kept(&self, topic: &Topic) -> Option<Secret> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    /// Keeps an answer that was right.
    pub(crate) fn keep(&self, topic: Topic, answer: Secret) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(topic, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Parrot;

    impl Asker for Parrot {
        fn ask(&self, _: &Question, _: &Cancel) -> Result<Option<Secret>, Error> {
            Ok(Some(Secret::new("a secret".into())))
        }
    }

    #[test]
    fn an_answer_is_kept_for_those_who_ask_nobody_and_never_shown() {
        let answers = Answers::of(Arc::new(Parrot));
        let lane = answers.without_asker();
        let topic = Topic::Passphrase("/key".into());
        let question = Question { about: Subject::Passphrase { key: "/key".into() }, echo: false, is_again: false };
        assert_eq!(lane.ask(&question, &Cancel::default()).unwrap(), None);
        let answer = answers.ask(&question, &Cancel::default()).unwrap().unwrap();
        answers.keep(topic.clone(), answer);
        assert_eq!(lane.kept(&topic).unwrap().as_str(), "a secret");
        assert!(!format!("{answers:?} {lane:?}").contains("a secret"));
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(answers.ask(&question, &cancel), Err(Error::Interrupted)));
    }
}
