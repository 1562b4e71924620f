//! Releases that are made of one that was given up equal those that are assembled in full, whatever an application has
//! left in the one that was given up.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use engine::cancel::Cancel;
use engine::event::Silent;
use engine::release::Provenance;
use engine::report::DeployReport;
use engine::target::{Destination, Policy, Reach, Target};
use engine::{Context, DeployRequest};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;

use support::edits::{Edit, edit, memory, pick, remove, swap};
use support::mount::Mounted;
use support::site::{Site, names, number, text};
use support::sshd::{is_root, run};
use support::tree::{Tree, assert_same};

/// What an application leaves in a release.
#[derive(Debug, Clone)]
enum Vandalism {
    /// Files come and go, are replaced, linked, renamed.
    Edit(Edit),
    /// Two paths are exchanged.
    Swap { one: Index, other: Index },
    /// A path becomes a link to the outside.
    LeadOut { at: Index },
    /// A path becomes a hardlink to another one.
    Alias { at: Index, to: Index },
    /// A directory gets another mode, an owner, a time.
    Directory { at: Index, mode: u32, owner: u32 },
    /// A symlink leads elsewhere.
    Redirect { at: Index },
    /// A directory is emptied.
    Empty { at: Index },
}

fn vandalism() -> impl Strategy<Value = Vandalism> {
    // What writes into a file would change an object, for all releases that have it.
    let edit = edit().prop_filter("in place", |edit| !matches!(edit, Edit::Rewrite { .. } | Edit::Mode { .. }));
    let modes = prop::sample::select(vec![0o000, 0o500, 0o700, 0o711, 0o777, 0o2755]);
    prop_oneof![
        4 => edit.prop_map(Vandalism::Edit),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Vandalism::Swap { one, other }),
        1 => any::<Index>().prop_map(|at| Vandalism::LeadOut { at }),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(at, to)| Vandalism::Alias { at, to }),
        2 => (any::<Index>(), modes, 0..2_u32).prop_map(|(at, mode, owner)| Vandalism::Directory { at, mode, owner }),
        1 => any::<Index>().prop_map(|at| Vandalism::Redirect { at }),
        1 => any::<Index>().prop_map(|at| Vandalism::Empty { at }),
    ]
}

impl Vandalism {
    fn apply(&self, tree: &Path, outside: &Path) {
        let picked = |at: &Index| pick(tree, at);
        match self {
            // It would write through the link that a file is.
            Vandalism::Edit(edit) => edit.apply(tree),
            Vandalism::Swap { one, other } => swap(tree, one, other),
            Vandalism::LeadOut { at } => {
                if let Some(path) = picked(at) {
                    remove(&path);
                    symlink(outside, path).unwrap();
                }
            }
            Vandalism::Alias { at, to } => {
                if let (Some(path), Some(to)) = (picked(at), picked(to))
                    && to.symlink_metadata().unwrap().is_file()
                    && !to.starts_with(&path)
                {
                    remove(&path);
                    fs::hard_link(to, path).unwrap();
                }
            }
            Vandalism::Directory { at, mode, owner } => {
                if let Some(path) = picked(at).filter(|path| path.symlink_metadata().unwrap().is_dir()) {
                    if rustix::process::geteuid().is_root() {
                        chown(&path, Some(*owner), Some(*owner)).unwrap();
                        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                    }
                    let now = std::time::SystemTime::now();
                    fs::File::open(&path).unwrap().set_modified(now).unwrap();
                }
            }
            Vandalism::Redirect { at } => {
                if let Some(path) = picked(at).filter(|path| path.is_symlink()) {
                    remove(&path);
                    symlink("elsewhere", path).unwrap();
                }
            }
            Vandalism::Empty { at } => {
                if let Some(path) = picked(at).filter(|path| path.symlink_metadata().unwrap().is_dir()) {
                    remove(&path);
                    fs::create_dir(path).unwrap();
                }
            }
        }
    }
}

