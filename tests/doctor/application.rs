//! The application and the web server: caches, `shared/`, the rights of another user, the programs of hooks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::program;
use crate::support::site::text;
use crate::support::sshd::run;
use crate::support::tree;

use super::{Target, WEB_USER, chmod, chown};

#[test]
fn a_cache_that_names_another_release_is_made_anew_by_the_framework() {
    let Some(target) = Target::configured("shared_dirs = ['storage']") else { return };
    target.site.write("artisan", "<?php file_put_contents('storage/framework/config.php', getcwd());");
    target.site.deploy(&[]);
    let cache = target.site.target("shared/storage/framework");
    target.make(&cache);
    let path = target.site.target("releases").join("20200101000000/config/app.php");
    target.put(&cache.join("config.php"), &format!("<?php return ['path' => '{}'];", path.display()));
    open_for_web(&target, "storage");
    let found = target.mends(&[], "old-path-in-cache");
    assert!(found["message"].as_str().unwrap().contains("release 20200101000000"), "{found}");
    // A log may name old releases.
    target.make(&target.site.target("shared/storage/logs"));
    target.put(&target.site.target("shared/storage/logs/laravel"), &path.display().to_string());
    target.put(&target.site.target("shared/storage/php.log"), &path.display().to_string());
    target.is_healthy(&[]);
}

#[test]
fn a_search_for_old_paths_ends_at_its_bound_and_says_so() {
    let Some(target) = Target::deployed() else { return };
    let cache = target.site.target("shared/cache");
    target.make(&cache);
    for number in 0..20_000 {
        fs::write(cache.join(format!("{number}")), "").unwrap();
    }
    let facts = || {
        let checks = target.examine(&[]).json["checks"].clone();
        checks.as_array().unwrap().iter().find(|check| check["check"] == "caches").unwrap()["facts"].to_string()
    };
    assert_eq!(facts(), "[]");
    fs::write(cache.join("more"), "").unwrap();
    assert_eq!(facts(), r#"["only 20,000 files searched"]"#);
}

#[test]
fn a_search_for_old_paths_goes_through_no_link_and_waits_for_no_fifo() {
    let Some(target) = Target::deployed() else { return };
    let old = target.site.target("releases/20200101000000/a").display().to_string();
    let elsewhere = target.home("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("cache"), &old).unwrap();
    chown(WEB_USER, &elsewhere);
    target.make(&target.site.target("shared/cache"));
    symlink(&elsewhere, target.site.target("shared/cache/elsewhere")).unwrap();
    run(Command::new("mkfifo").arg(target.site.target("shared/cache/fifo")));
    target.is_healthy(&[]);
    target.put(&target.site.target("shared/cache/routes"), &old);
    target.has(&[], &["old-path-in-cache"]);
}

/// Lets the web server write to a directory of `shared/`.
fn open_for_web(target: &Target, path: &str) {
    let directory = target.site.target("shared").join(path);
    tree::set_mode(directory, 0o777);
}

#[test]
fn a_shared_file_that_is_missing_is_pushed_from_the_source() {
    let Some(mut target) = Target::deployed() else { return };
    target.site.write(".env", "A=1");
    target.site.write(".deployignore", "/.env\n");
    target.site.configure("source = 'source'\nshared_files = ['.env']");
    let found = target.has(&[], &["shared-missing"]);
    target.fix(&found);
    // It is for its owner alone, so the web server cannot read it.
    target.mends(&[], "web-user-cannot-read");
    fs::remove_file(target.site.source(".env")).unwrap();
    fs::remove_file(target.site.target("shared/.env")).unwrap();
    let found = target.has(&[], &["shared-missing"]);
    let fix = text(&found["fix"]);
    assert!(fix.contains("`cutover shared push --target ") && fix.ends_with(" FILE .env --yes`"), "{found}");
}

#[test]
fn a_shared_directory_that_the_user_cannot_make_is_told() {
    let Some(mut target) = Target::deployed() else { return };
    chown("root", &target.site.target("shared"));
    target.is_healthy(&[]);
    target.site.configure("source = 'source'\nshared_dirs = [{ path = 'storage', missing = 'optional' }]");
    target.is_healthy(&[]);
    target.site.configure("source = 'source'\nshared_dirs = ['storage']");
    let found = target.has(&[], &["path-not-writable"]);
    assert!(text(&found["message"]).contains("/site/shared` belongs to `root`"), "{found}");
    target.fix(&found);
    target.site.deploy(&[]);
    open_for_web(&target, "storage");
    target.is_healthy(&[]);
}

#[test]
fn a_link_of_the_live_release_to_nothing_is_told() {
    let Some(target) = Target::deployed() else { return };
    target.put(&target.site.target("shared/robots.txt"), "");
    target.site.deploy(&["--force"]);
    target.is_healthy(&[]);
    fs::remove_file(target.site.target("shared/robots.txt")).unwrap();
    target.has(&[], &["shared-link-broken"]);
    target.site.deploy(&["--force"]);
    target.is_healthy(&[]);
}

/// Runs a statement of SQL as a user. Returns what SQLite says if it fails.
fn sqlite(user: &str, database: &Path, statement: &str) -> Result<(), String> {
    let ran = Command::new("sudo").args(["-u", user, "sqlite3"]).arg(database).arg(statement).output().unwrap();
    if ran.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ran.stderr).into_owned()) }
}

