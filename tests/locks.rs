//! The lock: who waits for it, who is told what of whom, who keeps deploys out, who is interrupted, and that it is free
//! after every signal.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::line::{Line, MIB, agent_of, ended, staged_bytes, write_noise};
use crate::support::real_tree::noise;
use crate::support::site::{RunResult, Site, text};
use crate::support::sshd::run;
use crate::support::tree::assert_same;
use crate::support::wait;

fn host() -> String {
    run(&mut Command::new("hostname")).trim().to_owned()
}

/// A run whose stderr is read while it runs.
struct Run {
    child: Child,
    stderr: PathBuf,
}

impl Run {
    fn start(site: &Site, words: &[&str]) -> Run {
        let stderr = site.path("stderr");
        let mut command = site.command(words);
        let child = command.stderr(File::create(&stderr).unwrap()).spawn().unwrap();
        Run { child, stderr }
    }

    /// Waits until it has said something.
    fn wait_for(&self, words: &str) {
        wait::until("it is said", || fs::read_to_string(&self.stderr).unwrap().contains(words).then_some(()));
    }

    fn ended(self) -> RunResult {
        let ran = ended(self.child);
        RunResult { stderr: fs::read_to_string(self.stderr).unwrap(), ..ran }
    }
}

/// A signal that is ignored, as SIGINT is by what a script runs in the background, is ignored by the client too. One
/// that is handled here is not.
fn as_ever(signal: Signal) {
    let as_ever = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(signal.as_raw(), as_ever).unwrap();
}

#[test]
fn a_deploy_waits_for_another_one_and_says_once_for_whom() {
    let Some(line) = Line::start() else { return };
    line.site.write("version", "one");
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    let other = line.other_client();
    // Known to this client, so that it has little to send and would send it unasked.
    other.write("version", "two");
    let waiting = Run::start(&other, &["deploy", "--lock-wait"]);
    waiting.wait_for("Waiting for the lock of ");
    line.relay.release();
    let first = text(&ended(deploy).succeeded()["release"]);
    let ran = waiting.ended();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let whom = format!("Waiting for the lock of tester@{} since 20", host());
    assert_eq!(ran.stderr.matches(&whom).count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("Got the lock in "), "{}", ran.stderr);
    assert_eq!(ran.json["previous"], json!(first));
    assert!(text(&ran.json["release"]) > first);
    assert_same(&other.path("source"), &other.current(""));
}

#[test]
fn a_wait_that_was_in_vain_ends_with_5() {
    let Some(line) = Line::start() else { return };
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    let other = line.other_client();
    other.write("other", "client");
    for words in [&["deploy", "--lock-wait=1s"][..], &["cleanup", "--lock-wait=1s"], &["rollback", "--lock-wait=1s"]] {
        let ran = other.cutover(words);
        ran.failed(
            5,
            &["Another run is still at work after 1 s: tester@", "Hint: Run the command again, with a longer"],
        );
    }
    other.cutover(&["deploy", "--lock-wait=soon"]).failed(2, &["expected a number and a unit"]);
    line.relay.release();
    ended(deploy).succeeded();
}

#[test]
fn who_interrupts_a_wait_ends_it_at_once_and_nobody_else() {
    let Some(line) = Line::start() else { return };
    line.site.write("first", "release");
    let first = line.site.deploy_and_compare(&[]);
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    let other = line.other_client();
    for (verb, signal, code) in [
        ("deploy", Signal::INT, 130),
        ("deploy", Signal::TERM, 143),
        ("deploy", Signal::HUP, 143),
        ("rollback", Signal::INT, 130),
        ("cleanup", Signal::TERM, 143),
    ] {
        as_ever(signal);
        other.write("other", format!("{verb} {code}"));
        let waiting = Run::start(&other, &[verb, "--lock-wait=10m"]);
        waiting.wait_for("Waiting for the lock of ");
        let began = Instant::now();
        kill_process(Pid::from_child(&waiting.child), signal).unwrap();
        let ran = waiting.ended();
        // It would wait for ten minutes.
        assert!(began.elapsed() < Duration::from_secs(60), "{verb} {signal:?}: {:?}", began.elapsed());
        ran.failed(code, &["Error [interrupted]: Interrupted"]);
        if verb != "cleanup" {
            assert!(ran.stderr.ends_with(&format!("The site still serves release {first}.\n")), "{}", ran.stderr);
        }
    }
    line.relay.release();
    ended(deploy).succeeded();
    assert_same(&line.site.path("source"), &line.site.current(""));
    assert_eq!(other.succeed(&["lock", "status"])["lock"], json!(null));
}

