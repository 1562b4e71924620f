//! The edges between the parts, read from the sources: who may name whom, and who may change a disk.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project: its path from the root, and its text without the tests at its end.
struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns every Rust file below a directory.
fn sources(directory: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let whole = fs::read_to_string(&path).unwrap();
                // Tests that are a file of their own are no code of the program either.
                let tests = if path.ends_with("tests.rs") { "\n\nuse " } else { "#[cfg(test)]\nmod tests" };
                let text = whole.split(tests).next().unwrap().to_owned();
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {directory}");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Returns the lines of code, without comments, in which one of these words stands.
fn naming(sources: &[Source], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let is_of_tests = |source: &&Source| source.path.ends_with("/tests.rs");
    for Source { path, text } in sources.iter().filter(|source| !is_of_tests(source)) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if words.iter().any(|word| stands_in(code, word)) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Finds a word that is not the end of a longer one; what begins with a dot is a method of whatever it stands behind.
fn stands_in(code: &str, word: &str) -> bool {
    if word.starts_with('.') {
        return code.contains(word);
    }
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
    })
}

#[track_caller]
fn check(found: &[String], allowed: &[&str]) {
    let wrong: Vec<&String> =
        found.iter().filter(|line| !allowed.iter().any(|path| line.starts_with(&format!("{path}:")))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for path in allowed {
        let is_used = found.iter().any(|line| line.starts_with(&format!("{path}:")));
        assert!(is_used, "`{path}` is an exception that nothing needs any more");
    }
}

#[test]
fn client_and_agent_never_name_each_other() {
    check(&naming(&sources("engine/src/client"), &["agent::", "crate::agent"]), &[]);
    check(&naming(&sources("engine/src/agent"), &["client::", "crate::client"]), &[]);
}

#[test]
fn the_wire_names_neither_side() {
    check(&naming(&sources("engine/src/wire"), &["agent::", "client::", "crate::agent", "crate::client"]), &[]);
}

#[test]
fn the_nouns_name_no_side_and_no_wire() {
    let nouns: Vec<Source> = sources("engine/src")
        .into_iter()
        .filter(|source| !["client/", "agent/", "wire/"].iter().any(|part| source.path.contains(part)))
        .filter(|source| !source.path.ends_with("/verbs.rs"))
        .collect();
    check(&naming(&nouns, &["crate::agent", "crate::client", "crate::wire"]), &[]);
}

#[test]
fn sqlite_is_named_in_one_file() {
    let mut all = sources("engine/src");
    all.extend(sources("cli/src"));
    check(&naming(&all, &["rusqlite"]), &["engine/src/client/database.rs"]);
}

#[test]
fn ssh_is_named_in_the_wire_alone() {
    let elsewhere = sources("engine/src").into_iter().filter(|source| !source.path.contains("/wire/"));
    check(&naming(&elsewhere.collect::<Vec<_>>(), &["ssh2::"]), &[]);
}

/// What opens a file for writing; makes, links, renames or removes a name; sets a length, a mode, an owner or times; makes
/// durable. What only writes content is not among them, as streams are written so too: it takes a file that something of these
/// has opened.
const WRITERS: [&str; 56] = [
    // The standard library.
    "fs::write",
    "fs::create_dir",
    "fs::remove_",
    "fs::rename",
    "fs::hard_link",
    "fs::soft_link",
    "fs::copy",
    "fs::set_permissions",
    "unix::fs::symlink",
    "unix::fs::chown",
    "unix::fs::fchown",
    "unix::fs::lchown",
    "File::create",
    "File::options",
    "OpenOptions",
    "DirBuilder",
    ".set_len(",
    ".set_modified(",
    ".set_permissions(",
    ".set_times(",
    ".sync_all(",
    ".sync_data(",
    ".write_all_at(",
    ".write_at(",
    // `rustix`, which names its calls as the kernel does.
    "OFlags::APPEND",
    "OFlags::CREATE",
    "OFlags::RDWR",
    "OFlags::TMPFILE",
    "OFlags::TRUNC",
    "OFlags::WRONLY",
    "chmod(",
    "chmodat",
    "chown(",
    "chownat",
    "copy_file_range",
    "fallocate",
    "fchmod",
    "fchown",
    "fdatasync",
    "fremovexattr",
    "fsetxattr",
    "fsync",
    "ftruncate",
    "futimens",
    "ioctl_ficlone",
    "linkat",
    "mkdirat",
    "mknodat",
    "pwrite",
    "renameat",
    "sendfile",
    "symlinkat",
    "sync_file_range",
    "syncfs",
    "unlinkat",
    "utimensat",
];

#[test]
fn one_file_changes_disks() {
    check(&naming(&sources("engine/src"), &WRITERS), &["engine/src/disk/call.rs"]);
    check(&naming(&sources("cli/src"), &WRITERS), &[]);
}

#[test]
fn the_engine_does_not_print_and_does_not_read_the_environment() {
    let words = ["println!", "eprintln!", "print!", "eprint!", "env::var", "env::args", "std::env"];
    check(&naming(&sources("engine/src"), &words), &[]);
}

#[test]
fn every_file_says_what_it_owns() {
    for directory in ["engine/src", "cli/src", "bench/src", "tests"] {
        for source in sources(directory) {
            assert!(source.text.starts_with("//!"), "{} does not start with `//!`", source.path);
        }
    }
}
