//! The target of a deploy, the way to it, and the configuration of the deploy path.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ask::Answers;
use crate::host_key::HostKey;
use crate::link::Link;
use crate::min_free::MinFree;
use crate::server::Server;
use crate::shared_path::SharedPath;
use crate::writable::Writable;

/// A deploy path, here or on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A path on this machine, absolute.
    Local(PathBuf),
    /// A path on a server.
    Ssh(SshDestination),
}

/// A deploy path on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshDestination {
    /// The user to log in as. None: that of `ssh_config`, else the local user.
    pub user: Option<String>,
    /// The host as the user wrote it: a name, an address or an alias of `ssh_config`.
    pub host: String,
    /// The port. None: that of `ssh_config`, else 22.
    pub port: Option<u16>,
    /// The deploy path, absolute, or relative to the login directory.
    pub path: PathBuf,
}

impl Destination {
    /// Returns the deploy path, as the agent opens it.
    pub fn path(&self) -> &Path {
        match self {
            Destination::Local(path) => path,
            Destination::Ssh(ssh) => &ssh.path,
        }
    }
}

impl SshDestination {
    /// Returns the server, as far as the destination names it.
    pub(crate) fn server(&self) -> Server {
        Server { name: self.host.clone(), host_name: self.host.clone(), port: self.port.unwrap_or(22) }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Destination::Local(path) => write!(f, "{}", path.display()),
            Destination::Ssh(ssh) => {
                if let Some(user) = &ssh.user {
                    write!(f, "{user}@")?;
                }
                match ssh.port {
                    Some(port) => write!(f, "{}:{port}:{}", ssh.host, ssh.path.display()),
                    None => write!(f, "{}:{}", ssh.host, ssh.path.display()),
                }
            }
        }
    }
}

/// An SSH implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// The built-in one, unless `ssh_config` asks for something that only the system's `ssh` can do.
    #[default]
    Auto,
    /// The built-in one.
    Ssh2,
    /// The system's `ssh`.
    Openssh,
}

/// The way to a server: all facts from the user's environment, given explicitly.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The SSH implementation.
    pub transport: Transport,
    /// The `ssh_config` to use instead of `~/.ssh/config` and `/etc/ssh/ssh_config`.
    pub ssh_config: Option<PathBuf>,
    /// A private key to try first.
    pub identity: Option<PathBuf>,
    /// The keys of which the server must show one. Empty: `known_hosts` decides.
    pub host_keys: Vec<HostKey>,
    /// The local user's home directory, as the system knows it: `ssh` ignores `HOME`.
    pub home: PathBuf,
    /// The local user's name.
    pub user: String,
    /// The socket of the user's ssh-agent.
    pub auth_sock: Option<PathBuf>,
    /// The person who answers questions of a login.
    pub answers: Answers,
    /// A directory on the server for the agent, instead of `.cutover/bin`.
    pub agent_path: Option<PathBuf>,
    /// The user that runs the agent, through `sudo`. None: the user that logs in.
    pub run_as: Option<String>,
    /// The running program's file. Agents are looked for beside it. Without one it is copied as the agent itself.
    pub program: PathBuf,
}

/// A target: a destination, and the way to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The destination.
    pub destination: Destination,
    /// The way to it.
    pub reach: Reach,
}

/// The treatment of hooks that change linked files in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HookEdits {
    /// The files are repaired, and the deploy goes on. If one cannot be repaired, the deploy is refused.
    #[default]
    Repair,
    /// The deploy is refused.
    Refuse,
    /// The edits stay.
    Allow,
}

/// The configuration of one deploy path, which the server applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The link to the live release, absolute. None: `current` in the deploy path.
    pub current_path: Option<PathBuf>,
    /// The number of releases that were live and are kept, the live one included. At least 1.
    pub keep_releases: u32,
    /// The number of removed releases whose record and manifest are kept, to make them again.
    pub keep_manifests: u32,
    /// The time for which a release stays after it was last live.
    pub grace: Duration,
    /// Whether the newest removed release waits for the next deploy, which turns it into the new one.
    pub spare: bool,
    /// Directories in `shared/` that are linked into each release.
    pub shared_dirs: Vec<SharedPath>,
    /// Files in `shared/` that are linked into each release.
    pub shared_files: Vec<SharedPath>,
    /// Whether everything else in `shared/` is linked too.
    pub auto_shared: bool,
    /// Patterns (of gitignore) of files that the application edits in place: each release has private copies.
    pub copy_paths: Vec<String>,
    /// The way in which files get their content from the store.
    pub link: Link,
    /// The treatment of hooks that change linked files in place.
    pub hook_edits: HookEdits,
    /// Patterns of files that only the live release has, beyond its manifest: they are copied into the new one.
    pub carry_over: Vec<String>,
    /// The directories that the application writes to.
    pub writable: Writable,
    /// The space that a deploy leaves free.
    pub min_free: MinFree,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            current_path: None,
            keep_releases: 3,
            keep_manifests: 5,
            grace: Duration::from_secs(60),
            spare: true,
            shared_dirs: Vec::new(),
            shared_files: Vec::new(),
            auto_shared: true,
            copy_paths: Vec::new(),
            link: Link::default(),
            hook_edits: HookEdits::default(),
            carry_over: Vec::new(),
            writable: Writable::default(),
            min_free: MinFree::default(),
        }
    }
}