fn deploy(place: &Path, target: &str) -> DeployReport {
    let destination = Destination::Local(place.join(target));
    let policy = Policy { keep_releases: 2, grace: Duration::ZERO, ..Policy::default() };
    let context = Context {
        target: Target { destination, reach: Reach::default() },
        policy,
        provenance: Provenance { who: "tester".into(), from: "here".into(), commit: None, version: "0".into() },
        state_dir: place.join(format!("state-{target}")),
        observer: Arc::new(Silent),
        cancel: Cancel::default(),
    };
    let request = DeployRequest {
        lanes: None,
        source: place.join("source"),
        exclude: Vec::new(),
        release: None,
        no_switch: false,
        force: true,
        dry_run: false,
        zstd_level: None,
    };
    engine::deploy(&context, &request).unwrap()
}

/// The tree that waits to be reused.
fn spare(target: &Path) -> Option<PathBuf> {
    let trash = target.join(".cutover/trash");
    names(&trash).into_iter().find(|name| !name.ends_with("-record")).map(|name| trash.join(name))
}

/// All that `find` tells of a tree but inodes, ctimes, and the atimes that looking changes. Mtimes are the seconds of
/// releases: these are shown as which of them it is.
fn told(tree: &Path, seconds: &[String]) -> Vec<String> {
    let format = "%y %m %u:%g %n %s %b %l %T@ %p\\0";
    let found = Command::new("find").arg(".").args(["-printf", format]).current_dir(tree).output().unwrap();
    assert!(found.status.success());
    let shown = |line: &[u8]| line.escape_ascii().to_string();
    let mut lines: Vec<String> = found.stdout.split(|&byte| byte == 0).map(shown).collect();
    for line in &mut lines {
        for (at, second) in seconds.iter().enumerate() {
            *line = line.replace(&format!(" {second}.0000000000 "), &format!(" release {at} "));
        }
    }
    lines.sort_unstable();
    lines
}

fn second(target: &Path, report: &DeployReport) -> String {
    let id = report.release.as_ref().unwrap().as_str();
    let record = fs::read(target.join(".cutover/releases").join(id).join("record")).unwrap();
    serde_json::from_slice::<Value>(&record).unwrap()["second"].to_string()
}

fn check(steps: &[(Vec<Edit>, Vec<Vandalism>)]) -> u64 {
    let place = tempfile::tempdir_in(memory()).unwrap();
    let place = place.path();
    let (reusing, full) = (place.join("reusing"), place.join("full"));
    let outside = place.join("outside");
    fs::create_dir(place.join("source")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "not ours").unwrap();
    let mut seconds = [Vec::new(), Vec::new()];
    let mut reused = 0;
    for (edits, vandalisms) in steps {
        edits.iter().for_each(|edit| edit.apply(&place.join("source")));
        if reusing.exists() {
            if let Some(spare) = spare(&reusing) {
                vandalisms.iter().for_each(|vandalism| vandalism.apply(&spare, &outside));
            }
            spare(&full).iter().for_each(|spare| fs::remove_dir_all(spare).unwrap());
        }
        let reports = [deploy(place, "reusing"), deploy(place, "full")];
        assert_eq!(reports[1].reused, None);
        assert_eq!(reports[0].not_reused, None);
        reused += u64::from(reports[0].reused.is_some());
        for ((target, report), seconds) in [&reusing, &full].into_iter().zip(&reports).zip(&mut seconds) {
            seconds.push(second(target, report));
        }
        let shown = [(&reusing, &seconds[0]), (&full, &seconds[1])]
            .map(|(target, seconds)| told(&target.join("current/"), seconds));
        assert_eq!(shown[0], shown[1]);
        Tree::read(&place.join("source")).assert_equals(&Tree::read(&reusing.join("current")));
    }
    assert_eq!(names(&outside), ["file"]);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"not ours");
    reused
}

#[test]
fn what_an_application_left_is_not_in_the_release_that_is_made_of_it() {
    let steps = (prop::collection::vec(edit(), 6..20), prop::collection::vec(vandalism(), 0..8));
    let steps = prop::collection::vec(steps, 4..7);
    let cases = std::env::var("PROPTEST_CASES").map_or(60, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let reused = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        let checked = std::panic::catch_unwind(|| check(&steps))
            .map_err(|panic| TestCaseError::fail(panic.downcast_ref::<String>().cloned().unwrap_or_default()));
        reused.set(reused.get() + checked?);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reused.get() >= u64::from(cases), "{} releases were made of another", reused.get());
}
