//! The next steps on the way to a running agent: to reach the server, to log in, to start the agent.

use serde::{Deserialize, Serialize};

/// The next step to reach the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReachHint {
    /// Check the name, or let the system's `ssh` resolve it.
    CheckName,
    /// Check host and port, and whether the server is up.
    CheckHost,
    /// Check the port.
    CheckPort,
    /// Check the port, or wait until fewer logins are under way.
    CheckPortOrWait,
    /// Try the login with the system's `ssh`.
    TrySsh,
}

/// The next step to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginHint {
    /// Compare the fingerprint, then accept the key.
    AcceptHostKey {
        /// The command that accepts it.
        command: String,
    },
    /// Remove the old host key, if the server was reinstalled.
    ForgetHostKey {
        /// The name in `known_hosts`.
        host: String,
        /// The file with the old key.
        file: String,
    },
    /// Give the server a new host key.
    ChangeHostKey,
    /// Compare the key with the server's own, and pin that one if it was changed on purpose.
    ComparePinnedKey,
    /// Use a key that the server accepts.
    UseKey,
    /// Load a key with a passphrase into an SSH agent.
    UnlockKey {
        /// The key.
        path: String,
        /// Whether an SSH agent is configured, running or not.
        has_agent: bool,
    },
    /// Answer the questions again.
    AnswerAgain,
    /// Answer a question of the server, for example for a second factor: only a person at a terminal can.
    AnswerQuestion {
        /// The command for that login.
        login: String,
    },
    /// Correct `ssh_config`, or use another file.
    MendSshConfig,
    /// Install the system's `ssh`, or allow its use.
    InstallOpenssh,
}

/// The next step to start the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartHint {
    /// Correct the user that is to run the agent.
    CorrectRunAs {
        /// The user.
        user: String,
    },
    /// Install `sudo`, or log in as that user.
    InstallSudo {
        /// The user.
        user: String,
    },
    /// Allow the user that logs in to use `sudo` without a terminal.
    AllowNoTty {
        /// The user that logs in, if it is known.
        login: Option<String>,
    },
    /// Allow the user that logs in to run commands as the other one.
    AllowSudo {
        /// The other user.
        user: String,
        /// The user that logs in, if it is known.
        login: Option<String>,
    },
    /// Give the user a login shell that runs commands.
    GiveShell,
    /// Make a directory for the agent in which programs may run.
    ChooseAgentPath,
    /// Free space for the agent.
    FreeSpace,
    /// Deploy to a server on which the agent runs.
    ChooseServer,
    /// Put the agent for the server's architecture beside this program.
    InstallAgent {
        /// The name of the agent's file.
        file: String,
    },
    /// Make the deploy path, and give it to the user.
    MakeDeployPath {
        /// The deploy path, absolute.
        path: String,
    },
    /// Allow the user to create the deploy path in its login directory.
    AllowDeployPath,
    /// Give the agent's directory to the user.
    OwnAgentPath,
    /// Install the programs that the script needs.
    InstallPrograms,
    /// Make the login print nothing and run commands.
    QuietLogin {
        /// The server.
        host: String,
    },
}
