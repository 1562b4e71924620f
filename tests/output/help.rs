//! The help of the command and of each verb.

use insta::assert_snapshot;

use super::Shop;

#[test]
fn help_lists_the_verbs_and_the_exit_codes() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("--help"), @r"
    $ cutover --help
    [exit 0]
    Deploys large trees to Linux servers over SSH. It sends only what the server lacks, assembles a new
    release beside the live one, and then points `current` at it.

    Usage: cutover [OPTIONS] <VERB>

    Verbs:
      setup     Create the deploy path's directories
      deploy    Make a release of the source and switch to it
      releases  List the releases on the server
      status    Show the live release and the state of the server
      switch    Make a ready or an earlier release live
      rollback  Switch back to an earlier release
      pin       Keep a release, whatever retention says
      unpin     Let retention remove a pinned release again
      cleanup   Remove old releases, beyond `keep_releases`, and what no release needs
      lock      Keep deploys out, or see who is at work
      unlock    Let deploys in again, whoever keeps them out
      diff      Show what a deploy would change, or the differences between two releases
      ssh       Open a shell on the server, in the live release
      log       List the runs on the server, or show what one of them did
      exec      Run a command on the server, in the live release
      shared    List, push, pull and edit files in `shared/`
      hooks     List the hooks and checks of a stage, or run a hook
      help      Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Everywhere:
          --config <FILE>
              The configuration [default: cutover.toml here or above]

          --set <KEY=VALUE>
              Set a key instead of the config, such as `keep_releases=5`; repeatable

      -F, --ssh-config <FILE>
              The ssh_config to use instead of the user's and the system's

      -i, --identity <FILE>
              A private key to try first

          --transport <SSH>
              The SSH client: ssh2 (built in), openssh (the system's `ssh`) or auto [default: auto]

          --state-dir <DIR>
              The directory of caches, worktrees and logs of this machine [default:
              $XDG_CACHE_HOME/cutover]

          --json
              Print one JSON object on stdout at the end

          --events
              Print a line of JSON on stdout for each event; the last one has the object of `--json`

          --yes
              Answer yes to every question

      -q, --quiet
              Print only errors, warnings and the requested result

      -v, --verbose
              Print more

          --color <WHEN>
              Colour: auto, always or never

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
      255  a fault in Cutover
    ");
}

#[test]
fn help_of_setup() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("setup"), @r"
    $ cutover help setup
    [exit 0]
    Create the deploy path's directories

    Running it again changes nothing. A deploy does it by itself; this is for putting files into
    `shared/` first.

    Usage: cutover setup [OPTIONS] [STAGE]

    Arguments:
      [STAGE]
              A table in cutover.toml; optional if there is only one

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Example:
      cutover setup production
    ");
}

#[test]
fn help_of_deploy() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("deploy"), @r"
    $ cutover help deploy
    [exit 0]
    Make a release of the source and switch to it

    Sends the content that the server lacks, assembles the release, makes it durable and points
    `current` at it. If it fails, its last line says which release is live. Repeating it is always safe,
    and sends no content twice.

    Usage: cutover deploy [OPTIONS] [STAGE]

    Arguments:
      [STAGE]
              A table in cutover.toml; optional if there is only one

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

          --source <DIR>
              The directory to deploy [default: `source` of the config, then the config's or the working
              directory]

          --ref <REF>
              Deploy this commit of the source's git repository, and not the working directory [default:
              `ref` of the config]

          --release <ID>
              Name the release; begins with a digit [default: the time in UTC]

          --no-switch
              Leave the release ready; `cutover switch` makes it live

          --force
              Make a release even if nothing changed

          --dry-run
              Change nothing; show what a deploy would do

          --paranoid
              List every directory and hash every file, instead of relying on the last scan

          --skip-hooks
              Run no hooks, neither here nor on the server

          --grace <DURATION>
              Keep a release this long after it was last live [default: `grace` of the config, then 60s]

          --zstd-level <LEVEL>
              Pack at this level, from 1 to 19 [default: `zstd_level` of the config, then as high as the
              connection leaves time for]

          --lanes <NUMBER>
              Send over this many connections, 1 to 5 [default: as many as make the upload faster]

          --lock-wait[=<DURATION>]
              Wait for another deploy, at most this long [default without a value: 15m]

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Examples:
      cutover deploy production
      cutover deploy production --dry-run
      cutover deploy production --ref v2.1
      cutover deploy production --no-switch && cutover switch [RELEASE] production
      cutover deploy --source ./build --target ssh://deploy@web1:2222/srv/site
    ");
}

