//! `log`: the runs on the server, what each of them did, and a run that is at work.

use std::fs;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::support::site::{RunResult, Site, text};
use crate::support::strace;
use crate::support::wait;

/// A hook that prints a line, waits for a file, and prints another.
const HOOKS: &str = "[[hooks]]\nname = 'migrate'\nphase = 'before_switch'\n\
     run = 'echo begun; until test -e \"$CUTOVER_SHARED_PATH/go\"; do sleep 0.05; done; echo migrated'\n";

fn site() -> Site {
    let mut site = Site::new();
    site.configure(HOOKS);
    site.write("index.html", "one");
    site
}

/// Returns the lines of the journal of a run.
fn journal(site: &Site, words: &[&str]) -> Vec<Value> {
    let mut log = vec!["log"];
    log.extend(words);
    let output = site.command(&log).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_run_is_listed_with_who_what_and_result() {
    let mut site = site();
    site.write_shared("go", "");
    site.deploy(&["--release", "1"]);
    site.configure(&HOOKS.replace("echo begun", "exit 3"));
    site.write("index.html", "two");
    assert_eq!(site.cutover(&["deploy", "--release", "2"]).code, Some(6));
    let report = site.succeed(&["log"]);
    let [failed, first] = &report["runs"].as_array().unwrap()[..] else { panic!("{report}") };
    assert!(text(&first["who"]).starts_with("tester@"), "{first}");
    assert_eq!((&first["verb"], &first["previous"], &first["live"]), (&json!("deploy"), &json!(null), &json!("1")));
    assert_eq!((&first["error"], &first["is_heard"]), (&json!(null), &json!(true)));
    assert_eq!((&failed["previous"], &failed["live"]), (&json!("1"), &json!("1")));
    assert!(text(&failed["error"]).contains("The hook `migrate` (before_switch) failed"), "{failed}");
    // A run that is not there.
    site.cutover(&["log", "99"]).failed(1, &["Run 99 has no journal", "See `cutover log"]);
}

#[test]
fn a_run_can_be_watched_from_elsewhere_until_it_ends_and_be_read_later() {
    let site = site();
    let deploy = site.command(&["deploy", "--release", "1"]).spawn().unwrap();
    let printed = |line: &Value| (&line["event"], &line["text"]) == (&json!("hook_line"), &json!("begun"));
    let begun = || {
        let output = site.command(&["log", "1"]).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().any(|line| printed(&serde_json::from_str(line).unwrap())).then_some(())
    };
    wait::until("the hook has begun", begun);
    let mut watch = site.command(&["log", "--follow"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    while !printed(&next().expect("the line of the hook")) {}
    // Only now the hook goes on: the rest comes while it is watched.
    site.write_shared("go", "");
    let rest: Vec<Value> = std::iter::from_fn(next).collect();
    assert!(rest.iter().any(|line| line["text"] == "migrated"), "{rest:?}");
    assert_eq!(rest.last().unwrap()["live"], "1");
    assert!(watch.wait().unwrap().success());
    RunResult::wait(deploy).succeeded();
    let whole = journal(&site, &["1"]);
    assert_eq!((&whole[0]["event"], &whole[0]["verb"]), (&json!("run_began"), &json!("deploy")));
    assert_eq!(whole.last(), rest.last());
}

#[test]
fn without_its_hooks_a_deploy_runs_its_checks_alone() {
    let mut site = Site::new();
    let hook =
        "[[hooks]]\nname = 'restart'\nphase = 'after_switch'\nrun = 'touch \"$CUTOVER_SHARED_PATH/restarted\"'\n";
    let check = "[[checks]]\nname = 'page'\nrun = 'touch \"$CUTOVER_SHARED_PATH/checked\"'\nfrom = 'server'\n";
    site.configure(&format!("{hook}{check}"));
    site.write("index.html", "one");
    site.deploy(&["--skip-hooks"]);
    let made = |name: &str| fs::exists(site.target("shared").join(name)).unwrap();
    assert!(made("checked") && !made("restarted"));
    site.deploy(&["--force"]);
    assert!(made("restarted"));
}

#[test]
fn a_line_that_a_full_disk_cut_off_is_marked_and_hides_no_other() {
    let site = site();
    site.write_shared("go", "");
    site.deploy(&["--release", "1"]);
    let journal = site.target(".cutover/journals/1");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let half = &lines[1][..lines[1].len() / 2];
    fs::write(&journal, format!("{}\n{half}\n{}\n{half}", lines[0], lines[2..].join("\n"))).unwrap();
    let output = site.command(&["log", "1"]).output().unwrap();
    let shown: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown[1], json!({ "event": "unreadable", "text": half }));
    assert_eq!(shown.last().unwrap()["live"], "1");
    // The list has the end of the run too.
    assert_eq!(site.succeed(&["log"])["runs"][0]["live"], "1");
}

#[test]
fn a_journal_is_followed_without_a_look_at_the_others() {
    let site = site();
    site.write_shared("go", "");
    for release in ["1", "2", "3"] {
        site.write("index.html", release);
        site.deploy(&["--release", release]);
    }
    fs::remove_file(site.target("shared/go")).unwrap();
    site.write("index.html", "four");
    let deploy = site.command(&["deploy", "--release", "4"]).spawn().unwrap();
    let journal = site.target(".cutover/journals/4");
    wait::until("the hook has begun", || {
        fs::read_to_string(&journal).is_ok_and(|text| text.contains("begun\"")).then_some(())
    });
    let watched = std::thread::scope(|scope| {
        let watched = scope.spawn(|| strace::trace(&site, &["log", "--follow"], "openat,flock"));
        let looks = || fs::read_to_string(site.path("trace")).map_or(0, |calls| calls.matches("flock(").count());
        wait::until("it has looked at the lock again", || (looks() >= 3 || watched.is_finished()).then_some(()));
        site.write_shared("go", "");
        watched.join().unwrap()
    });
    RunResult::wait(deploy).succeeded();
    let Some(calls) = watched else { return };
    let opened = |journal: u32| calls.matches(&format!("journals>, \"{journal}\"")).count();
    assert_eq!([1, 2, 3].map(opened), [0, 0, 0], "{calls}");
    // To find the newest run, to follow it, and for its summary.
    assert_eq!(opened(4), 3, "{calls}");
}

#[test]
fn the_newest_journal_is_one_that_can_be_read() {
    let site = site();
    site.write_shared("go", "");
    site.deploy(&["--release", "1"]);
    // A disk that was full when these runs began.
    for (number, begin) in [(2, ""), (3, "{\"at\":1.0,\"begun\":{\"ve")] {
        fs::write(site.target(&format!(".cutover/journals/{number}")), begin).unwrap();
    }
    assert_eq!(journal(&site, &["--follow"]).last().unwrap()["live"], "1");
}
