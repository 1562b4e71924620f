//! Deploys: the content of a release, retention, and the output of each verb.

mod cleanup;
mod content;
mod dry_run;
mod link;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::real_tree;
use crate::support::site::{Site, number, text};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::tree::{self, Tree, assert_same, assert_shared};

/// Deploys four versions of a real tree and goes back and forth between them.
fn four_versions(site: &Site) {
    let version = |number: usize| site.path(&format!("version-{number}"));
    let deploy = |number: usize| {
        let source = version(number);
        let report = site.deploy(&["--grace", "0s", "--source", source.to_str().unwrap()]);
        assert_eq!(report["state"], "live");
        assert_same(&source, &site.current(""));
        report
    };
    real_tree::make(&version(0));
    let mut ids = vec![text(&deploy(0)["release"])];
    for number in 1..4 {
        real_tree::next(&version(number - 1), &version(number), number);
        let report = deploy(number);
        let id = text(&report["release"]);
        assert_eq!(report["previous"], ids[number - 1].as_str());
        let shared = assert_shared(&site.release(&ids[number - 1]), &site.release(&id));
        assert!(shared > 1000, "{shared} files are shared");
        assert_eq!(report["removed"], if number == 3 { json!([ids[0]]) } else { json!([]) });
        ids.push(id);
    }
    assert_eq!(site.release_names(), ids[1..]);
    for (number, id) in ids.iter().enumerate().skip(1) {
        assert_same(&version(number), &site.release(id));
    }
    unchanged(site, &version(3), &ids[3]);

    let back = site.succeed(&["rollback"]);
    assert_eq!((text(&back["release"]), text(&back["previous"])), (ids[2].clone(), ids[3].clone()));
    assert_same(&version(2), &site.current(""));
    site.succeed(&["rollback"]);
    assert_same(&version(1), &site.current(""));
    let forward = site.succeed(&["switch", &ids[3]]);
    assert_eq!(forward["switched"], true);
    assert_same(&version(3), &site.current(""));
    assert_eq!(site.succeed(&["switch", &ids[3]])["switched"], false);
}

fn unchanged(site: &Site, source: &Path, live: &str) {
    let standing = site.release_names();
    let report = site.deploy(&["--source", source.to_str().unwrap()]);
    assert_eq!(report["state"], "unchanged");
    assert_eq!(report["release"], live);
    assert!(number(&report["sent_bytes"]) < 2048, "{}", report["sent_bytes"]);
    assert_eq!(number(&report["round_trips"]), 1);
    assert_eq!(site.release_names(), standing);
}

#[test]
fn four_versions_of_a_real_tree_equal_their_sources() {
    four_versions(&Site::new());
}

#[test]
fn four_versions_over_ssh_equal_their_sources() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    four_versions(&Site::over(&sshd, &user));
}

/// Deploys a version whose only file says which it is.
fn deploy_named(site: &Site, name: &str) -> String {
    site.write("version", name);
    site.deploy_and_compare(&["--grace", "0s"])
}

fn version(site: &Site) -> String {
    fs::read_to_string(site.current("version")).unwrap()
}

#[test]
fn after_a_rollback_and_a_deploy_a_rollback_leads_back_again() {
    let site = Site::new();
    for name in ["A", "B", "C"] {
        deploy_named(&site, name);
    }
    site.succeed(&["rollback"]);
    assert_eq!(version(&site), "B");
    deploy_named(&site, "D");
    site.succeed(&["rollback"]);
    assert_eq!(version(&site), "B");
}

#[test]
fn a_rollback_goes_to_the_release_that_is_named() {
    let site = Site::new();
    let first = deploy_named(&site, "A");
    let second = deploy_named(&site, "B");
    deploy_named(&site, "C");
    site.write("version", "D");
    let ready = text(&site.deploy(&["--no-switch"])["release"]);
    site.refused(&["rollback", &ready], 1, &[&ready, "was never live"]);
    let back = site.succeed(&["rollback", &first]);
    assert_eq!(back["release"], first.as_str());
    site.succeed(&["switch", &second]);
    site.succeed(&["rollback", "--to", &first]);
    assert_eq!(version(&site), "A");
    site.refused(
        &["rollback"],
        1,
        &["No release was live before", &format!("`--forward` returns to release {second}")],
    );
    site.refused(&["rollback", "--to", &first], 1, &[&first, "is live already"]);
    site.refused(&["rollback", "--to", &ready], 1, &[&ready, "was never live"]);
    site.refused(&["switch", "20000101000000"], 1, &["20000101000000", "cutover releases"]);
}

#[test]
fn without_a_switch_a_release_is_ready() {
    let site = Site::new();
    let live = deploy_named(&site, "A");
    site.write("version", "B");
    let report = site.deploy(&["--no-switch"]);
    assert_eq!(report["state"], "ready");
    let ready = text(&report["release"]);
    assert_eq!(site.live(), Some(live));
    assert_same(&site.path("source"), &site.release(&ready));
    assert_eq!(site.succeed(&["releases"])["releases"][1]["state"], "ready");
    site.succeed(&["switch", &ready]);
    assert_eq!(version(&site), "B");
}

