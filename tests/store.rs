//! The store: its objects, their guarantees for web servers, and the treatment of an object that was written to.

mod damage;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::immutable::Immutable;
use crate::support::mount::Mount;
use crate::support::nginx::Nginx;
use crate::support::php::Php;
use crate::support::real_tree::noise;
use crate::support::site::{Site, names, number, text};
use crate::support::sshd::{Sshd, is_root};
use crate::support::tree::{self, Stat, assert_no_path_deceives, assert_same, stat};

/// Returns the directories of all releases that stand.
fn releases(site: &Site) -> Vec<PathBuf> {
    site.release_names().iter().map(|id| site.release(id)).collect()
}

fn rename_in_turn(site: &Site, one: &str, other: &str) {
    let aside = site.path("aside");
    fs::rename(site.source(one), &aside).unwrap();
    fs::rename(site.source(other), site.source(one)).unwrap();
    fs::rename(aside, site.source(other)).unwrap();
}

#[test]
fn two_files_swapped_have_other_mtimes() {
    let site = Site::new();
    site.write("one", "1111");
    site.write("other", "2222");
    site.deploy_and_compare(&[]);
    for _ in 0..3 {
        let before = ["one", "other"].map(|path| stat(&site.current(path)));
        rename_in_turn(&site, "one", "other");
        site.deploy_and_compare(&[]);
        let after = ["one", "other"].map(|path| stat(&site.current(path)));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.size, after.size);
            assert_ne!(before.mtime, after.mtime);
        }
        assert_no_path_deceives(&releases(&site));
    }
}

#[test]
fn two_directories_swapped_have_other_mtimes() {
    let site = Site::new();
    for path in ["a", "b", "deep/c"] {
        site.write(&format!("one/{path}"), format!("one {path}"));
        site.write(&format!("two/{path}"), format!("two {path}"));
    }
    site.write("two/only", "here");
    site.deploy_and_compare(&[]);
    rename_in_turn(&site, "one", "two");
    site.deploy_and_compare(&[]);
    rename_in_turn(&site, "one", "two");
    site.deploy_and_compare(&[]);
    assert_no_path_deceives(&releases(&site));
}

#[test]
fn a_file_that_comes_back_does_not_look_like_what_stood_between() {
    let site = Site::new();
    for content in ["A", "B", "A", "C", "A", "B"] {
        site.write("file", content);
        site.deploy_and_compare(&["--grace", "0s"]);
        assert_no_path_deceives(&releases(&site));
    }
}

#[test]
fn a_second_is_given_once_also_where_its_release_is_gone() {
    let mut site = Site::new();
    site.configure("keep_releases = 1\n");
    site.write("file", "A");
    let first = site.deploy_and_compare(&[]);
    // Ahead of the clock, as after many deploys in a second or a clock that was set back.
    let path = site.target(&format!(".cutover/releases/{first}/record"));
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["second"] = json!(number(&record["second"]) + 1000);
    fs::write(&path, record.to_string()).unwrap();
    site.write("file", "B");
    site.deploy_and_compare(&[]);
    let before = stat(&site.current("file")).mtime;
    site.succeed(&["rollback"]);
    site.succeed(&["cleanup", "--grace", "0s"]);
    // The release that a rollback left stays, as the newest bad one.
    let [stays, bad] = &site.release_names()[..] else { panic!("{:?}", site.release_names()) };
    assert_eq!(stays, &first);
    fs::remove_dir_all(site.release(bad)).unwrap();
    site.succeed(&["cleanup", "--grace", "0s"]);
    assert_eq!(site.release_names(), [first]);
    site.write("file", "C");
    let third = site.deploy_and_compare(&[]);
    let between = stat(&site.current("file")).mtime;
    assert!(between > before);
    // Nor where somebody has removed the release by hand.
    site.succeed(&["rollback"]);
    fs::remove_dir_all(site.release(&third)).unwrap();
    site.write("file", "D");
    site.deploy_and_compare(&[]);
    assert!(stat(&site.current("file")).mtime > between);
}

#[test]
fn a_web_server_as_the_readme_sets_it_up_serves_a_release_as_soon_as_it_is_live() {
    let site = Site::new();
    let php = Php::start(&site);
    let write = |version: u32| {
        site.write("lib/version.php", format!("<?php return {version};"));
        let page = format!("<?php echo {version}, '-', require __DIR__ . '/../lib/version.php';");
        site.write("public/index.php", page);
    };
    write(1);
    site.deploy(&[]);
    let nginx = Nginx::start(&site.path("nginx"), |port| php.server_block(&site, port));
    for version in 1..4 {
        // What was compiled and where links led is remembered from the second request on.
        for _ in 0..3 {
            assert_eq!(nginx.get("/", None).2, format!("{version}-{version}"));
        }
        write(version + 1);
        site.deploy(&[]);
    }
    site.succeed(&["rollback"]);
    assert_eq!(nginx.get("/", None).2, "3-3");
}

