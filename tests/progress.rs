//! Progress counts the bytes that the server has, not those in a buffer on the way.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr};

use crate::support::real_tree::noise;
use crate::support::relay::Relay;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::{Sshd, is_root};
use crate::support::tree::assert_same;

const MIB: u64 = 1 << 20;

/// A deploy that runs, and what it says.
struct Deploy {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Deploy {
    fn start(site: &Site) -> Deploy {
        let mut child = site.command(&["deploy"]).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Deploy { child, said }
    }

    /// Reads on until a line begins so, and returns the rest of it.
    #[track_caller]
    fn line_of(&mut self, begin: &str) -> String {
        let mut line = String::new();
        let mut before = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.trim_end().to_owned();
            }
            before += &std::mem::take(&mut line);
        }
        panic!("no {begin:?} in: {before}");
    }
}

/// Returns the megabytes of `… 1.5 MB of 16.8 MB …`.
#[track_caller]
fn megabytes(text: &str) -> (f64, f64) {
    let bytes = |words: &str| {
        let (value, unit) = words.rsplit_once(' ').unwrap();
        let factor = match unit {
            "MB" => 1.0,
            "kB" => 1e-3,
            "B" => 1e-6,
            _ => panic!("{words:?}"),
        };
        value.parse::<f64>().unwrap() * factor
    };
    let part = text.split(", ").find(|part| part.contains("B of ")).unwrap_or_else(|| panic!("{text:?}"));
    let (done, total) = part.split_once(" of ").unwrap();
    (bytes(done.trim_start_matches(": ")), bytes(total))
}

#[test]
fn what_the_server_does_not_have_yet_is_not_shown_as_sent() {
    if !is_root("what_the_server_does_not_have_yet_is_not_shown_as_sent") {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let relay = Relay::start_narrow(sshd.port());
    let mut site = Site::over(&sshd, &user);
    site.reach_by(&sshd.through(relay.port()));
    site.write("large", noise(1, 16 * MIB as usize));

    // The agent is copied first; its first half megabyte passes.
    relay.hold_after(MIB / 2);
    let mut deploy = Deploy::start(&site);
    relay.wait_until_held();
    let (done, agent) = megabytes(&deploy.line_of("Copying the agent"));
    assert!(done <= 1.0 && agent >= 1.5, "{done} of {agent}");
    relay.release();
    deploy.line_of("Copied the agent to the server");

    // Of the content, 3 MB pass, and what passed before the relay heard of it.
    relay.hold_after(3 * MIB);
    relay.wait_until_held();
    let mut line = deploy.line_of("Sending");
    // The first lines may be of the time before the relay held.
    while !line.contains("B of ") {
        line = deploy.line_of("Sending");
    }
    let passed = relay.passed_bytes() as f64 / 1e6 - agent + 0.1;
    let (done, total) = megabytes(&line);
    assert!(done <= passed && (16.7..16.9).contains(&total), "{line}, and {passed} MB have passed");
    let (done, _) = megabytes(&deploy.line_of("Sending"));
    assert!((1.0..=passed).contains(&done), "{done}, and {passed} MB have passed");
    relay.release();
    let sent = deploy.line_of("Sent ");
    assert!(sent.starts_with("1 file, 16.8 MB in "), "{sent}");
    RunResult::wait(deploy.child).succeeded();
    assert_same(&site.path("source"), &site.current(""));
}
