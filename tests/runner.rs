//! The runner at its edges: a client that goes away between two of its acts, commands that cannot be run, what the
//! journal keeps, and what stays secret.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::line::Line;
use crate::support::site::{RunResult, Site, text};
use crate::support::wait;

/// Makes a site with a release, whose next deploys have a config.
fn site_with(config: &str) -> (Site, String) {
    let mut site = Site::new();
    site.write("index.html", "one");
    let live = text(&site.deploy(&[])["release"]);
    site.configure(config);
    site.write("index.html", "two");
    (site, live)
}

/// A hook as TOML.
fn hook(phase: &str, run: &str, more: &str) -> String {
    format!("[[hooks]]\nname = 'hook'\nphase = '{phase}'\nrun = '''{run}'''\n{more}\n")
}

/// Returns a trial that leads back to a release, as it stands in a record.
fn trial_back_to(release: &str) -> Value {
    json!({ "confirmation": { "boot": null, "until": 0 }, "back_to": release, "marks_bad": true })
}

/// Returns the runs of `cutover log`, the newest first.
fn runs(site: &Site) -> Vec<Value> {
    site.succeed(&["log"])["runs"].as_array().unwrap().clone()
}

/// Asserts that no file below a directory holds a text.
fn assert_absent(directory: &Path, secret: &str) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_absent(&path, secret);
        } else if path.is_file() {
            let content = fs::read(&path).unwrap();
            assert!(!content.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn no_switch_begins_if_the_client_went_away_during_an_earlier_hook() {
    let wait = "touch \"$CUTOVER_SHARED_PATH/begun\"; until test -e \"$CUTOVER_SHARED_PATH/go\"; do sleep 0.05; done";
    for phase in ["before_upload", "after_upload"] {
        let Some(Line { mut site, sshd, user, .. }) = Line::start() else { return };
        let other = Site::over(&sshd, &user);
        site.write("index.html", "one");
        let live = text(&site.deploy(&[])["release"]);
        site.configure(&hook(phase, wait, ""));
        site.write("index.html", "two");
        let mut deploy = site.command(&["deploy"]).spawn().unwrap();
        wait::until("the hook has begun", || site.target("shared/begun").exists().then_some(()));
        deploy.kill().unwrap();
        deploy.wait().unwrap();
        site.write_shared("go", "");
        wait::until("the lock is free", || (other.succeed(&["status"])["lock"] == json!(null)).then_some(()));
        assert_eq!(site.live(), Some(live), "{phase}");
        site.configure("");
        site.deploy(&[]);
    }
}

#[test]
fn a_hook_whose_command_cannot_be_run_has_failed_like_any_other() {
    for wrong in ["shell = '/no/such/shell'", "cwd = 'no/such/directory'"] {
        for phase in ["build", "before_switch"] {
            let (mut site, live) = site_with(&hook(phase, "true", wrong));
            let ran =
                site.refused(&["deploy"], 6, &[&format!("The hook `hook` ({phase}) could not be run"), "no/such/"]);
            assert!(ran.stderr.contains("No such file or directory"), "{}", ran.stderr);
            assert_eq!(site.live(), Some(live));
            site.configure(&hook(phase, "true", &format!("{wrong}\nhalt_on_error = false")));
            let report = site.deploy(&[]);
            assert!(text(&report["warnings"][0]).contains("could not be run"), "{report}");
        }
        // What follows is for the policy to say.
        let (site, live) = site_with(&hook("after_switch", "true", &format!("{wrong}\non_error = 'keep'")));
        site.cutover(&["deploy"]).failed(6, &["could not be run", "The site now serves release"]);
        assert_ne!(site.live(), Some(live));
    }
}

#[test]
fn a_confirmation_that_a_switch_left_behind_does_not_take_a_release_back_later() {
    let (site, before) = site_with("");
    site.deploy(&["--release", "2", "--no-switch"]);
    // As a runner leaves it that was killed between the record and the switch.
    let record = site.target(".cutover/releases/2/record");
    let mut noted: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    noted["trial"] = trial_back_to(&before);
    fs::write(&record, noted.to_string()).unwrap();
    site.succeed(&["switch", "2"]);
    let ran = site.cutover(&["cleanup"]);
    assert_eq!((ran.code, site.live().as_deref()), (Some(0), Some("2")), "{}", ran.stderr);
}

#[test]
fn each_command_that_holds_the_lock_leaves_a_release_that_nobody_confirmed() {
    for words in [&["hooks", "run", "hook"][..], &["pin", "2"], &["cleanup"], &["switch", "2"]] {
        let (site, before) = site_with(&hook("after_deploy", "true", ""));
        site.deploy(&["--release", "2"]);
        let record = site.target(".cutover/releases/2/record");
        let mut noted: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        noted["trial"] = trial_back_to(&before);
        fs::write(&record, noted.to_string()).unwrap();
        let ran = site.cutover(words);
        let returned = format!("Release 2 failed: switching back to release {before}");
        assert!(ran.stderr.contains(&returned), "{words:?}: {}", ran.stderr);
    }
}

#[test]
fn a_run_by_hand_has_a_journal_with_its_head_and_its_end() {
    let (site, live) = site_with(&hook("before_switch", "echo output", ""));
    site.deploy(&["--release", "2", "--no-switch"]);
    site.succeed(&["hooks", "run", "hook"]);
    site.succeed(&["switch", "2"]);
    let runs = runs(&site);
    let of = |run: &Value| (text(&run["verb"]), run["previous"].clone(), run["live"].clone(), run["error"].clone());
    let switched = ("switch".to_owned(), json!(live), json!("2"), json!(null));
    let ran = ("hooks run".to_owned(), json!(live), json!(live), json!(null));
    assert_eq!([of(&runs[0]), of(&runs[1])], [switched, ran]);
}

#[test]
fn a_run_that_failed_says_in_the_log_that_it_changed_nothing() {
    let (site, live) = site_with(&hook("before_switch", "exit 1", ""));
    site.cutover(&["deploy"]).failed(6, &["The hook `hook` (before_switch) failed"]);
    let run = &runs(&site)[0];
    assert_eq!((&run["previous"], &run["live"]), (&json!(live), &json!(live)));
}

#[test]
fn an_interruption_that_its_user_saw_is_no_news_for_the_next_run() {
    let wait = "touch \"$CUTOVER_SHARED_PATH/begun\"; sleep 1000";
    let (mut site, _) = site_with(&hook("before_switch", wait, ""));
    let deploy = site.command(&["deploy"]).spawn().unwrap();
    wait::until("the hook has begun", || site.target("shared/begun").exists().then_some(()));
    kill_process(Pid::from_child(&deploy), Signal::INT).unwrap();
    RunResult::wait(deploy).failed(130, &["Interrupted"]);
    site.configure("");
    assert_eq!(site.deploy(&[])["warnings"], json!([]));
}

#[test]
fn no_error_tells_a_secret_whether_on_the_terminal_or_on_the_server() {
    let failing = [
        hook("before_switch", "curl -H ${TOKEN} x", "shell = '/no/such/shell'"),
        "[[checks]]\nname = 'page'\nurl = 'http://127.0.0.1:9/?token=${TOKEN}'\nfrom = 'client'\n".to_owned(),
        "[[checks]]\nname = 'page'\nurl = 'http://127.0.0.1:9/?token=${TOKEN}'\nfrom = 'server'\n".to_owned(),
    ];
    for config in failing {
        let (mut site, _) = site_with("");
        site.configure(&config);
        let output = site.command(&["deploy"]).env("TOKEN", "s3cret-t0ken").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{stderr}");
        assert!(!stderr.contains("s3cret") && !String::from_utf8_lossy(&output.stdout).contains("s3cret"), "{stderr}");
        assert_absent(&site.target(".cutover"), "s3cret");
        assert_absent(&site.path("state"), "s3cret");
    }
}

#[test]
fn a_command_of_a_hook_that_needs_the_lock_is_refused_at_once() {
    let program = env!("CARGO_BIN_EXE_cutover");
    for words in ["deploy --lock-wait", "rollback --lock-wait", "cleanup", "rollback --interrupt"] {
        for phase in ["before_switch", "after_switch"] {
            let (mut site, live) = site_with("");
            let place = format!(
                "--target {} --state-dir {} --source {}",
                site.target("").display(),
                site.path("other").display(),
                site.path("source").display()
            );
            let place = if words.starts_with("deploy") { &place } else { place.split(" --source").next().unwrap() };
            site.configure(&hook(phase, &format!("exec {program} {words} {place}"), "on_rollback = false"));
            let refused = "This command runs inside the hook `hook`, whose run has the lock";
            let ran = site.cutover(&["deploy"]);
            ran.failed(6, &[refused, &format!("The hook `hook` ({phase}) failed: it ended with exit code 5")]);
            assert_eq!(site.live(), Some(live), "{words} {phase}");
        }
    }
}

#[test]
fn a_hook_that_removes_the_lock_its_release_or_the_journal_leaves_a_server_that_can_deploy() {
    let removals = [
        ("rm -f \"$CUTOVER_DEPLOY_PATH/.cutover/lock\"", 0),
        ("rm -rf \"$CUTOVER_DEPLOY_PATH/.cutover/journals\"", 0),
        ("rm -rf \"$CUTOVER_RELEASE_PATH\"", 6),
    ];
    for (run, code) in removals {
        for phase in ["before_switch", "after_switch"] {
            let (mut site, live) = site_with(&hook(phase, run, "on_rollback = false"));
            let ran = site.cutover(&["deploy", "--release", "2"]);
            if code == 0 {
                assert_eq!((ran.code, site.live().as_deref()), (Some(0), Some("2")), "{phase}: {}", ran.stderr);
            } else {
                let removed = format!("The hook `hook` ({phase}) removed the directory of release 2");
                ran.failed(code, &[&removed, &format!("The site still serves release {live}.")]);
                assert_eq!(site.live(), Some(live), "{phase}");
            }
            assert_eq!(site.succeed(&["lock", "status"])["lock"], json!(null), "{run} {phase}");
            site.configure("");
            site.deploy_and_compare(&["--force"]);
        }
    }
}
