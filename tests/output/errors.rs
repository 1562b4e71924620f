//! The errors that a person sees, each with its next step.

use std::fs;
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::json;

use super::Shop;
use crate::support::screen::shown;
use crate::support::sshd::{HOST, Sshd, is_root, keygen};

#[test]
fn no_config_is_an_error_with_a_way_out() {
    let shop = Shop::new();
    fs::remove_file(shop.path().join("cutover.toml")).unwrap();
    assert_snapshot!(shop.run("deploy"), @r"
    $ cutover deploy
    [exit 2]
    [stderr]
    Error [no-target]: There is no target: no `--target`, and no `cutover.toml` here or above
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
    Error [config]: `[DIR]/cutover.toml` line 5: there is no key `keep_release`
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
    Error [stage]: There is no stage `shp` in `[DIR]/cutover.toml`
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
    Error [source-missing]: There is no source directory `[DIR]/sit`
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
    Error [hook-failed]: The hook `assets` (build) failed: it ended with exit code 3
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
    Error [shared-missing]: The shared path `[DIR]/srv/shop/shared/.env` does not exist
    Hint: Put it at `[DIR]/srv/shop/shared/.env` on the server and deploy again; the verb `shared push` copies a file there
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-deploy.jsonl
    No release is live.
    ");
}

#[test]
fn a_path_that_is_not_set_up_is_named_by_every_verb() {
    let shop = Shop::new();
    assert_snapshot!(shop.run("status"), @r"
    $ cutover status
    [exit 1]
    [stderr]
    Error [nothing-deployed]: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    ");
    assert_snapshot!(shop.run("releases"), @r"
    $ cutover releases
    [exit 1]
    [stderr]
    Error [nothing-deployed]: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    ");
    assert_snapshot!(shop.run("rollback"), @r"
    $ cutover rollback
    [exit 1]
    [stderr]
    Error [nothing-deployed]: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-rollback.jsonl
    No release is live.
    ");
    assert_snapshot!(shop.run("switch 1"), @r"
    $ cutover switch 1
    [exit 1]
    [stderr]
    Error [nothing-deployed]: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-switch.jsonl
    No release is live.
    ");
    assert_snapshot!(shop.run("cleanup"), @r"
    $ cutover cleanup
    [exit 1]
    [stderr]
    Error [nothing-deployed]: Nothing was deployed to `[DIR]/srv/shop` yet
    Hint: Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-cleanup.jsonl
    ");
    assert_snapshot!(shop.run("diff"), @r"
    $ cutover diff
    [exit 1]
    [stderr]
    Error [nothing-deployed]: Nothing was deployed to `[DIR]/srv/shop` yet
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
    Error [nothing-to-roll-back]: No release was live before, so there is nothing to roll back to
    Hint: `cutover switch ID` goes to any other release; see `cutover releases`
    Log: [DIR]/home/.cache/cutover/logs/[TARGET]/[TIME]-rollback.jsonl
    The site still serves release 1.
    ");
    assert_snapshot!(shop.run("switch 7"), @r"
    $ cutover switch 7
    [exit 1]
    [stderr]
    Error [release-unknown]: There is no release 7
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
    Error [release-exists]: There is a release 1 already
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
    Error [deploy-path-not-empty]: The deploy path `[DIR]/srv/shop` is not empty and was not made by Cutover: it holds `index.php`
    Hint: If it is a site that stands already, `cutover adopt` makes it the first release, takes it over from another tool, or says what to write in the config if it is adopted. Otherwise choose a deploy path that is empty or does not exist yet; `shared/` may exist
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
    Error [another-run]: Another run is at work: bert@laptop since [TIME]: deploy (process [PID])
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
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    fs::remove_file(sshd.client(".ssh/known_hosts")).unwrap();
    assert_snapshot!(run_over(&sshd, &user, "status"), @r"
    $ cutover status --target [USER]@shop:shop -F [HOME]/.ssh/config
    [exit 1]
    [stderr]
    Error [host-key-unknown]: The host key of `[127.0.0.1]:[PORT]` is not known: ssh-ed25519 SHA256:[KEY]
    Caused by: It is not in `[HOME]/.ssh/known_hosts`
    Hint: Compare the fingerprint with the server's, then accept it: `ssh -F [HOME]/.ssh/config -o StrictHostKeyChecking=ask [USER]@shop true`
    ");
    keygen(&sshd.client("other"));
    sshd.know(&fs::read_to_string(sshd.client("other.pub")).unwrap());
    assert_snapshot!(run_over(&sshd, &user, "status"), @r"
    $ cutover status --target [USER]@shop:shop -F [HOME]/.ssh/config
    [exit 1]
    [stderr]
    Error [host-key-changed]: The host key of `[127.0.0.1]:[PORT]` has changed: it is now ssh-ed25519 SHA256:[KEY]
    Hint: Someone may be intercepting the connection. If you know that the server was installed anew: `ssh-keygen -R '[127.0.0.1]:[PORT]' -f [HOME]/.ssh/known_hosts`
    ");
}