#[test]
fn nginx_never_says_not_modified_of_a_file_that_was() {
    let site = Site::new();
    site.write("one.txt", "1111");
    site.write("other.txt", "2222");
    site.write("same.txt", "same");
    site.deploy(&[]);
    let nginx = Nginx::serving(&site);
    let (status, one, body) = nginx.get("/one.txt", None);
    assert_eq!((status, body.as_str()), (200, "1111"));
    let (_, same, _) = nginx.get("/same.txt", None);
    rename_in_turn(&site, "one.txt", "other.txt");
    site.deploy(&[]);
    let (status, swapped, body) = nginx.get("/one.txt", Some(&one));
    assert_eq!((status, body.as_str()), (200, "2222"));
    assert_ne!(swapped, one);
    assert_eq!(nginx.get("/same.txt", Some(&same)).0, 304);
    site.succeed(&["rollback"]);
    let (status, back, body) = nginx.get("/one.txt", Some(&swapped));
    assert_eq!((status, body.as_str()), (200, "1111"));
    assert_eq!(back, one);
}

#[test]
fn an_object_is_read_only_and_linked_by_each_release() {
    let site = Site::new();
    site.write("same", "same");
    site.write("copy of same", "same");
    site.write("edited", "before");
    site.deploy(&[]);
    site.write("edited", "afterwards");
    site.deploy(&[]);
    assert_eq!(site.objects().len(), 3);
    for object in site.objects() {
        assert_eq!(stat(&object).mode & 0o222, 0, "{}", object.display());
    }
    assert_eq!(stat(&site.object_of("same")).links, 5);
    assert_eq!(stat(&site.object_of("edited")).links, 2);
}

#[test]
fn a_content_at_two_modes_is_two_objects() {
    let site = Site::new();
    site.write("data", "content");
    site.write("program", "content");
    site.write("private", "content");
    for (path, mode) in [("data", 0o644), ("program", 0o755), ("private", 0o600)] {
        tree::set_mode(site.source(path), mode);
    }
    site.deploy_and_compare(&[]);
    let suffix = |path: &str| {
        let object = site.object_of(path);
        object.to_str().unwrap().rsplit_once('-').unwrap().1.to_owned()
    };
    assert_eq!(["data", "program", "private"].map(suffix), ["444", "555", "400"]);
    assert_eq!(site.objects().len(), 3);
}

/// An agent that is not root may not open what it has given such a mode.
#[test]
fn a_mode_that_forbids_its_owner_to_read_is_made_of_what_is_there() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    site.write("file", noise(1, 100_000));
    site.deploy_and_compare(&[]);
    tree::set_mode(site.source("file"), 0o044);
    let sent = number(&site.deploy(&[])["sent_bytes"]);
    assert_same(&site.path("source"), &site.current(""));
    assert!(sent < 10_000, "{sent} bytes were sent");
}

#[test]
fn empty_files_are_never_linked() {
    let site = Site::new();
    site.write("one", "");
    site.write("other", "");
    site.deploy(&[]);
    site.write("third", "");
    site.deploy_and_compare(&[]);
    for path in ["one", "other", "third"] {
        assert_eq!(stat(&site.current(path)).links, 1);
    }
    assert_eq!(site.objects().len(), 0);
}

#[test]
fn copies_are_private_and_writable() {
    let mut site = Site::new();
    site.configure("copy_paths = ['/data/*.sqlite', 'settings.json']\n");
    site.write("data/app.sqlite", "database");
    site.write("data/schema.sql", "schema");
    site.write("deep/settings.json", "settings");
    let report = site.deploy(&[]);
    assert_eq!(report["copied"], json!({ "copy_paths": 2 }));
    let first = text(&report["release"]);
    for path in ["data/app.sqlite", "deep/settings.json"] {
        let Stat { links, mode, .. } = stat(&site.current(path));
        assert_eq!((links, mode & 0o200), (1, 0o200), "{path}");
    }
    assert_eq!(stat(&site.current("data/schema.sql")).links, 2);
    fs::write(site.current("data/app.sqlite"), "edited in place").unwrap();
    site.write("new", "new");
    site.deploy_and_compare(&[]);
    assert_eq!(fs::read_to_string(site.current("data/app.sqlite")).unwrap(), "database");
    assert_eq!(fs::read_to_string(site.release(&first).join("data/app.sqlite")).unwrap(), "edited in place");
}

