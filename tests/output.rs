//! The output that a person sees: help, results and errors, complete, as on the screen.
//!
//! Each is a snapshot in the source of its test. If one differs and the new text is right, `cargo insta accept` or an
//! editor puts it in. `support/screen.rs` replaces varying text by brackets.

mod help;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::json;

use crate::support::screen::{normalised, shown};
use crate::support::sshd::{HOST, Sshd, is_root, keygen};

/// A directory with a config, a source and a deploy path, where a person works.
struct Shop {
    directory: tempfile::TempDir,
}

impl Shop {
    fn new() -> Shop {
        let shop = Shop { directory: tempfile::tempdir().unwrap() };
        shop.write("cutover.toml", "source = 'site'\n\n[shop]\ndeploy_path = 'srv/shop'\n");
        shop.write("site/index.html", "<h1>Shop</h1>\n");
        shop.write("site/lib/cart.php", "<?php // 1\n");
        shop
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Changes one file, removes one and adds one.
    fn change(&self) {
        self.write("site/index.html", "<h1>The shop</h1>\n");
        self.write("site/lib/basket.php", "<?php // 2\n");
        fs::remove_file(self.path().join("site/lib/cart.php")).unwrap();
    }

    /// Runs a command line, its words apart by spaces, and returns what is seen of it.
    fn run(&self, line: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(line.split(' ')).env_clear().env("HOME", self.path().join("home")).env("USER", "anna");
        command.current_dir(self.path()).stdin(Stdio::null());
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        shown(&mut command, &[(self.path().to_str().unwrap(), "[DIR]"), (&format!("anna@{host}"), "anna@[HOST]")])
    }

    /// Returns the help of a verb, without the flags that each verb has.
    fn help(&self, verb: &str) -> String {
        let (all, of_verb) = (self.run("--help"), self.run(&format!("help {verb}")));
        let from = all.find("\nEverywhere:\n").unwrap();
        let to = all.find("\nExamples:\n").unwrap();
        assert!(of_verb.contains(&all[from..to]), "{of_verb}");
        of_verb.replace(&all[from..to], "\n[as in `cutover --help`]\n")
    }
}

#[test]
fn what_varies_is_in_brackets_and_nothing_else() {
    let check = |text: &str, expected: &str| assert_eq!(normalised(text, &[("/tmp/x", "[DIR]")]).trim_end(), expected);
    check("live since 2026-03-25 14:00:00Z, by me", "live since [TIME], by me");
    check("since 2026-03-25T14:00:00Z", "since [TIME]");
    check("Release 20260325140000 is live; it replaces 12", "Release [RELEASE] is live; it replaces 12");
    check("sent 5.0 MB in 12.3 s", "sent [SIZE] in [SECONDS]");
    check("12.3 GB, 1,000,000 inodes", "[SIZE], [INODES]");
    check("3 files, 12 B, 2 sockets", "3 files, 12 B, 2 sockets");
    check("  sent   302 B", "  sent   [SIZE]");
    check("(process 4711)", "(process [PID])");
    check("/tmp/x/current is SHA256:ab+/9 here", "[DIR]/current is SHA256:[KEY] here");
}

#[test]
fn a_setup_lists_what_it_made() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("setup"), @r"
    $ cutover setup
    [exit 0]
    [DIR]/srv/shop is set up; created:
      .cutover
      .cutover/objects
      .cutover/releases
      .cutover/staging
      .cutover/trash
      .cutover/bin
      releases
      shared
    ");
    assert_snapshot!(shop.run("setup"), @r"
    $ cutover setup
    [exit 0]
    [DIR]/srv/shop was set up already
    ");
}

#[test]
fn a_first_deploy() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("deploy --release 1"), @r"
    $ cutover deploy --release 1
    [exit 0]
    Release 1 is live
      files    2, 25 B
      changes  2 new, 0 changed, 0 removed
      sent     [SIZE]
      stored   2 new objects, 2 files linked
      time     [SECONDS]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 25 B in [SECONDS]
    Sent 2 files, 25 B in [SECONDS]
    Assembled in [SECONDS]
    Made it durable in [SECONDS]
    Switched in [SECONDS]
    Cleaned up in [SECONDS]
    ");
}

