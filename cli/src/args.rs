//! The command line as the user wrote it: verbs, flags, words. `settings` resolves it.

mod global;
mod hooks;
mod lock;
mod place;
mod release;
mod shared;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use engine::release::ReleaseId;

use crate::duration;
use crate::keys;

pub(crate) use self::global::GlobalArgs;
pub(crate) use self::hooks::{HooksArgs, HooksVerb, RunHookArgs};
pub(crate) use self::lock::{AcquireArgs, LockArgs, LockVerb, TakeLockArgs, UnlockArgs};
pub(crate) use self::place::{PlaceArgs, TargetArg};
pub(crate) use self::release::{DiffArgs, PinArgs, ReleaseArgs, RollbackArgs, SwitchArgs};
pub(crate) use self::shared::{SharedArgs, SharedCommand, SharedFileArgs};

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
  1    refused, or failed for a reason that you can remove
  2    wrong usage or configuration
  3    the line or the server failed; trying again is safe
  4    a release was changed on the server, or is damaged
  5    another run has the lock, or somebody keeps deploys out
  6    a hook or a check failed, or nobody confirmed the release in time
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
              bad: was rolled back or failed; no rollback goes to it unless it is named
              damaged: its record, manifest or tree is missing or wrong
              removed: was live; a rollback can make it again while the
              server has all its files (shown with `--all`)
  LIVE SINCE  when it last went live
  COMMIT      the git commit of its source
  FILES       its files and symlinks
  SIZE        the sum of its files' sizes
  OWN         bytes that removing this release would free
  WHO         who made it

Example:
  cutover releases production --json")]
    Releases(ReleasesArgs),
    /// Show the live release and the state of the server
    ///
    /// Shows the live release, the release that a rollback goes to, the holder of the lock, and the used and free
    /// space.
    #[command(after_long_help = "\
Examples:
  cutover status production
  cutover status production --check")]
    Status(StatusArgs),
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
    /// Without ID, it goes to the good release that was live before the live one; a second rollback goes one further
    /// back. Nothing is sent. The release that it leaves is marked bad: no rollback goes to it unless it is named.
    #[command(
        override_usage = "cutover rollback [OPTIONS] [ID] [STAGE]",
        after_long_help = "\
Examples:
  cutover rollback production
  cutover rollback production --reason 'the cart is empty'
  cutover rollback production --to 20260325120000
  cutover rollback production --to=-2                     two good releases back
  cutover rollback production --forward                   to the release that the last rollback left"
    )]
    Rollback(RollbackArgs),
    /// Keep a release, whatever retention says
    ///
    /// A pinned release is not removed, and takes no place of `keep_releases`. A second pin replaces the first.
    #[command(
        override_usage = "cutover pin [OPTIONS] <ID> [STAGE]",
        after_long_help = "\
Examples:
  cutover pin 20260325140000 production
  cutover pin 20260325140000 production --until 2026-12-31 --note 'the year-end report'"
    )]
    Pin(PinArgs),
    /// Let retention remove a pinned release again
    #[command(
        override_usage = "cutover unpin [OPTIONS] <ID> [STAGE]",
        after_long_help = "\
Example:
  cutover unpin 20260325140000 production"
    )]
    Unpin(ReleaseArgs),
    /// Remove old releases, beyond `keep_releases`, and what no release needs
    ///
    /// A deploy does it at its end. The live release and the one that a rollback goes to always stay.
    #[command(after_long_help = "\
Examples:
  cutover cleanup production --dry-run
  cutover cleanup production --grace 0s")]
    Cleanup(CleanupArgs),
    /// Keep deploys out, or see who is at work
    Lock(LockArgs),
    /// Let deploys in again, whoever keeps them out
    ///
    /// Removes the manual lock of `cutover lock acquire`, and says whose it was. The same as `cutover lock release`.
    #[command(after_long_help = "\
Example:
  cutover unlock production")]
    Unlock(UnlockArgs),
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
    #[command(after_long_help = "\
