//! Interruption and contention: whatever is interrupted, deleted or done at once, the next release is right,
//! `current` leads to one release or the other, and content that has arrived is not sent again.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::line::{Line, MIB, agent_of, ended, staged_bytes, write_noise};
use crate::support::mount::Mount;
use crate::support::real_tree::noise;
use crate::support::relay::Relay;
use crate::support::site::{Site, number, text};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::strace;
use crate::support::tree::{Tree, assert_same};
use crate::support::wait;

/// Who is killed in the middle of an upload.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Client,
    Agent,
}

/// Kills a deploy of 60 MiB half-way and repeats it.
fn what_arrived_is_not_sent_again(victim: Victim, files: u64) {
    let Some(line) = Line::start() else { return };
    let Line { site, relay, .. } = &line;
    site.write("first", "release");
    let first = site.deploy_and_compare(&[]);
    write_noise(site, files, 60 * MIB / files);

    let before = relay.passed_bytes();
    // What was on its way is lost: the rest of a block of 8 MiB, and a window of SSH that the client may still send.
    let mut deploy = line.start_deploy(27, 22);
    match victim {
        Victim::Client => deploy.kill().unwrap(),
        Victim::Agent => kill_process(agent_of(site), Signal::KILL).unwrap(),
    }
    relay.release();
    let ran = ended(deploy);
    if let Victim::Agent = victim {
        ran.failed(3, &["Hint: Run the command again; received content is kept"]);
    }
    assert_eq!(site.live(), Some(first));
    line.wait_until_unlocked();

    site.deploy_and_compare(&[]);
    let in_both_runs = relay.passed_bytes() - before;
    assert!(in_both_runs > 60 * MIB);
    assert!(in_both_runs * 100 <= 60 * MIB * 115, "{victim:?} {files}: {in_both_runs} bytes for {} MiB", 60);
    assert_eq!(staged_bytes(site), 0);
}

#[test]
fn what_arrived_before_the_client_was_killed_is_not_sent_again() {
    what_arrived_is_not_sent_again(Victim::Client, 60);
}

#[test]
fn what_arrived_before_the_agent_was_killed_is_not_sent_again() {
    what_arrived_is_not_sent_again(Victim::Agent, 60);
}

#[test]
fn a_large_file_is_resumed_where_it_broke_off() {
    what_arrived_is_not_sent_again(Victim::Client, 1);
}

#[test]
fn a_large_file_whose_agent_was_killed_is_resumed() {
    what_arrived_is_not_sent_again(Victim::Agent, 1);
}

#[test]
fn one_deploy_at_a_time_and_the_other_is_told_who_is_at_work() {
    let Some(line) = Line::start() else { return };
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    let other = line.other_client();
    other.write("other", "client");
    let host = run(&mut Command::new("hostname"));
    let holder = format!("tester@{} since 20", host.trim());
    for words in [&["deploy"][..], &["cleanup"], &["switch", "1"], &["rollback"]] {
        other.cutover(words).failed(5, &[&holder, "Hint: Run the command again when that is done"]);
    }
    let lock = &other.succeed(&["status"])["lock"];
    assert_eq!((&lock["who"], &lock["from"], &lock["verb"]), (&json!("tester"), &json!(host.trim()), &json!("deploy")));
    assert!(number(&lock["since"]) > 0);
    line.relay.release();
    ended(deploy).succeeded();
    assert_same(&line.site.path("source"), &line.site.current(""));
    assert_eq!(other.succeed(&["status"])["lock"], json!(null));
    other.deploy_and_compare(&[]);
}

#[test]
fn who_removes_the_lock_file_lets_no_other_deploy_in() {
    let Some(line) = Line::start() else { return };
    line.site.write("version", "one");
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    for removed in [true, false] {
        if removed {
            fs::remove_file(line.site.target(".cutover/lock")).unwrap();
        } else {
            fs::write(line.site.target(".cutover/lock"), "").unwrap();
        }
        let other = line.other_client();
        other.write("version", "two");
        other
            .cutover(&["deploy"])
            .failed(5, &["Another run is at work", "Hint: Run the command again when that is done"]);
        assert!(other.succeed(&["status"])["lock"].is_object());
    }
    line.relay.release();
    ended(deploy).succeeded();
    assert_eq!(fs::read_to_string(line.site.current("version")).unwrap(), "one");
}

