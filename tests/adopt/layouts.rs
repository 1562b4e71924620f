//! The directories of frameworks, as their documentation describes them: which paths are proposed, and that the proposal goes
//! with the configuration that `cutover init` writes for the same source.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{adopt, deploy_path};
use crate::support::site::Site;
use crate::support::sqlite::sql;
use crate::support::tree;

/// Makes a site: paths that the source and the server have, and paths that only the server has. A path that ends with a slash
/// is a directory.
fn standing(both: &[&str], server: &[&str]) -> Site {
    let site = Site::new();
    let put = |root: &Path, path: &str| match path.ends_with('/') {
        true => fs::create_dir_all(root.join(path)).unwrap(),
        false => tree::write(&root.join(path), path),
    };
    for path in both {
        put(&site.path("source"), path);
        put(&site.path("target"), path);
    }
    server.iter().for_each(|path| put(&site.path("target"), path));
    site
}

/// Returns the proposal: each path with its kind.
fn proposal(site: &Site, flags: &[&str]) -> Vec<String> {
    let survey = adopt(site, &[&["--dry-run"], flags].concat()).succeeded();
    super::proposal(&survey)
}

/// Adopts a site, deploys the source, and asserts that these files of the server are in the new release.
fn keeps(mut site: Site, kept: &[&str]) {
    adopt(&site, &["--yes"]).succeeded();
    let target = site.path("target");
    site.move_to(&deploy_path(&site));
    site.write("new", "");
    site.deploy(&[]);
    for path in kept {
        assert_eq!(fs::read_to_string(target.join(path)).unwrap(), *path);
    }
}

const LARAVEL: [&str; 13] = [
    "artisan",
    "bootstrap/app.php",
    "bootstrap/cache/.gitignore",
    "composer.json",
    "database/.gitignore",
    "public/index.php",
    "storage/app/.gitignore",
    "storage/app/public/.gitignore",
    "storage/framework/cache/.gitignore",
    "storage/framework/sessions/.gitignore",
    "storage/framework/testing/.gitignore",
    "storage/framework/views/.gitignore",
    "storage/logs/.gitignore",
];

#[test]
fn of_laravel_storage_is_shared_as_a_whole_and_the_caches_of_a_release_are_not() {
    let server = [
        ".env",
        "bootstrap/cache/packages.php",
        "database/database.sqlite",
        "public/build/manifest.json",
        "storage/app/public/a.jpg",
        "storage/framework/sessions/abc",
        "storage/logs/laravel.log",
        "storage/oauth-private.key",
        "vendor/autoload.php",
    ];
    let mut site = standing(&LARAVEL, &server);
    symlink("../storage/app/public", site.target("public/storage")).unwrap();
    let shared = ["config .env", "database database/database.sqlite", "uploads storage"];
    let others = ["built bootstrap/cache", "built public/build", "leftover public/storage", "built vendor"];
    let expected = [shared[0], others[0], shared[1], others[1], others[2], shared[2], others[3]];
    assert_eq!(proposal(&site, &[]), expected);
    // What stays in the release may lie in it.
    let kept = proposal(&site, &["--keep", "storage/framework"]);
    let parts: Vec<&String> = kept.iter().filter(|line| line.contains(" storage")).collect();
    assert_eq!(parts[..2], ["uploads storage/app", "leftover storage/framework/sessions/abc"]);
    site.configure_as_init_does();
    let declared = ["declared .env", others[0], shared[1], others[1], others[2], "declared storage", others[3]];
    assert_eq!(proposal(&site, &[]), declared);
    assert_eq!(fs::read_to_string(site.target("public/storage/a.jpg")).unwrap(), "storage/app/public/a.jpg");
    keeps(site, &[".env", "database/database.sqlite", "storage/app/public/a.jpg", "storage/oauth-private.key"]);
}

#[test]
fn of_symfony_what_is_in_var_is_judged_though_the_source_has_no_var() {
    let both = ["bin/console", "config/bundles.php", "public/index.php", ".env"];
    let server =
        [".env.local", "var/cache/prod/App.php", "var/log/prod.log", "var/sessions/abc", "var/note", "vendor/a.php"];
    let site = standing(&both, &server);
    let expected = [
        "config .env.local",
        "built var/cache",
        "logs var/log",
        "leftover var/note",
        "cache var/sessions",
        "built vendor",
    ];
    assert_eq!(proposal(&site, &[]), expected);
    keeps(site, &[".env.local", "var/log/prod.log", "var/sessions/abc"]);
}

