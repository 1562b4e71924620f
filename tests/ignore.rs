//! Generated trees with ignore files in any of their directories, deployed and compared with git's choice of files.
//!
//! The tests of `pattern` compare single patterns with git. These tests check how ignore files of several directories
//! work together, and that a scan obeys them even if it knows the last scan.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use engine::cancel::Cancel;
use engine::event::Silent;
use engine::release::Provenance;
use engine::target::{Destination, Policy, Reach, Target};
use engine::{Context, DeployRequest, SourceRequest};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::edits::memory;
use crate::support::git::{command, git};
use crate::support::tree::{Entry, Tree};

/// Names of files and directories: few, so that patterns meet them, and odd ones.
const NAMES: [&[u8]; 14] =
    [b"a", b"b", b"ab", b"build", b"x.log", b"a.py", b"a.pyc", b"{a,b}", b"x ", b"\xe4", b"#a", b"!a", b"[a]", b"A"];

/// Lines of ignore files.
const LINES: [&[u8]; 44] = [
    b"a",
    b"b/",
    b"/a",
    b"/a/b",
    b"a/*",
    b"!a",
    b"!b/",
    b"!/a",
    b"!a/b",
    b"*",
    b"!*",
    b"!*/",
    b"*.log",
    b"!x.log",
    b"*.py[co]",
    b"build/",
    b"!build/",
    b"/build/*",
    b"**/a",
    b"a/**",
    b"!a/**",
    b"a/**/b",
    b"**/b/",
    b"[ab]",
    b"[!ab]",
    b"[^a]*",
    b"[[:upper:]]",
    b"?",
    b"??",
    b"{a,b}",
    b"x\\ ",
    b"x ",
    b"x.log  ",
    b"\xe4",
    b"\\#a",
    b"# a",
    b"\\!a",
    b"!\\!a",
    b"\\[a]",
    b"[",
    b"a\\",
    b"",
    b"/",
    b"[z-a]",
];

/// The names of an ignore file that is git's and ours.
const NAMES_OF_BOTH: [&str; 2] = [".gitignore", ".deployignore"];

/// A tree: paths of files, and the ignore files of directories by their paths.
#[derive(Debug, Clone)]
struct Case {
    files: BTreeSet<Vec<u8>>,
    ignore_files: Vec<(Vec<u8>, Vec<u8>)>,
}

fn case() -> impl Strategy<Value = Case> {
    let path = |length| {
        let names = prop::collection::vec(prop::sample::select(&NAMES[..]), length);
        names.prop_map(|names| names.join(&b'/'))
    };
    let lines = prop::collection::vec(prop::sample::select(&LINES[..]), 1..6).prop_map(|lines| lines.join(&b'\n'));
    let ignore_files = prop::collection::vec((path(0..3), lines), 1..5);
    (prop::collection::btree_set(path(1..5), 10..40), ignore_files)
        .prop_map(|(files, ignore_files)| Case { files, ignore_files })
}

/// Makes the tree, with each ignore file under these names.
fn make(case: &Case, source: &Path, names: &[&str]) {
    fs::create_dir(source).unwrap();
    for file in &case.files {
        let path = source.join(OsStr::from_bytes(file));
        // What stands in the way of another path is passed over.
        if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.is_dir() {
            fs::write(path, "content").unwrap();
        }
    }
    put_ignore_files(&case.ignore_files, source, names);
    git(source, &["init", "-q"]);
}

fn put_ignore_files(ignore_files: &[(Vec<u8>, Vec<u8>)], source: &Path, names: &[&str]) {
    for (directory, text) in ignore_files {
        let directory = source.join(OsStr::from_bytes(directory));
        if directory.is_dir() {
            for name in names {
                fs::write(directory.join(name), text).unwrap();
            }
        }
    }
}

