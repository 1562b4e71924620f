//! The layout of the help: of the command, and of two verbs that have more than options. The texts of all verbs are in
//! `docs/reference.md`, which a test compares with the program.

use super::Shop;
use insta::assert_snapshot;

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
      init         Write a `cutover.toml` for the application in this directory
      setup        Create the deploy path's directories
      adopt        Turn an existing site into the first release of a deploy path
      deploy       Make a release of the source and switch to it
      releases     List the releases on the server
      status       Show the live release and the state of the server
      du           Show the space that each release and each part of the deploy path takes
      doctor       Find what would make a deploy fail or go wrong, and how to mend it
      switch       Make a ready or an earlier release live
      rollback     Switch back to an earlier release
      pin          Keep a release, whatever retention says
      unpin        Let retention remove a pinned release again
      cleanup      Remove old releases, beyond `keep_releases`, and what no release needs
      lock         Keep deploys out, or see who is at work
      unlock       Let deploys in again, whoever keeps them out
      diff         Show what a deploy would change, or the differences between two releases
      ssh          Open a shell on the server, in the live release
      log          List the runs on the server, or show what one of them did
      exec         Run a command on the server, in the live release
      shared       List, push, pull and edit files in `shared/`
      hooks        List the hooks and checks of a stage, or run a hook
      web          Print the configuration of a web server
      config       Show the settings of a stage, or the schema of `cutover.toml`
      explain      Explain an error or a finding: what it means, and what to do
      completions  Print a script that completes verbs and flags in bash, zsh or fish
      help         Print this message or the help of the given subcommand(s)

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
fn help_of_init() {
    let shop = Shop::new();
    assert_snapshot!(shop.help("init"), @r"
    $ cutover help init
    [exit 0]
    Write a `cutover.toml` for the application in this directory

    Finds out which framework it has, or translates the configuration of another tool, and writes
    `cutover.toml` and `.deployignore`, with a comment for each part. On a terminal it asks for the
    server. It replaces no file.

    Usage: cutover init [OPTIONS]

    Options:
          --target <DEST>
              The server and path to deploy to; needs no config

              `/path`, `[user@]host:/path` or `ssh://[user@]host[:port]/path`.

          --preset <NAME>
              What is usual for a framework [default: found from the files here]

              [possible values: laravel, symfony, wordpress, magento, rails, django, node, static]

          --stage <NAME>
              The name of the stage [default: production]

          --from <TOOL>
              Translate the configuration of another tool

              Possible values:
              - capistrano: `config/deploy.rb`, `config/deploy/*.rb` and `Capfile`
              - deployer:   `deploy.php` or `deploy.yaml`
              - deployhq:   `.deploybuild.yaml`, and JSON of its API or its command `dhq`

          --file <PATH>
              A file of that tool; repeatable [default: the usual places of the tool]

          --print
              Write no file, and print the config

      -h, --help
              Print help (see a summary with '-h')

    [as in `cutover --help`]

    Examples:
      cutover init
      cutover init --target deploy@web1.example.com:/srv/shop --preset laravel
      cutover init --from capistrano
      cutover init --from deployhq --file servers.json --file commands.json
      cutover init --print
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