#[test]
fn a_database_beside_which_its_user_may_make_no_file_is_told_and_then_written_to() {
    let Some(target) = Target::deployed() else { return };
    let directory = target.site.target("shared/data");
    target.make(&directory);
    // Not a database, though of its size.
    target.put(&directory.join("picture"), &"x".repeat(4096));
    let database = directory.join("shop.sqlite");
    sqlite(&target.user, &database, "create table orders (id)").unwrap();
    let add = |user: &str| sqlite(user, &database, "insert into orders values (1)");
    add(&target.user).unwrap();
    target.is_healthy(&[]);
    // The application may write to the file alone.
    chmod("666", &database);
    assert!(add(WEB_USER).unwrap_err().contains("attempt to write a readonly database"));
    let found = target.mends(&[], "database-not-writable");
    assert!(text(&found["message"]).contains(&format!("`{WEB_USER}` may write to the database ")), "{found}");
    add(WEB_USER).unwrap();
    // The owner is one whose servers do not run.
    let other = directory.join("other");
    target.make(&other);
    fs::copy(&database, other.join("other.sqlite")).unwrap();
    chown("nobody", &other.join("other.sqlite"));
    chmod("644", &other.join("other.sqlite"));
    assert!(sqlite("nobody", &other.join("other.sqlite"), "insert into orders values (1)").is_err());
    let found = target.mends(&[], "database-not-writable");
    assert!(text(&found["message"]).contains("`nobody` may write to the database "), "{found}");
    sqlite("nobody", &other.join("other.sqlite"), "insert into orders values (1)").unwrap();
}

#[test]
fn a_database_in_shared_itself_is_moved_and_its_directory_not_opened() {
    let Some(target) = Target::deployed() else { return };
    let database = target.site.target("shared/shop.sqlite");
    sqlite(&target.user, &database, "create table orders (id)").unwrap();
    target.site.deploy(&["--force"]);
    chown(WEB_USER, &database);
    let found = target.has(&[], &["database-not-writable"]);
    assert!(found["command"].is_null() && text(&found["fix"]).contains("a directory of their own"), "{found}");
    // It is closed to all writers.
    chmod("444", &database);
    target.is_healthy(&[]);
}

#[test]
fn a_web_user_gets_the_rights_that_it_lacks_one_after_the_other() {
    let Some(mut target) = Target::configured("shared_dirs = ['storage']") else { return };
    target.mends(&[], "web-user-cannot-write");
    chmod("700", &target.home(""));
    target.mends(&[], "web-user-cannot-enter");
    target.site.configure("source = 'source'\nshared_dirs = ['storage']\nwritable_dirs = ['cache']");
    target.site.deploy(&["--force"]);
    target.has(&[], &["web-user-cannot-write"]);
    target
        .site
        .configure("source = 'source'\nshared_dirs = ['storage']\nwritable_dirs = ['cache']\nwritable_mode = '0777'");
    target.site.deploy(&["--force"]);
    target.is_healthy(&[]);
    // Files of a release have the modes of the source.
    chmod("600", &target.site.source("index.php"));
    target.site.deploy(&[]);
    let found = target.has(&[], &["web-user-cannot-read", "source-warning"]);
    assert!(text(&found["message"]).contains(&format!("`{WEB_USER}` cannot read ")), "{found}");
    let ran = target.site.cutover(&["doctor", "--as", "nobody-of-that-name"]);
    assert!(ran.json["findings"].to_string().contains("web-user-unknown"), "{}", ran.json);
}

#[test]
fn a_program_that_a_hook_names_and_that_is_not_there_is_told() {
    let hook =
        |run: &str| format!("[[hooks]]\nname = 'warm'\nphase = 'after_deploy'\nhalt_on_error = false\nrun = '{run}'\n");
    let Some(mut target) = Target::deployed() else { return };
    target.site.configure(&format!("source = 'source'\n{}", hook("true && warm-the-cache --all")));
    let found = target.has(&[], &["program-missing"]);
    assert!(text(&found["message"]).contains("names `warm-the-cache`, which is not in the `PATH`"), "{found}");
    // A profile that only a login shell reads.
    target.make(&target.home("bin"));
    program::write(&target.home("bin/warm-the-cache"), "#!/bin/sh\n");
    target.put(&target.home(".profile"), "PATH=$HOME/bin:$PATH\n");
    let found = target.has(&[], &["program-missing"]);
    assert!(text(&found["fix"]).contains("Set `shell = \"login\"` for `warm`"), "{found}");
    let login = format!("{}shell = 'login'\n", hook("true && warm-the-cache --all"));
    target.site.configure(&format!("source = 'source'\n{login}"));
    target.is_healthy(&[]);
}
