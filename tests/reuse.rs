//! Releases that are made from a spare equal those that are assembled in full, whatever an application has left in
//! the spare.

mod inhabitants;

use std::fs;
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
use engine::{Context, DeployRequest, SourceRequest};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;

use crate::support::edits::{Edit, edit, memory, pick, remove, swap};
use crate::support::mount::Mount;
use crate::support::site::{Site, names, number, text};
use crate::support::sshd::{is_root, run};
use crate::support::strace;
use crate::support::tree::{self, Tree, assert_same};

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
                        tree::set_mode(&path, *mode);
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
        procedure: Default::default(),
        lock: Default::default(),
        provenance: Provenance { who: "tester".into(), from: "here".into(), ..Provenance::default() },
        state_dir: place.join(format!("state-{target}")),
        observer: Arc::new(Silent),
        cancel: Cancel::default(),
    };
    let source = SourceRequest { directory: place.join("source"), ..SourceRequest::default() };
    let request = DeployRequest { source, force: true, ..DeployRequest::default() };
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

fn second(target: &Path, id: &str) -> String {
    let record = fs::read(target.join(".cutover/releases").join(id).join("record")).unwrap();
    serde_json::from_slice::<Value>(&record).unwrap()["second"].to_string()
}

fn check(place: &Path, steps: &[(Vec<Edit>, Vec<Vandalism>)]) -> u64 {
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
        assert_eq!(reports[1].making.reused, None);
        assert_eq!(reports[0].making.not_reused, None);
        reused += u64::from(reports[0].making.reused.is_some());
        for ((target, report), seconds) in [&reusing, &full].into_iter().zip(&reports).zip(&mut seconds) {
            seconds.push(second(target, report.release.as_ref().unwrap().as_str()));
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
    let (reused, begun) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        // On disk, what was seen is known again; in memory, most of it was made in the tick in which it was seen.
        let is_on_disk = begun.replace(begun.get() + 1) % 2 == 0;
        let place = if is_on_disk { tempfile::tempdir() } else { tempfile::tempdir_in(memory()) }.unwrap();
        let checked = std::panic::catch_unwind(|| check(place.path(), &steps))
            .map_err(|panic| TestCaseError::fail(panic.downcast_ref::<String>().cloned().unwrap_or_default()));
        reused.set(reused.get() + checked?);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reused.get() >= u64::from(cases), "{} releases were made of another", reused.get());
}

/// A site that keeps two releases, with three deployed: the first waits to be reused.
fn with_spare() -> (Site, PathBuf) {
    let mut site = Site::in_memory();
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    for name in ["one", "two", "three"] {
        for at in 0..8 {
            site.write(&format!("lib/{at}/code"), format!("{at}"));
            site.write(&format!("lib/{at}/version"), format!("{name} {at}"));
        }
        site.write("empty", "");
        site.write("name", name);
        let report = site.deploy(&[]);
        assert_eq!((&report["reused"], &report["not_reused"]), (&Value::Null, &Value::Null));
    }
    let spare = spare(&site.target("")).unwrap();
    site.write("name", "four");
    site.write("lib/3/version", "four 3");
    (site, spare)
}

/// Deploys; says what was reused, or why not.
fn deployed(site: &Site) -> Result<Value, String> {
    let report = site.deploy(&[]);
    assert_eq!(report["state"], "live");
    assert_same(&site.source(""), &site.current(""));
    if report["reused"].is_null() { Err(text(&report["not_reused"])) } else { Ok(report["reused"].clone()) }
}

#[test]
fn a_release_that_was_given_up_is_turned_into_the_next() {
    let (site, _) = with_spare();
    let report = site.deploy(&[]);
    assert_same(&site.source(""), &site.current(""));
    let reused = &report["reused"];
    // What is in the third is what was in the first, but for the versions of 8 directories and the name.
    assert_eq!((number(&reused["kept"]), number(&reused["removed"])), (8, 8));
    assert_eq!(number(&report["objects_linked"]), 9);
    assert!(spare(&site.target("")).is_some());
    site.succeed(&["cleanup"]);
    assert_eq!(names(&site.target(".cutover/trash")), [""; 0]);
    assert_eq!(names(&site.target(".cutover/staging")), [""; 0]);
}

