//! Dry runs: they say what a deploy would do, and change nothing.

use std::process::Command;

use serde_json::json;

use crate::support::site::{Site, names, number, text};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::tree::Tree;

use super::deploy_named;

#[test]
fn a_dry_run_says_what_a_deploy_would_do_and_changes_nothing() {
    let site = Site::new();
    site.write("version", "A");
    let report = site.deploy(&["--dry-run"]);
    assert_eq!((&report["dry_run"], &report["release"], number(&report["files_new"])), (&json!(true), &json!(null), 1));
    assert!(!site.target("").exists());
    deploy_named(&site, "B");
    let before = Tree::read(&site.target(""));
    site.write("version", "other");
    site.write("another", "file");
    let report = site.deploy(&["--dry-run"]);
    assert_eq!((number(&report["files_new"]), number(&report["files_changed"])), (1, 1));
    Tree::read(&site.target("")).assert_equals(&before);
}

#[test]
fn a_dry_run_has_the_sizes_and_the_releases_that_would_go() {
    let mut site = Site::new();
    site.write("blob", vec![b'x'; 70_000]);
    let preview = site.deploy(&["--dry-run"])["preview"].clone();
    assert_eq!(preview["new"], json!({ "bytes": 70_000, "largest": [{ "path": "blob", "bytes": 70_000 }] }));
    assert_eq!(preview["send"], json!({ "files": 1, "bytes": 70_000, "differing_bytes": 0 }));
    assert_eq!(preview["space"]["fits"], json!(true));
    // The dry run kept its scan, and nothing else.
    assert!(
        names(&site.path("state")).iter().all(|name| name.starts_with("manifests.")),
        "{:?}",
        names(&site.path("state"))
    );
    let mut ids = Vec::new();
    site.configure("keep_releases = 2\ngrace = '0s'\nspare = false\n");
    for version in ["one", "two", "three"] {
        site.write("version", version);
        ids.push(text(&site.deploy(&[])["release"]));
    }
    site.write("blob", vec![b'y'; 80_000]);
    site.write("empty", "");
    std::fs::remove_file(site.source("version")).unwrap();
    let report = site.deploy(&["--dry-run"]);
    // The live release stays to go back to; the one before goes.
    assert_eq!(report["removed"], json!([ids[1]]));
    assert_eq!(site.release_names(), ids[1..]);
    let preview = &report["preview"];
    assert_eq!(preview["new"], json!({ "bytes": 0, "largest": [] }));
    assert_eq!(preview["changed"], json!({ "bytes": 80_000, "largest": [{ "path": "blob", "bytes": 80_000 }] }));
    assert_eq!(preview["gone"], json!({ "bytes": 5, "largest": [{ "path": "version", "bytes": 5 }] }));
    assert_eq!(number(&preview["send"]["files"]), 1);
    assert_eq!(site.deploy(&["--dry-run", "--no-switch"])["removed"], json!([]));
    assert_eq!(site.deploy(&[])["removed"], report["removed"]);
    assert_eq!(site.deploy(&["--dry-run"])["preview"], json!(null));
}

#[test]
fn a_dry_run_makes_no_shared_directory() {
    let mut site = Site::new();
    deploy_named(&site, "A");
    let before = Tree::read(&site.target(""));
    site.configure("shared_dirs = ['storage/app', 'logs']\n");
    let report = site.deploy(&["--dry-run"]);
    assert_eq!(report["dry_run"], true);
    Tree::read(&site.target("")).assert_equals(&before);
    assert_eq!(site.deploy(&[])["state"], "live");
    assert!(site.current("storage/app").is_dir());
}

#[test]
fn a_dry_run_is_refused_where_the_user_may_not_make_the_deploy_path() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/sh");
    let site = Site::over(&sshd, &user);
    site.write("index.html", "1");
    run(Command::new("chown").arg("root").arg(sshd.home(&user)));
    let home = sshd.home(&user).display().to_string();
    let ran = site.cutover(&["deploy", "--dry-run"]);
    assert!(ran.code != Some(0) && ran.stderr.contains(&home), "{:?} {}", ran.code, ran.stderr);
    assert_eq!(ran.json["preview"]["refusal"]["id"], "permission-denied");
    run(Command::new("chown").arg(&user).arg(sshd.home(&user)));
    site.deploy(&["--dry-run"]);
}
