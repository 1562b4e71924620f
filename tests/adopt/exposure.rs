//! Who may read and write what after an adoption: nobody more than before, and who may do less is named.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::site::{Site, text};
use crate::support::sqlite::sql;
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::tree::{self, set_mode};

use super::{adopt, deploy_path, standing};

const GROUP_OF_WEB: u32 = 33;

/// Returns whether a user, with a group, may read a file.
fn may_read(user: &str, group: &str, path: &Path) -> bool {
    let mut read = Command::new("setpriv");
    read.args(["--reuid", user, "--regid", group, "--clear-groups", "cat"]).arg(path);
    read.output().unwrap().status.success()
}

/// Returns a site in an open directory, and its place. None without root.
fn open_site() -> Option<(Site, PathBuf)> {
    is_root().then(|| {
        let site = standing();
        set_mode(site.path(""), 0o755);
        let target = site.path("target");
        (site, target)
    })
}

#[test]
fn shared_paths_stay_as_closed_as_the_directories_above_them() {
    let Some((site, target)) = open_site() else { return };
    site.write_both("priv/a.php", "<?php");
    tree::write(&target.join("priv/uploads/secret.txt"), "secret");
    run(Command::new("chgrp").arg("-R").arg("www-data").arg(&target));
    set_mode(target.join("priv"), 0o700);
    set_mode(&target, 0o750);
    assert!(may_read("nobody", "www-data", &target.join(".env")));
    adopt(&site, &["--yes"]).succeeded();
    let shared = deploy_path(&site).join("shared");
    assert!(may_read("www-data", "www-data", &target.join(".env")));
    for path in [shared.join(".env"), shared.join("priv/uploads/secret.txt"), target.join(".env")] {
        assert!(!may_read("nobody", "nogroup", &path), "{}", path.display());
    }
    assert!(!may_read("www-data", "www-data", &shared.join("priv/uploads/secret.txt")));
    assert_eq!(fs::metadata(shared.join("priv")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn the_group_of_the_site_gets_no_right_that_another_group_had() {
    let Some((site, target)) = open_site() else { return };
    let paths = ["deploy-key.txt", "backup2/dump.sql", "lib/group.php"];
    for path in paths {
        site.write_both(path, "secret");
        set_mode(target.join(path), 0o640);
    }
    set_mode(target.join("backup2/dump.sql"), 0o644);
    set_mode(target.join("backup2"), 0o750);
    for path in [&target, &target.join("lib"), &target.join("lib/group.php")] {
        chown(path, None, Some(GROUP_OF_WEB)).unwrap();
    }
    let readable = || paths.map(|path| may_read("www-data", "www-data", &target.join(path)));
    let before = readable();
    assert_eq!(before, [false, false, true]);
    adopt(&site, &["--yes"]).succeeded();
    assert_eq!(readable(), before);
}

#[test]
fn a_database_gives_no_right_to_a_group_with_other_members() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let (one, other) = (sshd.add_user("/bin/sh"), sshd.add_user("/bin/sh"));
    let group = format!("cutcust{}", std::process::id());
    run(Command::new("groupadd").arg(&group));
    for user in [&one, &other] {
        run(Command::new("usermod").args(["-a", "-G", &group, user]));
    }
    let site = standing();
    let target = site.path("target");
    sql(&target.join("app.sqlite3"), "CREATE TABLE t (a)");
    run(Command::new("chown").args(["-R", &format!("{one}:{group}")]).arg(&target));
    let ran = adopt(&site, &["--yes"]);
    run(Command::new("groupdel").arg(&group));
    ran.failed(1, &["[database-not-writable]", &one, &format!("its group `{group}` has another member, `{other}`")]);
    assert!(fs::symlink_metadata(&target).unwrap().is_dir());
}

#[test]
fn a_directory_that_is_served_above_and_an_access_list_are_named() {
    let site = standing();
    tree::write(&site.path("index.html"), "");
    run(Command::new("setfacl").args(["-m", "u:33:rx"]).arg(site.path("target")));
    let survey = adopt(&site, &["--dry-run"]).succeeded();
    assert_eq!(text(&survey["served_above"]), site.path("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!(survey["acl_names"].as_array().unwrap().len(), 1);
    let shown = site.shows(&["adopt", "--dry-run", "--source", site.path("source").to_str().unwrap()]);
    assert!(shown.contains("refuse names that begin with a dot") && shown.contains("A release has no ACL"), "{shown}");
}

/// Adopts a site, follows the hint of each refusal, and returns the refused paths.
fn adopt_with_hints(site: &Site, refused: &[&str]) {
    for path in refused {
        let ran = adopt(site, &["--yes"]);
        ran.failed(1, &["[web-server-locked-out]", path]);
        let command =
            ran.stderr.lines().find_map(|line| line.strip_prefix("Hint: ")).unwrap().split('`').nth(1).unwrap();
        run(Command::new("sh").args(["-c", command]));
    }
    adopt(site, &["--yes"]).succeeded();
}

#[test]
fn a_path_that_a_reader_could_not_read_any_more_is_refused_and_the_hint_gives_the_right() {
    let give = |site: &Site, path: &str, owner: &str, mode: u32| {
        run(Command::new("chown").arg(owner).arg(site.target(path)));
        set_mode(site.target(path), mode);
    };
    let Some((site, target)) = open_site() else { return };
    let page = target.join("public/index.php");
    let may_serve = |page: &Path| may_read("www-data", "www-data", page);
    // The group of the file is not that of the site.
    give(&site, "public/index.php", "root:www-data", 0o640);
    assert!(may_serve(&page));
    adopt_with_hints(&site, &["public/index.php"]);
    assert!(may_serve(&page));

    // A closed directory below the site belongs to the web server.
    let (site, target) = open_site().unwrap();
    give(&site, "lib", "www-data:www-data", 0o700);
    adopt_with_hints(&site, &["The owner `www-data` may read `lib`"]);
    assert!(may_serve(&target.join("lib/shop.php")));

    // An access list, whose mask looks like rights of the group.
    let (site, target) = open_site().unwrap();
    set_mode(site.target("lib/shop.php"), 0o600);
    run(Command::new("setfacl").args(["-m", "u:www-data:r"]).arg(target.join("lib/shop.php")));
    assert!(!may_read("nobody", "root", &target.join("lib/shop.php")));
    adopt_with_hints(&site, &["By an ACL, `www-data` may read `lib/shop.php`"]);
    assert!(may_serve(&target.join("lib/shop.php")));
    // The owner alone may read a file: nobody else does.
    let (site, _) = open_site().unwrap();
    set_mode(site.target("lib/shop.php"), 0o600);
    adopt_with_hints(&site, &[]);
}

#[test]
fn shared_is_as_closed_as_the_site_at_the_next_adoption_too() {
    let Some((site, target)) = open_site() else { return };
    set_mode(target.join(".env"), 0o644);
    adopt(&site, &["--yes"]).succeeded();
    site.succeed(&["adopt", "--undo", "--yes"]);
    set_mode(&target, 0o750);
    adopt(&site, &["--yes"]).succeeded();
    assert!(!may_read("nobody", "nogroup", &target.join(".env")));
}

#[test]
fn a_database_in_the_root_of_the_site_takes_no_right_from_the_web_server() {
    let Some((site, target)) = open_site() else { return };
    sql(&target.join("app.sqlite3"), "CREATE TABLE t (a)");
    run(Command::new("chown").args(["-R", "man:www-data"]).arg(&target));
    run(Command::new("chown").arg("man:man").arg(target.join("app.sqlite3")));
    set_mode(&target, 0o750);
    let ran = adopt(&site, &["--yes"]);
    ran.failed(1, &["[database-not-writable]", "would get its group `man`, and `www-data` could not read it any more"]);
    assert!(may_read("www-data", "www-data", &target.join(".env")));
}

#[test]
fn an_access_list_counts_by_the_rights_that_it_gives() {
    let Some((site, target)) = open_site() else { return };
    let allow = |entries: &str| drop(run(Command::new("setfacl").args(["-b", "-m", entries]).arg(&target)));
    let named = || adopt(&site, &["--dry-run"]).json["acl_names"].to_string();
    set_mode(&target, 0o750);
    allow("u:nobody:rx,u:www-data:rx");
    adopt(&site, &["--yes"]).failed(1, &["[web-server-locked-out]"]);
    // None of these gives the right to enter and to list.
    allow("u:nobody:---,u:www-data:r");
    assert_eq!(named(), "[]");
    allow("u:www-data:rx,m::x");
    assert_eq!(named(), "[]");
    set_mode(&target, 0o750);
    allow("u:nobody:---,u:www-data:r");
    adopt(&site, &["--yes"]).succeeded();
}

#[test]
fn a_site_that_the_web_server_could_not_read_any_more_is_refused_and_the_hint_gives_the_right() {
    let Some((site, target)) = open_site() else { return };
    set_mode(&target, 0o750);
    run(Command::new("setfacl").args(["-R", "-m", "u:www-data:rX"]).arg(&target));
    assert!(may_read("www-data", "www-data", &target.join(".env")));
    let refused = adopt(&site, &["--yes"]);
    refused.failed(1, &["[web-server-locked-out]", "sudo chgrp -R www-data"]);
    let command = refused.stderr.lines().find(|line| line.starts_with("Hint: ")).unwrap().split('`').nth(1).unwrap();
    run(Command::new("sh").args(["-c", command]));
    adopt(&site, &["--yes"]).succeeded();
    assert!(may_read("www-data", "www-data", &target.join(".env")));
    assert!(may_read("www-data", "www-data", &target.join("public/index.php")));
}
