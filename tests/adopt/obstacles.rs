//! What prevents an adoption. All of it is found before anything changes, each with its next step.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::{adopt, deploy_path, standing, stats};
use crate::support::mount::Mount;
use crate::support::site::{Site, text};
use crate::support::sqlite::sql_as;
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::sudoers::Sudoers;
use crate::support::tree;

/// Asserts that an adoption is refused with these words, and that nothing has changed.
#[track_caller]
fn refused(site: &Site, flags: &[&str], words: &[&str]) {
    let before = stats(&site.path("target"));
    let flags = [&["--yes"][..], flags].concat();
    adopt(site, &flags).failed(1, &[words, &["\nHint: "]].concat());
    assert_eq!(stats(&site.path("target")), before);
    assert!(!deploy_path(site).join("releases").exists());
}

#[test]
fn a_site_that_is_missing_or_no_directory_is_named() {
    let site = Site::new();
    refused_at(&site, "does not exist");
    fs::write(site.path("target"), "a file").unwrap();
    refused_at(&site, "neither a directory nor a link to a release");
    fs::remove_file(site.path("target")).unwrap();
    symlink("/etc", site.path("target")).unwrap();
    refused_at(&site, "neither a directory nor a link to a release");
}

#[track_caller]
fn refused_at(site: &Site, words: &str) {
    adopt(site, &["--yes"]).failed(1, &[words, "\nHint: "]);
}

#[test]
fn an_adopted_site_is_not_adopted_twice() {
    let site = standing();
    adopt(&site, &["--yes"]).succeeded();
    let before = fs::read_link(site.path("target")).unwrap();
    adopt(&site, &["--yes"]).failed(1, &["is the link to the live release of", "already"]);
    assert_eq!(fs::read_link(site.path("target")).unwrap(), before);
}

#[test]
fn undoing_takes_no_flag_that_it_would_not_follow() {
    let site = standing();
    adopt(&site, &["--yes"]).succeeded();
    for flags in [&["--share", "old"][..], &["--keep", "old"], &["--link"], &["--source", "source"]] {
        let ran = site.cutover(&[&["adopt", "--undo", "--yes"][..], flags].concat());
        ran.failed(2, &["'--undo'", flags[0], "cannot be used with"]);
        assert!(fs::read_link(site.path("target")).is_ok(), "{flags:?}");
    }
}

#[test]
fn mounts_are_refused_with_the_alternative() {
    let site = standing();
    let Some(_mount) = Mount::tmpfs_on(&site.target("public/uploads")) else { return };
    refused(&site, &[], &["Something is mounted at", "public/uploads", "mount it at the same path in `shared/`"]);
    let site = standing();
    let Some(_mount) = Mount::onto_itself(&site.path("target")) else { return };
    refused(&site, &[], &["is a mount point", "point the web server at"]);
}

#[test]
fn a_deploy_path_elsewhere_or_inside_is_refused() {
    let site = standing();
    let Some(_mount) = Mount::tmpfs(&site.path("memory"), "size=8m") else { return };
    let elsewhere = site.path("memory/deploy");
    refused(&site, &["--deploy-path", elsewhere.to_str().unwrap()], &["on two filesystems", "--deploy-path"]);
    let inside = site.path("target/deploy");
    refused(&site, &["--deploy-path", inside.to_str().unwrap()], &["lies in the site", "--deploy-path"]);
    symlink(site.path("target"), site.path("way")).unwrap();
    let by_link = site.path("way/public/../deploy/new");
    refused(&site, &["--deploy-path", by_link.to_str().unwrap()], &["lies in the site", "--deploy-path"]);
}

#[test]
fn a_name_beside_which_no_link_can_stand_is_refused() {
    let mut site = standing();
    let long = site.path(&"x".repeat(214));
    fs::rename(site.path("target"), &long).unwrap();
    site.move_to(&long);
    adopt(&site, &["--yes"]).failed(1, &["at most 213 bytes", "point the web server at"]);
    assert!(fs::symlink_metadata(&long).unwrap().is_dir());
}

#[test]
fn too_little_space_is_refused_and_links_need_less() {
    let place = standing();
    let Some(_mount) = Mount::ext4(&place.path("small"), "16M", &[]) else { return };
    let mut site = Site::new();
    let target = place.path("small/shop");
    site.move_to(&target);
    let big = "x".repeat(6 << 20);
    site.write_both("big", &big);
    let source = site.path("source");
    let words = ["adopt", "--source", source.to_str().unwrap(), "--yes"];
    let free = site.cutover(&words);
    free.failed(1, &["Adopting needs", "--link"]);
    let linked = [&words[..], &["--link"]].concat();
    site.succeed(&linked);
    assert_eq!(fs::metadata(target.join("big")).unwrap().len(), big.len() as u64);
}

#[test]
fn paths_that_cannot_be_shared_are_named() {
    let site = standing();
    refused(&site, &["--share", "nothing"], &["`nothing` cannot be shared", "--share"]);
    symlink("../old", site.target("public/link")).unwrap();
    refused(&site, &["--share", "public/link"], &["`public/link` is a relative symlink"]);
}