#[test]
fn who_waits_gets_the_lock_of_a_client_that_was_killed() {
    let Some(line) = Line::start() else { return };
    write_noise(&line.site, 30, MIB);
    let mut deploy = line.start_deploy(10, 1);
    let other = line.other_client();
    other.write("other", "client");
    let waiting = Run::start(&other, &["deploy", "--lock-wait"]);
    waiting.wait_for("Waiting for the lock of ");
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    line.relay.release();
    waiting.ended().succeeded();
    assert_same(&other.path("source"), &other.current(""));
}

#[test]
fn a_lock_whose_times_are_an_hour_off_is_held_all_the_same() {
    let Some(line) = Line::start() else { return };
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    let other = line.other_client();
    other.write("other", "client");
    let lock = line.site.target(".cutover/lock");
    for hour in ["-1 hour", "+1 hour"] {
        run(Command::new("touch").args(["-d", hour]).arg(&lock));
        let mut since: serde_json::Value = serde_json::from_slice(&fs::read(&lock).unwrap()).unwrap();
        let shift = if hour.starts_with('-') { -3600 } else { 3600 };
        since["since"] = json!(since["since"].as_i64().unwrap() + shift);
        // With the beat in its place, as the agent goes on to write it.
        let beat = format!("{{\"beat\":{:>20},", since["beat"].as_u64().unwrap());
        since.as_object_mut().unwrap().remove("beat");
        fs::write(&lock, format!("{beat}{}", &since.to_string()[1..])).unwrap();
        other.cutover(&["deploy"]).failed(5, &["Another run is at work: tester@"]);
    }
    line.relay.release();
    ended(deploy).succeeded();
    assert_same(&line.site.path("source"), &line.site.current(""));
}

