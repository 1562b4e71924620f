//! The tree of a release: what of a source is in it, and how.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::site::{RunResult, Site, names};
use crate::support::tree::{self, Entry, Tree};

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
    tree::set_mode(site.source("deep"), 0o750);
    tree::set_mode(site.source("empty"), 0o600);
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
        tree::set_mode(site.source(name), mode);
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
        tree::set_mode(site.source("bin/program"), 0o755);
        for path in ["", "bin"] {
            tree::set_mode(site.source(path), 0o755);
        }
        for path in ["file", "empty"] {
            tree::set_mode(site.source(path), 0o644);
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