#[test]
fn an_undeclared_path_is_not_shared_where_only_declared_ones_get_links() {
    let mut site = standing();
    site.configure("auto_shared = false\n");
    refused(&site, &[], &["`.env` would be shared, and the configuration links only declared paths"]);
    site.configure("auto_shared = false\nshared_dirs = ['public/uploads', 'storage/logs']\nshared_files = ['.env']\n");
    adopt(&site, &["--yes"]).succeeded();
    assert_eq!(fs::read_to_string(site.target(".env")).unwrap(), "KEY=1");
}

#[test]
fn a_deploy_path_of_cutover_is_not_adopted() {
    let site = Site::new();
    site.write("file", "content");
    site.deploy(&[]);
    let live = fs::read_link(site.target("current")).unwrap();
    adopt(&site, &["--yes"]).failed(1, &["already", "\nHint: "]);
    assert_eq!(fs::read_link(site.target("current")).unwrap(), live);
}

/// Runs the command in a hint as it is.
fn follow(hint: &str) {
    let command = hint.split('`').nth(1).unwrap();
    assert!(command.starts_with("sudo "), "{hint}");
    run(Command::new("sh").args(["-c", command]));
}

#[test]
fn missing_rights_are_found_at_once_and_each_hint_gives_one() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/sh");
    // A name for a shell.
    let holder = sshd.home(&user).parent().unwrap().join("it's my $HOME sites");
    let mut site = Site::over(&sshd, &user);
    let shop = holder.join("shop");
    site.move_on_server(&user, &shop);
    for (path, content) in [("index.php", "<?php"), ("uploads/a.jpg", "a"), (".env", "A=1"), ("secret.php", "")] {
        tree::write(&shop.join(path), content);
    }
    site.write("index.php", "<?php");
    tree::set_mode(&holder, 0o755);
    run(Command::new("chown").arg("-R").arg(&user).arg(&shop));
    run(Command::new("chown").args(["-R", "www-data"]).arg(shop.join("uploads")));
    tree::set_mode(shop.join("secret.php"), 0o600);
    run(Command::new("chown").arg("root").arg(shop.join("secret.php")));
    let ran = adopt(&site, &["--dry-run"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let obstacles = ran.json["obstacles"].as_array().unwrap().clone();
    let messages: Vec<String> = obstacles.iter().map(|found| text(&found["message"])).collect();
    let holder = holder.display();
    assert_eq!(
        messages,
        [
            format!("`{user}` may not exchange names in `{holder}`, which holds the site"),
            format!("`{user}` may not read a file that would be in the release, such as `secret.php` of `root`"),
            format!("`{user}` may not move names out of `{holder}/shop/uploads`, which belongs to `www-data`"),
        ]
    );
    obstacles.iter().for_each(|found| follow(&text(&found["hint"])));
    adopt(&site, &["--yes"]).succeeded();
    assert_eq!(fs::read_to_string(shop.join("uploads/a.jpg")).unwrap(), "a");
    assert!(fs::read_link(&shop).is_ok());
}

/// Returns what prevents an adoption, and the hints.
fn obstacles(site: &Site) -> Vec<(String, String)> {
    let ran = adopt(site, &["--dry-run"]);
    let found = ran.json["obstacles"].as_array().unwrap_or_else(|| panic!("{}", ran.stderr));
    found.iter().map(|found| (text(&found["message"]), text(&found["hint"]))).collect()
}

#[test]
fn a_database_of_the_web_server_moves_if_its_owner_can_go_on_to_write_to_it() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/sh");
    tree::set_mode(sshd.home(&user), 0o755);
    let site = Site::over(&sshd, &user);
    let (shop, database) = (site.target(""), site.target("data.sqlite3"));
    tree::write(&shop.join("index.php"), "<?php");
    site.write("index.php", "<?php");
    let sql = |user: &str, sql: &str| sql_as(user, "www-data", &database, sql);
    run(Command::new("chown").args(["-R", &format!("{user}:www-data")]).arg(&shop));
    tree::set_mode(&shop, 0o775);
    sql("www-data", "PRAGMA journal_mode=wal; CREATE TABLE t (a)");
    // The user is in no group of the web server, and may not lock a database against programs that use it.
    let found = obstacles(&site);
    let messages: Vec<&str> = found.iter().map(|(message, _)| message.as_str()).collect();
    let place = sshd.home(&user).join("site");
    let place = place.display();
    assert_eq!(
        messages,
        [
            format!(
                "`{user}` may not lock the database `{place}/data.sqlite3`, so it cannot move while a program uses it"
            ),
            format!(
                "Once `{place}/data.sqlite3` is in `shared/`, `www-data` could not make the journal of this database there: \
                 `{user}` is not in its group `www-data`, and cannot give that group a directory"
            ),
        ]
    );
    found.iter().for_each(|(_, hint)| follow(hint));
    assert_eq!(obstacles(&site), []);
    adopt(&site, &["--yes"]).succeeded();
    let stat = fs::metadata(deploy_path_of(&site).join("shared")).unwrap();
    assert_eq!(stat.permissions().mode() & 0o7777, 0o2775);
    assert_eq!(sql("www-data", "INSERT INTO t VALUES (1); SELECT count(*) FROM t").trim(), "1");
    let mut later = site;
    let deploy_path = deploy_path_of(&later);
    later.move_on_server(&user, &deploy_path);
    later.deploy(&[]);
    assert_eq!(sql("www-data", "INSERT INTO t VALUES (1); SELECT count(*) FROM t").trim(), "2");
    // A file beside the database that this user may not move is found before anything changes.
    sql("www-data", "PRAGMA journal_mode=persist; INSERT INTO t VALUES (1)");
    let journal = deploy_path.join("shared/data.sqlite3-journal");
    tree::set_mode(&journal, 0o644);
    later.move_on_server(&user, &shop);
    let refused = later.cutover(&["adopt", "--undo", "--yes"]);
    refused.failed(1, &["[database-not-lockable]", "data.sqlite3-journal", "sudo setfacl"]);
    assert!(fs::read_link(sshd.home(&user).join("site")).is_ok());
    follow(refused.stderr.lines().find(|line| line.starts_with("Hint: ")).unwrap());
    later.succeed(&["adopt", "--undo", "--yes"]);
    assert_eq!(sql("www-data", "INSERT INTO t VALUES (1); SELECT count(*) FROM t").trim(), "4");
    // The same before an adoption.
    sql("www-data", "PRAGMA journal_mode=persist; INSERT INTO t VALUES (1)");
    tree::set_mode(shop.join("data.sqlite3-journal"), 0o644);
    let found = obstacles(&later);
    assert!(found.len() == 1 && found[0].0.contains("data.sqlite3-journal"), "{found:?}");
}

