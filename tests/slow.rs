//! The slow suite: kernel sources over a real sshd, more equal files than an inode has links, and the limit of silence.
//!
//! `tests/slow` fetches the trees and sets `CUTOVER_SLOW_TREES` to them; without that variable the tests print that
//! they are skipped.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and speak as tests do")]

#[expect(dead_code, reason = "the suite that is not slow uses the rest")]
mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use support::line::{Line, MIB, agent_of, write_noise};
use support::mount::Mount;
use support::real_tree::noise;
use support::relay::Relay;
use support::site::{RunResult, Site, number, text};
use support::sshd::{Sshd, is_root, run, skipped};
use support::tree::stat;
use support::wait;

/// Returns the trees, unless the suite was not asked for.
fn trees() -> Option<Vec<PathBuf>> {
    let trees = std::env::var("CUTOVER_SLOW_TREES").ok();
    if trees.is_none() {
        skipped("`tests/slow` runs it");
    }
    let trees = trees.filter(|_| is_root())?;
    Some(trees.split(':').map(PathBuf::from).collect())
}

/// Returns a line of `find` for every path, sorted.
fn listing(at: &Path, format: &str) -> Vec<Vec<u8>> {
    let mut find = Command::new("find");
    find.arg(fs::canonicalize(at).unwrap()).args(["-mindepth", "1", "-printf", &format!("{format}\\0")]);
    let output = find.output().unwrap();
    assert!(output.status.success());
    let mut lines: Vec<Vec<u8>> = output.stdout.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    lines.sort();
    lines
}

/// As `find -printf '%y %m %l %P'`, with write bits masked.
fn shown(at: &Path) -> Vec<Vec<u8>> {
    let mask = |line: Vec<u8>| {
        let text: Vec<&[u8]> = line.splitn(3, |&byte| byte == b' ').collect();
        let [kind, mode, rest] = text[..] else { return line };
        let mode = u32::from_str_radix(std::str::from_utf8(mode).unwrap(), 8).unwrap() & 0o7555;
        [kind, format!(" {mode:o} ").as_bytes(), rest].concat()
    };
    let mut lines: Vec<Vec<u8>> = listing(at, "%y %m %l %P").into_iter().map(mask).collect();
    lines.sort();
    lines
}

/// Compares without holding gigabytes in memory.
fn assert_same(source: &Path, release: &Path) {
    assert!(shown(source) == shown(release), "kinds, modes or link targets differ");
    let with_slash = |path: &Path| format!("{}/", fs::canonicalize(path).unwrap().display());
    let mut rsync = Command::new("rsync");
    rsync.args(["-rlcn", "--delete", "--itemize-changes"]).args([with_slash(source), with_slash(release)]);
    assert_eq!(run(&mut rsync), "");
}

/// Counts the paths at which two releases have one inode.
fn shared_files(one: &Path, other: &Path) -> usize {
    let inodes = |at: &Path| -> HashMap<Vec<u8>, Vec<u8>> {
        let split = |line: Vec<u8>| {
            let space = line.iter().position(|&byte| byte == b' ')?;
            Some((line[space + 1..].to_vec(), line[..space].to_vec()))
        };
        listing(at, "%i %P").into_iter().filter_map(split).collect()
    };
    let other = inodes(other);
    inodes(one).iter().filter(|(path, inode)| other.get(*path) == Some(*inode)).count()
}

#[test]
fn kernel_sources_over_ssh_equal_their_sources() {
    let Some(trees) = trees() else { return };
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    let mut ids: Vec<String> = Vec::new();
    for tree in trees.iter().chain([&trees[0]]) {
        let report = site.deploy(&["--grace", "0s", "--source", tree.to_str().unwrap()]);
        eprintln!("{}: {report}", tree.display());
        assert_same(tree, &site.current(""));
        let id = text(&report["release"]);
        if let Some(before) = ids.last() {
            let shared = shared_files(&site.release(before), &site.release(&id));
            assert!(shared > 70_000, "{shared}");
        }
        ids.push(id);
    }
    assert_eq!(site.release_names(), ids[1..]);
    site.succeed(&["rollback"]);
    assert_same(&trees[2], &site.current(""));
    site.succeed(&["rollback"]);
    assert_same(&trees[1], &site.current(""));
    site.succeed(&["switch", &ids[3]]);
    assert_same(&trees[0], &site.current(""));
    let report = site.deploy(&["--source", trees[0].to_str().unwrap()]);
    assert_eq!(report["state"], "unchanged");
    assert!(number(&report["sent_bytes"]) < 2048);
}

