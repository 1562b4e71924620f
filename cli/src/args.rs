//! The command line as the user wrote it: verbs, flags, words. `settings` resolves it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use engine::release::ReleaseId;
use engine::target::Transport;

use crate::color::ColorChoice;
use crate::duration;
use crate::failure::Failure;
use crate::keys;
use crate::place::Place;
use crate::words;

/// Deploys large trees to Linux servers over SSH.
#[derive(Debug, Parser)]
#[command(
    name = "cutover",
    version,
    about = "Deploys large trees to Linux servers over SSH",
    long_about = "Deploys large trees to Linux servers over SSH. It sends only what the server lacks, assembles a new \
                  release beside the live one, and then points `current` at it.",
    after_help = "`cutover help VERB` shows details and examples.",
    after_long_help = "\
Examples:
  cutover deploy --source ./site --target /srv/site      to a path on this machine
  cutover deploy --target deploy@web1:/srv/site          the working directory, to a server
  cutover deploy production                              as `[production]` in cutover.toml says
  cutover rollback production                            to the release that was live before

Exit codes:
  0    done, or nothing had to change
  1    refused, or failed in a way that you can mend
  2    wrong usage or configuration
  3    the line or the server failed; trying again is safe
  4    damage was found
  5    another deploy is at work
  6    reserved
  130  interrupted (143 by SIGTERM or SIGHUP)
  255  a fault in Cutover",
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    max_term_width = 100
)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// The flags of every verb.
    #[command(flatten)]
    pub(crate) everywhere: GlobalArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create the deploy path's directories
    ///
    /// Running it again changes nothing. A deploy does it by itself; this is for putting files into `shared/` first.
    #[command(after_long_help = "\
Example:
  cutover setup production")]
    Setup(SetupArgs),
    /// Make a release of the source and switch to it
    ///
    /// Sends the content that the server lacks, assembles the release, makes it durable and points `current` at it.
    /// If it fails, its last line says which release is live. Repeating it is always safe, and sends no content
    /// twice.
    #[command(after_long_help = "\
Examples:
  cutover deploy production
  cutover deploy production --dry-run
  cutover deploy production --ref v2.1
  cutover deploy production --no-switch && cutover switch 20260325140000 production
  cutover deploy --source ./build --target ssh://deploy@web1:2222/srv/site")]
    Deploy(DeployArgs),
    /// List the releases on the server
    ///
    /// The oldest is first.
    #[command(after_long_help = "\
Columns:
  STATE       live: `current` leads to it
              ready: complete, and was never live
              earlier: was live
              damaged: its record, manifest or tree is missing or wrong
  LIVE SINCE  when it last went live
  COMMIT      the git commit of its source
  FILES       its files and symlinks
  SIZE        the sum of its files' sizes
  OWN         bytes that removing this release would free
  WHO         who made it

Example:
  cutover releases production --json")]
    Releases(PlaceArgs),
    /// Show the live release and the state of the server
    ///
    /// Shows the live release, the release that a rollback goes to, the holder of the lock, and the used and free
    /// space.
    #[command(after_long_help = "\
Example:
  cutover status production")]
    Status(PlaceArgs),
    /// Make a ready or an earlier release live
    #[command(
        override_usage = "cutover switch [OPTIONS] <ID> [STAGE]",
        after_long_help = "\
Examples:
  cutover switch 20260325140000 production
  cutover switch 20260325140000 --target deploy@web1:/srv/site"
    )]
    Switch(SwitchArgs),
    /// Switch back to an earlier release
    ///
    /// Without ID, it goes to the release that was live before the live one. Nothing is sent.
    #[command(
        override_usage = "cutover rollback [OPTIONS] [ID] [STAGE]",
        after_long_help = "\
Examples:
  cutover rollback production
  cutover rollback 20260325120000 production
  cutover rollback production --to 20260325120000"
    )]
    Rollback(RollbackArgs),
    /// Remove old releases, beyond `keep_releases`, and what no release needs
    ///
    /// A deploy does it at its end. The live release and the one that a rollback goes to always stay.
    #[command(after_long_help = "\
Examples:
  cutover cleanup production --dry-run
  cutover cleanup production --grace 0s")]
    Cleanup(CleanupArgs),
    /// Show what a deploy would change, or the differences between two releases
    ///
    /// Compares manifests, and reads no content from the server. Without A and B: from `live` to `source`, which is
    /// what a deploy would change. With A alone: from A to `live`.
    #[command(
        override_usage = "cutover diff [OPTIONS] [STAGE] [A [B]]",
        after_long_help = "\
Examples:
  cutover diff production
  cutover diff production 20260325120000
  cutover diff production 20260325120000 20260325140000
  cutover diff production 20260325120000 source"
    )]
    Diff(DiffArgs),
    /// Open a shell on the server, in the live release
    ///
    /// The system's `ssh` does it, with the settings of the stage. Words behind `--` are for `ssh`.
    #[command(
        override_usage = "cutover ssh [OPTIONS] [STAGE] [-- WORDS]",
        after_long_help = "\
Examples:
  cutover ssh production
  cutover ssh production -- -L 8080:localhost:80"
    )]
    Ssh(SshArgs),
    /// The server's side; the client starts it
    #[command(hide = true)]
    Agent(AgentArgs),
}

/// The place to work at.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PlaceArgs {
    /// A table in cutover.toml; optional if there is only one
    pub(crate) stage: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
}

/// The target from the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TargetArg {
    /// The server and path to deploy to; needs no config
    ///
    /// `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.
    #[arg(long, value_name = "DEST")]
    pub(crate) target: Option<OsString>,
}

