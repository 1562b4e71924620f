//! Rollbacks: which release they go to, which one they leave bad, and what they say and ask. Pins.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::git::git;
use crate::support::site::{RunResult, Site, text};

/// Deploys a version whose only file says which it is.
fn deploy(site: &Site, name: &str) -> String {
    site.write("version", name);
    site.deploy_and_compare(&["--grace", "0s"])
}

fn version(site: &Site) -> String {
    fs::read_to_string(site.current("version")).unwrap()
}

fn releases(site: &Site) -> Vec<Value> {
    site.succeed(&["releases"])["releases"].as_array().unwrap().clone()
}

fn release(site: &Site, id: &str) -> Value {
    releases(site).into_iter().find(|release| release["id"] == id).unwrap_or_else(|| panic!("there is no {id}"))
}

/// Writes into the record of a release that migrations ran for it.
fn note_migrations(site: &Site, id: &str, names: &[&str]) {
    let path = site.target(&format!(".cutover/releases/{id}/record"));
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["marks"]["migrations"] = json!(names);
    fs::write(path, record.to_string()).unwrap();
}

#[test]
fn each_rollback_goes_one_further_back_and_never_to_a_release_that_was_rolled_back() {
    let site = Site::new();
    let [a, b, c] = ["A", "B", "C"].map(|name| deploy(&site, name));
    site.succeed(&["rollback"]);
    assert_eq!(version(&site), "B");
    deploy(&site, "D");
    site.succeed(&["rollback"]);
    assert_eq!(version(&site), "B");
    site.succeed(&["rollback"]);
    assert_eq!(version(&site), "A");
    let returns = format!("Hint: `--forward` returns to release {b}, which the last rollback left");
    site.refused(&["rollback"], 1, &["No release was live before, so", &returns]);
    let status = site.succeed(&["status"]);
    assert_eq!((&status["rollback"], &status["forward"]), (&json!(null), &json!(b)));
    site.succeed(&["rollback", "--forward"]);
    assert_eq!((version(&site), release(&site, &b)["bad"].clone()), ("B".into(), json!(null)));
    assert_eq!(site.succeed(&["status"])["rollback"], json!(a));
    assert_eq!(release(&site, &c)["state"], "bad");
}

#[test]
fn a_crash_behind_the_link_of_a_rollback_leaves_the_release_bad_and_that_of_a_return_does_not() {
    let mut site = Site::new();
    site.configure("keep_releases = 3\ngrace = '0s'\n");
    let [a, b, c] = ["A", "B", "C"].map(|name| deploy(&site, name));
    // As a run leaves it that ends right behind the link, or behind the record of the release that is live then.
    let crash = |words: &[&str], lost: &[&String]| {
        let record = |id: &&String| site.target(&format!(".cutover/releases/{id}/record"));
        let records: Vec<Vec<u8>> = lost.iter().map(|id| fs::read(record(id)).unwrap()).collect();
        site.succeed(words);
        lost.iter().zip(records).for_each(|(id, content)| fs::write(record(id), content).unwrap());
        site.succeed(&["cleanup"]);
    };
    for (lost_back, lost_forward) in [(&[&b, &c][..], &[&b, &c][..]), (&[&c], &[&b])] {
        crash(&["rollback"], lost_back);
        let left = release(&site, &c);
        let reason = "it was left, and a crash came before the reason was noted";
        assert_eq!((&left["bad"]["reason"], &left["bad"]["left_for"]), (&json!(reason), &json!(b)));
        crash(&["rollback", "--forward"], lost_forward);
        assert_eq!(version(&site), "C");
        assert_eq!(release(&site, &b)["bad"], json!(null));
    }
    crash(&["rollback"], &[&b, &c]);
    let [d, e] = ["D", "E"].map(|name| deploy(&site, name));
    assert_eq!(site.release_names(), [b, c, d.clone(), e]);
    for expected in ["D", "B"] {
        site.succeed(&["rollback"]);
        assert_eq!(version(&site), expected);
    }
    assert!(!site.release_names().contains(&a));
}

