//! Surprises in a release are reported before it is live, once for each kind.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{XattrFlags, setxattr};
use serde_json::Value;

use crate::support::git::git;
use crate::support::program;
use crate::support::site::{Site, text};
use crate::support::tree;

/// Returns the warnings of a deploy. Each must be on stderr once too.
#[track_caller]
fn warnings(site: &Site, flags: &[&str]) -> Vec<String> {
    let ran = site.cutover(&[&["deploy"], flags].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let warnings: Vec<String> = ran.json["warnings"].as_array().unwrap().iter().map(text).collect();
    for warning in &warnings {
        assert_eq!(ran.stderr.matches(warning.as_str()).count(), 1, "{}", ran.stderr);
    }
    assert_eq!(ran.stderr.matches("Warning: ").count(), warnings.len(), "{}", ran.stderr);
    warnings
}

/// Checks that a deploy gives these warnings alone, each by its beginning.
#[track_caller]
fn check(site: &Site, flags: &[&str], expected: &[&str]) {
    let warnings = warnings(site, flags);
    let is_so = warnings.len() == expected.len()
        && warnings.iter().zip(expected).all(|(warning, begin)| warning.starts_with(begin));
    assert!(is_so, "{warnings:#?} do not begin with {expected:#?}");
}

/// A checkout that tracks `.gitignore`, `index.php` and `tracked.log`, and ignores the latter by its patterns.
fn checkout() -> Site {
    let site = Site::new();
    site.write(".gitignore", "*.log\n/vendor/\n.env\n!kept.log\n");
    site.write("index.php", "page");
    site.write("tracked.log", "log");
    git(&site.path("source"), &["init", "-q"]);
    git(&site.path("source"), &["add", "--force", "."]);
    git(&site.path("source"), &["commit", "-q", "-m", "one"]);
    site
}

#[test]
fn files_that_git_ignores_are_told_with_their_number() {
    let site = checkout();
    check(&site, &[], &[]);
    site.write(".env", "SECRET=1");
    check(&site, &[], &["1 file is deployed that git ignores: `.env`. To leave a path out"]);
    for path in ["vendor/a", "vendor/deep/b", "logs/c.log", "logs/kept.log", "src/d"] {
        site.write(path, path);
    }
    site.write("src/.gitignore", "/d\n!*.log\n");
    site.write("src/kept-too.log", "log");
    let all = "5 files are deployed that git ignores: `.env`, `logs/c.log`, `src/d` and 2 more. ";
    check(&site, &["--dry-run"], &[all]);
    check(&site, &[], &[all]);
    // Nothing has changed but what git says.
    check(&site, &[], &[all]);
    git(&site.path("source"), &["add", "--force", "vendor"]);
    let three = "3 files are deployed that git ignores: `.env`, `logs/c.log`, `src/d`. ";
    check(&site, &[], &[three]);
    fs::write(site.source(".git/info/exclude"), "/index.php\nkept-too.log\nlogs/\n").unwrap();
    let by_exclude = "4 files are deployed that git ignores: `.env`, `logs/c.log`, `logs/kept.log` and 1 more. ";
    check(&site, &[], &[by_exclude]);
    // What is left out is not deployed, and what is brought in is meant.
    fs::write(site.source(".git/info/exclude"), "").unwrap();
    site.write(".deployignore", ".gitignore\n!/.env\n!logs\n!vendor\n");
    check(&site, &[], &["1 file is deployed that git ignores: `src/d`. "]);
    site.write("src/.gitignore", "!*.log\n");
    check(&site, &[], &[]);
    site.write("src/.deployignore", "!*\n");
    site.write("src/.gitignore", "/d\n");
    check(&site, &[], &[]);
}

#[test]
fn the_source_may_be_a_directory_of_a_checkout_or_one_that_git_ignores() {
    let site = checkout();
    for path in ["web/.env", "web/index.php", "web/own", "vendor/a", "vendor/.env"] {
        site.write(path, path);
    }
    site.write("web/.gitignore", "/own\n");
    let source = |name: &str| site.source(name).to_str().unwrap().to_owned();
    check(&site, &["--source", &source("web")], &["2 files are deployed that git ignores: `.env`, `own`. "]);
    check(&site, &["--source", &source("vendor")], &[]);
    // Without a repository git ignores nothing.
    fs::rename(site.source(".git"), site.path("git")).unwrap();
    check(&site, &["--source", &source("web")], &[]);
}

#[test]
fn worktrees_and_submodules_are_checkouts() {
    let site = checkout();
    git(&site.path("source"), &["worktree", "add", "-q", "../worktree"]);
    fs::write(site.path("worktree/.env"), "SECRET=1").unwrap();
    let worktree = site.path("worktree");
    let flags = ["--source", worktree.to_str().unwrap()];
    check(&site, &flags, &["1 file is deployed that git ignores: `.env`. "]);
    assert!(site.current("REVISION").exists());
    // What a submodule ignores is its own concern.
    let library = checkout();
    let url = library.path("source");
    let words = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", "--force"];
    git(&site.path("source"), &[&words[..], &[url.to_str().unwrap(), "vendor"]].concat());
    check(&site, &[], &[]);
    assert_eq!(warnings(&site, &["--source", site.source("vendor").to_str().unwrap()]), [""; 0]);
    assert_eq!(fs::read_to_string(site.current("REVISION")).unwrap().trim(), git(&url, &["rev-parse", "HEAD"]));
}

#[test]
fn no_program_of_a_checkout_is_run() {
    let site = checkout();
    site.write(".env", "SECRET=1");
    let spy = site.path("spy");
    program::write(&spy, &format!("#!/bin/sh\ntouch '{}'\ncat\n", site.path("ran").display()));
    let spy = spy.to_str().unwrap();
    for hook in ["post-index-change", "reference-transaction", "post-checkout"] {
        symlink(spy, site.source(&format!(".git/hooks/{hook}"))).unwrap();
    }
    for key in [
        "core.fsmonitor",
        "filter.spy.clean",
        "filter.spy.smudge",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "alias.ls-files",
    ] {
        git(&site.path("source"), &["-c", "core.fsmonitor=false", "config", key, spy]);
    }
    fs::write(site.source(".git/info/attributes"), "* filter=spy\n").unwrap();
    // Git does run the monitor where it is not told otherwise.
    git(&site.path("source"), &["status"]);
    fs::remove_file(site.path("ran")).unwrap();
    check(&site, &[], &["1 file is deployed that git ignores: `.env`. "]);
    assert!(!site.path("ran").exists());
}

#[test]
fn where_git_cannot_be_asked_what_it_tracks_that_is_told() {
    let expected = "1 file is deployed that git ignores or tracks (`git` did not say which): `tracked.log`. ";
    let changes = "Whether the source has changes since its commit is unknown: ";
    let site = checkout();
    // It would wait for ever.
    fs::remove_file(site.source(".git/index")).unwrap();
    crate::support::sshd::run(std::process::Command::new("mkfifo").arg(site.source(".git/index")));
    check(&site, &[], &[expected, changes]);
    let site = checkout();
    fs::create_dir(site.path("bin")).unwrap();
    program::write(&site.path("bin/git"), "#!/bin/sh\nexit 1\n");
    check(&site, &[], &[expected, changes]);
}

#[test]
fn symlinks_that_lead_out_of_the_source_are_told() {
    let site = Site::new();
    for (target, link) in
        [("/etc/passwd", "absolute"), ("../..", "deep/up"), ("deep", "directory"), ("directory/..", "top")]
    {
        fs::create_dir_all(site.source("deep")).unwrap();
        symlink(target, site.source(link)).unwrap();
    }
    let expected = "2 symlinks lead out of the source, and on the server to something else or nothing: `absolute` to `/etc/passwd`, \
                    `deep/up` to `../..`";
    check(&site, &[], &[expected]);
    symlink("../directory/up", site.source("deep/chain")).unwrap();
    check(&site, &[], &["3 symlinks lead out of the source"]);
    site.write(".deployignore", "!/absolute\n/deep/chain\n!up\n");
    check(&site, &[], &[]);
}

#[test]
fn what_its_owner_alone_may_read_is_told() {
    let site = Site::new();
    site.write("open/file", "file");
    site.write("open/key", "key");
    site.write("closed/file", "file");
    check(&site, &[], &[]);
    for (path, mode) in [("open/key", 0o600), ("open/file", 0o640), ("closed", 0o700), ("open", 0o750)] {
        tree::set_mode(site.source(path), mode);
    }
    let others = [
        "1 directory can be entered by its owner alone, and not by a web server of another user: `closed`",
        "1 file can be read by its owner alone, and not by a web server of another user: `open/key`",
    ];
    check(&site, &[], &others);
    tree::set_mode(site.source(""), 0o700);
    let root = "Only its owner may enter the release, as the source has mode 700: a web server that runs as another user cannot read it. ";
    check(&site, &[], &[root, others[0], others[1]]);
}

#[test]
fn bits_of_directories_are_dropped_and_told_and_none_is_open_to_all_without_its_sticky_bit() {
    let site = Site::new();
    for (path, mode) in [("setgid", 0o2775), ("sticky", 0o1755), ("spool", 0o1777), ("group", 0o3775), ("open", 0o777)]
    {
        fs::create_dir(site.source(path)).unwrap();
        tree::set_mode(site.source(path), mode);
    }
    let expected = [
        "2 directories lose their setgid or sticky bits: `setgid`, `sticky`",
        "2 directories can be written to by their owner alone, as they lose their sticky bits: `group`, `spool`",
    ];
    check(&site, &[], &expected);
    // Also where nothing is listed again.
    check(&site, &[], &expected);
    for (path, mode) in [("setgid", 0o775), ("sticky", 0o755), ("spool", 0o755), ("group", 0o755), ("open", 0o777)] {
        assert_eq!(tree::stat(&site.current(path)).mode, mode, "{path}");
    }
    tree::set_mode(site.source(""), 0o1777);
    let root =
        "3 directories can be written to by their owner alone, as they lose their sticky bits: `.`, `group`, `spool`";
    check(&site, &[], &[expected[0], root]);
    assert_eq!(tree::stat(&site.current("").canonicalize().unwrap()).mode, 0o755);
}

#[test]
fn capabilities_that_a_file_loses_are_told() {
    let site = Site::new();
    site.write("bin/server", "program");
    site.write("bin/other", "program");
    tree::set_mode(site.source("bin/server"), 0o755);
    tree::set_mode(site.source("bin/other"), 0o755);
    // Version 2 of the attribute, with `cap_net_bind_service`.
    let mut value = [0_u8; 20];
    (value[0], value[3], value[5]) = (1, 2, 4);
    if setxattr(site.source("bin/server"), "security.capability", &value, XattrFlags::empty()).is_err() {
        crate::support::sshd::skipped("this user may not give capabilities");
        return;
    }
    let expected =
        "1 file loses its capabilities, which a service manager can give to the process instead: `bin/server`";
    check(&site, &[], &[expected]);
    check(&site, &[], &[expected]);
    fs::rename(site.source("bin"), site.source("sbin")).unwrap();
    check(&site, &[], &["1 file loses its capabilities"]);
    rustix::fs::removexattr(site.source("sbin/server"), "security.capability").unwrap();
    check(&site, &[], &[]);
}

#[test]
fn a_repository_in_another_form_has_its_commit_told_by_git() {
    let site = Site::new();
    site.write("index.php", "page");
    let source = site.path("source");
    let made = crate::support::git::command(&source, &["init", "-q", "--ref-format=reftable"]).output().unwrap();
    if !made.status.success() {
        crate::support::sshd::skipped("this git knows no reftable");
        return;
    }
    // The one that the tests run, which may not be the system's.
    let paths = std::env::var_os("PATH").unwrap();
    let program = std::env::split_paths(&paths).map(|path| path.join("git")).find(|path| path.exists()).unwrap();
    fs::create_dir(site.path("bin")).unwrap();
    symlink(program, site.path("bin/git")).unwrap();
    check(&site, &[], &[]);
    assert!(!site.current("REVISION").exists());
    git(&source, &["add", "."]);
    git(&source, &["commit", "-q", "-m", "one"]);
    let commit = |site: &Site| fs::read_to_string(site.current("REVISION")).unwrap().trim().to_owned();
    check(&site, &[], &[]);
    assert_eq!(commit(&site), git(&source, &["rev-parse", "HEAD"]));
    git(&source, &["checkout", "-q", "--detach"]);
    git(&source, &["commit", "-q", "--allow-empty", "-m", "two"]);
    let report = site.deploy(&[]);
    assert_eq!((text(&report["commit"]), report["warnings"].as_array().unwrap().len()), (commit(&site), 0));
    assert_eq!(commit(&site), git(&source, &["rev-parse", "HEAD"]));
    git(&source, &["worktree", "add", "-q", "../worktree", "HEAD~1"]);
    check(&site, &["--source", site.path("worktree").to_str().unwrap()], &[]);
    assert_eq!(commit(&site), git(&site.path("worktree"), &["rev-parse", "HEAD"]));
}

#[test]
fn where_the_commit_of_a_checkout_cannot_be_told_that_is_told() {
    let site = Site::new();
    site.write("index.php", "page");
    site.write(".git/HEAD", "ref: refs/heads/.invalid\n");
    site.write(".git/reftable/tables.list", "");
    let begin = "The release has no `REVISION`, as the commit of the source is unknown: ";
    check(&site, &[], &[&format!("{begin}`git` says: not a git repository")]);
    let ran = site.command(&["deploy"]).env("PATH", site.path("bin")).output().unwrap();
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report["warnings"][0], format!("{begin}`git` is not installed"));
    // Nobody misses what the source has itself.
    site.write("REVISION", "mine");
    check(&site, &[], &[]);
}

