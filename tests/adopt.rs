//! `adopt`: a standing directory becomes the first release of a deploy path, and goes back. It is served all the time.

mod carried;
mod claims;
mod databases;
mod exposure;
mod interrupted;
mod layouts;
mod obstacles;
mod original;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::load::Load;
use crate::support::site::{RunResult, Site, names, text};
use crate::support::{strace, tree};

/// A site that is overwritten in place, and the source that it came from. `target` is its directory.
pub(super) fn standing() -> Site {
    let site = Site::new();
    for (path, content) in [("public/index.php", "<?php echo 1;"), ("lib/shop.php", "<?php"), ("lib/empty", "")] {
        site.write_both(path, content);
    }
    site.write("storage/logs/.gitignore", "*");
    for (path, content) in [
        ("public/uploads/2026/a.jpg", "a picture"),
        (".env", "KEY=1"),
        ("storage/logs/.gitignore", "*"),
        ("storage/logs/app.log", "a line"),
        ("node_modules/left-pad/index.js", "pad"),
        ("old/index.php", "<?php echo 0;"),
        (".git/HEAD", "ref: refs/heads/main"),
    ] {
        tree::write(&site.target(path), content);
    }
    tree::set_mode(site.target("lib/shop.php"), 0o664);
    symlink("public", site.target("www")).unwrap();
    site
}

/// Runs `adopt` on the directory of a site, with its source.
pub(super) fn adopt(site: &Site, flags: &[&str]) -> RunResult {
    let source = site.path("source");
    let mut words = vec!["adopt", "--source", source.to_str().unwrap()];
    words.extend(flags);
    site.cutover(&words)
}

/// Adopts a site, and kills that when it makes the given one of these calls. None: no process may be traced.
pub(super) fn killed(site: &Site, flags: &[&str], calls: &str, at: usize) -> Option<RunResult> {
    let source = site.path("source");
    let words = [&["adopt", "--source", source.to_str().unwrap(), "--yes"], flags].concat();
    strace::inject(site, &words, &format!("{calls}:signal=KILL:when={at}"), None)
}

/// Returns the deploy path of an adopted site.
pub(super) fn deploy_path(site: &Site) -> PathBuf {
    site.path(".target.cutover")
}

/// Sends later verbs to the deploy path of an adopted site.
pub(super) fn to_deploy_path(site: &mut Site) {
    let path = deploy_path(site);
    site.move_to(&path);
}

/// Undoes the adoption of a site.
fn undo(site: &mut Site) -> Value {
    let target = site.path("target");
    site.move_to(&target);
    site.succeed(&["adopt", "--undo", "--yes"])
}

/// Everything that a directory had, with inodes, modes and times.
fn stats(directory: &Path) -> BTreeMap<String, tree::Stat> {
    let mut all = BTreeMap::new();
    stats_below(directory, directory, &mut all);
    all
}

fn stats_below(root: &Path, at: &Path, all: &mut BTreeMap<String, tree::Stat>) {
    for name in names(at) {
        let path = at.join(name);
        let stat = tree::stat(&path);
        let is_directory = fs::symlink_metadata(&path).unwrap().is_dir();
        // The times of directories change with their names.
        let stat = if is_directory { tree::Stat { mtime: (0, 0), links: 0, size: 0, ..stat } } else { stat };
        all.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), stat);
        if is_directory {
            stats_below(root, &path, all);
        }
    }
}

