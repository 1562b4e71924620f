//! A working directory as the source: its changes since the commit, and what git ignores.

use std::fs;
use std::path::Path;

use crate::support::git::git;
use crate::support::program;
use crate::support::site::text;
use crate::support::tree;

use super::{checkout, files, revision};

#[test]
fn a_checkout_with_changes_is_dirty_and_one_without_is_not() {
    let mut site = checkout();
    site.configure("exclude = ['/notes/']\n");
    let source = site.path("source");
    let commit = git(&source, &["rev-parse", "HEAD"]);
    let check = |what: &str, expected: bool| {
        let report = site.deploy(&["--force"]);
        assert_eq!(report["dirty"], expected, "{what}");
        assert_eq!(text(&report["commit"]), commit, "{what}");
        let releases = site.succeed(&["releases"]);
        let last = releases["releases"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((text(&last["commit"]), &last["dirty"]), (commit.clone(), &expected.into()), "{what}");
        let mark = if expected { "-dirty" } else { "" };
        assert_eq!(revision(&site), format!("{commit}{mark}"), "{what}");
        // With and without a last scan.
        assert_eq!(site.deploy(&[])["dirty"], expected, "{what}");
        assert_eq!(site.deploy(&["--paranoid"])["dirty"], expected, "{what}");
    };
    type Change = fn(&Path);
    let restore = || {
        git(&source, &["reset", "-q", "--hard"]);
        git(&source, &["clean", "-q", "-ffdx"]);
    };
    let changes: &[(&str, bool, Change)] = &[
        ("nothing", false, |_| {}),
        ("an edit", true, |source| fs::write(source.join("index.php"), "3").unwrap()),
        ("an edit of the same size", true, |source| fs::write(source.join("index.php"), "owt").unwrap()),
        ("a mode", true, |source| {
            tree::set_mode(source.join("index.php"), 0o755);
        }),
        ("a touched file", false, |source| fs::write(source.join("index.php"), "two").unwrap()),
        ("a staged edit", true, |source| {
            fs::write(source.join("index.php"), "3").unwrap();
            git(source, &["add", "-A"]);
        }),
        ("a missing file", true, |source| fs::remove_file(source.join("web/app.js")).unwrap()),
        ("an untracked file", true, |source| fs::write(source.join("web/untracked"), "").unwrap()),
        ("an ignored file", false, |source| fs::write(source.join("web/x.log"), "").unwrap()),
        ("a file that is left out", false, |source| {
            fs::create_dir(source.join("notes")).unwrap();
            fs::write(source.join("notes/a"), "").unwrap();
        }),
        ("a config of our own", false, |source| fs::write(source.join("cutover.toml"), "").unwrap()),
    ];
    for (what, expected, change) in changes {
        change(&source);
        // Ignored files that are deployed are warned of, which is no matter here.
        check(what, *expected);
        restore();
        check("what was restored", false);
    }
}

#[test]
fn a_change_in_a_submodule_is_a_change() {
    let site = checkout();
    let library = checkout();
    let (source, url) = (site.path("source"), library.path("source"));
    let words = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", url.to_str().unwrap(), "lib"];
    git(&source, &words);
    git(&source, &["commit", "-q", "-m", "x"]);
    let is_dirty = || site.deploy(&[])["dirty"].clone();
    assert_eq!(is_dirty(), false);
    site.write("lib/index.php", "changed");
    assert_eq!(is_dirty(), true);
    git(&source.join("lib"), &["commit", "-q", "-a", "-m", "x"]);
    assert_eq!(is_dirty(), true);
    git(&source, &["commit", "-q", "-a", "-m", "x"]);
    assert_eq!(is_dirty(), false);
    site.write("lib/x.log", "ignored there");
    assert_eq!(is_dirty(), false);
    site.write("lib/untracked", "");
    assert_eq!(is_dirty(), true);
}

#[test]
fn where_git_cannot_say_whether_there_are_changes_that_is_told() {
    let site = checkout();
    fs::create_dir(site.path("bin")).unwrap();
    program::write(&site.path("bin/git"), "#!/bin/sh\nexit 1\n");
    let report = site.deploy(&[]);
    assert_eq!(report["dirty"], serde_json::Value::Null);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("Whether the source has changes since its commit is unknown: `git` gave no reason"));
    assert!(!revision(&site).contains("dirty"));
}