#[test]
fn what_waits_to_be_reused_and_what_it_takes_is_told() {
    let (site, spare) = with_spare();
    let told = site.succeed(&["status"])["spare"].clone();
    let id = spare.file_name().unwrap().to_str().unwrap().split('-').next().unwrap();
    assert_eq!(told["release"], id);
    // The content that no other release has: eight versions and the name. Nine directories are in its root.
    let block = rustix::fs::statvfs(&spare).unwrap().f_frsize;
    assert_eq!(number(&told["disk_bytes"]), 8 * "one 0".len() as u64 + "one".len() as u64 + 9 * block);
    site.succeed(&["cleanup"]);
    assert_eq!(site.succeed(&["status"])["spare"], Value::Null);
}

#[test]
fn what_did_not_change_keeps_its_mtime_however_the_release_is_made() {
    let (site, first) = with_spare();
    let mtime = |path: &str| site.current(path).symlink_metadata().unwrap().mtime();
    let unchanged = ["empty", "lib/3/code", "link"];
    let changed = ["", "lib", "lib/3", "lib/3/version"];
    symlink("empty", site.source("link")).unwrap();
    fs::remove_dir_all(first).unwrap();
    assert_eq!(number(&site.deploy(&[])["objects_linked"]), 17);
    for (at, is_reused) in [(5, true), (6, true), (7, false)] {
        let before = unchanged.map(mtime);
        let directory = format!("lib/{at}");
        let other = mtime(&directory);
        site.write("lib/3/version", format!("version {at}"));
        if !is_reused {
            spare(&site.target("")).iter().for_each(|spare| fs::remove_dir_all(spare).unwrap());
        }
        let report = site.deploy(&[]);
        assert_eq!(!report["reused"].is_null(), is_reused);
        let second: i64 = second(&site.target(""), report["release"].as_str().unwrap()).parse().unwrap();
        assert_eq!(changed.map(mtime), [second; 4]);
        assert_eq!(unchanged.map(mtime), before);
        assert_eq!(mtime(&directory), other);
        assert!(before.iter().all(|&before| before < second) && other < second);
    }
}

#[test]
fn without_a_spare_nothing_waits_and_what_is_due_is_reused() {
    let mut site = Site::new();
    site.configure("spare = false\ngrace = '0s'\n");
    let mut ids = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        site.write("lib/code", "code");
        site.write("lib/name", name);
        let report = site.deploy(&[]);
        assert_same(&site.source(""), &site.current(""));
        let due = ids.len().checked_sub(3).map(|at: usize| text(&ids[at]));
        assert_eq!(report["reused"]["release"].as_str().map(str::to_owned), due);
        assert_eq!(names(&site.target(".cutover/trash")), [""; 0]);
        ids.push(report["release"].clone());
    }
    assert_eq!(site.release_names().len(), 3);
}

#[test]
fn a_directory_that_moved_is_moved_in_the_release_that_is_reused() {
    let (site, _) = with_spare();
    for name in ["four", "five"] {
        site.write("name", name);
        deployed(&site).unwrap();
    }
    fs::create_dir(site.source("moved")).unwrap();
    fs::rename(site.source("lib"), site.source("moved/deeper")).unwrap();
    let report = site.deploy(&[]);
    assert_same(&site.source(""), &site.current(""));
    assert_eq!(number(&report["reused"]["moved"]), 1);
    // The name, and where a version differs between then and now.
    assert!(number(&report["objects_linked"]) <= 2, "{report}");
}

#[test]
fn a_release_that_a_process_lives_in_is_not_reused() {
    let (site, spare) = with_spare();
    let mut living =
        Command::new("sleep").arg("60").current_dir(spare.join("lib")).stdin(Stdio::null()).spawn().unwrap();
    let reason = deployed(&site).unwrap_err();
    living.kill().unwrap();
    living.wait().unwrap();
    assert!(reason.contains(&format!("sleep ({}) lives in it", living.id())), "{reason}");
}

#[test]
fn what_is_mounted_in_a_release_that_was_given_up_is_not_touched() {
    if !is_root() {
        return;
    }
    let (site, spare) = with_spare();
    let outside = site.path("outside");
    fs::create_dir_all(outside.join("below")).unwrap();
    fs::write(outside.join("below/file"), "not ours").unwrap();
    let Some(mounted) = Mount::bind(&outside, &spare.join("lib/7")) else { return };
    let reason = deployed(&site).unwrap_err();
    assert!(reason.contains("something is mounted in it"), "{reason}");
    let told = site.cutover(&["cleanup"]).succeeded();
    assert!(told["warnings"].to_string().contains("Something is mounted at"), "{told}");
    assert_eq!(fs::read(outside.join("below/file")).unwrap(), b"not ours");
    drop(mounted);
    site.succeed(&["cleanup"]);
    assert_eq!(names(&site.target(".cutover/trash")), [""; 0]);
    assert_eq!(fs::read(outside.join("below/file")).unwrap(), b"not ours");
}

