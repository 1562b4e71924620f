//! Checks after the switch, and the confirmation that a release waits for: whoever goes away, the server ends with a
//! release that somebody held for good.

use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::line::Line;
use crate::support::process;
use crate::support::site::{RunResult, Site, text};
use crate::support::wait;

/// A site with a release, whose next deploys have a config.
fn site_with(config: &str) -> (Site, String) {
    let mut site = Site::new();
    site.write("index.html", "one");
    let live = text(&site.deploy(&[])["release"]);
    site.configure(config);
    site.write("index.html", "two");
    (site, live)
}

#[test]
fn a_release_that_its_client_confirms_stays() {
    let (site, before) = site_with("confirm = '60s'");
    let report = site.deploy(&[]);
    assert_eq!(report["state"], "live");
    assert_ne!(site.live(), Some(before));
    // No wait is left behind.
    site.write("index.html", "three");
    site.deploy_and_compare(&[]);
}

#[test]
fn a_check_of_either_side_that_fails_takes_the_release_back_and_marks_it() {
    for from in ["client", "server"] {
        let config = format!(
            "logs = ['app.log']\n[[checks]]\nname = 'page'\nrun = 'echo looking; grep -q right index.html'\n\
             cwd = 'CURRENT'\nfrom = '{from}'\nretries = 1\ninterval = '1s'\n"
        );
        let (mut site, before) = site_with("");
        let current = site.current("").display().to_string();
        site.configure(&config.replace("CURRENT", current.trim_end_matches('/')));
        site.write("app.log", "first\nFatal error: no such table\n");
        let ran = site.cutover(&["deploy", "--release", "2"]);
        ran.failed(6, &["The check `page` failed", "[page] looking", "Check page, try 2"]);
        assert!(ran.stderr.contains("Fatal error: no such table"), "{from}: {}", ran.stderr);
        assert!(ran.stderr.ends_with(&format!("The site still serves release {before}.\n")), "{}", ran.stderr);
        assert_eq!(site.live(), Some(before.clone()));
        let releases = site.succeed(&["releases"]);
        let bad = releases["releases"].as_array().unwrap().iter().find(|release| release["id"] == "2").unwrap();
        assert_eq!(bad["state"], "bad", "{from}: {bad}");
        site.write("index.html", "right");
        site.deploy_and_compare(&[]);
    }
}

/// A hook after the switch that says when it has begun, and waits for a file.
const WAIT: &str = "[[hooks]]\nname = 'wait'\nphase = 'after_switch'\n\
     run = 'touch \"$CUTOVER_SHARED_PATH/begun\"; until test -e \"$CUTOVER_SHARED_PATH/go\"; do sleep 0.05; done'\n\
     on_rollback = false\n";

/// Deploys until the hook after the switch waits.
fn deploy_until_it_waits(site: &Site) -> Child {
    let deploy = site.command(&["deploy", "--release", "2"]).spawn().unwrap();
    wait::until("the hook waits", || site.target("shared/begun").exists().then_some(()));
    assert_eq!(site.live().as_deref(), Some("2"));
    deploy
}

