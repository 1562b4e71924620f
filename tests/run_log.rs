//! The log of a run on the client: the lines of `--events`, for each run that changes something.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::site::{RunResult, Site, text};

/// Returns the lines of a log.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn log(report: &Value) -> PathBuf {
    text(&report["log"]).into()
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

/// Returns the lines of a hook.
fn hook_lines(lines: &[Value], hook: &str) -> Vec<String> {
    let of_hook = lines.iter().filter(|line| line["event"] == "hook_line" && line["hook"] == hook);
    of_hook.map(|line| text(&line["text"])).collect()
}

#[track_caller]
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Checks a failure: its line and its object name the log, whose last line is the failure.
#[track_caller]
fn check_failure(ran: &RunResult) -> Vec<Value> {
    let path = log(&ran.json);
    let told: Vec<&str> = ran.stderr.lines().rev().take(2).collect();
    assert_eq!(told[1], format!("Log: {}", path.display()));
    let lines = lines(&path);
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "failed");
    for field in ["error", "live", "log"] {
        assert_eq!(last[field], ran.json[field], "{field}");
    }
    lines
}

const BUILD: &str =
    "[[hooks]]\nname = 'build'\nphase = 'build'\nrun = 'seq 3; echo $TOKEN'\nenv = { TOKEN = '${TOKEN}' }\n";
const MIGRATE: &str = "[[hooks]]\nname = 'migrate'\nphase = 'before_switch'\nrun = 'echo migrated'\n";

#[test]
fn a_deploy_leaves_a_log_with_the_output_of_both_sides_and_its_report() {
    let mut site = Site::new();
    site.configure(&format!("{BUILD}{MIGRATE}"));
    site.write("index.html", "one");
    let mut command = site.command(&["deploy", "--release", "1"]);
    let report = RunResult::of(&command.env("TOKEN", "s3cret-token").output().unwrap()).succeeded();
    let path = log(&report);
    let directory = path.parent().unwrap();
    assert_eq!(directory.parent().unwrap(), site.path("state/logs"));
    assert!(path.file_name().unwrap().to_str().unwrap().ends_with("-deploy.jsonl"), "{}", path.display());
    assert_eq!((mode(&path), mode(directory), mode(&site.path("state/logs"))), (0o600, 0o700, 0o700));
    let lines = lines(&path);
    let head = &lines[0];
    assert_eq!((&head["event"], &head["verb"], &head["log"]), (&"run".into(), &"deploy".into(), &report["log"]));
    assert_eq!(text(&head["target"]), site.target("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!(hook_lines(&lines, "build"), ["1", "2", "3", "***"]);
    assert_eq!(hook_lines(&lines, "migrate"), ["migrated"]);
    let last = lines.last().unwrap().as_object().unwrap();
    for (field, value) in report.as_object().unwrap() {
        assert_eq!(&last[field], value, "{field}");
    }
    assert_eq!((last.len(), &last["event"]), (report.as_object().unwrap().len() + 2, &"done".into()));
}

#[test]
fn a_log_has_the_lines_that_events_prints() {
    let site = Site::new();
    site.write("index.html", "one");
    let with_json = site.command(&["deploy"]);
    let mut command = std::process::Command::new(with_json.get_program());
    command.args(with_json.get_args().map(|word| if word == "--json" { "--events".as_ref() } else { word }));
    command.env_clear().env("HOME", site.path("home")).env("USER", "tester").env("PATH", "/usr/bin:/bin");
    let output = command.current_dir(site.path("")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept = lines(&log(&printed[0]));
    // The two have times of their own, and the log has details too.
    let comparable = |lines: &[Value]| -> Vec<Value> {
        let lines = lines.iter().filter(|line| !["detail", "progress"].contains(&line["event"].as_str().unwrap()));
        lines.cloned().map(|mut line| line.as_object_mut().unwrap().remove("at").map(|_| line).unwrap()).collect()
    };
    // Phases run at once, so their order may differ by a line.
    let sorted = |mut lines: Vec<Value>| {
        lines.sort_by_key(ToString::to_string);
        lines
    };
    assert_eq!(names(&kept).first(), Some(&"run"));
    assert_eq!(names(&kept).last(), Some(&"done"));
    assert_eq!(sorted(comparable(&kept)), sorted(comparable(&printed)));
}

#[test]
fn a_failure_names_the_log_and_is_its_last_line() {
    let mut site = Site::new();
    site.configure(&MIGRATE.replace("echo migrated", "echo broken; exit 3"));
    site.write("index.html", "one");
    let ran = site.refused(&["deploy"], 6, &["The hook `migrate` (before_switch) failed"]);
    assert_eq!(hook_lines(&check_failure(&ran), "migrate"), ["broken"]);
    check_failure(&site.refused(&["switch", "7"], 1, &[]));
    check_failure(&site.refused(&["rollback"], 1, &[]));
    // The build: the server has never heard of it.
    site.configure("[[hooks]]\nname = 'build'\nphase = 'build'\nrun = 'echo no compiler; exit 4'\n");
    let ran = site.refused(&["deploy"], 6, &["The hook `build` (build) failed"]);
    assert_eq!(hook_lines(&check_failure(&ran), "build"), ["no compiler"]);
}

#[test]
fn each_verb_that_changes_something_has_a_log_and_a_question_has_none() {
    let mut site = Site::new();
    site.configure("[[hooks]]\nname = 'restart'\nphase = 'after_switch'\nrun = 'echo restarted'\n");
    site.write("index.html", "one");
    let reports = [
        site.deploy(&["--release", "1"]),
        site.deploy(&["--release", "2", "--force"]),
        site.succeed(&["rollback"]),
        site.succeed(&["switch", "2"]),
        site.succeed(&["cleanup"]),
    ];
    let directory = log(&reports[0]).parent().unwrap().to_owned();
    let kept = || {
        let entries = fs::read_dir(&directory).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let verbs = || -> Vec<String> {
        let verb = |name: &String| name.split_once('-').unwrap().1.trim_end_matches(".jsonl").to_owned();
        kept().iter().map(verb).collect()
    };
    assert!(site.command(&["hooks", "run", "restart"]).status().unwrap().success());
    let expected = ["deploy", "deploy", "rollback", "switch", "cleanup", "hooks-run"];
    assert_eq!(verbs(), expected);
    let of_hook = lines(&directory.join(kept().last().unwrap()));
    assert_eq!((hook_lines(&of_hook, "restart"), names(&of_hook).last()), (vec!["restarted".into()], Some(&"done")));
    assert_eq!(site.deploy(&["--dry-run"])["log"], Value::Null);
    assert_eq!(site.succeed(&["cleanup", "--dry-run"])["log"], Value::Null);
    for question in [["status"], ["releases"], ["log"]] {
        site.succeed(&question);
    }
    assert_eq!(verbs(), expected);
}

#[test]
fn a_log_that_cannot_be_written_is_one_warning() {
    let site = Site::new();
    site.write("index.html", "one");
    fs::create_dir(site.path("state")).unwrap();
    fs::write(site.path("state/logs"), "").unwrap();
    let ran = site.cutover(&["deploy"]);
    let warnings = ran.stderr.matches("The log of this run could not be written").count();
    assert_eq!((warnings, &ran.json["log"]), (1, &Value::Null), "{}", ran.stderr);
    ran.succeeded();
    let ran = site.cutover(&["switch", "7"]);
    ran.failed(1, &["The log of this run could not be written"]);
    assert!(!ran.stderr.contains("Log: ") && ran.json.get("log").is_none(), "{}", ran.stderr);
}