#[test]
fn a_damaged_record_of_what_was_given_up_makes_no_wrong_release() {
    for (name, content) in [("manifest", "garbage"), ("record", "garbage"), ("manifest", "")] {
        let (site, spare) = with_spare();
        let record = PathBuf::from(format!("{}-record", spare.display()));
        fs::write(record.join(name), content).unwrap();
        fs::rename(site.source("lib"), site.source("moved")).unwrap();
        site.deploy(&[]);
        assert_same(&site.source(""), &site.current(""));
    }
}

#[test]
fn what_is_left_of_a_release_that_was_given_up_does_for_a_reuse() {
    let (site, spare) = with_spare();
    for at in 0..4 {
        fs::remove_dir_all(spare.join(format!("lib/{at}"))).unwrap();
    }
    fs::write(spare.join("lib/cache"), "what the application left").unwrap();
    assert_eq!(number(&deployed(&site).unwrap()["kept"]), 4);
}

/// A site with a spare of which nothing need be listed. In memory a release is complete within the tick of the clock in which
/// it was changed, so that each of the three trees was reused once as it was.
fn with_familiar_spare() -> (Site, PathBuf) {
    let (site, _) = with_spare();
    for name in 4..10 {
        site.write("name", format!("{name}"));
        deployed(&site).unwrap();
    }
    site.write("name", "ten");
    let spare = spare(&site.target("")).unwrap();
    (site, spare)
}

/// Deploys under `strace`. Returns how many directories of the spare were listed, but for the uppermost, and how many of the
/// store; nothing where no process may be traced.
fn listed(site: &Site) -> Option<(usize, usize)> {
    let trace = strace::trace(site, &["deploy"], "getdents64")?;
    // What is left at the end of a listing is asked for once more.
    let of = |place: &str| trace.lines().filter(|line| line.contains(place)).count() / 2;
    assert_same(&site.source(""), &site.current(""));
    Some((of("/tree/lib/"), of(".cutover/objects/")))
}

#[test]
fn what_was_seen_is_not_listed_again() {
    let (site, spare) = with_familiar_spare();
    let seen = PathBuf::from(format!("{}-record", spare.display())).join("seen");
    assert!(seen.exists());
    let Some(count) = listed(&site) else { return };
    assert_eq!(count, (0, 0));
    for id in site.release_names() {
        fs::remove_file(site.target(&format!(".cutover/releases/{id}/seen"))).unwrap();
    }
    site.write("name", "eleven");
    let (directories, shards) = listed(&site).unwrap();
    assert_eq!(directories, 0);
    assert!(shards > 1, "{shards} directories of objects");
}