#[test]
fn a_confirmation_that_never_comes_switches_back() {
    let Some(Line { mut site, sshd, user, .. }) = Line::start() else { return };
    let other = Site::over(&sshd, &user);
    site.write("index.html", "one");
    let before = text(&site.deploy(&[])["release"]);
    site.configure(&format!("confirm = '2s'\n{WAIT}"));
    site.write("index.html", "two");
    let mut deploy = deploy_until_it_waits(&site);
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    site.write_shared("go", "");
    wait::until("the lock is free", || (other.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    assert_eq!(site.live(), Some(before));
    // The next run tells it.
    site.configure("");
    let ran = site.cutover(&["deploy"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("failed after its client had gone: The release was not confirmed within 2 s"),
        "{}",
        ran.stderr
    );
}

#[test]
fn no_hook_and_no_check_after_the_switch_outlasts_the_time_to_confirm() {
    let hook = |run: &str, more: &str| {
        format!("[[hooks]]\nname = 'hook'\nphase = 'after_switch'\non_rollback = false\nrun = '{run}'\n{more}\n")
    };
    let check = |run: &str| {
        let tries = "retries = 1000\ninterval = '1s'\n";
        format!("[[checks]]\nname = 'page'\nfrom = 'server'\n{run}\n{tries}")
    };
    let configs = [
        hook("sleep 1000", "on_error = 'keep'"),
        hook("sleep 1000", "halt_on_error = false"),
        format!("{}{}", hook("sleep 1.5", ""), hook("sleep 1000", "").replace("'hook'", "'second'")),
        check("run = 'sleep 1000'"),
        check("run = 'exit 1'"),
        check("url = 'http://127.0.0.1:9/'"),
    ];
    for config in configs {
        let (site, before) = site_with(&format!("confirm = '2s'\n{config}"));
        let ran = site.cutover(&["deploy", "--release", "2"]);
        ran.failed(
            6,
            &["The release was not confirmed within 2 s", &format!("The site still serves release {before}.")],
        );
        assert_eq!(site.live(), Some(before), "{config}");
    }
    // A migration must not stop half-way.
    let migrate = hook("sleep 2; echo end > \"$CUTOVER_SHARED_PATH/end\"", "migration = true");
    let (site, before) = site_with(&format!("confirm = '1s'\n{migrate}"));
    site.cutover(&["deploy", "--release", "2"]).failed(6, &["The release was not confirmed within 1 s"]);
    assert!(site.target("shared/end").exists());
    assert_eq!(site.live(), Some(before));
}

#[test]
fn a_release_whose_runner_was_killed_too_is_left_by_the_next_run() {
    let (site, before) = site_with(&format!("confirm = '1h'\n{WAIT}"));
    process::kill_with_runner(deploy_until_it_waits(&site));
    site.write_shared("go", "");
    wait::until("the lock is free", || (site.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    // Nobody has looked yet.
    assert_eq!(site.live().as_deref(), Some("2"));
    let ran = site.cutover(&["cleanup"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("Release 2 failed: switching back to release {before}")), "{}", ran.stderr);
    assert_eq!(site.live(), Some(before));
}

#[test]
fn a_rollback_from_a_release_whose_trial_did_not_end_goes_one_back() {
    let (mut site, _) = site_with("");
    let before = text(&site.deploy(&["--release", "1"])["release"]);
    let migrate = "[[hooks]]\nname = 'migrate'\nphase = 'before_switch'\nrun = 'true'\nmigration = true\n";
    site.configure(&format!("confirm = '1h'\n{migrate}{WAIT}"));
    site.write("index.html", "three");
    let deploy = deploy_until_it_waits(&site);
    let trial = site.succeed(&["status"])["trial"].clone();
    assert_eq!(trial, json!({ "back_to": before, "needs_confirmation": true }));
    process::kill_with_runner(deploy);
    site.write_shared("go", "");
    wait::until("the lock is free", || (site.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    let report = site.succeed(&["rollback", "--yes"]);
    assert_eq!((&report["release"], &report["previous"]), (&json!(before), &json!("2")));
    let warned = "does not undo migrations that ran since: `migrate` of release 2";
    assert!(report["warnings"].to_string().contains(warned), "{report}");
    let status = site.succeed(&["status"]);
    assert_eq!((&status["live"]["id"], &status["live"]["bad"]), (&json!(before), &json!(null)));
    assert_eq!(status["trial"], json!(null));
}

#[test]
fn a_confirmation_that_comes_too_late_changes_nothing() {
    let config = "confirm = '1s'\n[[checks]]\nname = 'slow'\nrun = 'sleep 4'\n";
    let (site, before) = site_with(config);
    let ran = site.cutover(&["deploy"]);
    ran.failed(6, &["The release was not confirmed within 1 s", &format!("The site still serves release {before}.")]);
    assert_eq!(site.live(), Some(before));
}

#[test]
fn checks_of_the_client_end_when_the_server_has_decided_without_them() {
    let (site, before) = site_with(
        "confirm = '2s'\n[[checks]]\nname = 'slow'\nrun = 'sleep 1000'\nfrom = 'client'\ntimeout = '1h'\n\
         [[checks]]\nname = 'never'\nrun = 'true'\nfrom = 'client'\n",
    );
    let ran = site.cutover(&["deploy", "--release", "2"]);
    ran.failed(6, &["was not confirmed within 2 s", &format!("The site still serves release {before}.")]);
    assert!(!ran.stderr.contains("Check slow") && !ran.stderr.contains("Check never"), "{}", ran.stderr);
    assert_eq!(site.live(), Some(before));
}

#[test]
fn an_interruption_after_the_switch_switches_back() {
    let (site, before) = site_with(WAIT);
    let deploy = deploy_until_it_waits(&site);
    kill_process(Pid::from_child(&deploy), Signal::INT).unwrap();
    let ran = RunResult::wait(deploy);
    ran.failed(130, &["Interrupted", &format!("The site still serves release {before}.")]);
    assert_eq!(site.live(), Some(before));
}