#[test]
fn ignored_files_are_left_out_on_request_and_tracked_ones_stay() {
    let mut site = checkout();
    site.configure("gitignore = true\n");
    let source = site.path("source");
    let check = |expected: &[&str]| {
        site.deploy(&["--force"]);
        let mut expected: Vec<String> = expected.iter().map(|&path| path.to_owned()).collect();
        expected.extend([".gitignore", "REVISION", "index.php", "new/file", "web/app.js"].map(str::to_owned));
        expected.sort();
        assert_eq!(files(&site), expected);
        site.deploy(&["--force", "--paranoid"]);
        assert_eq!(files(&site), expected);
    };
    for path in ["x.log", "web/x.log", "vendor/a/b", "vendor/tracked", "web/vendor/a", "untracked"] {
        site.write(path, "x");
    }
    check(&["untracked", "web/vendor/a"]);
    git(&source, &["add", "-f", "vendor/tracked", "web/x.log"]);
    check(&["untracked", "web/vendor/a", "vendor/tracked", "web/x.log"]);
    git(&source, &["rm", "-q", "--cached", "web/x.log"]);
    check(&["untracked", "web/vendor/a", "vendor/tracked"]);
    // An ignore file that changes in place.
    site.write("web/.gitignore", "vendor\n.gitignore\n");
    check(&["untracked", "vendor/tracked"]);
    site.write("web/.gitignore", "!*.log\n.gitignore\n");
    check(&["untracked", "web/vendor/a", "vendor/tracked", "web/x.log"]);
    fs::remove_file(site.source("web/.gitignore")).unwrap();
    fs::write(site.source(".git/info/exclude"), "untracked\n").unwrap();
    check(&["web/vendor/a", "vendor/tracked"]);
    // The patterns of the user go before.
    site.write(".deployignore", "!vendor\n/web/vendor\n");
    check(&["vendor/tracked", "vendor/a/b"]);
    fs::remove_file(site.source(".deployignore")).unwrap();
    site.configure("");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("x.log")).unwrap(), "x");
}

#[test]
fn ignored_files_of_a_directory_in_a_checkout_and_of_submodules_are_left_out() {
    let mut site = checkout();
    site.configure("gitignore = true\n");
    let library = checkout();
    let (source, url) = (site.path("source"), library.path("source"));
    let words = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", url.to_str().unwrap(), "web/lib"];
    git(&source, &words);
    site.write("web/lib/.gitignore", "*.tmp\n");
    for path in ["web/x.log", "web/lib/x.log", "web/lib/x.tmp", "web/lib/vendor/a"] {
        site.write(path, "x");
    }
    let web = site.source("web").to_str().unwrap().to_owned();
    site.deploy(&["--source", &web]);
    let expected =
        ["app.js", "lib/.gitignore", "lib/index.php", "lib/new/file", "lib/vendor/a", "lib/web/app.js", "lib/x.log"];
    assert_eq!(files(&site), expected);
    // A source that git ignores as a whole was chosen all the same.
    site.write("vendor/dist/a", "x");
    let dist = site.source("vendor/dist").to_str().unwrap().to_owned();
    site.deploy(&["--source", &dist]);
    assert_eq!(files(&site), ["a"]);
    // Without a repository, the patterns count, and nothing is tracked.
    fs::remove_dir_all(site.source(".git")).unwrap();
    fs::remove_dir_all(site.source("web/lib")).unwrap();
    fs::remove_file(site.source(".gitmodules")).unwrap();
    site.deploy(&[]);
    assert_eq!(files(&site), [".gitignore", "index.php", "new/file", "web/app.js"]);
    git(&source, &["init", "-q"]);
    fs::create_dir(site.path("bin")).unwrap();
    program::write(&site.path("bin/git"), "#!/bin/sh\nexit 1\n");
    site.refused(&["deploy"], 1, &["Could not find out which files git tracks", "leave out `gitignore`"]);
}