/// Returns each path that a survey names, with its kind.
pub(super) fn proposal(survey: &Value) -> Vec<String> {
    let paths = survey["paths"].as_array().unwrap();
    paths.iter().map(|found| format!("{} {}", text(&found["kind"]), text(&found["path"]))).collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_directory_becomes_the_link_to_its_first_release_and_is_what_it_was_after_undoing() {
    let mut site = standing();
    let before = stats(&site.target(""));
    let report = adopt(&site, &["--yes"]).succeeded();
    assert_eq!(strings(&report["shared"]), [".env", "public/uploads", "storage"]);
    assert!(report["changed"].as_array().unwrap().is_empty());
    let link = fs::read_link(site.path("target")).unwrap();
    assert_eq!(link, deploy_path(&site).join("releases").join(text(&report["release"])));
    for (path, content) in [
        ("public/index.php", "<?php echo 1;"),
        ("public/uploads/2026/a.jpg", "a picture"),
        (".env", "KEY=1"),
        ("storage/logs/app.log", "a line"),
        ("old/index.php", "<?php echo 0;"),
        ("www/index.php", "<?php echo 1;"),
        ("lib/empty", ""),
    ] {
        assert_eq!(fs::read_to_string(site.target(path)).unwrap(), content, "{path}");
    }
    assert!(!site.target(".git").exists());
    // The inodes of shared paths are the same, and nothing else is linked to what a program may write to.
    let shared = deploy_path(&site).join("shared");
    assert_eq!(tree::stat(&shared.join(".env")).inode, before[".env"].inode);
    assert_eq!(tree::stat(&shared.join("public/uploads")).inode, before["public/uploads"].inode);
    assert_ne!(tree::stat(&site.target("lib/shop.php")).inode, before["lib/shop.php"].inode);

    let target = site.path("target");
    to_deploy_path(&mut site);
    let check = site.succeed(&["status", "--content"]);
    assert!(check["comparison"]["differences"].as_array().unwrap().is_empty(), "{check}");
    site.write("public/index.php", "<?php echo 2;");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(target.join("public/index.php")).unwrap(), "<?php echo 2;");
    assert_eq!(fs::read_to_string(target.join(".env")).unwrap(), "KEY=1");
    assert!(!target.join("old").exists());
    tree::write(&target.join("public/uploads/2026/b.jpg"), "another picture");
    site.succeed(&["rollback", "--yes"]);
    assert_eq!(fs::read_to_string(target.join("public/index.php")).unwrap(), "<?php echo 1;");

    let undone = undo(&mut site);
    assert_eq!(strings(&undone["shared"]), [".env", "public/uploads", "storage"]);
    let mut after = stats(&target);
    assert!(after.remove("public/uploads/2026/b.jpg").is_some());
    assert_eq!(after, before);
    // Nothing of it is left beside the site, and it can be adopted again.
    assert_eq!(names(&site.path("")).iter().filter(|name| name.contains("cutover-")).count(), 0);
    site.succeed(&["adopt", "--source", site.path("source").to_str().unwrap(), "--yes"]);
    assert!(target.join("public/uploads/2026/b.jpg").exists() && fs::read_link(&target).is_ok());
}

#[test]
fn a_dry_run_shows_what_would_happen_and_changes_nothing() {
    let site = standing();
    let (before, beside) = (stats(&site.target("")), names(&site.path("")));
    let survey = adopt(&site, &["--dry-run", "--keep", "storage/logs", "--share", "old"]).succeeded();
    let expected = [
        "config .env",
        "built node_modules",
        "named old",
        "uploads public/uploads",
        "leftover storage/logs/app.log",
        "leftover www",
    ];
    assert_eq!(proposal(&survey), expected);
    assert_eq!(survey["found"], "directory");
    assert_eq!(survey["source_files"], 4);
    assert_eq!(stats(&site.target("")), before);
    let mut expected = beside;
    expected.push("state".to_owned());
    expected.sort();
    assert_eq!(names(&site.path("")), expected);
    // Without a terminal, nothing happens unasked.
    adopt(&site, &[]).failed(1, &["no terminal to ask on", "--yes"]);
    assert_eq!(stats(&site.target("")), before);
}

