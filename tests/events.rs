//! `--events`: a line for each event, and the object of `--json` in the last one.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::screen::shown;
use crate::support::site::Site;

/// Makes a command that prints events.
fn command(site: &Site, words: &[&str]) -> Command {
    let with_json = site.command(words);
    let mut command = Command::new(with_json.get_program());
    command.args(with_json.get_args().map(|word| if word == "--json" { "--events".as_ref() } else { word }));
    command.env_clear().env("HOME", site.path("home")).env("USER", "tester").env("PATH", "/usr/bin:/bin");
    command.current_dir(site.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn events(site: &Site, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = command(site, words).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn name(event: &Value) -> &str {
    event["event"].as_str().unwrap()
}

#[test]
fn a_deploy_prints_its_steps_and_then_its_object() {
    let site = Site::new();
    site.write("file", "one");
    let (code, found) = events(&site, &["deploy"]);
    assert_eq!(code, Some(0));
    let names: Vec<&str> = found.iter().map(name).collect();
    for phase in ["scan", "assemble", "sync", "switch"] {
        let at = |event: &str| found.iter().position(|found| name(found) == event && found["phase"] == phase);
        assert!(at("began").unwrap() < at("ended").unwrap(), "{phase}: {names:?}");
    }
    let live = found.iter().find(|event| name(event) == "live").unwrap();
    let last = found.last().unwrap();
    assert_eq!((name(last), &last["release"], &last["state"]), ("done", &live["release"], &"live".into()));
    let times: Vec<f64> = found.iter().map(|event| event["at"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The last line has all that `--json` prints.
    let fields = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let mut expected = fields(&site.deploy(&[]));
    expected.extend(["event".to_owned(), "at".to_owned()]);
    assert_eq!(fields(last), expected);
}

#[test]
fn a_failure_is_the_last_line() {
    let site = Site::new();
    let (code, found) = events(&site, &["switch", "7"]);
    assert_eq!(code, Some(1));
    let last = found.last().unwrap();
    assert_eq!((name(last), &last["error"]["kind"]), ("failed", &"refused".into()));
    assert_eq!(last["live"]["state"], "nothing");
    let (code, found) = events(&site, &["switch", "7", "--no-such-flag"]);
    assert_eq!((code, found.len(), name(&found[0])), (Some(2), 1, "failed"));
}

#[test]
fn a_line_is_printed_when_its_event_happens() {
    let site = Site::new();
    site.write("file", "one");
    let mut child = command(&site, &["deploy"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let live = lines.find(|line| line.contains("\"event\":\"live\"")).unwrap();
    let release: Value = serde_json::from_str(&live).unwrap();
    assert_eq!(site.live().as_deref(), release["release"].as_str());
    assert!(lines.last().unwrap().contains("\"event\":\"done\""));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_question_prints_its_answer_and_details_only_if_they_are_asked_for() {
    let site = Site::new();
    site.write("file", "one");
    site.deploy(&[]);
    let (_, found) = events(&site, &["releases", "--quiet"]);
    let last = found.last().unwrap();
    assert_eq!((name(last), last["releases"].as_array().unwrap().len()), ("done", 1));
    let has_details = |found: &[Value]| found.iter().any(|event| name(event) == "detail");
    assert!(!has_details(&events(&site, &["deploy", "--force"]).1));
}

#[test]
fn one_form_of_output_is_chosen() {
    let site = Site::new();
    // The command of a site has `--json`.
    let shown = shown(&mut site.command(&["status", "--events"]), &[]);
    assert!(shown.contains("cannot be used with '--"), "{shown}");
    assert!(shown.contains("[exit 2]"), "{shown}");
}

#[test]
fn a_hook_that_was_run_by_hand_has_an_object_at_its_end() {
    let mut site = Site::new();
    site.write("index.html", "one");
    site.deploy(&["--release", "1"]);
    site.configure("[[hooks]]\nname = 'tell'\nphase = 'after_deploy'\nrun = 'echo told'\n");
    let report = site.succeed(&["hooks", "run", "tell"]);
    assert!(report["log"].is_string());
    assert_eq!(report, json!({ "hook": "tell", "release": "1", "log": report["log"], "warnings": [] }));
    let (code, found) = events(&site, &["hooks", "run", "tell"]);
    let last = found.last().unwrap();
    assert_eq!((code, name(last), &last["hook"], &last["release"]), (Some(0), "done", &json!("tell"), &json!("1")));
}
