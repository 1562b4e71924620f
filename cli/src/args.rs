//! The command line as the user wrote it: verbs, flags, words. `settings` resolves it.

mod adopt;
mod agent;
mod completions;
mod config;
mod deploy;
mod doctor;
mod exec;
mod explain;
mod global;
mod hooks;
mod init;
mod lock;
mod log;
mod man;
mod place;
mod release;
mod shared;
mod site;
mod ssh;
mod verb;
mod web;

use clap::Parser;

pub(crate) use self::adopt::AdoptArgs;
pub(crate) use self::agent::AgentArgs;
pub(crate) use self::completions::{CompletionsArgs, Shell};
pub(crate) use self::config::{ConfigArgs, ConfigVerb, ShowArgs};
pub(crate) use self::deploy::DeployArgs;
pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::exec::ExecArgs;
pub(crate) use self::explain::ExplainArgs;
pub(crate) use self::global::GlobalArgs;
pub(crate) use self::hooks::{HooksArgs, HooksVerb, RunHookArgs};
pub(crate) use self::init::InitArgs;
pub(crate) use self::lock::{AcquireArgs, LockArgs, LockVerb, TakeLockArgs, UnlockArgs};
pub(crate) use self::log::LogArgs;
pub(crate) use self::man::ManArgs;
pub(crate) use self::place::PlaceArgs;
pub(crate) use self::release::{DiffArgs, PinArgs, ReleaseArgs, RollbackArgs, SwitchArgs};
pub(crate) use self::shared::{SharedArgs, SharedCommand, SharedFileArgs};
pub(crate) use self::site::{CleanupArgs, DuArgs, ReleasesArgs, SetupArgs, StatusArgs};
pub(crate) use self::ssh::SshArgs;
pub(crate) use self::verb::Verb;
pub(crate) use self::web::{SiteArgs, WebArgs, WebVerb};

/// The end of the long help: examples and exit codes.
const AFTER_HELP: &str = "\
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
  255  a fault in Cutover";

/// Deploys large trees to Linux servers over SSH.
#[derive(Debug, Parser)]
#[command(
    name = "cutover",
    version,
    about = "Deploys large trees to Linux servers over SSH",
    long_about = "Deploys large trees to Linux servers over SSH. It sends only what the server lacks, assembles a new \
                  release beside the live one, and then points `current` at it.",
    after_help = "`cutover help VERB` shows details and examples.",
    after_long_help = AFTER_HELP,
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The reference, which is written from the help, has all flags; this page has more about some.
    #[test]
    fn each_flag_of_the_tables_in_the_docs_has_its_short_form_and_its_verbs() {
        let flag_of = |line: &'static str| {
            let (_, flag) = line.strip_prefix("| `").and_then(|row| row.split_once("--"))?;
            Some((flag.split([' ', '`']).next().unwrap_or_default(), line))
        };
        let rows = crate::docs::CONFIGURATION.lines().filter(|line| line.starts_with("| `-"));
        let documented: BTreeMap<&str, &str> = rows.filter_map(flag_of).collect();
        assert!(documented.len() > 20, "{documented:?}");
        let all = crate::command_tree::all();
        for (flag, row) in documented {
            let has = |command: &clap::Command| command.get_arguments().any(|known| known.get_long() == Some(flag));
            let argument =
                all.iter().flat_map(clap::Command::get_arguments).find(|known| known.get_long() == Some(flag));
            let argument = argument.unwrap_or_else(|| panic!("no verb has `--{flag}`"));
            let short = argument.get_short().map(|short| format!("| `-{short}`, "));
            assert!(short.is_none_or(|short| row.contains(&short)), "{row}");
            let verbs = all.iter().skip(1).filter(|verb| has(verb) && !argument.is_global_set());
            let verbs: BTreeSet<String> =
                verbs.map(|verb| crate::command_tree::words(verb).trim_start_matches("cutover ").to_owned()).collect();
            let cell = row.split(" | ").nth(1).filter(|_| !verbs.is_empty()).unwrap_or_default();
            let named: BTreeSet<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            assert_eq!(named, verbs, "{row}");
        }
    }

    #[test]
    fn the_parser_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