/// Returns the deploy path that a site in the home of a user gets.
fn deploy_path_of(site: &Site) -> std::path::PathBuf {
    site.target("").parent().unwrap().join(".site.cutover")
}

#[test]
fn a_site_of_another_user_is_adopted_through_sudo_as_that_user() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let [anna, owner] = ["/bin/sh", "/bin/sh"].map(|shell| sshd.add_user(shell));
    tree::set_mode(sshd.home(&owner), 0o755);
    let mut site = Site::over(&sshd, &anna);
    site.move_on_server(&anna, &sshd.home(&owner).join("site"));
    for (path, content) in [("index.php", "<?php"), ("uploads/a.jpg", "a"), (".env", "A=1")] {
        tree::write(&site.target(path), content);
    }
    run(Command::new("chown").args(["-R", &format!("{owner}:{owner}")]).arg(site.target("")));
    tree::set_mode(site.target(".env"), 0o600);
    site.write("index.php", "<?php");
    // The one who logs in may not do it.
    adopt(&site, &["--dry-run"]).failed(1, &["belongs to", "\nHint: "]);
    site.configure(&format!("run_as = '{owner}'\n"));
    let _sudoers = Sudoers::write(&anna, &format!("{anna} ALL=({owner}) NOPASSWD: ALL\n"));
    assert_eq!(obstacles(&site), []);
    adopt(&site, &["--yes"]).succeeded();
    assert!(fs::read_link(sshd.home(&owner).join("site")).is_ok());
    assert_eq!(fs::read_to_string(site.target(".env")).unwrap(), "A=1");
    let undone = site.cutover(&["adopt", "--undo", "--yes"]).succeeded();
    assert_eq!(super::strings(&undone["shared"]), [".env", "uploads"]);
    assert!(fs::symlink_metadata(sshd.home(&owner).join("site")).unwrap().is_dir());
}

#[test]
fn a_journal_that_is_there_for_a_transaction_is_no_obstacle() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/sh");
    tree::set_mode(sshd.home(&user), 0o755);
    let site = Site::over(&sshd, &user);
    let (shop, database) = (site.target(""), site.target("data.sqlite3"));
    tree::write(&shop.join("index.php"), "<?php");
    site.write("index.php", "<?php");
    run(Command::new("chown").args(["-R", &format!("{user}:www-data")]).arg(&shop));
    tree::set_mode(&shop, 0o775);
    sql_as("www-data", "www-data", &database, "CREATE TABLE t (a)");
    // The user may write to the database, and not to the journals of the web server.
    run(Command::new("chown").arg(format!("www-data:{user}")).arg(&database));
    tree::set_mode(&database, 0o664);
    let end = site.path("end");
    let write = format!(
        "while ! test -e {}; do sqlite3 -cmd '.timeout 5000' {} 'INSERT INTO t VALUES (1)'; done",
        end.display(),
        database.display()
    );
    let mut writer = Command::new("setpriv")
        .args(["--reuid=www-data", "--regid=www-data", "--clear-groups", "sh", "-c", &write])
        .spawn()
        .unwrap();
    let found: Vec<_> = (0..4).map(|_| obstacles(&site)).collect();
    tree::write(&end, "");
    writer.wait().unwrap();
    assert_eq!(found, vec![Vec::new(); 4]);
}