#[test]
fn the_lock_of_an_agent_that_was_killed_is_taken_over_and_said_so() {
    let Some(line) = Line::start() else { return };
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    let agent = agent_of(&line.site);
    kill_process(agent, Signal::KILL).unwrap();
    line.relay.release();
    ended(deploy).failed(3, &[]);
    let ran = line.site.cutover(&["deploy"]);
    ran.failed(0, &["Took over the lock", "tester@", &format!("process {}", agent.as_raw_nonzero())]);
    assert_same(&line.site.path("source"), &line.site.current(""));
    // It is said once.
    let ran = line.site.cutover(&["deploy", "--force"]);
    assert!(!ran.stderr.contains("Took over"), "{}", ran.stderr);
}

fn signalled(signal: Signal, code: i32) {
    let Some(line) = Line::start() else { return };
    // A signal that is ignored, as SIGINT is by what a script runs in the background, is ignored by the client too. One that
    // is handled here is not.
    let as_ever = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(signal.as_raw(), as_ever).unwrap();
    line.site.write("first", "release");
    let first = line.site.deploy_and_compare(&[]);
    write_noise(&line.site, 30, MIB);
    let deploy = line.start_deploy(10, 1);
    // The line is stuck, and stays so until the client has ended.
    kill_process(Pid::from_child(&deploy), signal).unwrap();
    let ran = ended(deploy);
    let last = format!("\nThe site still serves release {first}.\n");
    ran.failed(code, &["Stopping at the next safe point", "Error [interrupted]: Interrupted\nLog: ", &last]);
    assert_eq!(line.site.live(), Some(first));
    line.relay.release();
    line.wait_until_unlocked();
    line.site.deploy_and_compare(&[]);
}

#[test]
fn sigint_ends_a_deploy_with_130_and_nothing_is_switched() {
    signalled(Signal::INT, 130);
}

#[test]
fn sigterm_ends_a_deploy_with_143_and_nothing_is_switched() {
    signalled(Signal::TERM, 143);
}

#[test]
fn files_that_change_between_scan_and_sending_are_refused_by_name() {
    let Some(line) = Line::start() else { return };
    // More than what is read ahead while the line is stuck.
    write_noise(&line.site, 150, MIB);
    let deploy = line.start_deploy(10, 1);
    for file in 0..150 {
        line.site.write(&format!("dir-{}/file-{file}", file % 7), "changed");
    }
    line.relay.release();
    let expected = ["dir-", "changes while it is deployed", "Hint: Deploy again", "No release is live."];
    ended(deploy).failed(1, &expected);
    assert_eq!(line.site.live(), None);
    line.wait_until_unlocked();
    line.site.deploy_and_compare(&[]);
}

#[test]
fn a_disk_that_fills_up_meanwhile_is_told_and_what_arrived_is_kept() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    // The agent lies there too: that of a build for development is large.
    let agent = fs::metadata(env!("CARGO_BIN_EXE_cutover-agent")).unwrap().len();
    let Some(_mounted) = Mount::tmpfs(&site.target(""), &format!("size={}", 90 * MIB + agent)) else { return };
    run(Command::new("chown").arg(&user).arg(site.target("")));
    let relay = Relay::start(sshd.port());
    let mut line = Line { site, relay, sshd, user };
    line.site.reach_by(&line.sshd.through(line.relay.port()));
    line.site.write("first", "release");
    let first = line.site.deploy_and_compare(&[]);
    write_noise(&line.site, 60, MIB);
    let deploy = line.start_deploy(20, 10);
    let filler = line.site.target(".cutover/filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    line.relay.release();
    let ran = ended(deploy);
    ran.failed(1, &["No space left on device", "Hint: Free some"]);
    assert!(ran.stderr.trim_end().ends_with(&format!("The site still serves release {first}.")), "{}", ran.stderr);
    assert_eq!(line.site.live(), Some(first));
    drop(file);
    fs::remove_file(filler).unwrap();
    line.wait_until_unlocked();
    let before = line.relay.passed_bytes();
    line.site.deploy_and_compare(&[]);
    let sent = line.relay.passed_bytes() - before;
    assert!(sent < 55 * MIB, "{sent}");
}