#[test]
fn a_deploy_of_what_is_live() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    assert_snapshot!(shop.run("deploy"), @r"
    $ cutover deploy
    [exit 0]
    Nothing changed: release 1 is live
      files    2, 25 B
      changes  0 new, 0 changed, 0 removed
      sent     [SIZE]
      time     [SECONDS]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 25 B in [SECONDS]
    ");
}

#[test]
fn a_deploy_of_changes() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    assert_snapshot!(shop.run("deploy --release 2"), @r"
    $ cutover deploy --release 2
    [exit 0]
    Release 2 is live; it replaces 1
      files    2, 29 B
      changes  1 new, 1 changed, 1 removed
      sent     [SIZE]
      stored   2 new objects, 2 files linked
      time     [SECONDS]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 29 B in [SECONDS]
    Sent 2 files, 29 B in [SECONDS]
    Assembled in [SECONDS]
    Made it durable in [SECONDS]
    Switched in [SECONDS]
    Cleaned up in [SECONDS]
    ");
}

#[test]
fn a_deploy_without_a_switch_and_the_switch() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    assert_snapshot!(shop.run("deploy --release 2 --no-switch"), @r"
    $ cutover deploy --release 2 --no-switch
    [exit 0]
    Release 2 is ready
      files    2, 29 B
      changes  1 new, 1 changed, 1 removed
      sent     [SIZE]
      stored   2 new objects, 2 files linked
      time     [SECONDS]
    `cutover switch 2` makes it live
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 29 B in [SECONDS]
    Sent 2 files, 29 B in [SECONDS]
    Assembled in [SECONDS]
    Made it durable in [SECONDS]
    Cleaned up in [SECONDS]
    ");
    assert_snapshot!(shop.run("switch 2"), @r"
    $ cutover switch 2
    [exit 0]
    Release 2 is live; it replaces 1
    ");
}

#[test]
fn a_dry_run_before_the_first_deploy() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("deploy --dry-run"), @r"
    $ cutover deploy --dry-run
    [exit 0]
    Dry run: nothing was changed. A deploy would make a new release live
      files    2, 25 B
      changes  2 new, 0 changed, 0 removed
      time     [SECONDS]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 25 B in [SECONDS]
    ");
}

#[test]
fn a_dry_run_of_changes() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    assert_snapshot!(shop.run("deploy --dry-run"), @r"
    $ cutover deploy --dry-run
    [exit 0]
    Dry run: nothing was changed. A deploy would make a new release live
      files    2, 29 B
      changes  1 new, 1 changed, 1 removed
      time     [SECONDS]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 29 B in [SECONDS]
    ");
}