#[test]
fn help_of_releases() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("releases"), @r"
    $ cutover help releases
    [exit 0]
    List the releases on the server

    The oldest is first.

    Usage: cutover releases [OPTIONS] [STAGE]

    Arguments:
      [STAGE]
              A table in cutover.toml; optional if there is only one

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

          --all
              List removed releases too that a rollback may make again

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

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
      cutover releases production --json
    ");
}

#[test]
fn help_of_status() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("status"), @r"
    $ cutover help status
    [exit 0]
    Show the live release and the state of the server

    Shows the live release, the release that a rollback goes to, the holder of the lock, and the used
    and free space.

    Usage: cutover status [OPTIONS] [STAGE]

    Arguments:
      [STAGE]
              A table in cutover.toml; optional if there is only one

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

          --check
              Compare the releases with what was deployed; exit code 4 if one differs

          --content
              The same, and read all files

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Examples:
      cutover status production
      cutover status production --check
    ");
}

#[test]
fn help_of_switch() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("switch"), @r"
    $ cutover help switch
    [exit 0]
    Make a ready or an earlier release live

    Usage: cutover switch [OPTIONS] <ID> [STAGE]

    Arguments:
      <ID>
              The release

      [STAGE]
              A table in cutover.toml; optional if there is only one

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

          --force
              Switch to the release even if it was changed on the server

          --skip-hooks
              Run no hooks

          --lock-wait[=<DURATION>]
              Wait for another deploy, at most this long [default without a value: 15m]

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Examples:
      cutover switch [RELEASE] production
      cutover switch [RELEASE] --target deploy@web1:/srv/site
    ");
}

#[test]
fn help_of_rollback() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("rollback"), @r"
    $ cutover help rollback
    [exit 0]
    Switch back to an earlier release

    Without ID, it goes to the good release that was live before the live one; a second rollback goes
    one further back. Nothing is sent. The release that it leaves is marked bad: no rollback goes to it
    unless it is named.

    Usage: cutover rollback [OPTIONS] [ID] [STAGE]

    Arguments:
      [ID]
              The release to go back to [default: the one that was live before]

      [STAGE]
              A table in cutover.toml; optional if there is only one

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

          --to <ID|COMMIT|-N>
              The release, by its name or its commit, or -N for the Nth good release back

          --forward
              Return to the release that the last rollback left

          --reason <TEXT>
              Why the release that is left is bad [default: that it was rolled back]

          --force
              Go back to the release even if it was changed on the server

          --skip-hooks
              Run no hooks

          --interrupt
              End another deploy, unless it has begun to switch or runs a hook

          --pass-lock
              Go back although somebody keeps deploys out with `cutover lock acquire`

          --lock-wait[=<DURATION>]
              Wait for another deploy, at most this long [default without a value: 15m]

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Examples:
      cutover rollback production
      cutover rollback production --reason 'the cart is empty'
      cutover rollback production --to [RELEASE]
      cutover rollback production --to=-2                     two good releases back
      cutover rollback production --forward                   to the release that the last rollback left
    ");
}

#[test]
fn help_of_cleanup() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("cleanup"), @r"
    $ cutover help cleanup
    [exit 0]
    Remove old releases, beyond `keep_releases`, and what no release needs

    A deploy does it at its end. The live release and the one that a rollback goes to always stay.

    Usage: cutover cleanup [OPTIONS] [STAGE]

    Arguments:
      [STAGE]
              A table in cutover.toml; optional if there is only one

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

          --dry-run
              Change nothing; show what would be removed

          --grace <DURATION>
              Keep a release this long after it was last live [default: `grace` of the config, then 60s]

          --lock-wait[=<DURATION>]
              Wait for another deploy, at most this long [default without a value: 15m]

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Examples:
      cutover cleanup production --dry-run
      cutover cleanup production --grace 0s
    ");
}

#[test]
fn help_of_diff() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("diff"), @r"
    $ cutover help diff
    [exit 0]
    Show what a deploy would change, or the differences between two releases

    Compares manifests, and reads no content from the server. Without A and B: from `live` to `source`,
    which is what a deploy would change. With A alone: from A to `live`.

    Usage: cutover diff [OPTIONS] [STAGE] [A [B]]

    Arguments:
      [STAGE]
              A table in cutover.toml; optional if there is only one

      [A]
              The side to compare: a release, `live` or `source`

      [B]
              The side to compare it with: a release, `live` or `source`

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Examples:
      cutover diff production
      cutover diff production [RELEASE]
      cutover diff production [RELEASE] [RELEASE]
      cutover diff production [RELEASE] source
    ");
}