#[test]
fn a_return_leads_through_all_rollbacks_until_something_is_deployed() {
    let site = Site::new();
    for name in ["A", "B", "C"] {
        deploy(&site, name);
    }
    site.succeed(&["rollback"]);
    site.succeed(&["rollback"]);
    for expected in ["B", "C"] {
        site.succeed(&["rollback", "--forward"]);
        assert_eq!(version(&site), expected);
    }
    let hint = "Hint: `cutover switch ID";
    site.refused(&["rollback", "--forward"], 1, &["No rollback led to the live release", hint]);
    site.succeed(&["rollback"]);
    deploy(&site, "D");
    site.refused(&["rollback", "--forward"], 1, &["No rollback led to the live release", hint]);
    assert_eq!(version(&site), "D");
}

#[test]
fn a_rollback_after_a_switch_leads_back_to_what_was_live_before_the_switch() {
    let site = Site::new();
    let [a, b, _] = ["A", "B", "C"].map(|name| deploy(&site, name));
    site.succeed(&["switch", &a]);
    site.succeed(&["switch", &b]);
    let rollback = |expected: &str| {
        site.succeed(&["rollback"]);
        assert_eq!(version(&site), expected);
    };
    rollback("A");
    rollback("C");
    site.refused(&["rollback"], 1, &["No release was live before"]);
}

#[test]
fn a_bad_release_is_gone_back_to_only_if_it_is_named_and_is_good_again_then() {
    let site = Site::new();
    let [a, b, c] = ["A", "B", "C"].map(|name| deploy(&site, name));
    site.succeed(&["rollback", "--reason", "the cart is empty"]);
    let left = release(&site, &c);
    let bad = &left["bad"];
    assert_eq!(
        (&left["state"], &bad["reason"], &bad["left_for"]),
        (&json!("bad"), &json!("the cart is empty"), &json!(b))
    );
    assert!(text(&bad["by"]).starts_with("tester@"), "{bad}");
    assert!(bad["at"].as_u64().unwrap() > 1_700_000_000);

    let warned = |report: &Value, id: &str, reason: &str| {
        let by = text(&bad["by"]);
        let expected = format!("Release {id} was marked bad by {by}: {reason}. The mark is gone now");
        assert_eq!(report["warnings"], json!([expected]));
        assert_eq!(release(&site, id)["bad"], json!(null));
    };
    warned(&site.succeed(&["rollback", &c]), &c, "the cart is empty");
    assert_eq!(release(&site, &b)["bad"]["reason"], "it was rolled back");
    // The good one is further back.
    assert_eq!(site.succeed(&["status"])["rollback"], json!(a));
    // Whoever takes a rollback back knows why it was made.
    assert_eq!(site.succeed(&["switch", &b])["warnings"], json!([]));
    assert_eq!(site.succeed(&["status"])["rollback"], json!(c));
    site.succeed(&["rollback"]);
    site.succeed(&["switch", &a]);
    warned(&site.succeed(&["switch", &b]), &b, "it was rolled back");

    let shown = site.command(&["rollback", "--reason", "slow"]).output().unwrap();
    assert_eq!(shown.status.code(), Some(0));
    let listed = site.shows(&["releases"]);
    assert!(listed.contains(&format!("\n{b} is bad: slow (by tester@")), "{listed}");
}

#[test]
fn where_all_earlier_releases_are_bad_a_rollback_says_how_to_name_one() {
    let site = Site::new();
    let [a, b] = ["A", "B"].map(|name| deploy(&site, name));
    site.succeed(&["rollback"]);
    site.succeed(&["switch", &b]);
    // Both went away and came back: now `A` is before `B` and good. A rollback from both leaves them bad.
    site.succeed(&["rollback"]);
    site.succeed(&["rollback", &b]);
    assert_eq!(release(&site, &a)["state"], "bad");
    let ran = site.refused(&["rollback"], 1, &["Each release that was live before this one is marked bad"]);
    assert!(ran.stderr.contains("Hint: `--to ID` goes to one of them all the same"), "{}", ran.stderr);
    site.succeed(&["rollback", "--to", &a]);
    assert_eq!(version(&site), "A");
}