#[test]
fn what_was_done_to_a_familiar_spare_is_found() {
    type Vandalise = fn(&Site, &Path);
    let vandals: &[(&str, Vandalise)] = &[
        ("a new file", |_, spare| fs::write(spare.join("lib/1/new"), "not ours").unwrap()),
        ("a new directory", |_, spare| fs::create_dir(spare.join("lib/new")).unwrap()),
        ("a file that is gone", |_, spare| fs::remove_file(spare.join("lib/2/code")).unwrap()),
        ("a file that was replaced by one of the same size and mtime", |_, spare| {
            let path = spare.join("lib/3/code");
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            fs::remove_file(&path).unwrap();
            fs::write(&path, "x").unwrap();
            fs::File::open(&path).unwrap().set_modified(modified).unwrap();
            tree::set_mode(&path, 0o444);
        }),
        ("files that changed places", |_, spare| {
            fs::rename(spare.join("lib/1/code"), spare.join("held")).unwrap();
            fs::rename(spare.join("lib/2/code"), spare.join("lib/1/code")).unwrap();
            fs::rename(spare.join("held"), spare.join("lib/2/code")).unwrap();
        }),
        ("a directory that leads out", |site, spare| {
            fs::rename(spare.join("lib/4"), site.path("outside")).unwrap();
            symlink(site.path("outside"), spare.join("lib/4")).unwrap();
        }),
        ("a directory's mode", |_, spare| {
            tree::set_mode(spare.join("lib/5"), 0o777);
        }),
        ("content changed in place", |_, spare| {
            let path = spare.join("lib/6/code");
            tree::set_mode(&path, 0o644);
            fs::write(&path, "changed").unwrap();
            tree::set_mode(&path, 0o444);
        }),
        ("an object that is gone", |site, spare| {
            let inode = fs::metadata(spare.join("lib/7/code")).unwrap().ino();
            let shards = names(&site.target(".cutover/objects"));
            let mut objects = shards.iter().flat_map(|shard| {
                let shard = site.target(&format!(".cutover/objects/{shard}"));
                names(&shard).into_iter().map(move |name| shard.join(name))
            });
            let object = objects.find(|object| fs::metadata(object).unwrap().ino() == inode).unwrap();
            fs::remove_file(object).unwrap();
        }),
    ];
    for (what, vandalise) in vandals {
        let (site, spare) = with_familiar_spare();
        vandalise(&site, &spare);
        let report = site.deploy(&[]);
        assert!(!report["reused"].is_null(), "{what}: {report}");
        assert_same(&site.source(""), &site.current(""));
        let mode = fs::metadata(site.current("lib/5")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{what}");
    }
}

#[test]
fn a_link_into_shared_that_is_wanted_no_more_is_not_in_a_release_made_of_one_that_had_it() {
    // On disk, where a release is not complete within the tick of the clock in which the link was made.
    let mut site = Site::new();
    site.configure("");
    site.succeed(&["setup"]);
    for path in ["lib/3/env", "lib/none/env"] {
        let path = site.target("shared").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "secret").unwrap();
    }
    site.configure("keep_releases = 2\ngrace = '0s'\nshared_files = ['lib/3/env', 'lib/none/env']\n");
    for at in 0..8 {
        site.write(&format!("lib/{at}/code"), format!("{at}"));
    }
    for name in 0..9 {
        site.write("name", format!("{name}"));
        site.deploy(&[]);
        assert!(site.current("lib/3/env").is_symlink() && site.current("lib/none/env").is_symlink(), "{name}");
    }
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    fs::remove_dir_all(site.target("shared/lib")).unwrap();
    for name in 9..13 {
        site.write("name", format!("{name}"));
        deployed(&site).unwrap();
    }
}

/// The system calls that change a tree.
const STEPS: [&str; 9] =
    ["mkdirat", "renameat", "renameat2", "unlinkat", "linkat", "symlinkat", "utimensat", "openat2", "fchmod"];

#[test]
fn whenever_a_reuse_is_killed_the_releases_are_whole_and_the_next_run_is_right() {
    let (site, _) = with_spare();
    let (before, live) = (site.release_names(), site.live());
    let pristine = site.path("pristine");
    run(Command::new("cp").arg("-a").arg(site.target("")).arg(&pristine));
    let mut killed = 0;
    for step in STEPS {
        for at in 1.. {
            run(Command::new("rm").arg("-rf").arg(site.target("")));
            run(Command::new("cp").arg("-a").arg(&pristine).arg(site.target("")));
            site.forget();
            let command = site.command(&["deploy"]);
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-e", "signal=none", "-o", "/dev/null"]);
            strace.args(["-e", &format!("trace={step}"), "-e", &format!("inject={step}:signal=KILL:when={at}")]);
            strace.arg(command.get_program()).args(command.get_args());
            strace.env("HOME", site.path("home")).current_dir(site.path(""));
            let output = strace.output().unwrap();
            let is_live = site.live();
            for id in &before {
                assert!(site.release(id).join("name").exists() || !site.release_names().contains(id), "{step} {at}");
            }
            if is_live == live {
                assert_eq!(fs::read_to_string(site.current("name")).unwrap(), "three", "{step} {at}");
                assert_eq!(fs::read_to_string(site.current("lib/3/version")).unwrap(), "three 3", "{step} {at}");
            } else {
                assert_same(&site.source(""), &site.current(""));
            }
            site.deploy(&[]);
            assert_same(&site.source(""), &site.current(""));
            site.succeed(&["cleanup"]);
            assert_eq!(names(&site.target(".cutover/trash")), [""; 0], "{step} {at}");
            if output.status.success() {
                break;
            }
            assert!(at < 500, "{}", String::from_utf8_lossy(&output.stderr));
            killed += 1;
        }
    }
    assert!(killed > 60, "{killed} kills");
}