#[test]
fn a_line_that_is_lost_at_the_switch_leaves_open_what_is_live_and_says_how_to_see_it() {
    let Some(line) = Line::start() else { return };
    let Line { site, relay, .. } = &line;
    site.write("first", "release");
    let first = site.deploy_and_compare(&[]);
    // So little that it is sent without waiting for an answer, and more than what a login and the greeting take.
    site.write("second", noise(1, 200_000));
    relay.hold_after(64 << 10);
    let deploy = site.command(&["deploy"]).spawn().unwrap();
    relay.wait_until_held();
    relay.hold_answers();
    relay.release();
    let second = wait::until("it is switched", || site.live().filter(|live| *live != first));
    relay.cut();

    let ran = ended(deploy);
    ran.failed(
        3,
        &[
            "Error [connection-lost]: The connection to the server was lost",
            "Hint: `cutover log ",
            "--follow` shows what the server does now",
        ],
    );
    assert_eq!(ran.json["live"], json!({ "state": "unknown", "release": null }));
    let last = ran.stderr.trim_end().lines().last().unwrap();
    let lost = "The connection was lost, and the switch may or may not have happened: run `cutover ";
    let command = last.strip_prefix(lost).unwrap();
    let words = command.strip_suffix("` to see what is live.").unwrap();
    let status = format!("exec {} {words} --json", env!("CARGO_BIN_EXE_cutover"));
    let status = run(Command::new("sh").args(["-c", &status]).env("HOME", site.path("home")));
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["live"]["id"], json!(second));
    line.wait_until_unlocked();
    assert_eq!(site.deploy(&[])["state"], "unchanged");
    assert_same(&site.path("source"), &site.current(""));
}

/// What is seen of a deploy at the moment when it is killed.
#[derive(Debug, Clone, Copy)]
enum Seen {
    Staging,
    Content,
    Objects,
    Release,
    Live,
}

#[test]
fn whenever_a_deploy_is_killed_one_release_or_the_other_is_live_and_whole() {
    for seen in [Seen::Staging, Seen::Content, Seen::Objects, Seen::Release, Seen::Live] {
        let site = Site::new();
        for file in 0..400 {
            site.write(&format!("dir-{}/same-{file}", file % 20), format!("same {file}"));
        }
        let first = site.deploy_and_compare(&[]);
        let old = Tree::read(&site.path("source"));
        for file in 0..400 {
            site.write(&format!("dir-{}/new-{file}", file % 20), noise(file, 20_000));
        }
        let new = Tree::read(&site.path("source"));
        let (objects, standing) = (site.objects().len(), site.release_names().len());
        let mut deploy = site.command(&["deploy"]).spawn().unwrap();
        wait::until("there is something to see", || {
            let is_seen = match seen {
                Seen::Staging => fs::read_dir(site.target(".cutover/staging")).unwrap().next().is_some(),
                Seen::Content => staged_bytes(&site) > 0,
                Seen::Objects => site.objects().len() > objects,
                Seen::Release => site.release_names().len() > standing,
                Seen::Live => site.live() != Some(first.clone()),
            };
            (is_seen || deploy.try_wait().unwrap().is_some()).then_some(())
        });
        deploy.kill().unwrap();
        deploy.wait().unwrap();
        let expected = if site.live() == Some(first) { &old } else { &new };
        Tree::read(&site.current("")).assert_equals(expected);
        site.deploy(&[]);
        assert_same(&site.path("source"), &site.current(""));
        site.succeed(&["cleanup", "--grace", "0s"]);
        assert_eq!(site.objects().len(), 800, "{seen:?}");
        for entry in site.succeed(&["releases"])["releases"].as_array().unwrap() {
            assert_ne!(entry["state"], "damaged", "{seen:?}");
        }
    }
}

