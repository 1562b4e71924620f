//! A client with neither database nor content cache, for example a fresh runner: it sends little, and the release is
//! right.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::program;
use crate::support::site::{Site, number};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::tree::{self, assert_same};
use engine::hash::Hash;
use serde_json::Value;

const FILES: usize = 400;
const DIRECTORIES: usize = 40;
const LINES: usize = 600;

/// Lines that are like no others.
fn line(file: usize, line: usize) -> String {
    let noise = (file * LINES + line + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{noise:016x} of line {line}\n")
}

fn path(file: usize) -> String {
    format!("directory-{}/file-{file}", file % DIRECTORIES)
}

/// The files that an edit changes: all those of a fifth of the directories.
fn edited() -> impl Iterator<Item = usize> {
    (0..FILES).filter(|file| (file % DIRECTORIES).is_multiple_of(5))
}

/// Writes a source of text files.
fn write(site: &Site) {
    for file in 0..FILES {
        site.write(&path(file), (0..LINES).map(|at| line(file, at)).collect::<String>());
    }
}

/// Inserts a line into some of the files.
fn edit(site: &Site, edit: usize) {
    for file in edited() {
        let path = site.source(&path(file));
        let text = fs::read_to_string(&path).unwrap();
        let at = text.match_indices('\n').nth((file * 7 + edit * 31) % LINES).unwrap().0 + 1;
        let (before, after) = text.split_at(at);
        fs::write(path, format!("{before}edit {edit}\n{after}")).unwrap();
    }
}

/// A deployed site, the next version of whose source is there, and whose client remembers nothing.
fn cold_site() -> Site {
    let site = Site::new();
    cool(&site);
    site
}

fn cool(site: &Site) {
    write(site);
    site.deploy_and_compare(&[]);
    edit(site, 0);
    site.forget();
}

/// What a deploy took of the wire.
#[derive(Debug)]
struct Took {
    sent: u64,
    received: u64,
    round_trips: u64,
}

/// Deploys and compares.
#[track_caller]
fn deploy(site: &Site) -> Took {
    let report = site.deploy(&[]);
    assert_live(site, &report);
    let took = |field: &str| number(&report[field]);
    Took { sent: took("sent_bytes"), received: took("received_bytes"), round_trips: took("round_trips") }
}

#[track_caller]
fn assert_live(site: &Site, report: &Value) {
    assert_eq!(report["state"], "live");
    assert_same(&site.path("source"), &site.current(""));
}

const EDITED: u64 = (FILES / 5) as u64;
/// What one file takes as it is, compressed.
const FILE_BYTES: u64 = (LINES * 9) as u64;
/// Each of the files whole.
const WHOLE_BYTES: u64 = EDITED * FILE_BYTES;
/// Of each file the manifest's entry, and a block and its place.
const SIGNED_BYTES_MAX: u64 = EDITED * 450;
/// Of each file its signature; and the outline.
const SIGNATURE_BYTES_MAX: u64 = EDITED * 260 + 4000;
/// Of each file the manifest's entry, and the line and its place.
const DELTA_BYTES_MAX: u64 = EDITED * 70;
/// A whole manifest has a hash for each file of the tree.
const OUTLINE_BYTES_MAX: u64 = (FILES * 32 / 2) as u64;

#[test]
fn a_cold_client_sends_what_was_edited_and_some_of_what_is_around_it() {
    let took = deploy(&cold_site());
    assert!(took.sent < SIGNED_BYTES_MAX, "{took:?}");
    assert!(took.received < SIGNATURE_BYTES_MAX, "{took:?}");
    assert_eq!(took.round_trips, 3, "{took:?}");
}

#[test]
fn a_cold_client_over_ssh_does_too() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    cool(&site);
    let took = deploy(&site);
    assert!(took.sent < SIGNED_BYTES_MAX && took.received < SIGNATURE_BYTES_MAX, "{took:?}");
    assert_eq!(took.round_trips, 3, "{took:?}");
}

#[test]
fn what_it_has_sent_is_at_hand_for_the_next_deploy() {
    let site = cold_site();
    deploy(&site);
    edit(&site, 1);
    let took = deploy(&site);
    assert!(took.sent < DELTA_BYTES_MAX && took.received < 2000, "{took:?}");
}

#[test]
fn a_cold_client_of_an_unchanged_tree_sends_little_more_than_its_root() {
    let site = cold_site();
    deploy(&site);
    site.forget();
    let report = site.deploy(&[]);
    assert_eq!(report["state"], "unchanged");
    assert_eq!(number(&report["round_trips"]), 1);
    assert!(number(&report["sent_bytes"]) < 2000, "{}", report["sent_bytes"]);
}

#[test]
fn a_dry_run_of_a_cold_client_asks_for_an_outline_alone() {
    let site = cold_site();
    let report = site.deploy(&["--dry-run"]);
    assert_eq!(number(&report["files_changed"]), EDITED);
    assert!(number(&report["sent_bytes"]) < DELTA_BYTES_MAX, "{}", report["sent_bytes"]);
    assert!(number(&report["received_bytes"]) < OUTLINE_BYTES_MAX, "{}", report["received_bytes"]);
}