#[test]
fn the_commands_that_are_named_run_as_they_are_printed() {
    let site = Site::new();
    deploy_named(&site, "A");
    let target = format!("--target {}", site.target("").display());
    let target = target.trim_end_matches('/');
    site.refused(
        &["rollback"],
        1,
        &[&format!("`cutover switch ID {target}`"), &format!("`cutover releases {target}`")],
    );

    site.write("version", "B");
    let ran = run(&mut site.plain(&["deploy", "--no-switch", "--release", "1"]));
    assert!(ran.ends_with(&format!("\n`cutover switch 1 {target}` makes it live\n")), "{ran}");
}

#[test]
fn a_scan_that_fails_is_not_told_as_done() {
    let site = Site::new();
    site.write("version", "A");
    run(Command::new("mkfifo").arg(site.source("pipe")));
    let ran = site.refused(&["deploy"], 1, &["`pipe` is a fifo"]);
    assert!(!ran.stderr.contains("Scanned"), "{}", ran.stderr);
}

#[test]
fn before_the_first_switch_nothing_is_live() {
    let site = Site::new();
    site.write("version", "A");
    let report = site.deploy(&["--no-switch"]);
    assert_eq!(site.live(), None);
    assert_eq!(site.succeed(&["status"])["live"], json!(null));
    site.succeed(&["switch", &text(&report["release"])]);
    assert_eq!(version(&site), "A");
}

#[test]
fn a_forced_deploy_makes_a_release_of_the_same_content() {
    let site = Site::new();
    let first = deploy_named(&site, "A");
    let report = site.deploy(&["--force"]);
    assert_eq!((text(&report["state"]).as_str(), number(&report["objects_new"])), ("live", 0));
    let second = text(&report["release"]);
    assert_ne!(first, second);
    assert_eq!(assert_shared(&site.release(&first), &site.release(&second)), 1);
}

#[test]
fn a_release_bears_the_name_that_was_asked_for_once() {
    let site = Site::new();
    site.write("version", "A");
    assert_eq!(site.deploy(&["--release", "1.2.3"])["release"], "1.2.3");
    site.write("version", "B");
    site.refused(&["deploy", "--release", "1.2.3"], 1, &["1.2.3", "Choose another `--release`"]);
    fs::create_dir(site.release("7-foreign")).unwrap();
    site.refused(&["deploy", "--release", "7-foreign"], 1, &["7-foreign", "Choose another `--release`"]);
    let outside = site.cutover(&["deploy", "--release", "../up"]);
    outside.failed(2, &["cannot name a release"]);
    // Names say nothing of the order: this one sorts before the one that is live.
    site.deploy(&["--release", "0.9"]);
    assert_eq!(version(&site), "B");
    site.succeed(&["rollback"]);
    assert_eq!(version(&site), "A");
}

#[test]
fn releases_of_one_second_have_names_in_order() {
    let site = Site::new();
    let ids: Vec<String> = ["A", "B", "C", "D"].iter().map(|name| deploy_named(&site, name)).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    let listed = site.succeed(&["releases"]);
    let listed: Vec<String> = listed["releases"].as_array().unwrap().iter().map(|r| text(&r["id"])).collect();
    assert_eq!(listed, ids[1..]);
}

fn git(site: &Site, words: &[&str]) -> String {
    let names = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    let mut command = Command::new("git");
    command.current_dir(site.path("source")).env("HOME", site.path("home")).args(names).args(words);
    run(&mut command).trim().to_owned()
}

#[test]
fn a_commit_is_told_in_revision_and_another_is_another_release() {
    let site = Site::new();
    site.write("version", "A");
    site.deploy(&[]);
    assert!(!site.current("REVISION").exists());
    git(&site, &["init", "-q"]);
    git(&site, &["add", "-A"]);
    git(&site, &["commit", "-q", "-m", "one"]);
    let first = git(&site, &["rev-parse", "HEAD"]);
    let report = site.deploy(&[]);
    assert_eq!((text(&report["state"]).as_str(), text(&report["commit"])), ("live", first.clone()));
    assert_eq!(fs::read_to_string(site.current("REVISION")).unwrap().trim(), first);
    assert!(!site.current(".git").exists());
    assert_eq!(site.deploy(&[])["state"], "unchanged");
    git(&site, &["commit", "-q", "--allow-empty", "-m", "two"]);
    let second = git(&site, &["rev-parse", "HEAD"]);
    assert_eq!(site.deploy(&[])["state"], "live");
    assert_eq!(fs::read_to_string(site.current("REVISION")).unwrap().trim(), second);
    assert_eq!(site.succeed(&["status"])["live"]["commit"], second.as_str());
    site.write("REVISION", "my own\n");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("REVISION")).unwrap(), "my own\n");
}