#[test]
fn a_rollback_says_first_from_where_to_where() {
    let site = Site::new();
    let commits = ["A", "B"].map(|name| {
        site.write("version", name);
        if name == "A" {
            git(&site.path("source"), &["init", "-q"]);
        }
        git(&site.path("source"), &["add", "-A"]);
        git(&site.path("source"), &["commit", "-q", "-m", name]);
        site.deploy(&["--release", if name == "A" { "1" } else { "2" }]);
        git(&site.path("source"), &["rev-parse", "HEAD"])
    });
    let ran = site.cutover(&["rollback"]);
    let line =
        ran.stderr.lines().find(|line| line.starts_with("Going from ")).unwrap_or_else(|| panic!("{}", ran.stderr));
    let [first, second] = commits.clone().map(|commit| format!("(commit {}, made ", &commit[..12]));
    assert!(line.starts_with(&format!("Going from 2 {second}")), "{line}");
    assert!(line.contains(&format!(" to 1 {first}")), "{line}");
    assert_eq!(line.matches(" ago by tester@").count(), 2, "{line}");
    let report = ran.succeeded();
    for (end, id, commit) in [("from", "2", &commits[1]), ("to", "1", &commits[0])] {
        let end = &report[end];
        assert_eq!((&end["id"], &end["commit"]), (&json!(id), &json!(commit)));
        assert!(end["age"].as_u64().unwrap() < 600 && text(&end["who"]).starts_with("tester@"), "{end}");
    }
}

#[test]
fn a_goal_is_a_release_its_commit_or_a_number_of_good_releases() {
    let site = Site::new();
    let source = site.path("source");
    site.write("version", "");
    git(&source, &["init", "-q"]);
    let commits = ["A", "B", "C", "D"].map(|name| {
        site.write("version", name);
        git(&source, &["add", "-A"]);
        git(&source, &["commit", "-q", "-m", name]);
        let mut flags = vec!["--grace", "1h"];
        flags.extend([
            "--release",
            match name {
                "A" => "1",
                "B" => "2",
                "C" => "3",
                _ => "4",
            },
        ]);
        site.deploy(&flags);
        git(&source, &["rev-parse", "HEAD"])
    });
    let to = |goal: &str, expected: &str| {
        assert_eq!(site.succeed(&["rollback", "--to", goal])["release"], json!(expected), "{goal}");
    };
    to(&commits[2][..7], "3");
    // 4 is bad, and does not count.
    to("-2", "1");
    site.succeed(&["switch", "4"]);
    to(&commits[1], "2");
    site.succeed(&["switch", "4"]);
    let hint = "Hint: See `cutover releases";
    site.refused(&["rollback", "--to", "-9"], 1, &["good releases were live before this one, not 9", hint]);
    site.refused(&["rollback", "--to", "fffffff"], 1, &["No release was made from commit `fffffff`", hint]);
    site.refused(&["rollback", "--to", "0000000"], 1, &["There is no release 0000000", hint]);
    site.refused(&["rollback", "--to", &commits[3][..9]], 1, &["release 4: it is live already", hint]);
    for wrong in ["abcdef", "-0", "HEAD~1"] {
        let said = format!("A rollback cannot go to `{wrong}`");
        site.refused(&["rollback", "--to", wrong], 2, &[&said, "at least 7 digits of its commit"]);
    }
    site.refused(&["rollback", "1", "--to", "2"], 2, &["A rollback goes to one release"]);

    // Two commits that begin alike, as only very many have.
    for (id, commit) in [("1", "abcdef01"), ("2", "abcdef02")] {
        let path = site.target(&format!(".cutover/releases/{id}/record"));
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record["provenance"]["commit"] = json!(commit);
        fs::write(path, record.to_string()).unwrap();
    }
    let said = "`abcdef0` is the beginning of 2 commits of releases";
    site.refused(&["rollback", "--to", "abcdef0"], 1, &[said, "Hint: Name more digits of the commit"]);
    to("abcdef01", "1");
}