/// Runs git in the source.
fn git(site: &Site, words: &[&str]) -> String {
    git_in(&site.path("source"), words)
}

fn git_in(directory: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
    run(command
        .args(["-c", "user.name=tester", "-c", "user.email=tester@example.com"])
        .args(words)
        .current_dir(directory))
}

fn commit(site: &Site, message: &str) {
    git(site, &["add", "--all"]);
    git(site, &["commit", "--quiet", "--message", message]);
}

/// As [`cold_site`], of a git checkout. A release of it has `REVISION` beside the source.
fn cold_checkout() -> Site {
    let site = Site::new();
    write(&site);
    git(&site, &["init", "--quiet"]);
    commit(&site, "one");
    site.deploy(&[]);
    edit(&site, 0);
    commit(&site, "other");
    site.forget();
    site
}

/// Deploys a checkout and compares.
#[track_caller]
fn deploy_checkout(site: &Site) -> Took {
    let report = site.deploy(&[]);
    assert_eq!(report["state"], "live");
    for file in 0..FILES {
        assert!(fs::read(site.source(&path(file))).unwrap() == fs::read(site.current(&path(file))).unwrap(), "{file}");
    }
    let took = |field: &str| number(&report[field]);
    Took { sent: took("sent_bytes"), received: took("received_bytes"), round_trips: took("round_trips") }
}

#[test]
fn a_checkout_that_has_the_commit_needs_no_signatures() {
    let took = deploy_checkout(&cold_checkout());
    assert!(took.sent < DELTA_BYTES_MAX, "{took:?}");
    assert!(took.received < OUTLINE_BYTES_MAX, "{took:?}");
    assert_eq!(took.round_trips, 3, "{took:?}");
}

#[test]
fn what_git_would_do_otherwise_it_does_not_do_here() {
    let site = cold_checkout();
    // A replacement of each blob, a fetch of what is missing, a filter, hooks.
    let other = git(&site, &["hash-object", "-w", "--stdin"]);
    let told = site.path("told");
    for file in edited() {
        let blob = git(&site, &["rev-parse", &format!("HEAD~1:{}", path(file))]);
        git(&site, &["replace", blob.trim(), other.trim()]);
    }
    let program = format!("touch '{}'", told.display());
    for (key, value) in [
        ("core.fsmonitor", program.as_str()),
        ("core.sshCommand", &program),
        ("core.hooksPath", "/nonexistent"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", "ssh://nowhere.invalid/x"),
    ] {
        git(&site, &["config", key, value]);
    }
    // One blob is not there: a partial clone would fetch it.
    let missing = git(&site, &["rev-parse", &format!("HEAD~1:{}", path(0))]);
    let (shard, name) = missing.trim().split_at(2);
    fs::remove_file(site.source(".git/objects").join(shard).join(name)).unwrap();
    let took = deploy_checkout(&site);
    assert!(took.sent < DELTA_BYTES_MAX + FILE_BYTES, "{took:?}");
    assert!(!told.exists(), "git ran a program");
}

#[test]
fn a_shallow_clone_gets_signatures() {
    let site = cold_checkout();
    let origin = format!("file://{}", site.path("source").display());
    git_in(&site.path(""), &["clone", "--quiet", "--depth", "1", &origin, "clone"]);
    fs::remove_dir_all(site.path("source")).unwrap();
    fs::rename(site.path("clone"), site.path("source")).unwrap();
    let took = deploy_checkout(&site);
    assert!(took.sent < SIGNED_BYTES_MAX && took.received > OUTLINE_BYTES_MAX, "{took:?}");
    assert!(took.received < SIGNATURE_BYTES_MAX, "{took:?}");
    assert_eq!(took.round_trips, 3, "{took:?}");
}

#[test]
fn a_blob_that_is_not_what_was_deployed_costs_bytes_and_nothing_else() {
    let site = Site::new();
    write(&site);
    git(&site, &["init", "--quiet"]);
    commit(&site, "one");
    // What is deployed is not what is committed, and as long.
    for file in edited() {
        let text = fs::read_to_string(site.source(&path(file))).unwrap();
        site.write(&path(file), text.replace("of line", "OF LINE"));
    }
    site.deploy(&[]);
    edit(&site, 0);
    site.forget();
    let took = deploy_checkout(&site);
    assert!(took.sent > WHOLE_BYTES && took.sent < WHOLE_BYTES * 2, "{took:?}");
    assert_eq!(took.round_trips, 3, "{took:?}");
}

/// Finds two texts of one size whose hashes begin alike, as far as a cold client is told of them.
fn alike() -> [String; 2] {
    const TOLD_BYTES: usize = 4;
    let text = |number: usize| (0..20).map(|at| line(number, at)).collect::<String>();
    let mut seen = HashMap::new();
    for number in 1 << 16.. {
        let mut told = [0; TOLD_BYTES];
        told.copy_from_slice(&Hash::of(text(number).as_bytes()).as_bytes()[..TOLD_BYTES]);
        if let Some(other) = seen.insert(told, number) {
            return [text(other), text(number)];
        }
    }
    unreachable!("there are fewer beginnings than numbers")
}

#[test]
fn a_file_that_only_looks_unchanged_costs_the_manifest_and_nothing_else() {
    let site = Site::new();
    let [before, after] = alike();
    site.write("directory-0/alike", before);
    cool(&site);
    site.write("directory-0/alike", after);
    let took = deploy(&site);
    assert!(took.sent < SIGNED_BYTES_MAX, "{took:?}");
    assert!(took.received > (FILES * 32) as u64 + OUTLINE_BYTES_MAX, "{took:?}");
    assert_eq!(took.round_trips, 4, "{took:?}");
}

#[test]
fn a_blob_that_only_looks_right_costs_a_second_flight_and_nothing_else() {
    let site = Site::new();
    write(&site);
    let [committed, deployed] = alike();
    site.write("alike", &committed);
    git(&site, &["init", "--quiet"]);
    commit(&site, "one");
    site.write("alike", &deployed);
    site.deploy(&[]);
    site.write("alike", format!("{committed}one more line\n"));
    site.forget();
    let took = deploy_checkout(&site);
    assert!(fs::read(site.source("alike")).unwrap() == fs::read(site.current("alike")).unwrap());
    assert!(took.sent < FILE_BYTES, "{took:?}");
    assert_eq!(took.round_trips, 4, "{took:?}");
}

#[test]
fn without_git_a_checkout_gets_signatures() {
    let site = cold_checkout();
    fs::create_dir_all(site.path("bin")).unwrap();
    program::write(&site.path("bin/git"), "#!/bin/sh\nexit 1\n");
    let took = deploy_checkout(&site);
    assert!(took.sent < SIGNED_BYTES_MAX && took.received > OUTLINE_BYTES_MAX, "{took:?}");
}

#[test]
fn an_object_that_was_altered_on_the_server_costs_bytes_and_nothing_else() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("altered", |content| content.iter_mut().step_by(1000).for_each(|byte| *byte ^= 1)),
        ("cut off", |content| content.truncate(LINES)),
        ("longer", |content| content.extend_from_slice(b"more")),
    ];
    for (what, damage) in damages {
        let site = cold_site();
        let objects: Vec<_> = edited().map(|file| site.object_of(&path(file))).collect();
        for object in objects.iter().step_by(4) {
            let (mut content, mtime) = (fs::read(object).unwrap(), fs::metadata(object).unwrap().modified().unwrap());
            damage(&mut content);
            tree::set_mode(object, 0o644);
            fs::write(object, content).unwrap();
            fs::File::options().write(true).open(object).unwrap().set_modified(mtime).unwrap();
            tree::set_mode(object, 0o444);
        }
        let took = deploy(&site);
        assert!(took.sent < SIGNED_BYTES_MAX + WHOLE_BYTES / 3, "{what}: {took:?}");
        assert!(took.round_trips <= 4, "{what}: {took:?}");
    }
}