#[test]
fn of_rails_parts_of_tmp_are_shared_where_the_configuration_names_parts() {
    let both = [
        "config/application.rb",
        "config.ru",
        "db/seeds.rb",
        "log/.keep",
        "public/404.html",
        "tmp/.keep",
        "storage/.keep",
        "vendor/.keep",
    ];
    let server = [
        "config/master.key",
        "db/production.sqlite3",
        "log/production.log",
        "public/assets/a.css",
        "storage/ab/cd/blob",
        "tmp/cache/bootsnap/a",
        "tmp/pids/server.pid",
        "tmp/restart.txt",
        "vendor/bundle/ruby/a.rb",
    ];
    let mut site = standing(&both, &server);
    let expected = [
        "config config/master.key",
        "database db/production.sqlite3",
        "logs log",
        "built public/assets",
        "uploads storage",
        "cache tmp",
        "built vendor",
    ];
    assert_eq!(proposal(&site, &[]), expected);
    site.configure_as_init_does();
    let expected = [
        "declared config/master.key",
        "database db/production.sqlite3",
        "declared log",
        "built public/assets",
        "declared storage",
        "declared tmp/cache",
        "declared tmp/pids",
        "leftover tmp/restart.txt",
        "declared vendor/bundle",
    ];
    assert_eq!(proposal(&site, &[]), expected);
}

#[test]
fn uploads_of_which_the_source_has_some_are_shared_and_configuration_that_differs_is_named() {
    let both =
        ["public/uploads/logo.png", "public/media/theme.css", "public/media/theme.js", ".htaccess", "lib/settings.php"];
    let server = ["public/uploads/1.jpg", "public/uploads/2.jpg", "public/media/left.css"];
    let site = standing(&both, &server);
    tree::write(&site.target(".htaccess"), "as the application has written it");
    let expected = ["differs .htaccess", "leftover public/media/left.css", "uploads public/uploads"];
    assert_eq!(proposal(&site, &[]), expected);
    let report = adopt(&site, &["--yes"]).succeeded();
    assert_eq!(super::strings(&report["shared"]), ["public/uploads"]);
}

#[test]
fn what_the_next_deploy_would_lose_is_named() {
    let both = ["index.php", "plugins/index.php", "plugins/ext/main.php"];
    let server = ["plugins/stat/main.php", "plugins/ext/new.php"];
    let mut site = standing(&both, &server);
    tree::write(&site.target("plugins/ext/main.php"), "a newer version of the plugin");
    sql(&site.target("plugins/stat/stats.db"), "CREATE TABLE t (a)");
    // Uploads on another disk, and a configuration there.
    tree::write(&site.path("disk/uploads/a.jpg"), "a picture");
    tree::write(&site.path("disk/env"), "KEY=1");
    symlink(site.path("disk/uploads"), site.target("uploads")).unwrap();
    symlink(site.path("disk/env"), site.target(".env")).unwrap();
    let survey = super::adopt(&site, &["--dry-run"]).succeeded();
    assert_eq!((&survey["differing_files"], &survey["differing_example"]), (&1.into(), &"plugins/ext/main.php".into()));
    assert_eq!(super::strings(&survey["databases"]), ["plugins/stat/stats.db"]);
    assert_eq!(proposal(&site, &[])[..2], ["config .env".to_owned(), "leftover plugins/ext/new.php".to_owned()]);
    super::adopt(&site, &["--yes"]).succeeded();
    let target = site.path("target");
    super::to_deploy_path(&mut site);
    site.write("index.php", "2");
    site.deploy(&[]);
    for (path, content) in [("uploads/a.jpg", "a picture"), (".env", "KEY=1")] {
        assert_eq!(std::fs::read_to_string(target.join(path)).unwrap(), content, "{path}");
    }
}

#[test]
fn settings_of_one_machine_that_differ_are_decided_by_the_person() {
    let site = standing(&[".env", "public/index.php", "config/database.yml"], &[]);
    tree::write(&site.target(".env"), "KEY=production");
    let refused = adopt(&site, &["--yes"]);
    refused.failed(1, &["[config-differs]", "`.env`", "--share .env", "--keep .env"]);
    assert!(!refused.stderr.contains("database.yml"), "{}", refused.stderr);
    let report = adopt(&site, &["--yes", "--share", ".env"]).succeeded();
    assert_eq!(super::strings(&report["shared"]), [".env"]);
    assert_eq!(fs::read_to_string(site.target(".env")).unwrap(), "KEY=production");

    let site = standing(&[".env"], &[]);
    tree::write(&site.target(".env"), "KEY=production");
    let report = adopt(&site, &["--yes", "--keep", ".env"]).succeeded();
    assert_eq!(report["shared"], serde_json::json!([]));
}

#[test]
fn a_directory_of_which_the_source_has_only_a_placeholder_is_shared_as_a_whole() {
    let site = standing(&["index.php"], &["logs/app.log", "cache/page.html"]);
    for place in ["logs", "cache", "data"] {
        site.write(&format!("{place}/.gitkeep"), "");
    }
    fs::create_dir(site.target("data")).unwrap();
    sql(&site.target("data/shop.sqlite"), "CREATE TABLE t (a)");
    assert_eq!(proposal(&site, &[]), ["cache cache", "database data", "logs logs"]);
}
