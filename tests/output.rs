//! The output that a person sees: help, results and errors, complete, as on the screen.
//!
//! Each is a snapshot in the source of its test. If one differs and the new text is right, `cargo insta accept` or an
//! editor puts it in. `support/screen.rs` replaces varying text by brackets.

mod errors;
mod help;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::support::screen::{normalised, shown};
use crate::support::tree;

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
        tree::write(&self.path().join(path), content);
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
      changes  2 new (25 B), 0 changed, 0 removed
      new      index.html (14 B), lib/cart.php (11 B)
      to send  2 files, 25 B before compression
      space    needs [SIZE] and [INODES]; [SIZE] and [INODES] are free
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
      changes  1 new (11 B), 1 changed (18 B), 1 removed (11 B)
      new      lib/basket.php (11 B)
      changed  index.html (18 B)
      gone     lib/cart.php (11 B)
      to send  2 files, 29 B before compression; of 18 B only the differences to old versions are sent
      space    needs [SIZE] and [INODES]; [SIZE] and [INODES] are free
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
    ~ index.html (18 B, was 14 B)
    + lib/basket.php (11 B)
    - lib/cart.php (11 B)
    1 new (11 B), 1 changed (18 B), 1 removed (11 B), from 1 to source
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
    ~ index.html (18 B, was 14 B)
    + lib/basket.php (11 B)
    - lib/cart.php (11 B)
    1 new (11 B), 1 changed (18 B), 1 removed (11 B), from 1 to 2
    ");
}

#[test]
fn a_file_that_moved_is_one_line() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    fs::rename(shop.path().join("site/lib"), shop.path().join("site/library")).unwrap();
    assert_snapshot!(shop.run("diff"), @r"
    $ cutover diff
    [exit 0]
    > lib/cart.php => library/cart.php (11 B)
    0 new, 0 changed, 0 removed, 1 moved (11 B), from 1 to source
    ");
}

#[test]
fn what_was_changed_on_the_server_is_listed() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    assert_snapshot!(shop.run("diff --on-disk"), @r"
    $ cutover diff --on-disk
    [exit 0]
    Release 1, compared without reading: as deployed
    ");
    shop.write("srv/shop/current/lib/shell.php", "<?php // not ours\n");
    fs::remove_file(shop.path().join("srv/shop/current/index.html")).unwrap();
    assert_snapshot!(shop.run("diff --on-disk --content shop 1"), @r"
    $ cutover diff --on-disk --content shop 1
    [exit 4]
    - index.html (14 B)
    + lib/shell.php (18 B)
    Release 1, read in full: 2 paths not as deployed
    [stderr]
    Error [release-edited]: Release 1 is not what was deployed
    Hint: `cutover deploy shop` makes the live release anew from its source, and names what was changed
    ");
}

#[test]
fn the_use_of_the_disk_is_shown_by_release_and_by_part() {
    let shop = Shop::new();
    shop.run("deploy --release 1");
    shop.change();
    shop.run("deploy --release 2");
    // The widths of columns depend on the filesystem.
    let shown = shop.run("du");
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let labels: Vec<String> = shown.lines().map(first).collect();
    let parts = ["store", "trees", "shared/", "records", "other", "total", "free"];
    assert_eq!(labels[..5], ["$", "[exit", "RELEASE", "2", "1"], "{shown}");
    assert_eq!(labels[6..], parts, "{shown}");
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
    A cleanup would remove 0 releases and 0 objects: 0 B and [INODES]
      kept  1 (within its grace)
      kept  2 (within its grace)
    ");
    assert_snapshot!(shop.run("cleanup"), @r"
    $ cutover cleanup
    [exit 0]
    Removed 0 releases and 0 objects: 0 B and [INODES]
      kept  1 (within its grace)
      kept  2 (within its grace)
    ");
    assert_snapshot!(shop.run("cleanup --grace 0s"), @r"
    $ cutover cleanup --grace 0s
    [exit 0]
    Removed 2 releases and 2 objects: [SIZE] and [INODES]
      removed  1
      removed  2
    ");
}