/// Starts visitors of a site: two open a page each, and one writes uploads.
fn visit(root: &Path) -> Load {
    let mut load = Load::default();
    load.read(root.join("public/index.php"), &["<?php echo 1;", "<?php echo 2;"]);
    load.read(root.join(".env"), &["KEY=1"]);
    let uploads = root.join("public/uploads/2026");
    load.keep(move |number| {
        // The survey is not to drown in uploads.
        std::thread::sleep(Duration::from_micros(200));
        let file = File::create_new(uploads.join(format!("{number}.jpg")));
        file.and_then(|mut file| file.write_all(number.to_string().as_bytes())).map_err(|error| error.to_string())
    });
    load
}

#[test]
fn every_path_of_a_site_is_there_at_every_moment_and_no_upload_is_lost() {
    let mut site = standing();
    let target = site.path("target");
    for number in 0..300 {
        site.write_both(&format!("lib/{number}.php"), number.to_string());
    }
    let load = visit(&target);
    adopt(&site, &["--yes"]).succeeded();
    to_deploy_path(&mut site);
    site.write("public/index.php", "<?php echo 2;");
    site.deploy(&[]);
    site.succeed(&["rollback", "--yes"]);
    undo(&mut site);
    let written = load.end("an adopted directory", 1000, 100);
    for number in 0..written {
        let path = target.join(format!("public/uploads/2026/{number}.jpg"));
        assert_eq!(fs::read_to_string(&path).unwrap(), number.to_string(), "{}", path.display());
    }
}

#[test]
fn a_run_that_is_killed_at_any_rename_leaves_a_site_that_is_served_and_a_second_one_ends_it() {
    for at in 1.. {
        let mut site = standing();
        let target = site.path("target");
        let before = stats(&target);
        let Some(ran) = killed(&site, &[], "rename,renameat,renameat2", at) else { return };
        assert_served(&target, at);
        if ran.code == Some(0) {
            assert!(at > 12, "{at}");
            return;
        }
        adopt(&site, &["--yes"]).succeeded();
        assert_served(&target, at);
        assert!(fs::read_link(&target).is_ok(), "{at}");
        assert!(!names(&site.path("")).iter().any(|name| name.contains(".cutover-")), "{at}");
        to_deploy_path(&mut site);
        let check = site.succeed(&["status", "--content"]);
        assert!(check["comparison"]["differences"].as_array().unwrap().is_empty(), "{at}: {check}");
        // Undoing is killed at any rename too.
        site.move_to(&target);
        for undo_at in 1.. {
            let injection = format!("rename,renameat,renameat2:signal=KILL:when={undo_at}");
            let ran = strace::inject(&site, &["adopt", "--undo", "--yes"], &injection, None).unwrap();
            assert_served(&target, at);
            if ran.code == Some(0) {
                break;
            }
        }
        assert_eq!(stats(&target), before, "{at}");
    }
}

#[track_caller]
fn assert_served(target: &Path, at: usize) {
    for (path, content) in [
        ("public/index.php", "<?php echo 1;"),
        ("public/uploads/2026/a.jpg", "a picture"),
        (".env", "KEY=1"),
        ("storage/logs/app.log", "a line"),
    ] {
        assert_eq!(fs::read_to_string(target.join(path)).unwrap_or_default(), content, "{path}, killed at {at}");
    }
}