#[test]
fn where_a_link_is_refused_the_file_is_a_copy_counted_and_told() {
    let site = Site::new();
    let Some(_mounted) = Mount::ext4(&site.target(""), "32M", &[]) else { return };
    for path in ["immutable", "elsewhere", "plain", "other"] {
        site.write(path, path);
    }
    site.deploy_and_compare(&[]);
    // No link can be made to an immutable object, nor from a directory that is mounted by itself.
    let _immutable = Immutable::make(&site.object_of("immutable"));
    let Some(_elsewhere) = Mount::onto_itself(site.object_of("elsewhere").parent().unwrap()) else { return };
    for round in 0..2 {
        site.write("other", format!("other {round}"));
        let report = site.deploy(&[]);
        assert_eq!(report["copied"], json!({ "EPERM": 1, "EXDEV": 1 }));
        assert_eq!(number(&report["objects_linked"]), 2);
        assert_same(&site.path("source"), &site.current(""));
        for (path, links) in [("immutable", 1), ("elsewhere", 1), ("plain", 3 + round)] {
            let Stat { links: found, mode, .. } = stat(&site.current(path));
            assert_eq!((found, mode), (links, 0o444), "{path}");
        }
        assert_no_path_deceives(&releases(&site));
    }
}

#[test]
fn shared_directories_and_files_are_linked_relative() {
    let mut site = Site::new();
    site.configure("shared_dirs = ['storage/app', 'logs']\nshared_files = ['.env', 'config/local.php']\n");
    site.succeed(&["setup"]);
    site.write_shared(".env", "SECRET");
    site.write_shared("config/local.php", "local");
    site.write("index.php", "index");
    site.write("config/app.php", "app");
    site.deploy(&[]);
    let links = [
        (".env", "../../shared/.env"),
        ("logs", "../../shared/logs"),
        ("config/local.php", "../../../shared/config/local.php"),
        ("storage/app", "../../../shared/storage/app"),
    ];
    for (path, target) in links {
        assert_eq!(fs::read_link(site.current(path)).unwrap(), Path::new(target));
    }
    assert_eq!(fs::read_to_string(site.current(".env")).unwrap(), "SECRET");
    fs::write(site.current("storage/app/upload"), "by the application").unwrap();
    site.write("index.php", "index 2");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("storage/app/upload")).unwrap(), "by the application");
    assert_eq!(site.deploy(&[])["state"], "unchanged");
}

#[test]
fn whatever_stands_in_shared_is_linked_child_by_child() {
    let mut site = Site::new();
    site.succeed(&["setup"]);
    site.write_shared("uploads/picture", "picture");
    site.write_shared("config/secret.php", "secret");
    site.write_shared("config/deep/inner/x", "x");
    site.write("config/app.php", "app");
    site.write("config/deep/y", "y");
    site.deploy(&[]);
    assert_eq!(fs::read_link(site.current("uploads")).unwrap(), Path::new("../../shared/uploads"));
    assert!(site.current("config").symlink_metadata().unwrap().is_dir());
    assert_eq!(fs::read_to_string(site.current("config/secret.php")).unwrap(), "secret");
    assert_eq!(fs::read_to_string(site.current("config/app.php")).unwrap(), "app");
    assert_eq!(
        fs::read_link(site.current("config/deep/inner")).unwrap(),
        Path::new("../../../../shared/config/deep/inner")
    );
    // What is put there later is a reason for another release.
    site.write_shared("later", "later");
    assert_eq!(site.deploy(&[])["state"], "live");
    assert_eq!(fs::read_to_string(site.current("later")).unwrap(), "later");
    site.configure("auto_shared = false\n");
    assert_eq!(site.deploy(&[])["state"], "live");
    assert!(!site.current("later").exists());
}

#[test]
fn a_deploy_path_that_was_moved_still_works() {
    let mut site = Site::new();
    site.succeed(&["setup"]);
    site.write_shared("uploads/picture", "picture");
    site.write("file", "content");
    site.deploy(&[]);
    let moved = site.path("moved");
    fs::rename(site.target(""), &moved).unwrap();
    site.move_to(&moved);
    assert_eq!(fs::read_to_string(site.current("uploads/picture")).unwrap(), "picture");
    assert_eq!(fs::read_to_string(site.current("file")).unwrap(), "content");
    site.write("new", "new");
    let report = site.deploy(&[]);
    assert_eq!(number(&report["objects_new"]), 1);
    assert_eq!(fs::read_to_string(site.current("uploads/picture")).unwrap(), "picture");
}

