//! The subjects of an examination, and the weight of what is found.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The weight of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A deploy will fail.
    Error,
    /// A deploy may go wrong, or its result may be another one than expected.
    Warning,
    /// It is good to know.
    Note,
}

impl Severity {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

macro_rules! subjects {
    ($($(#[$doc:meta])* $subject:ident = $name:literal,)*) => {
        /// A subject of an examination.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Subject {
            $($(#[$doc])* $subject,)*
        }

        impl Subject {
            /// All subjects, in the order in which they are examined.
            pub const ALL: &'static [Subject] = &[$(Subject::$subject,)*];

            /// Returns the name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Subject::$subject => $name,)*
                }
            }
        }
    };
}

subjects! {
    /// The connection to the server, up to the start of the agent.
    Connection = "connection",
    /// The output of the login.
    Login = "login",
    /// The source, on this machine.
    Source = "source",
    /// The clocks of both machines.
    Clock = "clock",
    /// The limits of the user on the server.
    Limits = "limits",
    /// The directory of the agent.
    AgentPath = "agent path",
    /// The deploy path and the directories above it.
    DeployPath = "deploy path",
    /// The abilities of the filesystem.
    Filesystem = "filesystem",
    /// The free space.
    Space = "space",
    /// The link to the live release.
    Current = "current",
    /// The lock.
    Lock = "lock",
    /// The rest of interrupted runs and removed releases.
    Leftovers = "leftovers",
    /// The records of the releases.
    Releases = "releases",
    /// The trees of the releases.
    Trees = "trees",
    /// The content of the objects.
    Content = "content",
    /// The processes in releases.
    Processes = "processes",
    /// The paths in caches of the application.
    Caches = "caches",
    /// The declared paths of `shared/`.
    Shared = "shared",
    /// The rights of the users of the web server.
    WebUsers = "web users",
    /// The modules of the kernel that restrict programs.
    SecurityModules = "security modules",
    /// The programs of hooks.
    Programs = "programs",
    /// What visitors get.
    WebServer = "web server",
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A framework that makes its caches anew. The server names it, and the command words what to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheRemedy {
    /// The `artisan` of Laravel.
    Artisan,
    /// The `bin/console` of Symfony.
    Console,
}
