//! The words of a finding: what is wrong, and the next step.

use std::path::Path;

use engine::error::Refusal;
use engine::shared_path::SharedPath;
use engine::shell::quoted;

use crate::hint;

/// The facts beside a finding that its words need.
pub(super) struct Surroundings<'a> {
    /// The user on the server.
    pub(super) user: &'a str,
    /// The deploy path on the server.
    pub(super) deploy_path: &'a Path,
    /// The source.
    pub(super) source: &'a Path,
    /// The shared files that the config of this machine declares.
    pub(super) shared_files: &'a [SharedPath],
}

impl Surroundings<'_> {
    /// Returns the path of a shared file, if the config declares it.
    pub(super) fn shared_file(&self, path: &str) -> Option<&Path> {
        let declared = self.shared_files.iter().find(|file| file.path.to_string() == path)?;
        Some(declared.path.as_path())
    }

    /// Returns a command that needs root. Root needs no `sudo`, and may not have it.
    pub(super) fn as_root(&self, command: String) -> String {
        if self.user == "root" { command } else { format!("sudo {command}") }
    }

    /// Returns the command that gives a user these rights to a path.
    pub(super) fn allow(&self, user: &str, rights: &str, path: &str) -> String {
        let entry = quoted(&format!("u:{user}:{rights}"));
        self.as_root(format!("setfacl -m {entry} {}", quoted(path)))
    }
}

/// The words of a finding.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    /// What is wrong.
    pub(super) message: String,
    /// The next step in words. May be empty.
    pub(super) words: String,
    /// The command of the next step. It can be pasted, and harms nothing that is live.
    pub(super) command: Option<String>,
    /// Whether the command is for the server.
    pub(super) on_server: bool,
}

impl Advice {
    /// Makes words without a next step.
    pub(super) fn new(message: impl Into<String>) -> Advice {
        Advice { message: message.into(), ..Advice::default() }
    }

    /// Makes the words of a refusal, with its hint as the next step.
    pub(super) fn of_refusal(refusal: &Refusal) -> Advice {
        Advice::new(refusal.text()).words(refusal.hint.as_ref().map(hint::text).unwrap_or_default())
    }

    /// Adds the next step in words.
    pub(super) fn words(self, words: impl Into<String>) -> Advice {
        Advice { words: words.into(), ..self }
    }

    /// Adds a command for the server.
    pub(super) fn on_server(self, command: impl Into<String>) -> Advice {
        Advice { command: Some(command.into()), on_server: true, ..self }
    }

    /// Adds a command for this machine.
    pub(super) fn here(self, command: impl Into<String>) -> Advice {
        Advice { command: Some(command.into()), on_server: false, ..self }
    }
}