#[test]
fn a_rollback_and_the_releases_after_it() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    shop.run("deploy --release 2");
    assert_snapshot!(shop.run("rollback"), @r"
    $ cutover rollback
    [exit 0]
    Release 1 is live; it replaces 2
    [stderr]
    Going from 2 (made [SECONDS] ago by anna@[HOST]) to 1 (made [SECONDS] ago by anna@[HOST])
    ");
    assert_snapshot!(shop.run("releases"), @r"
    $ cutover releases
    [exit 0]
    RELEASE  STATE  LIVE SINCE            COMMIT  FILES  SIZE   OWN  WHO
    1        live   [TIME]  -           2  25 B  25 B  anna@[HOST]
    2        bad    [TIME]  -           2  29 B  29 B  anna@[HOST]
    2 is bad: it was rolled back (by anna@[HOST])
    ");
}

#[test]
fn the_releases_before_the_first_deploy() {
    let shop = Shop::new();
    shop.run("setup");
    assert_snapshot!(shop.run("releases"), @r"
    $ cutover releases
    [exit 0]
    There are no releases
    ");
}

#[test]
fn the_status_of_a_live_site() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    shop.run("deploy --release 2");
    assert_snapshot!(shop.run("status"), @r"
    $ cutover status
    [exit 0]
    Release 2 is live
      since     [TIME], by anna@[HOST]
      files     2, 29 B
      rollback  goes to 1
      path      [DIR]/srv/shop
      current   [DIR]/srv/shop/current
      releases  2
      store     4 objects, [SIZE]
      free      [SIZE], [INODES]
    ");
}

#[test]
fn the_status_before_the_first_deploy() {
    let shop = Shop::new();
    shop.run("setup");
    assert_snapshot!(shop.run("status"), @r"
    $ cutover status
    [exit 0]
    Nothing is live yet
      rollback  none
      path      [DIR]/srv/shop
      current   [DIR]/srv/shop/current
      releases  0
      store     0 objects, 0 B
      free      [SIZE], [INODES]
    ");
}

#[test]
fn a_diff_shows_what_a_deploy_would_change() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    assert_snapshot!(shop.run("diff"), @r"
    $ cutover diff
    [exit 0]
    ~ index.html
    + lib/basket.php
    - lib/cart.php
    1 new, 1 changed, 1 removed (from 1 to source)
    ");
}

#[test]
fn a_diff_of_two_releases() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    shop.run("deploy --release 2");
    assert_snapshot!(shop.run("diff shop 1 2"), @r"
    $ cutover diff shop 1 2
    [exit 0]
    ~ index.html
    + lib/basket.php
    - lib/cart.php
    1 new, 1 changed, 1 removed (from 1 to 2)
    ");
}

#[test]
fn a_cleanup_removes_what_is_due() {
    let shop = Shop::new();
    for release in 1..5 {
        shop.write("site/index.html", &format!("{release}"));
        shop.run(&format!("deploy --release {release}"));
    }
    shop.write("cutover.toml", "source = 'site'\nkeep_releases = 2\ngrace = '1h'\n[shop]\ndeploy_path = 'srv/shop'\n");
    assert_snapshot!(shop.run("cleanup --dry-run"), @r"
    $ cutover cleanup --dry-run
    [exit 0]
    A cleanup would remove 0 releases and 0 objects, 0 B
      kept  1 (within its grace)
      kept  2 (within its grace)
    ");
    assert_snapshot!(shop.run("cleanup"), @r"
    $ cutover cleanup
    [exit 0]
    Removed 0 releases and 0 objects, 0 B
      kept  1 (within its grace)
      kept  2 (within its grace)
    ");
    assert_snapshot!(shop.run("cleanup --grace 0s"), @r"
    $ cutover cleanup --grace 0s
    [exit 0]
    Removed 2 releases and 2 objects, [SIZE]
      removed  1
      removed  2
    ");
}

#[test]
fn no_config_is_an_error_with_a_way_out() {
    let shop = Shop::new();
    fs::remove_file(shop.path().join("cutover.toml")).unwrap();
    assert_snapshot!(shop.run("deploy"), @r"
    $ cutover deploy
    [exit 2]
    [stderr]
    Error: There is no target: no `--target`, and no `cutover.toml` here or above
    Hint: Name one with `--target DEST`, such as `--target /srv/site` or `--target deploy@web1:/srv/site`
    Nothing was switched.
    ");
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let shop = Shop::new();
    shop.write("cutover.toml", "source = 'site'\n\n[shop]\ndeploy_path = 'srv/shop'\nkeep_release = 5\n");
    assert_snapshot!(shop.run("deploy"), @r"
    $ cutover deploy
    [exit 2]
    [stderr]
    Error: `[DIR]/cutover.toml` line 5: there is no key `keep_release`
    Hint: Did you mean `keep_releases`?
    Nothing was switched.
    ");
}

#[test]
fn an_unknown_stage_is_named_with_the_known_ones() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("deploy shp"), @r"
    $ cutover deploy shp
    [exit 2]
    [stderr]
    Error: There is no stage `shp` in `[DIR]/cutover.toml`
    Hint: Its stage is `shop`
    Nothing was switched.
    ");
}

#[test]
fn an_unknown_verb_or_flag_is_named_with_the_nearest() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("deplyo"), @r"
    $ cutover deplyo
    [exit 2]
    [stderr]
    error: unrecognized subcommand 'deplyo'

      tip: a similar subcommand exists: 'deploy'

    Usage: cutover [OPTIONS] <VERB>

    For more information, try '--help'.
    ");
    assert_snapshot!(shop.run("deploy --dryrun"), @r"
    $ cutover deploy --dryrun
    [exit 2]
    [stderr]
    error: unexpected argument '--dryrun' found

      tip: a similar argument exists: '--dry-run'

    Usage: cutover deploy --dry-run [STAGE]

    For more information, try '--help'.
    ");
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("deploy --source sit"), @r"
    $ cutover deploy --source sit
    [exit 1]
    [stderr]
    Error: There is no source directory `[DIR]/sit`
    Hint: Name the directory to deploy with `--source DIR`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-deploy.jsonl
    Nothing was switched.
    ");
}

#[test]
fn a_build_that_fails_names_its_hook_its_end_and_its_last_lines() {
    let shop = Shop::new();
    let hook = "[[hooks]]\nname = 'assets'\nphase = 'build'\nrun = 'seq 20; echo no such file; exit 3'\n";
    shop.write("cutover.toml", &format!("source = 'site'\n{hook}[shop]\ndeploy_path = 'srv/shop'\n"));
    assert_snapshot!(shop.run("deploy --quiet"), @r"
    $ cutover deploy --quiet
    [exit 6]
    [stderr]
    [assets] 12
    [assets] 13
    [assets] 14
    [assets] 15
    [assets] 16
    [assets] 17
    [assets] 18
    [assets] 19
    [assets] 20
    [assets] no such file
    Error: The hook `assets` (build) failed: it ended with exit code 3
    Hint: Read its output above, correct the command, and run this again
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-deploy.jsonl
    Nothing was switched.
    ");
}

#[test]
fn a_shared_file_that_is_missing_is_named() {
    let shop = Shop::new();
    shop.write("cutover.toml", "source = 'site'\nshared_files = ['.env']\n[shop]\ndeploy_path = 'srv/shop'\n");
    assert_snapshot!(shop.run("deploy"), @r"
    $ cutover deploy
    [exit 1]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 25 B in [SECONDS]
    Error: The shared path `[DIR]/srv/shop/shared/.env` does not exist
    Hint: Put it at `[DIR]/srv/shop/shared/.env` on the server and deploy again; the verb `shared push` copies a file there
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-deploy.jsonl
    Nothing was deployed yet.
    ");
}

#[test]
fn a_path_that_is_not_set_up_is_named_by_every_verb() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("status"), @r"
    $ cutover status
    [exit 1]
    [stderr]
    Error: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    ");
    assert_snapshot!(shop.run("releases"), @r"
    $ cutover releases
    [exit 1]
    [stderr]
    Error: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    ");
    assert_snapshot!(shop.run("rollback"), @r"
    $ cutover rollback
    [exit 1]
    [stderr]
    Error: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-rollback.jsonl
    Nothing was deployed yet.
    ");
    assert_snapshot!(shop.run("switch 1"), @r"
    $ cutover switch 1
    [exit 1]
    [stderr]
    Error: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-switch.jsonl
    Nothing was deployed yet.
    ");
    assert_snapshot!(shop.run("cleanup"), @r"
    $ cutover cleanup
    [exit 1]
    [stderr]
    Error: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-cleanup.jsonl
    ");
    assert_snapshot!(shop.run("diff"), @r"
    $ cutover diff
    [exit 1]
    [stderr]
    Error: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    ");
}

#[test]
fn a_rollback_without_an_earlier_release_is_refused() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    assert_snapshot!(shop.run("rollback"), @r"
    $ cutover rollback
    [exit 1]
    [stderr]
    Error: No release was live before, so there is nothing to roll back to
    Hint: `cutover switch ID` goes to any other release; see `cutover releases`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-rollback.jsonl
    The site still serves release 1.
    ");
    assert_snapshot!(shop.run("switch 7"), @r"
    $ cutover switch 7
    [exit 1]
    [stderr]
    Error: There is no release 7
    Hint: See `cutover releases`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-switch.jsonl
    The site still serves release 1.
    ");
    assert_snapshot!(shop.run("deploy --release 1 --force"), @r"
    $ cutover deploy --release 1 --force
    [exit 1]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 25 B in [SECONDS]
    Error: There is a release 1 already
    Hint: Choose another `--release`, or leave it out
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-deploy.jsonl
    The site still serves release 1.
    ");
}

#[test]
fn a_directory_that_is_not_a_deploy_path_is_refused() {
    let shop = Shop::new();
    shop.write("srv/shop/index.php", "");
    assert_snapshot!(shop.run("deploy"), @r"
    $ cutover deploy
    [exit 1]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 25 B in [SECONDS]
    Error: The deploy path `[DIR]/srv/shop` is not empty and was not made by Cutover: it holds `index.php`
    Hint: Choose a deploy path that is empty or does not exist yet; `shared/` may exist
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-deploy.jsonl
    Nothing was switched.
    ");
}

#[test]
fn a_deploy_path_that_is_locked_names_who_holds_it() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    let lock = shop.path().join("srv/shop/.cutover/lock");
    let held = fs::OpenOptions::new().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    let holder = json!({ "who": "bert", "from": "laptop", "since": 1_774_447_200, "pid": 4711, "verb": "deploy" });
    fs::write(lock, holder.to_string()).unwrap();
    assert_snapshot!(shop.run("deploy"), @r"
    $ cutover deploy
    [exit 5]
    [stderr]
    Connected in [SECONDS]
    Scanned 2 files, 29 B in [SECONDS]
    Error: Another run is at work: bert@laptop since [TIME]: deploy (process [PID])
    Hint: Run the command again when that is done, or with `--lock-wait`, which waits for it
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-deploy.jsonl
    The site still serves release 1.
    ");
    assert_snapshot!(shop.run("status"), @r"
    $ cutover status
    [exit 0]
    Release 1 is live
      since     [TIME], by anna@[HOST]
      files     2, 25 B
      rollback  none
      path      [DIR]/srv/shop
      current   [DIR]/srv/shop/current
      releases  1
      store     2 objects, [SIZE]
      free      [SIZE], [INODES]
      lock      bert@laptop since [TIME]: deploy (process [PID])
    ");
}

/// Runs a verb against a server, and returns what is seen of it.
fn run_over(sshd: &Sshd, user: &str, verb: &str) -> String {
    let target = format!("{user}@{HOST}:shop");
    let mut command = sshd.command(&[verb, "--target", &target]);
    let home = sshd.client("").to_str().unwrap().trim_end_matches('/').to_owned();
    let port = format!(":{}", sshd.port());
    shown(
        command.env_remove("XDG_CACHE_HOME").stdin(Stdio::null()),
        &[(&home, "[HOME]"), (user, "[USER]"), (&port, ":[PORT]")],
    )
}

#[test]
fn a_host_key_that_is_unknown_or_has_changed_is_told_with_what_to_do() {
    if !is_root("a_host_key_that_is_unknown_or_has_changed_is_told_with_what_to_do") {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    fs::remove_file(sshd.client(".ssh/known_hosts")).unwrap();
    assert_snapshot!(run_over(&sshd, &user, "status"), @r"
    $ cutover status --target [USER]@shop:shop -F [HOME]/.ssh/config
    [exit 1]
    [stderr]
    Error: The host key of `[127.0.0.1]:[PORT]` is not known: ssh-ed25519 SHA256:[KEY]
    Caused by: It is not in `[HOME]/.ssh/known_hosts`
    Hint: Compare the fingerprint with the server's, then accept it: `ssh -F [HOME]/.ssh/config -o StrictHostKeyChecking=ask [USER]@shop true`
    ");
    keygen(&sshd.client("other"));
    sshd.know(&fs::read_to_string(sshd.client("other.pub")).unwrap());
    assert_snapshot!(run_over(&sshd, &user, "status"), @r"
    $ cutover status --target [USER]@shop:shop -F [HOME]/.ssh/config
    [exit 1]
    [stderr]
    Error: The host key of `[127.0.0.1]:[PORT]` has changed: it is now ssh-ed25519 SHA256:[KEY]
    Hint: Someone may be intercepting the connection. If you know that the server was installed anew: `ssh-keygen -R '[127.0.0.1]:[PORT]' -f [HOME]/.ssh/known_hosts`
    ");
}
