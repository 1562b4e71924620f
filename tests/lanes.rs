//! Lanes: content over several connections at once, to a real `sshd`, also if one of them is refused or dies.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::dropbear::Dropbear;
use crate::support::line::Line;
use crate::support::real_tree::noise;
use crate::support::site::{RunResult, Site, number};
use crate::support::sshd::{Sshd, is_root};
use crate::support::tree::assert_same;
use crate::support::wait;

const MIB: usize = 1 << 20;

impl Line {
    /// Returns the processes of lanes that run on the server.
    fn lanes(&self) -> Vec<Pid> {
        let owner = fs::metadata(self.sshd.home(&self.user)).unwrap().uid();
        let is_lane = |process: &fs::DirEntry| {
            let is_own = process.metadata().is_ok_and(|metadata| metadata.uid() == owner);
            is_own && fs::read(process.path().join("cmdline")).is_ok_and(|words| words.ends_with(b"agent\0--lane\0"))
        };
        let processes = fs::read_dir("/proc").unwrap().map_while(Result::ok).filter(is_lane);
        processes.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?)).collect()
    }
}

/// Large files of one part and of several, and small ones: 62 MiB that do not compress.
fn write_source(site: &Site) {
    site.write("one", noise(1, 30 * MIB));
    site.write("two", noise(2, 12 * MIB + 17));
    for file in 0..20 {
        site.write(&format!("small-{}/{file}", file % 3), noise(100 + file, MIB));
    }
}

#[test]
fn content_over_several_connections_makes_the_same_release() {
    let Some(line) = Line::start() else { return };
    let site = &line.site;
    write_source(site);
    let report = site.deploy(&["--lanes", "4"]);
    assert_eq!(number(&report["connections"]), 4);
    assert!(number(&report["sent_bytes"]) >= 62 << 20, "{report}");
    assert_same(&site.path("source"), &site.current(""));
    wait::until("the lanes end", || line.lanes().is_empty().then_some(()));
}

/// The release that the client believes in is gone, so what it sends unasked fits nothing that stands.
#[test]
fn lanes_and_a_wrong_belief_go_together() {
    let Some(line) = Line::start() else { return };
    let Line { site, sshd, user, .. } = &line;
    site.write("file", "first");
    site.deploy(&[]);
    let other = Site::over(sshd, user);
    for edit in 0..5 {
        other.write("file", format!("edit {edit}"));
        other.deploy(&["--grace", "0s"]);
    }
    site.write("file", "last");
    site.deploy(&["--lanes", "2"]);
    assert_same(&site.path("source"), &site.current(""));
}

#[test]
fn what_is_sent_to_a_server_that_was_made_anew_goes_over_several_connections() {
    let Some(line) = Line::start() else { return };
    let site = &line.site;
    write_source(site);
    site.deploy_and_compare(&[]);
    fs::remove_dir_all(site.target("")).unwrap();
    site.write("little", "that goes unasked");
    let report = site.deploy(&["--lanes", "3"]);
    assert_eq!(number(&report["connections"]), 3);
    assert_same(&site.path("source"), &site.current(""));
}

#[test]
fn on_a_near_server_one_connection_is_enough() {
    let Some(line) = Line::start() else { return };
    write_source(&line.site);
    let report = line.site.deploy(&[]);
    assert_eq!(number(&report["connections"]), 1);
    assert_same(&line.site.path("source"), &line.site.current(""));
}

#[test]
fn a_deploy_goes_on_without_a_lane_that_is_killed() {
    let Some(line) = Line::start() else { return };
    let Line { site, relay, .. } = &line;
    write_source(site);
    relay.hold_after(20 * MIB as u64);
    let deploy = site.command(&["deploy", "--lanes", "3", "--verbose"]).spawn().unwrap();
    relay.wait_until_held();
    let lanes = line.lanes();
    assert_eq!(lanes.len(), 2);
    kill_process(lanes[0], Signal::KILL).unwrap();
    relay.release();
    let ran = RunResult::wait(deploy);
    assert!(ran.stderr.contains("A further connection was lost"), "{}", ran.stderr);
    assert_eq!(number(&ran.succeeded()["connections"]), 3);
    assert_same(&site.path("source"), &site.current(""));
    wait::until("the lanes end", || line.lanes().is_empty().then_some(()));
}

#[test]
fn lanes_end_with_the_client() {
    let Some(line) = Line::start() else { return };
    let Line { site, relay, .. } = &line;
    write_source(site);
    relay.hold_after(20 * MIB as u64);
    let mut deploy = site.command(&["deploy", "--lanes", "3"]).spawn().unwrap();
    relay.wait_until_held();
    assert_eq!(line.lanes().len(), 2);
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    relay.release();
    wait::until("the lanes end", || line.lanes().is_empty().then_some(()));
    assert_eq!(site.live(), None);
    // What lies behind a hole is not taken for the beginning of a file.
    wait::until("the lock is free", || site.cutover(&["deploy", "--lanes", "3"]).code.filter(|&code| code == 0));
    assert_same(&site.path("source"), &site.current(""));
}

#[test]
fn where_further_connections_are_refused_one_does() {
    let Some(line) = Line::start() else { return };
    let Line { site, relay, .. } = &line;
    write_source(site);
    relay.admit(2);
    let ran = site.cutover(&["deploy", "--lanes", "4", "--verbose"]);
    assert_eq!(ran.stderr.matches("Could not open another connection: ").count(), 2, "{}", ran.stderr);
    assert_eq!(number(&ran.succeeded()["connections"]), 2);
    assert_same(&site.path("source"), &site.current(""));
}

#[test]
fn a_server_of_one_session_a_connection_has_lanes_too() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start_with("MaxSessions 1");
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    // Brings the agent with a connection for each command.
    site.succeed(&["setup", "--transport", "openssh"]);
    write_source(&site);
    assert_eq!(number(&site.deploy(&["--lanes", "3"])["connections"]), 3);
    assert_same(&site.path("source"), &site.current(""));
}

/// `dropbear` says seldom how much it takes, and then says it once. A client that missed it would wait for the next question
/// whether the server is alive, which here is far away.
#[test]
fn a_server_that_seldom_says_what_it_takes_is_not_waited_for() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    sshd.configure("ServerAliveInterval 90");
    let user = sshd.add_user("/bin/bash");
    let dropbear = Dropbear::start(&sshd, &user);
    let mut site = Site::over(&sshd, &user);
    site.reach_by(&dropbear.config);
    write_source(&site);
    for _ in 0..6 {
        let report = site.deploy(&["--lanes", "4"]);
        assert_eq!(number(&report["connections"]), 4);
        assert!(report["seconds"]["total"].as_f64().unwrap() < 60.0, "{report}");
        assert_same(&site.path("source"), &site.current(""));
        fs::remove_dir_all(site.target("")).unwrap();
        fs::remove_dir_all(site.path("state")).unwrap();
    }
}

#[test]
fn a_lane_that_nobody_waits_for_is_refused() {
    for program in [env!("CARGO_BIN_EXE_cutover"), env!("CARGO_BIN_EXE_cutover-agent")] {
        let mut lane = Command::new(program)
            .args(["agent", "--lane"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut greeting = [0; 22];
        lane.stdout.as_mut().unwrap().read_exact(&mut greeting).unwrap();
        lane.stdin.as_mut().unwrap().write_all(&[7; 36]).unwrap();
        let output = lane.wait_with_output().unwrap();
        assert!(!output.status.success());
        assert_eq!(output.stdout, b"");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(
            words.starts_with("Error [system-call-failed]: Could not reach `the agent of the first connection`\n"),
            "{words}"
        );
    }
}