#[test]
fn without_its_database_a_client_sends_little_more() {
    let site = Site::new();
    write_noise(&site, 20, 100_000);
    site.deploy(&[]);
    for round in 0..3 {
        site.write("small", format!("round {round}"));
        site.forget();
        let report = site.deploy(&[]);
        assert!(number(&report["sent_bytes"]) < 4096, "{}", report["sent_bytes"]);
        assert_same(&site.path("source"), &site.current(""));
    }
}

#[test]
fn a_damaged_database_is_told_and_the_release_is_right() {
    let site = Site::new();
    site.write("file", "content");
    site.deploy(&[]);
    for entry in fs::read_dir(site.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, noise(1, 10_000)).unwrap();
        }
    }
    site.write("file", "edited");
    let ran = site.cutover(&["deploy"]);
    ran.failed(0, &[]);
    assert_eq!(ran.stderr.matches("Warning: The manifest database `").count(), 1, "{}", ran.stderr);
    assert_same(&site.path("source"), &site.current(""));
}

#[test]
fn a_database_damaged_beyond_its_first_page_is_told_once_and_begun_anew() {
    let site = Site::new();
    for file in 0..2000 {
        site.write(&format!("file-{file}"), format!("content {file}"));
    }
    site.deploy(&[]);
    let database = site.path("state").join("manifests.db");
    let mut bytes = fs::read(&database).unwrap();
    // SQLite says at this place how long a page is.
    let page = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let damaged = noise(1, bytes.len() - page);
    bytes[page..].copy_from_slice(&damaged);
    fs::write(&database, bytes).unwrap();
    site.write("file-0", "edited");
    let ran = site.cutover(&["deploy"]);
    ran.failed(0, &["is damaged and was replaced by an empty one"]);
    assert_eq!(ran.stderr.matches("manifest database").count(), 1, "{}", ran.stderr);
    assert_same(&site.path("source"), &site.current(""));
    let ran = site.cutover(&["deploy"]);
    assert_eq!((&ran.json["state"], &ran.json["round_trips"]), (&json!("unchanged"), &json!(1)));
    assert!(!ran.stderr.contains("manifest database"), "{}", ran.stderr);
}

#[test]
fn two_clients_in_turn_are_both_right() {
    let one = Site::new();
    let mut other = Site::new();
    other.move_to(&one.target(""));
    write_noise(&one, 20, 100_000);
    write_noise(&other, 20, 100_000);
    one.deploy_and_compare(&[]);
    for round in 0..4 {
        other.write("other", format!("other {round}"));
        let report = other.deploy(&["--grace", "0s"]);
        assert!(number(&report["sent_bytes"]) < 4096, "other {round}: {}", report["sent_bytes"]);
        assert_same(&other.path("source"), &other.current(""));
        one.write("one", format!("one {round}"));
        let report = one.deploy(&["--grace", "0s"]);
        assert!(number(&report["sent_bytes"]) < 4096, "one {round}: {}", report["sent_bytes"]);
        assert_same(&one.path("source"), &one.current(""));
    }
}

#[test]
fn what_another_client_cleaned_up_is_sent_again() {
    let one = Site::new();
    let mut other = Site::new();
    other.move_to(&one.target(""));
    other.write("other", "client");
    one.write("file", noise(1, 100_000));
    one.deploy_and_compare(&[]);
    for round in 0..4 {
        other.write("other", format!("client {round}"));
        other.deploy_and_compare(&["--grace", "0s"]);
    }
    assert_eq!(other.objects().len(), 3);
    let report = one.deploy(&[]);
    assert!(number(&report["sent_bytes"]) > 100_000);
    assert_same(&one.path("source"), &one.current(""));
}

#[test]
fn a_target_that_was_made_anew_gets_everything_again() {
    let site = Site::new();
    write_noise(&site, 5, 1000);
    site.deploy_and_compare(&[]);
    fs::remove_dir_all(site.target("")).unwrap();
    site.deploy_and_compare(&[]);
}

