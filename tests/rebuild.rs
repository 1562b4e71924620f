//! Removed releases that a rollback makes again, from the content that is still on the server.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::support::site::{Site, names, text};
use crate::support::strace;
use crate::support::tree::{self, Tree};

/// A deploy path from which the first of three releases was removed. The live one has all of its content, elsewhere,
/// but for `own`. The second value is the tree that the removed one had.
fn with_a_removed_release(spare: bool, keys: &str) -> (Site, String, Tree) {
    let mut site = Site::new();
    site.configure(&format!("keep_releases = 1\ngrace = '0s'\nspare = {spare}\n{keys}\n"));
    site.write_shared("storage/data", "data");
    site.write("version", "one");
    site.write("bin/run", "#!/bin/sh");
    tree::set_mode(site.source("bin/run"), 0o755);
    tree::set_mode(site.source("bin"), 0o750);
    site.write("empty", "");
    symlink("bin/run", site.source("link")).unwrap();
    let id = deploy(&site);
    let tree = Tree::read(&site.release(&id));
    site.write("version", "two");
    site.write("kept/version", "one");
    site.write("kept/run", "#!/bin/sh");
    tree::set_mode(site.source("kept/run"), 0o755);
    fs::remove_file(site.source("link")).unwrap();
    fs::remove_dir_all(site.source("bin")).unwrap();
    deploy(&site);
    site.write("version", "three");
    deploy(&site);
    assert!(!site.release(&id).exists());
    (site, id, tree)
}

fn deploy(site: &Site) -> String {
    text(&site.deploy(&["--force"])["release"])
}

fn states(site: &Site, words: &[&str]) -> Vec<(String, String)> {
    let report = site.succeed(words);
    let state = |release: &Value| (text(&release["id"]), text(&release["state"]));
    report["releases"].as_array().unwrap().iter().map(state).collect()
}

#[test]
fn a_rollback_makes_a_removed_release_again_and_it_equals_what_it_was() {
    for spare in [false, true] {
        let (site, id, tree) = with_a_removed_release(spare, "");
        let before = states(&site, &["releases"]);
        let all = states(&site, &["releases", "--all"]);
        assert_eq!(all[0], (id.clone(), "removed".to_owned()));
        assert_eq!(all[1..], before);
        let report = site.succeed(&["rollback", "--to", &id]);
        assert_eq!(text(&report["release"]), id);
        let warning = format!("Release {id} had been removed, and was made again from the content on the server");
        assert_eq!(report["warnings"], serde_json::json!([warning]));
        assert_eq!(site.live(), Some(id.clone()));
        Tree::read(&site.target("current")).assert_equals(&tree);
        site.succeed(&["status", "--check"]);
        site.succeed(&["status", "--content"]);
        let states = states(&site, &["releases", "--all"]);
        assert_eq!(states.iter().filter(|(known, _)| *known == id).count(), 1);
        assert_eq!(states[0], (id, "live".to_owned()));
        // What follows works as before.
        deploy(&site);
        site.succeed(&["rollback"]);
        site.succeed(&["cleanup"]);
        site.succeed(&["status", "--content"]);
    }
}

#[test]
fn a_removed_release_is_made_again_as_its_record_says() {
    let keys = "copy_paths = ['version']\nwritable_dirs = ['bin', 'cache/views']\nwritable_mode = '0770'";
    let (mut site, id, tree) = with_a_removed_release(false, keys);
    site.configure("");
    site.succeed(&["rollback", "--to", &id]);
    Tree::read(&site.target("current")).assert_equals(&tree);
    fs::write(site.current("version"), "edited").unwrap();
    fs::write(site.current("cache/views/x"), "x").unwrap();
    assert_eq!(fs::metadata(site.current("bin")).unwrap().permissions().mode() & 0o777, 0o770);
    assert_eq!(fs::read_to_string(site.current("storage/data")).unwrap(), "data");
    assert_eq!(fs::read_to_string(site.current("kept")).map_err(drop), Err(()));
}

#[test]
fn a_release_of_which_a_file_is_missing_or_was_changed_is_not_made_again() {
    type Edit = fn(&Site);
    let edits: [Edit; 2] = [
        |site| fs::remove_file(site.object_of("kept/version")).unwrap(),
        |site| {
            let object = site.object_of("kept/version");
            tree::set_mode(&object, 0o644);
            fs::write(&object, "other").unwrap();
        },
    ];
    for edit in edits {
        let (site, id, _) = with_a_removed_release(false, "");
        let live = site.live();
        edit(&site);
        let files = names(&site.target("releases"));
        let expected = format!("Release {id} was removed, and 1 of its 3 files are no longer on the server");
        let hint = "Hint: Deploy its source again";
        site.refused(&["rollback", "--to", &id], 1, &[&expected, hint]);
        assert_eq!((site.live(), names(&site.target("releases"))), (live, files));
        assert_eq!(names(&site.target(".cutover/staging")), Vec::<String>::new());
        // The release is not forgotten: its content may come back.
        assert_eq!(states(&site, &["releases", "--all"])[0].0, id);
    }
}

#[test]
fn the_newest_removed_releases_are_kept_and_no_others() {
    let kept = |keys: &str| {
        let mut site = Site::new();
        site.configure(&format!("keep_releases = 1\ngrace = '0s'\nspare = false\n{keys}\n"));
        let ids: Vec<String> = (0..6).map(|_| deploy(&site)).collect();
        let removed = site.target(".cutover/removed");
        let found = if removed.exists() { names(&removed) } else { Vec::new() };
        (ids, found)
    };
    let (ids, found) = kept("keep_manifests = 2");
    assert_eq!(found, ids[2..4]);
    let (ids, found) = kept("");
    assert_eq!(found, ids[..4]);
    assert_eq!(kept("keep_manifests = 0").1, Vec::<String>::new());
}

#[test]
fn a_rebuild_that_is_killed_anywhere_leaves_what_was_live_or_a_complete_release() {
    for at in 1.. {
        let (site, id, tree) = with_a_removed_release(true, "");
        let live = Tree::read(&site.target("current"));
        let injection = format!("rename,renameat,renameat2:signal=KILL:when={at}");
        let Some(ran) = strace::inject(&site, &["rollback", "--to", &id], &injection, None) else { return };
        let expected = if site.live().as_ref() == Some(&id) { &tree } else { &live };
        Tree::read(&site.target("current")).assert_equals(expected);
        site.succeed(&["status", "--check"]);
        if ran.code == Some(0) {
            assert!(at > 3, "nothing was killed");
            return;
        }
        if site.live().as_ref() != Some(&id) {
            site.succeed(&["rollback", "--to", &id]);
        }
        Tree::read(&site.target("current")).assert_equals(&tree);
        deploy(&site);
        assert_eq!(names(&site.target(".cutover/staging")), Vec::<String>::new());
        site.succeed(&["status", "--check"]);
    }
}