Examples:
  cutover ssh production
  cutover ssh production -- -L 8080:localhost:80")]
    Ssh(SshArgs),
    /// List the runs on the server, or show what one of them did
    ///
    /// Each run that changes something has a number and a journal: its phases, the output of its hooks, its result. The
    /// server keeps the newest hundred.
    #[command(
        override_usage = "cutover log [OPTIONS] [RUN] [STAGE]",
        after_long_help = "\
Examples:
  cutover log production
  cutover log 17 production
  cutover log production --follow"
    )]
    Log(LogArgs),
    /// Run a command on the server, in the live release
    ///
    /// The command runs in the directory of the live release, with the variables that hooks get, and without the lock.
    /// Its output goes to stdout. The exit code is the command's.
    #[command(
        override_usage = "cutover exec [OPTIONS] [STAGE] -- COMMAND...",
        after_long_help = "\
Examples:
  cutover exec production -- php artisan about
  cutover exec production -- 'php artisan down && php artisan up'"
    )]
    Exec(ExecArgs),
    /// List, push, pull and edit files in `shared/`
    ///
    /// For `.env` and the like. Before a file is written, the difference to its content on the server is shown, and you
    /// are asked. A file that was changed there meanwhile is left as it is. A new file has mode 0600; another one keeps
    /// its mode.
    #[command(after_long_help = "\
Examples:
  cutover shared list production
  cutover shared push production .env.production .env
  cutover shared pull production .env -
  cutover shared edit production .env")]
    Shared(SharedArgs),
    /// List the hooks and checks of a stage, or run a hook
    Hooks(HooksArgs),
    /// The server's side; the client starts it
    #[command(hide = true)]
    Agent(AgentArgs),
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
    /// Run no hooks, neither here nor on the server
    #[arg(long)]
    pub(crate) skip_hooks: bool,
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
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}

/// `log`
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The number of a run [default: list all]
    #[arg(value_name = "RUN")]
    first: Option<String>,
    /// A table in cutover.toml; optional if there is only one
    #[arg(value_name = "STAGE")]
    second: Option<String>,
    #[command(flatten)]
    pub(crate) target: TargetArg,
    /// Show the named run, or the newest one, until it has ended
    #[arg(long)]
    pub(crate) follow: bool,
}

impl LogArgs {
    /// Returns the words in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        [&self.first, &self.second].into_iter().flatten().map(String::as_str).collect()
    }
}

/// `exec`
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The command: one word for the shell, or a program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
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

/// `releases`
#[derive(Debug, clap::Args)]
pub(crate) struct ReleasesArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// List removed releases too that a rollback may make again
    #[arg(long)]
    pub(crate) all: bool,
}

/// `status`
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Compare the releases with what was deployed; exit code 4 if one differs
    #[arg(long)]
    pub(crate) check: bool,
    /// The same, and read all files
    #[arg(long)]
    pub(crate) content: bool,
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
    #[command(flatten)]
    pub(crate) lock: TakeLockArgs,
}

impl Verb {
    /// Returns whether the verb changes the live release.
    pub(crate) fn switches(&self) -> bool {
        matches!(self, Verb::Deploy(_) | Verb::Switch(_) | Verb::Rollback(_))
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
        let mut verbs: Vec<(String, &clap::Command)> = Vec::new();
        let mut waiting = vec![(String::new(), &command)];
        while let Some((above, verb)) = waiting.pop() {
            for below in verb.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
                let name = format!("{above}{}", below.get_name());
                waiting.push((format!("{name} "), below));
                verbs.push((name, below));
            }
        }
        for (name, verb) in verbs {
            assert!(docs.contains(&format!("\n| `cutover {name}")), "{name}");
            for argument in verb.get_arguments() {
                let Some(flag) = argument.get_long().filter(|&flag| flag != "help") else { continue };
                flags.insert(flag.to_owned());
                let row = documented.get(flag).unwrap_or_else(|| panic!("`--{flag}` is in no table"));
                if let Some(short) = argument.get_short() {
                    assert!(row.contains(&format!("| `-{short}`, ")), "{row}");
                }
                let is_of_all = argument.is_global_set() || row.contains("| all |");
                assert!(is_of_all || row.contains(&format!("`{name}`")), "{name}: {row}");
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
