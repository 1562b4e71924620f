//! Filters and attributes of git: what they make of a commit, and what no repository may run.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::git::git;
use crate::support::program;
use crate::support::site::{RunResult, names};
use crate::support::sshd::run;

use super::{checkout, commit, worktree};

#[test]
fn files_of_git_lfs_are_deployed_and_never_their_pointers() {
    let site = checkout();
    let source = site.path("source");
    let lfs = |words: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&source).env("HOME", site.path("home")).env("GIT_CONFIG_NOSYSTEM", "1").args(words);
        run(&mut command);
    };
    lfs(&["lfs", "install", "--local"]);
    lfs(&["lfs", "track", "*.bin"]);
    fs::write(source.join("large.bin"), "large content").unwrap();
    lfs(&["add", "-A"]);
    lfs(&["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-q", "-m", "x"]);
    assert!(git(&source, &["cat-file", "-p", "HEAD:large.bin"]).starts_with("version https://git-lfs"));
    site.deploy(&["--ref", "main"]);
    assert_eq!(fs::read_to_string(site.current("large.bin")).unwrap(), "large content");
    lfs(&["lfs", "uninstall", "--local"]);
    site.forget();
    // The system may have Git LFS for all users.
    let refused = site.command(&["deploy", "--ref", "main"]).env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    RunResult::of(&refused).failed(1, &["`large.bin` needs git's filter `lfs`", "git lfs install"]);
}

#[test]
fn pointers_of_git_lfs_do_not_stay_and_nothing_skips_the_content() {
    let site = checkout();
    let source = site.path("source");
    let command = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(&source).env("HOME", site.path("home")).env("GIT_CONFIG_NOSYSTEM", "1").args(words);
        command
    };
    let lfs = |words: &[&str]| run(&mut command("git", &[&["lfs"], words].concat()));
    lfs(&["install", "--local"]);
    lfs(&["track", "*.bin"]);
    fs::write(source.join("large.bin"), "large content").unwrap();
    run(&mut command("git", &["add", "-A"]));
    run(&mut command("git", &["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-q", "-m", "x"]));
    lfs(&["uninstall", "--local"]);
    let deploy = |variable: &str| {
        let mut command = site.command(&["deploy", "--ref", "main"]);
        RunResult::of(&command.env("GIT_CONFIG_NOSYSTEM", "1").env(variable, "1").output().unwrap())
    };
    let check = |what: &str, variable: &str| {
        deploy(variable).succeeded();
        assert_eq!(fs::read_to_string(site.current("large.bin")).unwrap(), "large content", "{what}");
    };
    // The checkout that is refused has written the pointer already.
    deploy("X").failed(1, &["`large.bin` needs git's filter `lfs`", "git lfs install"]);
    lfs(&["install"]);
    check("after what the hint says", "X");
    site.forget();
    check("with a variable", "GIT_LFS_SKIP_SMUDGE");
    for words in [&["install", "--skip-smudge"][..], &["install", "--local", "--force", "--skip-smudge"]] {
        site.forget();
        lfs(words);
        check(&words.join(" "), "X");
    }
    // What Git LFS does not find is an error, and no pointer.
    for name in names(&source.join(".git")).iter().filter(|name| *name == "lfs") {
        fs::remove_dir_all(source.join(".git").join(name)).unwrap();
    }
    site.forget();
    deploy("GIT_LFS_SKIP_DOWNLOAD_ERRORS").failed(1, &["large.bin"]);
}