#[test]
fn an_ignore_file_may_be_a_symlink_in_the_source_and_is_refused_where_it_leads_out_or_is_no_text() {
    let site = Site::new();
    for path in ["web/.env", "web/index.php"] {
        site.write(path, path);
    }
    site.write("rules", ".env\n");
    symlink("../rules", site.source("web/.deployignore")).unwrap();
    site.deploy(&[]);
    assert_eq!(crate::support::site::names(&site.current("web")), ["index.php"]);
    site.write("rules", "index.php\n");
    site.deploy(&[]);
    assert_eq!(crate::support::site::names(&site.current("web")), [".env"]);
    let refused = |target: &str, expected: &str| {
        fs::remove_file(site.source("web/.deployignore")).unwrap();
        symlink(target, site.source("web/.deployignore")).unwrap();
        site.refused(&["deploy"], 1, &[expected]);
    };
    refused(
        "../../state",
        "`web/.deployignore` holds no patterns: it is a symlink to `../../state`, which leads out of the source",
    );
    refused("nothing", "`web/.deployignore` holds no patterns: it is a symlink to `nothing`, which does not exist");
    fs::remove_file(site.source("web/.deployignore")).unwrap();
    site.write("web/.deployignore", b"\xff\xfe.\0e\0n\0v\0");
    site.refused(&["deploy"], 2, &["`web/.deployignore` contains a NUL byte", "Save it as UTF-8"]);
}
