//! The verbs, with their help texts.

use clap::Subcommand;

use super::{
    AdoptArgs, AgentArgs, CleanupArgs, CompletionsArgs, ConfigArgs, DeployArgs, DiffArgs, DoctorArgs, DuArgs, ExecArgs,
    ExplainArgs, HooksArgs, InitArgs, LockArgs, LogArgs, ManArgs, PinArgs, ReleaseArgs, ReleasesArgs, RollbackArgs,
    SetupArgs, SharedArgs, SshArgs, StatusArgs, SwitchArgs, UnlockArgs, WebArgs,
};

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a `cutover.toml` for the application in this directory
    ///
    /// Finds out which framework it has, or translates the configuration of another tool, and writes `cutover.toml` and
    /// `.deployignore`, with a comment for each part. On a terminal it asks for the server. It replaces no file.
    #[command(after_long_help = "\
Examples:
  cutover init
  cutover init --target deploy@web1.example.com:/srv/shop --preset laravel
  cutover init --from capistrano
  cutover init --from deployhq --file servers.json --file commands.json
  cutover init --print")]
    Init(InitArgs),
    /// Create the deploy path's directories
    ///
    /// Running it again changes nothing. A deploy does it by itself; this is for putting files into `shared/` first.
    #[command(after_long_help = "\
Example:
  cutover setup production")]
    Setup(SetupArgs),
    /// Turn an existing site into the first release of a deploy path
    ///
    /// The site is a directory that is overwritten in place, or the deploy path of Capistrano, Deployer or DeployHQ. It
    /// is served all the time. `adopt` first shows what is about to happen, and asks you.
    ///
    /// A directory becomes the link to the live release, in one step. Its content is copied into the store; what the source
    /// lacks is listed by kind, and uploads, configuration, logs and caches move into `shared/`. The old directory stays in
    /// `.cutover/original` until `cleanup --original`. The deploy path of another tool stays where it is, with its releases.
    #[command(after_long_help = "\
Examples:
  cutover adopt production --dry-run
  cutover adopt production
  cutover adopt --target deploy@web1:/var/www/shop --share data
  cutover adopt production --undo")]
    Adopt(AdoptArgs),
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
    /// Show the space that each release and each part of the deploy path takes
    ///
    /// It reads the manifests of the releases, and changes nothing.
    #[command(after_long_help = "\
Columns:
  SIZE        the sum of the sizes of its files
  OWN         what removing this release would free: its directories, its own
              files, and objects that no other release names
  OWN INODES  the same, in inodes
  SHARED      objects that other releases name too

Example:
  cutover du production")]
    Du(DuArgs),
    /// Find what would make a deploy fail or go wrong, and how to mend it
    ///
    /// Examines this machine, the connection and the server, and changes nothing. Each finding has a next step and a
    /// section in docs/doctor.md. It works before the first deploy too.
    #[command(after_long_help = "\
Examples:
  cutover doctor production
  cutover doctor production --as www-data
  cutover doctor --target deploy@web1:/srv/site --full")]
    Doctor(DoctorArgs),
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
    /// what a deploy would change. With A alone: from A to `live`. With `--on-disk`: from the manifest of A, or of the
    /// live release, to its files on the server.
    #[command(
        override_usage = "cutover diff [OPTIONS] [STAGE] [A [B]]",
        after_long_help = "\
Examples:
  cutover diff production
  cutover diff production 20260325120000
  cutover diff production 20260325120000 20260325140000
  cutover diff production 20260325120000 source
  cutover diff production --on-disk"
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
    /// Print the configuration of a web server
    ///
    /// The web server serves what `current` leads to, and PHP runs the new release as soon as it is live.
    Web(WebArgs),
    /// Show the settings of a stage, or the schema of `cutover.toml`
    Config(ConfigArgs),
    /// Explain an error or a finding: what it means, and what to do
    ///
    /// Prints the section of docs/troubleshooting.md or docs/doctor.md; the program contains both pages. If an error and a
    /// finding share the word, it prints both sections.
    #[command(after_long_help = "\
Example:
  cutover explain shared-missing")]
    Explain(ExplainArgs),
    /// Print a script that completes verbs and flags in bash, zsh or fish
    ///
    /// The script is whole: it runs nothing while you type. Write it anew after an update of Cutover.
    #[command(after_long_help = "\
Files:
  bash  ~/.local/share/bash-completion/completions/cutover, which the package
        `bash-completion` reads
  zsh   `_cutover` in a directory of `$fpath`, before `compinit` runs
  fish  ~/.config/fish/completions/cutover.fish

Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  cutover completions bash > ~/.local/share/bash-completion/completions/cutover

  mkdir -p ~/.zfunc
  cutover completions zsh > ~/.zfunc/_cutover
  echo 'fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit' >> ~/.zshrc

  mkdir -p ~/.config/fish/completions
  cutover completions fish > ~/.config/fish/completions/cutover.fish")]
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
    /// Print `docs/reference.md`
    #[command(hide = true)]
    Reference,
    /// The server's side; the client starts it
    #[command(hide = true)]
    Agent(AgentArgs),
}

impl Verb {
    /// Returns whether a word or a flag of the verb can be a release.
    pub(crate) fn names_releases(&self) -> bool {
        use Verb::{Deploy, Diff, Pin, Rollback, Switch, Unpin};
        matches!(self, Deploy(_) | Switch(_) | Rollback(_) | Pin(_) | Unpin(_) | Diff(_))
    }

    /// Returns whether the verb changes the live release.
    pub(crate) fn switches(&self) -> bool {
        matches!(self, Verb::Deploy(_) | Verb::Adopt(_) | Verb::Switch(_) | Verb::Rollback(_))
    }
}
