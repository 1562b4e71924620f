//! Hooks: commands that a deploy runs in its phases.
//!
//! The phases up to the build run on the client, before the scan. All others run on the server, in the new release,
//! unless a hook names another directory.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fastcgi::FpmAddress;

/// The moment at which a hook runs, in the order of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPhase {
    /// On the client, before the build.
    BeforeBuild,
    /// On the client: makes what is deployed.
    Build,
    /// On the client, before the scan.
    AfterBuild,
    /// On the server, under the lock, before content is received. There is no new release yet.
    BeforeUpload,
    /// On the server, when the release is complete and has its name.
    AfterUpload,
    /// On the server, before `current` moves: migrations, caches.
    BeforeSwitch,
    /// On the server, right after `current` moved: restarts.
    AfterSwitch,
    /// On the server, when the checks have passed.
    AfterDeploy,
    /// On the server, when the deploy has failed.
    OnFailure,
    /// On the server, before a rollback moves `current`.
    BeforeRollback,
    /// On the server, after a rollback moved `current`.
    AfterRollback,
}

impl HookPhase {
    /// All phases, in the order of a deploy.
    pub const ALL: [HookPhase; 11] = [
        HookPhase::BeforeBuild,
        HookPhase::Build,
        HookPhase::AfterBuild,
        HookPhase::BeforeUpload,
        HookPhase::AfterUpload,
        HookPhase::BeforeSwitch,
        HookPhase::AfterSwitch,
        HookPhase::AfterDeploy,
        HookPhase::OnFailure,
        HookPhase::BeforeRollback,
        HookPhase::AfterRollback,
    ];

    /// Returns the name, as the config has it.
    pub const fn name(self) -> &'static str {
        match self {
            HookPhase::BeforeBuild => "before_build",
            HookPhase::Build => "build",
            HookPhase::AfterBuild => "after_build",
            HookPhase::BeforeUpload => "before_upload",
            HookPhase::AfterUpload => "after_upload",
            HookPhase::BeforeSwitch => "before_switch",
            HookPhase::AfterSwitch => "after_switch",
            HookPhase::AfterDeploy => "after_deploy",
            HookPhase::OnFailure => "on_failure",
            HookPhase::BeforeRollback => "before_rollback",
            HookPhase::AfterRollback => "after_rollback",
        }
    }

    /// Returns whether hooks of this phase run on the client.
    pub fn is_local(self) -> bool {
        matches!(self, HookPhase::BeforeBuild | HookPhase::Build | HookPhase::AfterBuild)
    }
}

/// The deploys on which a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// On each.
    #[default]
    All,
    /// On the first to a deploy path.
    First,
    /// On each but the first.
    AfterFirst,
}

/// The shell that runs a command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shell {
    /// `/bin/sh`.
    #[default]
    Plain,
    /// The user's login shell, which reads the user's profile.
    Login,
    /// A shell by its path.
    Path(String),
}

/// The consequence of a hook that fails once its release is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The release that was live before is switched to again.
    #[default]
    Rollback,
    /// The new release stays live.
    Keep,
}

/// A command, and the way to run it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Command {
    /// The command, for the shell.
    pub run: String,
    /// The shell.
    pub shell: Shell,
    /// The directory, absolute or from the usual one. None: the usual one.
    pub cwd: Option<String>,
    /// Further variables of its environment.
    pub env: BTreeMap<String, String>,
    /// The longest time that it may take. None: as long as it takes.
    pub timeout: Option<Duration>,
}

/// A hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name, which no other hook of the stage has.
    pub name: String,
    /// Its phase.
    pub phase: HookPhase,
    /// Its command. Where it resets OPcache, only the time limit counts.
    pub command: Command,
    /// The address of PHP-FPM whose OPcache it resets, instead of running a command. Only on the server.
    pub opcache_reset: Option<FpmAddress>,
    /// The deploys on which it runs.
    pub when: When,
    /// Whether the deploy fails if it fails. If not, its failure is a warning.
    pub halt_on_error: bool,
    /// The consequence of its failure, once the release is live.
    pub on_error: OnError,
    /// Whether it also runs on a rollback, in the same place.
    pub on_rollback: bool,
    /// Patterns (of gitignore): it runs only if a path that differs from the live release matches one. Empty: always.
    pub if_changed: Vec<String>,
    /// Whether it migrates a database. A rollback does not undo that, and asks first.
    pub migration: bool,
    /// Whether it runs on one server only, if the stage has several.
    pub once: bool,
}