#[test]
fn files_are_linked_where_that_is_asked_for_and_none_that_a_program_writes_to() {
    let mut site = standing();
    let target = site.path("target");
    // One file is open for writing, and one has a second name.
    for path in ["lib/open.php", "lib/two.php"] {
        site.write_both(path, path);
    }
    fs::hard_link(site.target("lib/two.php"), site.path("elsewhere")).unwrap();
    let writer = OpenOptions::new().write(true).open(site.target("lib/open.php")).unwrap();
    let before = stats(&target);
    let report = adopt(&site, &["--yes", "--link"]).succeeded();
    assert_eq!(report["linked"], true);
    let inode = |path: &str| tree::stat(&site.target(path)).inode;
    assert_eq!(inode("lib/shop.php"), before["lib/shop.php"].inode);
    assert_eq!(tree::stat(&site.target("lib/shop.php")).mode, 0o444);
    for path in ["lib/open.php", "lib/two.php"] {
        assert_ne!(inode(path), before[path].inode, "{path}");
    }
    writer.write_all_at(b"LIB", 0).unwrap();
    assert_eq!(fs::read_to_string(site.target("lib/open.php")).unwrap(), "lib/open.php");
    assert_eq!(tree::stat(&site.path("elsewhere")).mode, before["lib/two.php"].mode);
    to_deploy_path(&mut site);
    let check = site.succeed(&["status", "--content"]);
    assert!(check["comparison"]["differences"].as_array().unwrap().is_empty(), "{check}");
    site.move_to(&target);
    let plan = site.succeed(&["adopt", "--undo", "--dry-run"]);
    assert!(plan["warnings"].to_string().contains("No release remains"), "{plan}");
    undo(&mut site);
    drop(writer);
    let mut after = stats(&target);
    let mut expected = before;
    // The writer went on.
    for stats in [&mut after, &mut expected] {
        stats.get_mut("lib/open.php").unwrap().mtime = (0, 0);
    }
    // Releases that are no releases any more have further names of the linked files. No object has.
    let links = |stats: &mut BTreeMap<String, tree::Stat>| stats.values_mut().for_each(|stat| stat.links = 0);
    links(&mut after);
    links(&mut expected);
    assert_eq!(after, expected);
    assert_eq!(fs::read_to_string(target.join("lib/open.php")).unwrap(), "LIB/open.php");
    let inodes = |path: &Path| stats(path).values().map(|stat| stat.inode).collect::<BTreeSet<u64>>();
    let objects = inodes(&deploy_path(&site).join(".cutover/objects"));
    assert!(!objects.is_empty() && objects.is_disjoint(&inodes(&target)));
}

#[test]
fn a_socket_stays_reachable_and_a_declared_path_is_shared_whatever_its_name() {
    let mut site = standing();
    let target = site.path("target");
    fs::create_dir_all(site.target("run")).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(site.target("run/app.sock")).unwrap();
    site.configure("shared_dirs = ['old']\n");
    let report = adopt(&site, &["--yes"]).succeeded();
    let shared = strings(&report["shared"]);
    assert_eq!(shared, [".env", "old", "public/uploads", "run", "storage"]);
    std::os::unix::net::UnixStream::connect(target.join("run/app.sock")).unwrap();
    drop(listener);
}

#[test]
fn a_site_that_fails_a_check_is_the_old_directory_again() {
    let mut site = standing();
    let before = stats(&site.target(""));
    let check = |run: &str| format!("[[checks]]\nname = 'page'\nrun = '{run}'\nretries = 0\n");
    site.configure(&check("exit 3"));
    adopt(&site, &["--yes"]).failed(6, &["Check page", "is the old directory again"]);
    assert_eq!(stats(&site.path("target")), before);
    site.configure(&check(&format!("test -L {}", site.path("target").display())));
    adopt(&site, &["--yes"]).succeeded();
}

#[test]
fn a_run_that_ends_one_that_was_killed_after_the_exchange_runs_the_checks() {
    for at in 1..50 {
        let mut site = standing();
        let target = site.path("target");
        let before = stats(&target);
        let Some(ran) = killed(&site, &[], "renameat2", at) else { return };
        assert_ne!(ran.code, Some(0), "no kill came between the exchange and the move of the old directory");
        let stands_beside = names(&site.path("")).iter().any(|name| name.contains(".target.cutover-"));
        if fs::read_link(&target).is_err() || !stands_beside {
            continue;
        }
        site.configure("[[checks]]\nname = 'page'\nrun = 'exit 3'\nretries = 0\n");
        adopt(&site, &["--yes"]).failed(6, &["Check page", "is the old directory again"]);
        assert_eq!(stats(&target), before);
        return;
    }
    panic!("no run was killed");
}