/// Returns the files that git tracks or would add.
fn taken_by_git(source: &Path) -> BTreeSet<Vec<u8>> {
    let words = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let listed = command(source, &words).output().unwrap();
    assert!(listed.status.success());
    listed.stdout.split(|&byte| byte == 0).filter(|path| is_compared(path)).map(<[u8]>::to_vec).collect()
}

/// Ignore files have rules of their own.
fn is_compared(path: &[u8]) -> bool {
    !path.is_empty() && !path.ends_with(b".gitignore") && !path.ends_with(b".deployignore")
}

fn deployed(place: &Path, gitignore: bool) -> BTreeSet<Vec<u8>> {
    let source = SourceRequest { directory: place.join("source"), gitignore, ..SourceRequest::default() };
    let request = DeployRequest { source, ..DeployRequest::default() };
    let context = Context {
        target: Target { destination: Destination::Local(place.join("target")), reach: Reach::default() },
        policy: Policy::default(),
        procedure: Default::default(),
        lock: Default::default(),
        provenance: Provenance { who: "tester".into(), from: "here".into(), ..Provenance::default() },
        state_dir: place.join("state"),
        observer: Arc::new(Silent),
        cancel: Cancel::default(),
    };
    engine::deploy(&context, &request).unwrap();
    let release = Tree::read(&place.join("target/current"));
    let files =
        release.entries.into_iter().filter(|(path, entry)| is_compared(path) && matches!(entry, Entry::File(..)));
    files.map(|(path, _)| path).collect()
}

#[test]
fn what_is_deployed_of_a_generated_tree_is_what_git_takes_of_it() {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut taken, mut left_out) = (0, 0);
    for _ in 0..120 {
        let [case, next] = [(); 2].map(|()| case().new_tree(&mut runner).unwrap().current());
        let place = tempfile::tempdir_in(memory()).unwrap();
        let source = place.path().join("source");
        make(&case, &source, &NAMES_OF_BOTH);
        let expected = taken_by_git(&source);
        assert_eq!(deployed(place.path(), false), expected, "{case:?}");
        taken += expected.len();
        left_out += case.files.len() - expected.len();
        // The same tree with other patterns, when the last scan is known.
        put_ignore_files(&next.ignore_files, &source, &NAMES_OF_BOTH);
        assert_eq!(deployed(place.path(), false), taken_by_git(&source), "{case:?} and then {next:?}");
    }
    assert!(taken > 200 && left_out > 200, "{taken} files taken, {left_out} left out");
}

#[test]
fn what_git_ignores_of_a_generated_tree_is_left_out_on_request() {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut tracked, mut left_out) = (0, 0);
    for round in 0..80 {
        let [case, next] = [(); 2].map(|()| case().new_tree(&mut runner).unwrap().current());
        let place = tempfile::tempdir_in(memory()).unwrap();
        let source = place.path().join("source");
        make(&case, &source, &[".gitignore"]);
        // Some files are tracked, ignored or not. Those of no commit too.
        let add = |every: usize| {
            for file in case.files.iter().skip(round % every).step_by(every) {
                if source.join(OsStr::from_bytes(file)).is_file() {
                    let added = command(&source, &["--literal-pathspecs", "add", "-f", "--"])
                        .arg(OsStr::from_bytes(file))
                        .status()
                        .unwrap();
                    assert!(added.success());
                }
            }
        };
        add(9);
        let expected = taken_by_git(&source);
        assert_eq!(deployed(place.path(), true), expected, "{case:?}");
        left_out += case.files.len() - expected.len();
        // The same tree with other patterns and more tracked files, when the last scan is known.
        add(5);
        put_ignore_files(&next.ignore_files, &source, &[".gitignore"]);
        assert_eq!(deployed(place.path(), true), taken_by_git(&source), "{case:?} and then {next:?}");
        tracked += git(&source, &["ls-files"]).lines().count();
    }
    assert!(tracked > 200 && left_out > 200, "{tracked} files tracked, {left_out} left out");
}
