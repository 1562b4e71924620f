//! The output of `--json` and its documentation: each field of one is in the other.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::site::Site;

/// Returns a section of what the docs say of `--json`.
fn documented(title: &str) -> &'static str {
    let docs = include_str!("../docs/configuration.md");
    let (_, section) = docs.split_once(&format!("\n### {title}\n")).unwrap_or_else(|| panic!("no section {title}"));
    section.split("\n##").next().unwrap()
}

/// Gathers the names of all fields, but not the reasons of copies, nor the levels.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                if !["copied", "zstd_levels"].contains(&name.as_str()) {
                    fields(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

/// Checks that each field of an object is named in a section of the docs, or in the one that it refers to, and that each
/// that has a row in the section is in the object.
#[track_caller]
fn check_fields(title: &str, object: &Value) {
    let mut printed = BTreeSet::new();
    fields(object, &mut printed);
    let section = documented(title);
    let other = match title {
        "status" => documented("releases"),
        "deploy" => documented("deploy, the forecast"),
        "lock and unlock" | "diff on disk" => documented("status"),
        _ => "",
    };
    let words = |text: &'static str| text.split('`').skip(1).step_by(2).flat_map(|word| word.split('.'));
    let known: BTreeSet<&str> = words(section).chain(words(other)).collect();
    for field in &printed {
        assert!(known.contains(field.as_str()), "{title}: `{field}` is not in the docs");
    }
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        for name in words(row.split(" | ").next().unwrap()) {
            assert!(printed.contains(name), "{title}: there is no `{name}` in {object}");
        }
    }
}

#[test]
fn every_field_of_json_is_in_the_docs() {
    let mut site = Site::new();
    site.configure("keep_releases = 1\nsource = 'source'");
    check_fields("setup", &site.succeed(&["setup"]));
    for content in ["first", "second", "third"] {
        site.write("file", content);
        check_fields("deploy", &site.deploy(&[]));
    }
    check_fields("releases", &site.succeed(&["releases"]));
    let held = fs::OpenOptions::new().write(true).open(site.target(".cutover/lock")).unwrap();
    held.lock().unwrap();
    let holder = json!({ "who": "anna", "from": "laptop", "since": 1, "pid": 1, "verb": "deploy" });
    fs::write(site.target(".cutover/lock"), holder.to_string()).unwrap();
    check_fields("status", &site.succeed(&["status"]));
    drop(held);
    fs::create_dir(site.target("releases/other")).unwrap();
    check_fields("doctor", &site.cutover(&["doctor"]).json);
    fs::remove_dir(site.target("releases/other")).unwrap();
    check_fields("cleanup", &site.succeed(&["cleanup", "--dry-run"]));
    check_fields("switch and rollback", &site.succeed(&["rollback"]));
    let live = site.live().unwrap();
    check_fields("switch and rollback", &site.succeed(&["switch", &live]));
    check_fields("pin and unpin", &site.succeed(&["pin", &live, "--until", "2099-12-31", "--note", "a report"]));
    check_fields("releases", &site.succeed(&["releases"]));
    check_fields("pin and unpin", &site.succeed(&["unpin", &live]));
    check_fields("log", &site.succeed(&["log"]));
    check_fields("diff", &site.succeed(&["diff", "live", "source"]));
    check_fields("du", &site.succeed(&["du"]));
    fs::write(site.current("added"), "by hand").unwrap();
    let on_disk = site.cutover(&["diff", "--on-disk"]);
    assert_eq!(on_disk.code, Some(4));
    check_fields("diff on disk", &on_disk.json);
    fs::remove_file(site.current("added")).unwrap();
    site.write("file", "fourth");
    let dry = site.deploy(&["--dry-run"]);
    check_fields("deploy", &dry);
    check_fields("deploy, the forecast", &dry["preview"]);
    let locks = [&["lock", "acquire", "-m", "sale"][..], &["lock", "status"], &["unlock"]];
    check_fields("lock and unlock", &locks.iter().map(|words| site.succeed(words)).collect());
    let ran = site.cutover(&["deploy", "--source", "nowhere"]);
    assert_eq!(ran.code, Some(1));
    check_fields("A failure", &ran.json);
}

#[test]
fn every_field_of_json_of_shared_and_hooks_is_in_the_docs() {
    let mut site = Site::new();
    site.configure(
        "source = 'source'\n[[hooks]]\nname = 'warm'\nphase = 'after_deploy'\nrun = 'true'\n\
         [[checks]]\nname = 'page'\nurl = 'http://localhost'\n",
    );
    site.succeed(&["setup"]);
    let env = site.source("env").display().to_string();
    site.write("env", "KEY=1");
    check_fields("shared push and edit", &site.succeed(&["shared", "push", &env, ".env", "--yes"]));
    check_fields("shared list", &site.succeed(&["shared", "list"]));
    check_fields("shared pull", &site.succeed(&["shared", "pull", ".env", &format!("{env}.copy")]));
    check_fields("web", &site.succeed(&["web", "nginx"]));
    let list = site.succeed(&["hooks", "list"]);
    for key in
        ["name", "phase", "run", "opcache_reset", "when", "timeout", "halt_on_error", "on_error", "cwd", "env", "shell"]
    {
        assert!(list["hooks"][0].get(key).is_some(), "{key}: {list}");
    }
    check_fields("hooks list", &json!({ "hooks": [], "checks": list["checks"] }));
    site.configure("source = 'source'\n[[hooks]]\nname = 'warm'\nphase = 'after_deploy'\nrun = 'true'\n");
    site.deploy(&[]);
    check_fields("hooks run and exec", &site.succeed(&["hooks", "run", "warm"]));
    let ran = site.cutover(&["doctor", "--url", "http://127.0.0.1:1", "--version-file", "version"]);
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    check_fields("doctor --url", &ran.json["web"]);
    check_fields("init", &site.succeed(&["init", "--print"]));
    site.configure("keep_releases = 2");
    check_fields("config show", &site.succeed(&["config", "show"]));
}