#[test]
fn a_file_that_is_written_to_all_the_time_is_refused_by_name_or_whole() {
    let site = Site::new();
    site.write("growing", "");
    let is_done = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(site.source("growing")).unwrap();
            while !is_done.load(Ordering::Relaxed) && file.metadata().unwrap().len() < 64 * MIB {
                file.write_all(&[b'x'; 4096]).unwrap();
            }
        });
        let ran = site.cutover(&["deploy"]);
        is_done.store(true, Ordering::Relaxed);
        ran
    });
    match ran.code {
        Some(0) => {
            let deployed = fs::read(site.current("growing")).unwrap();
            assert!(deployed.len().is_multiple_of(4096) && deployed.iter().all(|&byte| byte == b'x'));
        }
        _ => {
            ran.failed(1, &["`growing` changes while it is deployed", "Hint: ", "Nothing was "]);
            assert_eq!(site.live(), None);
        }
    }
}

#[test]
fn a_reader_sees_one_release_or_the_other_during_fifty_switches() {
    let site = Site::new();
    site.write("deep/file", "one");
    let one = text(&site.deploy(&[])["release"]);
    site.write("deep/file", "other");
    let other = text(&site.deploy(&[])["release"]);
    let is_done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = [0_u64; 2];
            while !is_done.load(Ordering::Relaxed) {
                match fs::read_to_string(site.current("deep/file")).unwrap().as_str() {
                    "one" => seen[0] += 1,
                    "other" => seen[1] += 1,
                    content => panic!("{content:?}"),
                }
            }
            seen
        });
        for id in [&one, &other].into_iter().cycle().take(50) {
            site.succeed(&["switch", id]);
        }
        is_done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
}

fn record(site: &Site, id: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(site.target(&format!(".cutover/releases/{id}/record"))).unwrap()).unwrap()
}

#[test]
fn a_deploy_whose_line_is_cut_at_the_switch_is_finished_all_the_same() {
    let mut site = Site::new();
    let mark = site.path("stop-at-the-switch");
    let Some(script) = strace::stopping_at_rename(&site.target(""), &mark) else { return };
    site.reach_by_script(&script);
    site.configure("keep_releases = 3\ngrace = '0s'\nspare = false\n");
    let [oldest, older, before] = ["1", "2", "3"].map(|content| {
        site.write("file", content);
        site.deploy_and_compare(&[])
    });
    // The oldest goes after the switch. The other becomes the new release.
    site.configure("keep_releases = 2\ngrace = '0s'\nspare = false\n");
    fs::create_dir(site.target("releases/by-hand")).unwrap();
    site.write("file", "4");
    fs::write(&mark, "").unwrap();
    let mut deploy = site.command(&["deploy"]).spawn().unwrap();
    wait::until("it is switched", || (site.live() != Some(before.clone())).then_some(()));
    let (new, agent) = (site.live().unwrap(), agent_of(&site));
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    // The stop may come after the first of these.
    wait::until("the agent ends", || kill_process(agent, Signal::CONT).is_err().then_some(()));
    fs::remove_file(&mark).unwrap();

    assert_eq!(site.release_names(), [before.as_str(), &new, "by-hand"]);
    assert_eq!(fs::read_dir(site.target(".cutover/staging")).unwrap().count(), 0);
    for gone in [oldest, older] {
        assert!(!site.target(&format!(".cutover/releases/{gone}")).exists());
    }
    let [retired, live] = [&before, &new].map(|id| record(&site, id));
    assert_eq!((&live["previous"], live["went_live"].as_array().unwrap().len()), (&json!(before), 1));
    assert!(live["retired"].is_null() && live["span"]["until"].is_null(), "{live}");
    assert!(retired["retired"].is_u64() && retired["span"]["until"].is_u64(), "{retired}");
    assert!(site.target(&format!(".cutover/releases/{new}/seen")).exists());

    // Nobody heard the warning.
    let log = fs::read_to_string(site.target(".cutover/log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[3]["release"]), (5, &json!(new)), "{log}");
    let unheard = lines[4]["unheard"].as_array().unwrap();
    assert!(unheard.len() == 1 && text(&unheard[0]).contains("by-hand` was not made by Cutover"), "{log}");
    assert_eq!(site.deploy(&[])["state"], "unchanged");
}