#[test]
fn files_are_written_again_if_only_the_rules_for_their_content_change() {
    let site = checkout();
    let source = site.path("source");
    let content = "one\ntwo\n";
    for path in ["a.txt", "web/a.txt", "web/gone.txt"] {
        site.write(path, content);
    }
    commit(&site);
    let inode = || crate::support::tree::stat(&worktree(&site).join("tree/index.php")).inode;
    let check = |what: &str, path: &str, expected: &str| {
        site.deploy(&["--ref", "main"]);
        assert_eq!(fs::read_to_string(site.current(path)).unwrap(), expected, "{what}");
    };
    check("none", "a.txt", content);
    site.write("web/.gitattributes", "*.txt text eol=crlf\n");
    fs::remove_file(site.source("web/gone.txt")).unwrap();
    commit(&site);
    check("attributes of the commit", "web/a.txt", "one\r\ntwo\r\n");
    check("attributes of the commit", "a.txt", content);
    assert!(!site.current("web/gone.txt").exists());
    fs::write(source.join(".git/info/attributes"), "a.txt text eol=crlf\n").unwrap();
    check("attributes of the repository", "a.txt", "one\r\ntwo\r\n");
    let before = inode();
    site.write("new/file", "another");
    commit(&site);
    check("no other attributes", "new/file", "another");
    assert_eq!(inode(), before);
    fs::remove_file(source.join(".git/info/attributes")).unwrap();
    check("attributes that are gone", "a.txt", content);
    git(&source, &["config", "core.eol", "crlf"]);
    site.write(".gitattributes", "a.txt text\n");
    commit(&site);
    check("the configuration of the repository", "a.txt", "one\r\ntwo\r\n");
    git(&source, &["config", "core.eol", "lf"]);
    check("the configuration of the repository", "a.txt", content);
    fs::write(site.path("home/.gitconfig"), "[filter \"up\"]\n\tsmudge = tr a-z A-Z\n").unwrap();
    site.write(".gitattributes", "a.txt filter=up\n");
    commit(&site);
    check("a filter of the user", "a.txt", "ONE\nTWO\n");
    fs::write(site.path("home/.gitconfig"), "[filter \"up\"]\n\tsmudge = tr n-z N-Z\n").unwrap();
    check("another filter of the user", "a.txt", "ONe\nTWO\n");
}

#[test]
fn no_program_that_a_repository_names_is_run() {
    let site = checkout();
    let source = site.path("source");
    let spy = site.path("spy");
    program::write(&spy, &format!("#!/bin/sh\ntouch '{}'\ncat\n", site.path("ran").display()));
    let spy = spy.to_str().unwrap();
    site.write(".gitattributes", "index.php filter=spy diff=spy\n");
    commit(&site);
    for hook in ["post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"] {
        symlink(spy, site.source(&format!(".git/hooks/{hook}"))).unwrap();
    }
    for key in ["core.fsmonitor", "core.sshCommand", "core.pager", "alias.reset", "alias.status", "diff.spy.textconv"] {
        git(&source, &["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "config", key, spy]);
    }
    site.deploy(&["--ref", "main"]);
    site.deploy(&[]);
    for key in ["filter.spy.clean", "filter.spy.smudge", "filter.spy.process"] {
        git(&source, &["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "config", key, spy]);
    }
    // Git would compare it with its filter.
    site.write("index.php", "six");
    drop(fs::remove_file(site.path("ran")));
    site.deploy(&[]);
    site.refused(
        &["deploy", "--ref", "main"],
        1,
        &[
            "`index.php` needs git's filter `spy`, which your configuration of git does not have",
            "git config --global filter.spy.smudge",
        ],
    );
    assert!(!site.path("ran").exists());
    // The user's own configuration may name it.
    fs::write(site.path("home/.gitconfig"), "[filter \"spy\"]\n\tsmudge = sed s/two/three/\n").unwrap();
    for key in ["clean", "smudge", "process"] {
        git(
            &source,
            &[
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                "config",
                "--unset",
                &format!("filter.spy.{key}"),
            ],
        );
    }
    site.forget();
    git(&source, &["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "tag", "now", "HEAD"]);
    drop(fs::remove_file(site.path("ran")));
    site.deploy(&["--ref", "now"]);
    assert_eq!(fs::read_to_string(site.current("index.php")).unwrap(), "three");
    assert!(!site.path("ran").exists());
}