/// `setup`
#[derive(Debug, clap::Args)]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `ssh`
#[derive(Debug, clap::Args)]
pub(crate) struct SshArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Words for `ssh`
    #[arg(last = true, value_name = "WORDS")]
    pub(crate) words: Vec<OsString>,
}

/// `deploy`
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The directory to deploy [default: `source` of the config, then the config's or the working directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// Deploy this commit of the source's git repository, and not the working directory [default: `ref` of the config]
    #[arg(long = "ref", value_name = "REF", value_parser = keys::git_ref)]
    pub(crate) git_ref: Option<String>,
    /// Name the release; begins with a digit [default: the time in UTC]
    #[arg(long, value_name = "ID")]
    pub(crate) release: Option<ReleaseId>,
    /// Leave the release ready; `cutover switch` makes it live
    #[arg(long)]
    pub(crate) no_switch: bool,
    /// Make a release even if nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// Change nothing; show what a deploy would do
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// List every directory and hash every file, instead of relying on the last scan
    #[arg(long)]
    pub(crate) paranoid: bool,
    /// Keep a release this long after it was last live [default: `grace` of the config, then 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
    /// Pack at this level, from 1 to 19 [default: `zstd_level` of the config, then as high as the connection leaves
    /// time for]
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    pub(crate) zstd_level: Option<i32>,
    /// Send over this many connections, 1 to 5 [default: as many as make the upload faster]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=5))]
    pub(crate) lanes: Option<u32>,
}

/// `agent`
#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    /// Run as a lane of a running agent
    #[arg(long, conflicts_with = "from")]
    pub(crate) lane: bool,
    /// Run as the runner of a running agent
    #[arg(long, conflicts_with_all = ["from", "lane"])]
    pub(crate) runner: bool,
    /// The directory where relative paths begin
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
}

/// `switch`
#[derive(Debug, clap::Args)]
pub(crate) struct SwitchArgs {
    /// The release
    #[arg(value_name = "ID")]
    first: String,
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    second: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
}

/// `rollback`
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The release to go back to [default: the one that was live before]
    #[arg(value_name = "ID")]
    first: Option<String>,
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    second: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
    /// The release, as a flag
    #[arg(long, value_name = "ID")]
    pub(crate) to: Option<ReleaseId>,
}

/// `cleanup`
#[derive(Debug, clap::Args)]
pub(crate) struct CleanupArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Change nothing; show what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep a release this long after it was last live [default: `grace` of the config, then 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
}

/// `diff`
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    first: Option<String>,
    /// The side to compare: a release, `live` or `source`
    #[arg(value_name = "A")]
    second: Option<String>,
    /// The side to compare it with: a release, `live` or `source`
    #[arg(value_name = "B")]
    third: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
}

/// The flags of every verb.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct GlobalArgs {
    /// The configuration [default: cutover.toml here or above]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The ssh_config to use instead of the user's and the system's
    #[arg(long, short = 'F', global = true, value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// A private key to try first
    #[arg(long, short = 'i', global = true, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// The SSH client: ssh2 (built in), openssh (the system's `ssh`) or auto [default: auto]
    #[arg(long, global = true, value_enum, value_name = "SSH", hide_possible_values = true)]
    pub(crate) transport: Option<TransportChoice>,
    /// The directory of the manifest database and of up to 1 GiB of sent content [default: $XDG_CACHE_HOME/cutover]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print one JSON object on stdout at the end
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Answer yes to every question
    #[arg(long, global = true, hide = true)]
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

impl Verb {
    /// Returns whether the verb changes the live release.
    pub(crate) fn switches(&self) -> bool {
        matches!(self, Verb::Deploy(_) | Verb::Switch(_) | Verb::Rollback(_))
    }
}

impl PlaceArgs {
    /// Parses the stage.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        Ok(Place { stage: words::stage(self.stage.as_deref())?, target: self.target.target.clone() })
    }
}

impl SwitchArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [Some(&self.first), self.second.as_ref()].into_iter().flatten().map(String::as_str).collect()
    }
}

impl RollbackArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [&self.first, &self.second].into_iter().flatten().map(String::as_str).collect()
    }
}

impl DiffArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [&self.first, &self.second, &self.third].into_iter().flatten().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_flag_is_in_the_docs() {
        use clap::CommandFactory;
        let docs = include_str!("../../docs/configuration.md");
        let flag_of = |line: &'static str| {
            let (_, flag) = line.strip_prefix("| `").and_then(|row| row.split_once("--"))?;
            Some((flag.split([' ', '`']).next().unwrap_or_default().to_owned(), line))
        };
        let documented: BTreeMap<String, &str> =
            docs.lines().filter(|line| line.starts_with("| `-")).filter_map(flag_of).collect();
        let mut command = Args::command();
        command.build();
        let mut flags = BTreeSet::new();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
            assert!(docs.contains(&format!("\n| `cutover {}", verb.get_name())), "{}", verb.get_name());
            for argument in verb.get_arguments() {
                let Some(flag) = argument.get_long().filter(|&flag| flag != "help") else { continue };
                flags.insert(flag.to_owned());
                let row = documented.get(flag).unwrap_or_else(|| panic!("`--{flag}` is in no table"));
                if let Some(short) = argument.get_short() {
                    assert!(row.contains(&format!("| `-{short}`, ")), "{row}");
                }
                let is_of_all = argument.is_global_set() || row.contains("| all |");
                assert!(is_of_all || row.contains(&format!("`{}`", verb.get_name())), "{}: {row}", verb.get_name());
            }
        }
        assert_eq!(documented.into_keys().collect::<BTreeSet<_>>(), flags);
    }

    #[test]
    fn the_parser_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