#[test]
fn an_object_that_is_gone_costs_bytes_and_nothing_else() {
    let site = cold_site();
    for file in edited() {
        fs::remove_file(site.object_of(&path(file))).unwrap();
    }
    let took = deploy(&site);
    assert!(took.sent > WHOLE_BYTES && took.sent < 2 * WHOLE_BYTES, "{took:?}");
}

#[test]
fn another_client_that_deployed_in_between_costs_no_more_than_being_cold() {
    let site = cold_site();
    let state = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let (one, other) = (state("one"), state("other"));
    for (number, state) in [&one, &other, &other, &other, &other, &one].into_iter().enumerate() {
        let report = site.deploy(&["--state-dir", state, "--grace", "0s"]);
        assert_live(&site, &report);
        let took = ["sent_bytes", "received_bytes"].map(|field| self::number(&report[field]));
        assert!(took[0] < SIGNED_BYTES_MAX && took[1] < SIGNATURE_BYTES_MAX, "{number}: {took:?}");
        edit(&site, number + 1);
    }
}

#[test]
fn large_files_of_a_cold_client_are_described_by_their_chunks() {
    let site = Site::new();
    let large = crate::support::real_tree::noise(1, 3 << 20);
    site.write("large/file", &large);
    site.write("large/other", crate::support::real_tree::noise(2, 2 << 20));
    cool(&site);
    let mut edited = large;
    edited.splice(1_000_000..1_000_000, *b"inserted");
    site.write("large/file", &edited);
    let took = deploy(&site);
    assert!(took.sent < SIGNED_BYTES_MAX + 300_000, "{took:?}");
    assert_eq!(took.round_trips, 4, "{took:?}");
}

#[test]
fn what_the_store_has_is_neither_signed_nor_sent() {
    let site = cold_site();
    deploy(&site);
    // Back to what an earlier release has.
    write(&site);
    site.forget();
    let took = deploy(&site);
    assert!(took.sent < DELTA_BYTES_MAX && took.received < OUTLINE_BYTES_MAX, "{took:?}");
}