#[test]
fn the_job_of_a_ci_and_who_started_it_are_told() {
    let Some(line) = Line::start() else { return };
    write_noise(&line.site, 30, MIB);
    let mut command = line.site.command(&["deploy"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_ACTOR", "anna").env("GITHUB_REPOSITORY", "shop/site");
    command.env("GITHUB_SERVER_URL", "https://github.example").env("GITHUB_RUN_ID", "7");
    let deploy = line.start_deploy_of(&mut command, 10, 1);
    let other = line.other_client();
    other.write("other", "client");
    let job = "https://github.example/shop/site/actions/runs/7";
    let agent = agent_of(&line.site).as_raw_nonzero();
    let who = format!("anna@{} since 20", host());
    other.cutover(&["deploy"]).failed(5, &[&who, &format!(": deploy (process {agent}), {job}\n")]);
    for words in [&["status"][..], &["lock", "status"]] {
        let lock = &other.succeed(words)["lock"];
        assert_eq!((&lock["who"], &lock["job"], &lock["hook"]), (&json!("anna"), &json!(job), &json!(null)));
    }
    line.relay.release();
    ended(deploy).succeeded();
    let releases = other.succeed(&["releases"]);
    assert_eq!(releases["releases"][0]["who"], json!(format!("anna@{}", host())));
}

#[test]
fn a_manual_lock_keeps_deploys_out_until_somebody_removes_it() {
    let site = Site::new();
    site.write("version", "one");
    let first = site.deploy_and_compare(&[]);
    site.write("version", "two");
    let second = site.deploy_and_compare(&[]);
    site.write("version", "three");
    assert_eq!(site.succeed(&["unlock"])["removed"], json!(null));

    let held = site.succeed(&["lock", "acquire", "-m", "freeze until Monday"])["manual_lock"].clone();
    assert_eq!((&held["who"], &held["message"]), (&json!("tester"), &json!("freeze until Monday")));
    let by = format!("Error [deploys-locked]: The deploy path is locked by tester@{} since 20", host());
    let expected = [&by, ": freeze until Monday\n", "Hint: `cutover unlock --target "];
    for words in [
        &["deploy"][..],
        // It is not waited for.
        &["deploy", "--lock-wait"],
        &["switch", &first],
        &["rollback"],
        &["rollback", "--interrupt"],
        &["cleanup"],
        &["lock", "acquire", "-m", "mine"],
    ] {
        site.cutover(words).failed(5, &expected);
    }
    assert_eq!(site.live(), Some(second.clone()));
    for words in [&["status"][..], &["lock", "status"]] {
        assert_eq!(site.succeed(words)["manual_lock"], held);
    }
    site.succeed(&["deploy", "--dry-run"]);
    site.succeed(&["cleanup", "--dry-run"]);

    // An emergency does not wait.
    assert_eq!(site.succeed(&["rollback", "--pass-lock"])["release"], json!(first));
    assert_eq!(site.succeed(&["lock", "status"])["manual_lock"], held);

    assert_eq!(site.succeed(&["lock", "release"])["removed"], held);
    assert_eq!(site.succeed(&["unlock"])["removed"], json!(null));
    assert_eq!(site.succeed(&["status"])["manual_lock"], json!(null));
    site.deploy_and_compare(&[]);
}

#[test]
fn a_manual_lock_needs_a_deploy_path_and_a_message_of_one_line() {
    let site = Site::new();
    for words in [&["lock", "acquire", "-m", "freeze"][..], &["lock", "status"], &["unlock"]] {
        site.cutover(words).failed(1, &["Hint: "]);
    }
    site.succeed(&["setup"]);
    let long = "x".repeat(501);
    for (message, reason) in [
        ("", "The message is empty"),
        (" \t", "The message is empty"),
        ("one\ntwo", "The message holds the control character `\\n`"),
        ("\u{1b}[2J", "The message holds the control character `\\u{1b}`"),
        (&long, "The message has 501 bytes, and may have 500"),
    ] {
        site.cutover(&["lock", "acquire", "-m", message]).failed(2, &[reason]);
    }
    site.cutover(&["lock", "acquire"]).failed(2, &["--message <TEXT>"]);
    assert_eq!(site.succeed(&["lock", "status"])["manual_lock"], json!(null));
    // A file that somebody wrote by hand is one too, and shows no control character.
    fs::write(
        site.target(".cutover/manual-lock"),
        json!({"who": "a\u{1b}", "from": "b", "since": 0, "message": "c\nd"}).to_string(),
    )
    .unwrap();
    site.write("a", "file");
    let ran = site.cutover(&["deploy"]);
    ran.failed(5, &["a\\u{1b}@b since 1970-01-01 00:00:00Z: c"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    site.succeed(&["unlock"]);
    site.deploy(&[]);
}

#[test]
fn a_rollback_interrupts_an_upload_and_both_are_told() {
    let Some(line) = Line::start() else { return };
    let Line { site, relay, .. } = &line;
    site.write("version", "one");
    let first = site.deploy_and_compare(&[]);
    site.write("version", "two");
    let second = site.deploy_and_compare(&[]);
    write_noise(site, 60, MIB);
    let before = relay.passed_bytes();
    let deploy = line.start_deploy(27, 22);
    let agent = agent_of(site).as_raw_nonzero();
    let other = line.other_client();
    let ran = other.cutover(&["rollback", "--interrupt"]);
    let interrupted = format!("Interrupted tester@{} since 20", host());
    ran.failed(0, &[&interrupted, &format!(": deploy (process {agent})")]);
    assert_eq!(ran.json["release"], json!(first));
    assert!(text(&ran.json["warnings"][0]).starts_with(&interrupted));

    let by = format!("Error [interrupted-by-another]: tester@{} interrupted this deploy with a rollback", host());
    let ran = ended(deploy);
    ran.failed(5, &[&by, "Hint: Run the command again when that is done: received content is kept"]);
    assert!(ran.stderr.ends_with(&format!("The site still serves release {second}.\n")), "{}", ran.stderr);
    assert_eq!(site.live(), Some(first));
    assert!(!site.target(".cutover/interrupt").exists());

    relay.release();
    assert!(staged_bytes(site) >= 20 * MIB);
    site.deploy_and_compare(&[]);
    let in_both_runs = relay.passed_bytes() - before;
    assert!(in_both_runs * 100 <= 60 * MIB * 115, "{in_both_runs} bytes for 60 MiB");
}

#[test]
fn a_rollback_that_interrupts_nobody_is_a_rollback() {
    let site = Site::new();
    site.write("version", "one");
    let first = site.deploy_and_compare(&[]);
    site.write("version", "two");
    site.deploy_and_compare(&[]);
    let ran = site.cutover(&["rollback", "--interrupt"]);
    assert_eq!((&ran.json["release"], &ran.json["warnings"]), (&json!(first), &json!([])));
}

/// What is seen of a deploy at the moment of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Start,
    Staging,
    Objects,
    Release,
    Live,
}

fn has_entries(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

#[test]
fn after_a_signal_at_any_moment_the_lock_is_free_and_what_is_live_is_told() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        as_ever(signal);
        for seen in [Seen::Start, Seen::Staging, Seen::Objects, Seen::Release, Seen::Live] {
            let site = Site::new();
            for file in 0..300 {
                site.write(&format!("dir-{}/same-{file}", file % 20), format!("same {file}"));
            }
            let first = site.deploy_and_compare(&[]);
            for file in 0..300 {
                site.write(&format!("dir-{}/new-{file}", file % 20), noise(file, 20_000));
            }
            let (objects, standing) = (site.objects().len(), site.release_names().len());
            let mut deploy = Run::start(&site, &["deploy"]);
            wait::until("there is something to see", || {
                let is_seen = match seen {
                    Seen::Start => has_entries(&PathBuf::from(format!("/proc/{}/task", deploy.child.id()))),
                    Seen::Staging => has_entries(&site.target(".cutover/staging")),
                    Seen::Objects => site.objects().len() > objects,
                    Seen::Release => site.release_names().len() > standing,
                    Seen::Live => site.live() != Some(first.clone()),
                };
                (is_seen || deploy.child.try_wait().unwrap().is_some()).then_some(())
            });
            kill_process(Pid::from_child(&deploy.child), signal).ok();
            let ran = deploy.ended();
            let live = site.live().unwrap();
            let last = ran.stderr.lines().last().unwrap_or_default();
            match (ran.code, live == first) {
                // It was done before the signal came, or had only to answer.
                (Some(0), false) => {}
                // So early that the server was not asked yet.
                (Some(ended), true) if ended == code && seen == Seen::Start && last == "Nothing was switched." => {}
                (Some(ended), true) if ended == code => {
                    assert_eq!(last, format!("The site still serves release {first}."), "{signal:?} {seen:?}");
                }
                (Some(ended), false) if ended == code => {
                    assert_eq!(last, format!("The site now serves release {live}."), "{signal:?} {seen:?}");
                }
                // So early that the program does not handle signals yet.
                (None, true) if matches!(seen, Seen::Start) => {}
                other => panic!("{signal:?} {seen:?} {other:?}: {}", ran.stderr),
            }
            assert_eq!(site.succeed(&["lock", "status"])["lock"], json!(null), "{signal:?} {seen:?}");
            // It was released, and not left behind by a run that died.
            let ran = site.cutover(&["deploy"]);
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            assert!(!ran.stderr.contains("Took over"), "{signal:?} {seen:?}: {}", ran.stderr);
            assert_same(&site.path("source"), &site.current(""));
        }
    }
}
