//! The results of the last scan are used only as far as they are still true.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::support::site::{Site, names};
use crate::support::strace;
use crate::support::wait::until;

/// What is this old when a scan begins is believed by the next.
const RACY: Duration = Duration::from_millis(2100);

/// A site of a few directories, deployed so long after its last change that the next scan may believe this one's.
fn site_of_old() -> Site {
    // On disk it may be an overlay, of which every directory is listed.
    let site = Site::in_memory();
    for path in ["a/one", "a/two", "a/deep/three", "b/four", "b/left.log", "c/five"] {
        site.write(path, path);
    }
    site.write("b/.deployignore", "*.log\n");
    symlink("one", site.source("a/link")).unwrap();
    let now = SystemTime::now();
    until("the source is old", || now.elapsed().is_ok_and(|age| age > RACY).then_some(()));
    site.deploy(&[]);
    site
}

/// Deploys under `strace`. Returns how many directories of the source were listed, and how many files of it opened; nothing
/// where no process may be traced.
fn traced(site: &Site, flags: &[&str]) -> Option<(usize, usize)> {
    traced_verb(site, &[&["deploy"], flags].concat())
}

fn traced_verb(site: &Site, words: &[&str]) -> Option<(usize, usize)> {
    let trace = strace::trace(site, words, "getdents64,openat")?;
    let source = format!("<{}", site.path("source").canonicalize().unwrap().display());
    let of_source = |call: &str| trace.lines().filter(|line| line.contains(call) && line.contains(&source)).count();
    // What is left at the end of a listing is asked for once more.
    let files = trace.lines().filter(|line| line.contains(&source) && line.contains("O_NOCTTY")).count();
    Some((of_source("getdents64(") / 2, files))
}

#[test]
fn what_is_as_it_was_is_neither_listed_nor_opened_but_by_a_paranoid_deploy() {
    let site = site_of_old();
    let Some(unchanged) = traced(&site, &[]) else { return };
    // The ignore file is read each time.
    assert_eq!(unchanged, (0, 1));
    assert_eq!(traced(&site, &["--paranoid", "--dry-run"]).unwrap(), (5, 6));
    site.write("c/new", "new");
    // That file is opened to be hashed, and to be sent.
    assert_eq!(traced(&site, &[]).unwrap(), (1, 3));
    assert_eq!(names(&site.current("c")), ["five", "new"]);
}

#[test]
fn a_diff_reads_what_a_deploy_would_and_the_deploy_after_it_does_not_read_that_again() {
    let mut site = site_of_old();
    site.configure("source = 'source'\n");
    site.write("c/new", "new");
    let until_old = SystemTime::now();
    until("the file is old", || until_old.elapsed().is_ok_and(|age| age > RACY).then_some(()));
    let Some(first) = traced_verb(&site, &["diff"]) else { return };
    // The ignore file, and the new one.
    assert_eq!(first, (1, 2));
    assert_eq!(traced_verb(&site, &["diff"]).unwrap(), (0, 1));
    // It is opened to be sent.
    assert_eq!(traced(&site, &[]).unwrap(), (0, 2));
    assert_eq!(names(&site.current("c")), ["five", "new"]);
}

#[test]
fn what_was_changed_with_an_old_mtime_is_deployed() {
    let site = site_of_old();
    let keeping_mtime = |path: &str, change: &dyn Fn()| {
        let mtime = fs::metadata(site.source(path)).unwrap().modified().unwrap();
        change();
        let times = FileTimes::new().set_modified(mtime);
        File::open(site.source(path)).unwrap().set_times(times).unwrap();
    };
    let rename = |from: &str, to: &str| fs::rename(site.source(from), site.source(to)).unwrap();

    keeping_mtime("a", &|| rename("a/two", "a/other"));
    site.deploy(&[]);
    assert_eq!(names(&site.current("a")), ["deep", "link", "one", "other"]);

    keeping_mtime("c/five", &|| site.write("c/five", "C/FIVE"));
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("c/five")).unwrap(), "C/FIVE");

    keeping_mtime("b/.deployignore", &|| site.write("b/.deployignore", "*.bog\n"));
    site.deploy(&[]);
    assert_eq!(names(&site.current("b")), ["four", "left.log"]);
    fs::remove_file(site.source("b/.deployignore")).unwrap();

    keeping_mtime("", &|| {
        fs::rename(site.source("a/deep"), site.path("deep")).unwrap();
        symlink("../../deep", site.source("a/deep")).unwrap();
    });
    site.deploy_and_compare(&[]);
}

#[test]
fn other_excludes_bring_in_what_was_left_out() {
    let mut site = site_of_old();
    let check = |site: &Site, expected: &[&str]| {
        site.deploy(&[]);
        assert_eq!(names(&site.current("a")), expected);
    };
    site.configure("exclude = [\"two\", \"deep/\"]");
    check(&site, &["link", "one"]);
    site.configure("exclude = [\"two\"]");
    check(&site, &["deep", "link", "one"]);
    site.configure("source = 'source'\n");
    check(&site, &["deep", "link", "one", "two"]);
}