#[test]
fn a_rollback_asks_before_it_leaves_migrations() {
    let site = Site::new();
    let [a, b, c] = ["A", "B", "C"].map(|name| deploy(&site, name));
    note_migrations(&site, &c, &["migrate", "seed"]);
    note_migrations(&site, &b, &["migrate"]);
    let said =
        |to: &str, ran: &str| format!("A rollback to release {to} does not undo migrations that ran since: {ran}");
    let of_c = format!("`migrate`, `seed` of release {c}");
    site.refused(&["rollback"], 1, &[&said(&b, &of_c), "run the command again with `--yes`"]);
    let both = format!("{of_c}, `migrate` of release {b}");
    site.refused(&["rollback", &a], 1, &[&said(&a, &both)]);
    let report = site.succeed(&["rollback", "--yes"]);
    let warned = format!("The switch to release {b} does not undo migrations that ran since: {of_c}");
    assert_eq!((&report["warnings"], version(&site)), (&json!([warned]), "B".into()));
    // The way forward leaves none. A switch warns and asks nothing.
    assert_eq!(site.succeed(&["rollback", "--forward"])["warnings"], json!([]));
    assert_eq!(site.succeed(&["switch", &b])["warnings"], json!([warned]));
    let both = format!("`migrate` of release {b}, {of_c}");
    let warned = format!("The switch to release {a} does not undo migrations that ran since: {both}");
    assert_eq!(site.succeed(&["switch", &a])["warnings"], json!([warned]));
}

#[test]
fn a_rollback_asks_about_the_migrations_of_a_release_that_failed_and_names_each_once() {
    for (hook, phase) in [("fails", "before_switch"), ("fails", "after_switch")] {
        let mut site = Site::new();
        let [a, _] = ["A", "B"].map(|name| deploy(&site, name));
        site.configure(&format!(
            "[[hooks]]\nname = 'migrate'\nphase = 'before_switch'\nrun = 'true'\nmigration = true\n\
             [[hooks]]\nname = '{hook}'\nphase = '{phase}'\nrun = 'exit 1'\non_rollback = false\n"
        ));
        site.write("version", "C");
        site.cutover(&["deploy", "--release", "3"]).failed(6, &["The hook `fails`"]);
        let said =
            format!("A rollback to release {a} does not undo migrations that ran since: `migrate` of release 3\n");
        site.refused(&["rollback"], 1, &[&said]);
        // Once more for the same release.
        site.succeed(&["switch", "3", "--skip-hooks"]);
        site.succeed(&["hooks", "run", "migrate"]);
        let ran = site.cutover(&["rollback"]);
        assert!(ran.stderr.contains(": `migrate` of release 3\n"), "{}", ran.stderr);
    }
}

/// Runs a verb on a terminal on which somebody types.
fn on_terminal(site: &Site, words: &[&str], typed: &str) -> RunResult {
    let command = site.command(words);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
    let line: Vec<String> = [command.get_program()].into_iter().chain(command.get_args()).map(quoted).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    script.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    let typing = site.path("typing");
    fs::write(&typing, typed).unwrap();
    let output = script.stdin(fs::File::open(typing).unwrap()).current_dir(site.path("")).output().unwrap();
    RunResult { stderr: String::from_utf8_lossy(&output.stdout).into_owned(), ..RunResult::of(&output) }
}

#[test]
fn on_a_terminal_the_answer_decides() {
    let site = Site::new();
    let [a, b] = ["A", "B"].map(|name| deploy(&site, name));
    note_migrations(&site, &b, &["migrate"]);
    let question =
        format!("A rollback to release {a} does not undo migrations that ran since: `migrate` of release {b}. Go on?");
    for (typed, code, expected) in [("n\n", 1, "B"), ("\n", 1, "B"), ("y\n", 0, "A")] {
        let ran = on_terminal(&site, &["rollback"], typed);
        assert!(ran.stderr.contains(&question), "{}", ran.stderr);
        assert_eq!((ran.code, version(&site)), (Some(code), expected.to_owned()), "{typed:?}: {}", ran.stderr);
    }
}

#[test]
fn the_release_that_a_rollback_left_stays_for_its_fault_and_takes_no_place() {
    let mut site = Site::new();
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    let [_, b, c] = ["A", "B", "C"].map(|name| deploy(&site, name));
    site.succeed(&["rollback"]);
    let d = deploy(&site, "D");
    assert_eq!(site.release_names(), [b.clone(), c.clone(), d.clone()]);
    // The newest bad one stays.
    site.succeed(&["rollback"]);
    let e = deploy(&site, "E");
    assert_eq!(site.release_names(), [b, d, e]);
}