#[test]
fn more_equal_files_than_an_inode_has_links_get_a_further_object() {
    if trees().is_none() {
        return;
    }
    let site = Site::new();
    let Some(_mounted) = Mount::ext4(&site.target(""), "512M", &["-N", "20000"]) else { return };
    for directory in 0..70 {
        for file in 0..1000 {
            site.write(&format!("{directory}/{file}"), "the same");
        }
    }
    let report = site.deploy(&[]);
    assert_eq!((&report["copied"], number(&report["objects_linked"])), (&json!({}), 70_000));
    assert_same(&site.path("source"), &site.current(""));
    let suffixes = || -> Vec<String> {
        let name = |object: &PathBuf| object.to_str().unwrap().rsplit_once('-').unwrap().1.to_owned();
        site.objects().iter().map(name).collect()
    };
    assert_eq!(suffixes(), ["444", "444.1"]);
    let links: u64 = site.objects().iter().map(|object| stat(object).links).sum();
    assert_eq!(links, 70_002);
    site.deploy(&["--force"]);
    assert_same(&site.path("source"), &site.current(""));
    assert_eq!(suffixes(), ["444", "444.1", "444.2"]);
}

#[test]
fn a_stopped_agent_is_ended_after_a_minute_and_its_lock_is_taken() {
    if trees().is_none() {
        return;
    }
    let Some(line) = Line::start() else { return };
    write_noise(&line.site, 30, MIB);
    let mut deploy = line.start_deploy(10, 1);
    let agent = agent_of(&line.site);
    let other = line.other_client();
    other.write("other", "client");
    // For as long as it beats, it is left alone, also by one that waits.
    other.cutover(&["deploy", "--lock-wait=70s"]).failed(5, &["Another run is still at work after 1 min 10 s"]);
    kill_process(agent, Signal::STOP).unwrap();
    let began = Instant::now();
    let ran = other.cutover(&["deploy", "--lock-wait"]);
    let whose = format!(": deploy (process {}): it was silent for 1 min ", agent.as_raw_nonzero());
    ran.failed(0, &["Took over the lock of tester@", &whose, "so its process was ended"]);
    assert!((Duration::from_secs(60)..Duration::from_secs(90)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_same(&other.path("source"), &other.current(""));
    line.relay.release();
    wait::until("the client ends", || deploy.try_wait().unwrap());
    RunResult::wait(deploy).failed(3, &["Nothing was switched."]);
    assert_eq!(other.succeed(&["lock", "status"])["lock"], json!(null));
}

/// How long the agent bears a client that says nothing.
const CLIENT_SILENT_MAX: Duration = Duration::from_secs(90);

#[test]
fn a_client_that_is_silent_for_90_seconds_loses_its_lock() {
    if trees().is_none() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let relay = Relay::start(sshd.port());
    let mut site = Site::over(&sshd, &user);
    let other = Site::over(&sshd, &user);
    site.reach_by(&sshd.through(relay.port()));
    site.succeed(&["setup"]);
    site.write("file", noise(1, 30 << 20));
    relay.hold_after(10 << 20);
    let deploy = site.command(&["deploy"]).spawn().unwrap();
    relay.wait_until_held();
    let began = Instant::now();
    let is_locked = || other.succeed(&["status"])["lock"] != json!(null);
    while is_locked() {
        assert!(began.elapsed() < CLIENT_SILENT_MAX * 2, "the lock of a silent client is still held");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(began.elapsed() > CLIENT_SILENT_MAX - Duration::from_secs(20), "{:?}", began.elapsed());
    other.write("other", "client");
    other.deploy_and_compare(&[]);
    relay.release();
    RunResult::wait(deploy).failed(3, &[]);
    assert_same(&other.path("source"), &other.current(""));
}

#[test]
fn a_scan_may_take_longer_than_a_client_may_be_silent() {
    if trees().is_none() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    site.succeed(&["setup"]);
    site.write("deep/file", "content");
    // The disk takes that long to list one directory.
    let delay = format!("inject=getdents64:delay_enter={}s:when=1", CLIENT_SILENT_MAX.as_secs() + 20);
    let command = site.command(&["deploy"]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-e", "trace=getdents64", "-e", &delay, "-o"]);
    strace.arg(site.path("trace")).arg(command.get_program()).args(command.get_args());
    strace.env("HOME", site.path("home")).current_dir(site.path(""));
    let began = Instant::now();
    RunResult::of(&strace.output().unwrap()).succeeded();
    assert!(began.elapsed() > CLIENT_SILENT_MAX, "{:?}", began.elapsed());
    assert_same(&site.path("source"), &site.current(""));
}