#[test]
fn a_setup_twice_changes_nothing() {
    let site = Site::new();
    let made = site.succeed(&["setup"]);
    assert!(made["created"].as_array().unwrap().contains(&json!("releases")), "{made}");
    let before = Tree::read(&site.target(""));
    let again = site.succeed(&["setup"]);
    assert_eq!((&again["created"], &again["store"]), (&json!([]), &made["store"]));
    Tree::read(&site.target("")).assert_equals(&before);
    deploy_named(&site, "A");
}

#[test]
fn releases_and_status_tell_what_stands() {
    let site = Site::new();
    let first = deploy_named(&site, "A");
    let second = deploy_named(&site, "BB");
    let listed = site.succeed(&["releases"]);
    let releases = listed["releases"].as_array().unwrap();
    let told: Vec<_> = releases.iter().map(|r| (text(&r["id"]), text(&r["state"]), number(&r["bytes"]))).collect();
    assert_eq!(told, [(first.clone(), "earlier".to_owned(), 1), (second.clone(), "live".to_owned(), 2)]);
    let host = run(&mut Command::new("hostname"));
    assert_eq!(releases[0]["who"], format!("tester@{}", host.trim()));
    assert_eq!(releases[0]["commit"], json!(null));
    assert!(number(&releases[0]["own_bytes"]) > 0);
    assert!(number(&releases[1]["live_since"]) >= number(&releases[0]["live_since"]));
    let status = site.succeed(&["status"]);
    assert_eq!((&status["live"]["id"], &status["rollback"]), (&json!(second), &json!(first)));
    assert_eq!((number(&status["releases"]), number(&status["store_objects"])), (2, 2));
    assert_eq!((&status["lock"], number(&status["staging_bytes"])), (&json!(null), 0));
    assert!(number(&status["free_bytes"]) > 0);
    assert_eq!(status["deploy_path"], site.target("").to_str().unwrap().trim_end_matches('/'));
}

#[test]
fn a_diff_tells_each_path_that_a_deploy_would_change() {
    let mut site = Site::new();
    site.configure("source = 'source'\n");
    for (path, content) in [("same", "same"), ("edited", "before"), ("gone", "gone"), ("mode", "mode"), ("kind", "f")] {
        site.write(path, content);
    }
    let first = site.deploy_and_compare(&[]);
    assert_eq!(site.succeed(&["diff"])["paths"], json!([]));
    site.write("edited", "afterwards");
    site.write("new", "new");
    fs::remove_file(site.source("gone")).unwrap();
    tree::set_mode(site.source("mode"), 0o755);
    fs::remove_file(site.source("kind")).unwrap();
    symlink("same", site.source("kind")).unwrap();
    let paths = |report: &serde_json::Value| -> Vec<(String, String)> {
        let paths = report["paths"].as_array().unwrap();
        paths.iter().map(|path| (text(&path["path"]), text(&path["change"]))).collect()
    };
    let expected = [("edited", "content"), ("gone", "removed"), ("kind", "kind"), ("mode", "mode"), ("new", "new")]
        .map(|(path, change)| (path.to_owned(), change.to_owned()));
    let report = site.succeed(&["diff"]);
    assert_eq!((&report["before"], &report["after"]), (&json!(first), &json!("source")));
    assert_eq!(paths(&report), expected);
    let second = site.deploy_and_compare(&[]);
    let report = site.succeed(&["diff", &first, &second]);
    assert_eq!(paths(&report), expected);
    let counts = ["files_new", "files_changed", "files_removed"].map(|field| number(&report[field]));
    assert_eq!(counts, [1, 3, 1]);
    assert_eq!(paths(&site.succeed(&["diff", &second])), []);

    // Who made none of them is told the same.
    let elsewhere = site.path("elsewhere");
    let by_another = |words: &[&str]| site.cutover(&[words, &["--state-dir", elsewhere.to_str().unwrap()]].concat());
    assert_eq!(by_another(&["diff", &first, &second]).succeeded(), report);

    // Of what another client made since, only that comes.
    site.write("another's", "new");
    let third = text(&by_another(&["deploy"]).succeeded()["release"]);
    site.write("mine", "new");
    let new = |path: &str| [(path.to_owned(), "new".to_owned())];
    assert_eq!(paths(&site.succeed(&["diff", &second, &third])), new("another's"));
    let to_source = site.succeed(&["diff"]);
    assert_eq!((text(&to_source["before"]), paths(&to_source)), (third, new("mine").to_vec()));

    // That there is no database is told once.
    let without = site.cutover(&["diff", "--state-dir", "/dev/null/none"]);
    assert_eq!(without.stderr.matches("/dev/null/none").count(), 1, "{}", without.stderr);
    assert_eq!(without.succeeded()["paths"], to_source["paths"]);

    // Who made them asks for no manifest but whether it is there.
    for release in [&first, &second] {
        let manifest = site.target(&format!(".cutover/releases/{release}/manifest"));
        let front = fs::read(&manifest).unwrap()[..64].to_vec();
        fs::write(&manifest, front).unwrap();
    }
    assert_eq!(site.succeed(&["diff", &first, &second]), report);
    by_another(&["diff", &first, &second]).failed(4, &[&first, "damaged"]);
}
