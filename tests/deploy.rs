//! Deploys: the content of a release, retention, and the output of each verb.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::immutable::Immutable;
use crate::support::mount::Mount;
use crate::support::real_tree;
use crate::support::site::{RunResult, Site, names, number, text};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::tree::{self, Entry, Tree, assert_same, assert_shared};

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
    if !is_root("four_versions_over_ssh_equal_their_sources") {
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
    let command = site.command(&["deploy", "--no-switch", "--release", "1"]);
    let words: Vec<_> = command.get_args().filter(|word| *word != "--json").map(ToOwned::to_owned).collect();
    let ran = run(Command::new(command.get_program()).args(words).current_dir(site.path("")));
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
fn odd_names_links_and_empty_things_are_reproduced() {
    let site = Site::new();
    for name in [&b"caf\xe9"[..], b"new\nline", b"-rf", b" ", b"\x01", b"*?[a]", "naïve".as_bytes(), b"back\\slash"] {
        let path = site.path("source").join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir(&path).unwrap();
        fs::write(path.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    site.write("empty", "");
    site.write("deep/empty", "");
    fs::create_dir_all(site.source("hollow/inner")).unwrap();
    for (target, link) in [("/etc/passwd", "absolute"), ("nowhere", "dangling"), ("..", "up"), ("deep", "directory")] {
        symlink(target, site.source(link)).unwrap();
    }
    symlink(std::ffi::OsStr::from_bytes(b"\xff\n"), site.source("odd target")).unwrap();
    fs::write(site.source(&"n".repeat(255)), "long").unwrap();
    fs::set_permissions(site.source("deep"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(site.source("empty"), fs::Permissions::from_mode(0o600)).unwrap();
    site.deploy_and_compare(&[]);
}

#[test]
fn what_is_ignored_is_left_out() {
    let site = Site::new();
    for path in ["keep.txt", "cache/a", "logs/b.log", "logs/important.log", "deep/cache/c"] {
        site.write(path, path);
    }
    site.write(".deployignore", "/cache/\n*.log\n!important.log\n");
    site.deploy(&[]);
    let release = Tree::read(&site.current(""));
    let files: Vec<String> = release
        .entries
        .iter()
        .filter(|(_, entry)| matches!(entry, Entry::File(..)))
        .map(|(path, _)| String::from_utf8(path.clone()).unwrap())
        .collect();
    assert_eq!(files, ["deep/cache/c", "keep.txt", "logs/important.log"]);
}

#[test]
fn what_is_for_cutover_alone_is_left_out_unless_a_pattern_brings_it_in() {
    let site = Site::new();
    site.write("index.html", "page");
    site.write("cutover.toml", "");
    site.write(".deployignore", "");
    site.write("deploy/web.toml", "");
    let config = site.source("deploy/web.toml");
    let flags = ["--config", config.to_str().unwrap()];
    site.deploy(&[]);
    assert_eq!(names(&site.current("")), ["deploy", "index.html"]);
    assert_eq!(names(&site.current("deploy")), ["web.toml"]);
    site.deploy(&flags);
    assert_eq!(names(&site.current("deploy")), [""; 0]);
    site.write(".deployignore", "!/cutover.toml\n!web.toml\n");
    site.deploy(&flags);
    assert_eq!(names(&site.current("")), ["cutover.toml", "deploy", "index.html"]);
    assert_eq!(names(&site.current("deploy")), ["web.toml"]);
    site.write(".deployignore", "!/cutover.toml\n!.deployignore\n");
    site.deploy_and_compare(&[]);
}

#[test]
fn setuid_bits_are_dropped_and_named() {
    let site = Site::new();
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755), ("sticky", 0o1644)] {
        site.write(name, name);
        fs::set_permissions(site.source(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let ran = site.cutover(&["deploy"]);
    ran.failed(0, &["`setuid`", "`setgid`", "`sticky`"]);
    for (name, mode) in [("setuid", 0o555), ("setgid", 0o555), ("sticky", 0o444)] {
        assert_eq!(tree::stat(&site.current(name)).mode, mode, "{name}");
    }
}

#[test]
fn the_umask_changes_nothing() {
    let deploy_under = |umask: &str| {
        let site = Site::new();
        site.write("file", "content");
        site.write("bin/program", "content");
        site.write("empty", "");
        fs::set_permissions(site.source("bin/program"), fs::Permissions::from_mode(0o755)).unwrap();
        for path in ["", "bin"] {
            fs::set_permissions(site.source(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for path in ["file", "empty"] {
            fs::set_permissions(site.source(path), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let cutover = site.command(&["deploy", "--release", "1"]);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("umask {umask}; exec \"$@\"")).arg("sh").arg(cutover.get_program());
        shell.args(cutover.get_args()).current_dir(site.path("")).env("HOME", site.path("home"));
        RunResult::of(&shell.output().unwrap()).succeeded();
        let paths = ["", "releases", "shared", ".cutover", ".cutover/objects", "releases/1", "releases/1/bin"];
        let files = ["releases/1/file", "releases/1/bin/program", "releases/1/empty"];
        paths.iter().chain(&files).map(|path| (*path, tree::stat(&site.target(path)).mode)).collect::<Vec<_>>()
    };
    let usual = deploy_under("022");
    let modes: Vec<u32> = usual.iter().map(|(_, mode)| *mode).collect();
    assert_eq!(modes, [0o755, 0o755, 0o755, 0o700, 0o700, 0o755, 0o755, 0o444, 0o555, 0o444]);
    assert_eq!(deploy_under("077"), usual);
    assert_eq!(deploy_under("000"), usual);
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
    fs::set_permissions(site.source("mode"), fs::Permissions::from_mode(0o755)).unwrap();
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

#[test]
fn a_cleanup_removes_what_retention_gives_up_and_its_objects() {
    let site = Site::new();
    for name in ["A", "B", "C", "D"] {
        site.write("version", name);
        site.deploy(&[]);
    }
    // Within the grace nothing went.
    let ids = site.release_names();
    assert_eq!(ids.len(), 4);
    let kept = site.succeed(&["cleanup"]);
    assert_eq!((&kept["removed"], &kept["kept"]), (&json!([]), &json!([{ "id": ids[0], "reason": "grace" }])));
    let would = site.succeed(&["cleanup", "--grace", "0s", "--dry-run"]);
    assert_eq!((&would["dry_run"], &would["removed"]), (&json!(true), &json!([ids[0]])));
    assert_eq!(site.release_names(), ids);
    let did = site.succeed(&["cleanup", "--grace", "0s"]);
    assert_eq!((&did["removed"], number(&did["objects_removed"])), (&json!([ids[0]]), 1));
    assert_eq!(site.release_names(), ids[1..]);
    assert_eq!(site.objects().len(), 3);
    assert_eq!(did["objects_removed"], would["objects_removed"]);
    assert_eq!(did["freed_bytes"], would["freed_bytes"]);
}

/// What of a release cannot be removed.
#[derive(Debug, Clone, Copy)]
enum Stuck {
    File,
    Directory,
    Whole,
}

#[test]
fn what_cannot_be_removed_never_fails_a_deploy_that_is_live() {
    for stuck in [Stuck::File, Stuck::Directory, Stuck::Whole] {
        let site = Site::new();
        let Some(_mounted) = Mount::ext4(&site.target(""), "32M", &[]) else { return };
        site.write("deep/only-in-the-first", "first");
        let first = deploy_named(&site, "A");
        fs::remove_dir_all(site.source("deep")).unwrap();
        let (below, told) = match stuck {
            Stuck::File => ("deep/only-in-the-first", "Warning: Could not remove `"),
            Stuck::Directory => ("deep", "/deep/only-in-the-first`"),
            Stuck::Whole => ("", "Warning: Could not rename to `"),
        };
        let mut immutable = Immutable::make(&site.release(&first).join(below));
        let mut second = String::new();
        for name in ["B", "C", "D", "E"] {
            site.write("version", name);
            let ran = site.cutover(&["deploy", "--grace", "0s"]);
            // Two others may stand before the first one is due.
            let words = if ["D", "E"].contains(&name) { told } else { "" };
            ran.failed(0, &[words]);
            assert_eq!(ran.json["state"], "live");
            // What else was due is removed, and told.
            assert_eq!(ran.json["removed"].as_array().unwrap().contains(&json!(second)), name == "E", "{stuck:?}");
            assert_same(&site.path("source"), &site.current(""));
            if name == "B" {
                second = site.live().unwrap();
            }
        }
        let trash = site.target(".cutover/trash");
        let gone = names(&trash).into_iter().find(|name| name.starts_with(&first) && !name.ends_with("-record"));
        immutable.follow(&gone.map_or_else(|| site.release(&first), |name| trash.join(name)).join(below));
        drop(immutable);
        site.succeed(&["cleanup", "--grace", "0s"]);
        assert_eq!(names(&trash), [""; 0]);
        assert!(!site.release_names().contains(&first), "{stuck:?}");
        assert_eq!(site.objects().len(), 3, "{stuck:?}");
    }
}

/// What of a release is damaged.
#[derive(Debug, Clone, Copy)]
enum Damaged {
    Record,
    Manifest,
    Tree,
}

#[test]
fn while_a_release_is_damaged_no_object_is_removed() {
    for damaged in [Damaged::Record, Damaged::Manifest, Damaged::Tree] {
        let site = Site::new();
        let ids: Vec<String> = ["A", "B", "C"].iter().map(|name| deploy_named(&site, name)).collect();
        let of_the_second = match damaged {
            Damaged::Record => site.target(&format!(".cutover/releases/{}/record", ids[1])),
            Damaged::Manifest => site.target(&format!(".cutover/releases/{}/manifest", ids[1])),
            Damaged::Tree => site.release(&ids[1]),
        };
        let aside = site.path("aside");
        fs::rename(&of_the_second, &aside).unwrap();
        match damaged {
            Damaged::Record | Damaged::Manifest => fs::write(&of_the_second, "damage").unwrap(),
            // Something else stands there, so it is not the rest of a removal.
            Damaged::Tree => fs::write(&of_the_second, "no directory").unwrap(),
        }
        // A release whose record cannot be read does not count as one that is kept.
        let more = if let Damaged::Manifest = damaged { &["D"][..] } else { &["D", "E"] };
        more.iter().for_each(|name| drop(deploy_named(&site, name)));
        assert!(!site.release_names().contains(&ids[0]), "{damaged:?}");
        let report = site.cutover(&["cleanup", "--grace", "0s"]);
        report.failed(0, &[]);
        let warnings = report.json["warnings"].to_string();
        assert!(
            warnings.contains(&format!("No object was removed, because release {} may need any of them", ids[1])),
            "{warnings}"
        );
        let objects = (number(&report.json["objects_removed"]), site.objects().len());
        assert_eq!(objects, (0, 3 + more.len()), "{damaged:?}");
        // Made whole again, it is a release as ever, and what nobody needs goes.
        fs::remove_file(&of_the_second).unwrap();
        fs::rename(&aside, &of_the_second).unwrap();
        assert_eq!(fs::read_to_string(site.release(&ids[1]).join("version")).unwrap(), "B");
        site.succeed(&["cleanup", "--grace", "0s"]);
        assert_eq!(site.objects().len(), site.release_names().len(), "{damaged:?}");
    }
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone_and_named() {
    let site = Site::new();
    deploy_named(&site, "A");
    fs::create_dir(site.release("20010101000000")).unwrap();
    fs::write(site.release("20010101000000/file"), "mine").unwrap();
    fs::create_dir(site.release("backup")).unwrap();
    for name in ["B", "C", "D", "E"] {
        site.write("version", name);
        let ran = site.cutover(&["deploy", "--grace", "0s"]);
        ran.failed(
            0,
            &["releases/20010101000000` was not made by Cutover", "releases/backup` was not made by Cutover"],
        );
    }
    site.succeed(&["cleanup", "--grace", "0s"]);
    assert_eq!(fs::read_to_string(site.release("20010101000000/file")).unwrap(), "mine");
    assert_eq!(site.release_names().len(), 5);
    assert_eq!(site.succeed(&["releases"])["foreign"], json!(["20010101000000", "backup"]));
    assert_eq!(site.succeed(&["status"])["foreign"], json!(["20010101000000", "backup"]));
    let ran = site.cutover(&["switch", "20010101000000"]);
    ran.failed(1, &["20010101000000"]);
}

#[test]
fn a_release_that_a_process_lives_in_stays() {
    let site = Site::new();
    let first = deploy_named(&site, "A");
    let mut inhabitant = Command::new("cat");
    inhabitant.current_dir(site.release(&first)).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut inhabitant = inhabitant.spawn().unwrap();
    for name in ["B", "C", "D"] {
        deploy_named(&site, name);
    }
    assert_eq!(site.release_names().len(), 4);
    let report = site.succeed(&["cleanup", "--grace", "0s"]);
    let reason = format!("cat ({}) lives in it", inhabitant.id());
    assert_eq!(report["kept"], json!([{ "id": first, "reason": reason }]));
    drop(inhabitant.stdin.take());
    inhabitant.wait().unwrap();
    assert_eq!(site.succeed(&["cleanup", "--grace", "0s"])["removed"], json!([first]));
}

/// Deploys with keys of a `cutover.toml`: `--target` would stand in place of `current_path`.
fn deploy_with(site: &Site, keys: &str) -> RunResult {
    let config = format!("deploy_path = '{}'\n{keys}", site.target("").display());
    fs::write(site.path("cutover.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["deploy", "--json", "--source", "source", "--state-dir", "state"]).current_dir(site.path(""));
    RunResult::of(&command.output().unwrap())
}

#[test]
fn the_link_may_stand_elsewhere() {
    let site = Site::new();
    let link: PathBuf = site.path("public_html");
    site.write("version", "A");
    deploy_with(&site, &format!("current_path = '{}'\n", link.display())).succeeded();
    assert_same(&site.path("source"), &link.join(""));
    assert!(!site.target("current").exists());
}

#[test]
fn where_the_link_stands_is_remembered_and_another_place_is_refused() {
    let site = Site::new();
    let (link, other) = (site.path("public_html"), site.path("htdocs"));
    site.write("version", "A");
    deploy_with(&site, &format!("current_path = '{}'\n", link.display())).succeeded();
    site.write("version", "B");
    deploy_with(&site, "").succeeded();
    assert_same(&site.path("source"), &link.join(""));
    assert!(!site.target("current").exists());
    let before = fs::read_link(&link).unwrap();
    site.write("version", "C");
    let elsewhere = format!("current_path = '{}'\n", other.display());
    let ran = deploy_with(&site, &elsewhere);
    ran.failed(1, &["public_html", "htdocs", "Hint: Leave `current_path` as it was", "Nothing was switched"]);
    assert_eq!(fs::read_link(&link).unwrap(), before);
    assert!(!other.exists());
    // Once nothing serves from it any more, it may move.
    fs::remove_file(&link).unwrap();
    deploy_with(&site, &elsewhere).succeeded();
    assert_same(&site.path("source"), &other.join(""));
    assert!(!link.exists());
}
