//! The flags of every verb.

use std::path::PathBuf;

use clap::ValueEnum;
use engine::target::Transport;

use crate::color::ColorChoice;
use crate::output::Output;

/// The flags of every verb.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct GlobalArgs {
    /// The configuration [default: cutover.toml here or above]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set a key instead of the config, such as `keep_releases=5`; repeatable
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The ssh_config to use instead of the user's and the system's
    #[arg(long, short = 'F', global = true, value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// A private key to try first
    #[arg(long, short = 'i', global = true, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// The SSH client: ssh2 (built in), openssh (the system's `ssh`) or auto [default: auto]
    #[arg(long, global = true, value_enum, value_name = "SSH", hide_possible_values = true)]
    pub(crate) transport: Option<TransportChoice>,
    /// The directory of caches, worktrees and logs of this machine [default: $XDG_CACHE_HOME/cutover]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print one JSON object on stdout at the end
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print a line of JSON on stdout for each event; the last one has the object of `--json`
    #[arg(long, global = true, conflicts_with = "json")]
    pub(crate) events: bool,
    /// Answer yes to every question
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// Print only errors, warnings and the requested result
    #[arg(long, short = 'q', global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more
    #[arg(long, short = 'v', global = true)]
    pub(crate) verbose: bool,
    /// Colour: auto, always or never
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) color: ColorChoice,
}

/// The SSH client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportChoice {
    /// The built-in client, unless `ssh_config` needs the other.
    Auto,
    /// The built-in client.
    Ssh2,
    /// The system's `ssh`.
    Openssh,
}

impl From<TransportChoice> for Transport {
    fn from(choice: TransportChoice) -> Transport {
        match choice {
            TransportChoice::Auto => Transport::Auto,
            TransportChoice::Ssh2 => Transport::Ssh2,
            TransportChoice::Openssh => Transport::Openssh,
        }
    }
}

impl GlobalArgs {
    /// Returns the form of the result on stdout.
    pub(crate) fn output(&self) -> Output {
        match self {
            GlobalArgs { json: true, .. } => Output::Object,
            GlobalArgs { events: true, .. } => Output::Events,
            _ => Output::Text,
        }
    }
}