#[test]
fn a_pinned_release_stays_until_it_is_unpinned() {
    let mut site = Site::new();
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    let a = deploy(&site, "A");
    let report = site.succeed(&["pin", &a, "--until", "2099-12-31", "--note", "the year-end report"]);
    let pin = json!({ "until": "2099-12-31", "note": "the year-end report", "by": report["pinned"]["by"] });
    assert_eq!((&report["pinned"], &report["before"]), (&pin, &json!(null)));
    let [b, c, d] = ["B", "C", "D"].map(|name| deploy(&site, name));
    assert_eq!(site.release_names(), [a.clone(), c.clone(), d.clone()]);
    assert_eq!(release(&site, &a)["pinned"], pin);
    let line = format!("\n{a} is pinned until 2099-12-31: the year-end report (by tester@");
    let listed = site.shows(&["releases"]);
    assert!(listed.contains(&line), "{listed}");
    let gone = format!("There is no release {b}");
    site.cutover(&["pin", &b]).failed(1, &[&gone, "Hint: See `cutover releases"]);

    assert_eq!(site.succeed(&["pin", &a])["before"], pin);
    site.succeed(&["unpin", &a]);
    assert_eq!(site.succeed(&["unpin", &a])["before"], json!(null));
    site.succeed(&["cleanup"]);
    assert_eq!(site.release_names(), [c, d]);
}

#[test]
fn a_pin_with_a_wrong_day_or_note_is_refused() {
    let site = Site::new();
    let a = deploy(&site, "A");
    let over = site.cutover(&["pin", &a, "--until", "2020-02-29"]);
    over.failed(1, &["A pin until 2020-02-29 would be over already: on the server it is 20", "Hint: Name a later day"]);
    for (flag, value, reason) in [
        ("--until", "2026-02-30", "`2026-02-30` is no day"),
        ("--until", "tomorrow", "`tomorrow` is no day"),
        ("--note", "", "it is empty"),
        ("--note", "two\nlines", "it has a line break"),
        ("--note", &"x".repeat(501), "it has more than 500 bytes"),
    ] {
        site.cutover(&["pin", &a, flag, value]).failed(2, &[reason]);
    }
    site.cutover(&["pin"]).failed(2, &["<ID>"]);
    site.cutover(&["pin", "shop"]).failed(2, &["No release is named"]);
    site.cutover(&["pin", "1", "2"]).failed(2, &["A pin is of one release"]);
    assert_eq!(release(&site, &a)["pinned"], json!(null));
}

#[test]
fn a_release_may_be_called_by_a_version_and_the_config_says_which_word_is_a_stage() {
    let mut site = Site::new();
    let path = site.target("").display().to_string();
    site.configure(&format!("[web1]\ndeploy_path = '{path}'\n[v2]\ndeploy_path = '{path}'\n"));
    for name in ["v1.2", "release-42", "rc1"] {
        site.write("version", name);
        site.deploy(&["web1", "--release", name]);
        assert_eq!(site.live().as_deref(), Some(name));
    }
    assert_eq!(site.release_names(), ["rc1", "release-42", "v1.2"]);
    site.succeed(&["switch", "v1.2", "web1"]);
    site.succeed(&["switch", "v2", "rc1"]);
    assert_eq!(site.live().as_deref(), Some("rc1"));
    site.succeed(&["rollback", "web1", "release-42"]);
    assert_eq!(site.live().as_deref(), Some("release-42"));
    site.succeed(&["rollback", "web1", "--to", "v1.2"]);
    assert_eq!(site.live().as_deref(), Some("v1.2"));
    assert_eq!(site.succeed(&["pin", "v1.2", "v2"])["release"], "v1.2");
    assert_eq!(site.succeed(&["diff", "web1", "release-42", "v1.2"])["files_changed"], 1);
    // A release by the time, among names that are none.
    site.write("version", "next");
    assert!(site.deploy(&["web1"])["release"].as_str().unwrap().starts_with("20"));
    site.refused(&["deploy", "web1", "--release", "v2", "--force"], 2, &["A release cannot be called `v2`"]);
    site.refused(&["switch", "prodution", "v1.2"], 2, &["There is no stage `prodution`", "`v2` and `web1`"]);
    site.refused(&["switch", "v1.3", "web1"], 1, &["v1.3"]);
    for name in ["live", "source", "shop", ".1", "-1"] {
        assert_eq!(site.cutover(&["deploy", "web1", &format!("--release={name}")]).code, Some(2), "{name}");
    }
}