#[test]
fn an_insertion_into_a_large_file_sends_what_is_around_it() {
    let site = Site::new();
    let mut content = noise(1, 8 << 20);
    let mut grow = |seed: u64| {
        let middle = content.len() / 2;
        content.splice(middle..middle, noise(seed, 10_000));
        site.write("large", &content);
        let report = site.deploy(&[]);
        assert_same(&site.path("source"), &site.current(""));
        number(&report["sent_bytes"])
    };
    assert!(grow(2) > 8 << 20);
    let sent = grow(3);
    assert!(sent < 1 << 20, "{sent}");
    site.forget();
    let sent = grow(4);
    assert!(sent < 1 << 20, "{sent} after the database was deleted");
}

#[test]
fn content_that_the_store_has_is_not_sent_again() {
    let site = Site::new();
    site.write("file", noise(1, 1 << 20));
    site.deploy(&[]);
    fs::create_dir(site.source("elsewhere")).unwrap();
    fs::rename(site.source("file"), site.source("elsewhere/renamed")).unwrap();
    fs::copy(site.source("elsewhere/renamed"), site.source("copy")).unwrap();
    let report = site.deploy(&[]);
    assert!(number(&report["sent_bytes"]) < 2048, "{}", report["sent_bytes"]);
    assert_eq!(number(&report["objects_new"]), 0);
    assert_same(&site.path("source"), &site.current(""));
}

/// Where the agent was killed while it removed a release or published one.
#[derive(Debug, Clone, Copy)]
enum Killed {
    BetweenTreeAndRecord,
    BeforeTheTreeIsDeleted,
    BeforeObjectsAreRemoved,
    BeforeObjectsAreRemovedAndDamaged,
    WhilePublishing,
}

impl Killed {
    /// Leaves a release as a killed agent would.
    fn leave(self, site: &Site, id: &str) {
        let tree = site.release(id);
        let record = site.target(&format!(".cutover/releases/{id}"));
        let trash = |suffix: &str| site.target(&format!(".cutover/trash/{id}-{}{suffix}", "0".repeat(32)));
        if let Killed::BetweenTreeAndRecord | Killed::BeforeTheTreeIsDeleted = self {
            fs::rename(tree, trash("")).unwrap();
        } else {
            fs::remove_dir_all(tree).unwrap();
        }
        match self {
            Killed::BetweenTreeAndRecord => {}
            Killed::BeforeTheTreeIsDeleted | Killed::BeforeObjectsAreRemoved => {
                fs::rename(record, trash("-record")).unwrap();
            }
            Killed::BeforeObjectsAreRemovedAndDamaged => {
                fs::write(record.join("manifest"), "nonsense").unwrap();
                fs::rename(record, trash("-record")).unwrap();
            }
            Killed::WhilePublishing => {
                let run = site.target(".cutover/staging/12345678-1234567890123456");
                fs::create_dir(&run).unwrap();
                fs::rename(record, run.join("record")).unwrap();
            }
        }
    }
}

#[test]
fn what_only_a_removed_release_named_goes_also_when_the_agent_was_killed() {
    use Killed::{
        BeforeObjectsAreRemoved, BeforeObjectsAreRemovedAndDamaged, BeforeTheTreeIsDeleted, BetweenTreeAndRecord,
        WhilePublishing,
    };
    for killed in [
        BetweenTreeAndRecord,
        BeforeTheTreeIsDeleted,
        BeforeObjectsAreRemoved,
        BeforeObjectsAreRemovedAndDamaged,
        WhilePublishing,
    ] {
        println!("{killed:?}");
        let site = Site::new();
        for name in ["A", "B", "C"] {
            site.write("version", name);
            site.write("same", "same");
            site.deploy(&[]);
        }
        assert_eq!(site.objects().len(), 4);
        killed.leave(&site, &site.release_names()[0]);
        // While a release is damaged, nothing that it may name goes, and nothing is forgotten.
        let record = site.target(&format!(".cutover/releases/{}/record", site.release_names()[0]));
        let aside = site.path("record");
        fs::rename(&record, &aside).unwrap();
        let report = site.deploy(&["--force"]);
        assert!(report["warnings"].to_string().contains("No object was removed"), "{}", report["warnings"]);
        assert_eq!(site.objects().len(), 4);
        fs::rename(&aside, &record).unwrap();
        site.deploy(&["--force"]);
        assert_eq!(site.objects().len(), 3);
        for empty in ["trash", "staging"] {
            assert_eq!(names(&site.target(&format!(".cutover/{empty}"))), [""; 0], "{empty}");
        }
    }
}
