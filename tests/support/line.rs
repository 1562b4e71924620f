//! A server that is reached through a relay, and a site on it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::Pid;
use serde_json::json;

use super::real_tree::noise;
use super::relay::Relay;
use super::site::{RunResult, Site, number};
use super::sshd::{Sshd, is_root};
use super::wait;

pub(crate) const MIB: u64 = 1 << 20;

/// See the module's description.
pub(crate) struct Line {
    /// The site, which reaches the server through the relay.
    pub(crate) site: Site,
    /// The relay.
    pub(crate) relay: Relay,
    /// The server.
    pub(crate) sshd: Sshd,
    /// The user that logs in.
    pub(crate) user: String,
}

impl Line {
    /// Makes a line with an agent in place, unless the tests do not run as root.
    pub(crate) fn start() -> Option<Line> {
        is_root().then(|| {
            let mut sshd = Sshd::start();
            let user = sshd.add_user("/bin/bash");
            let relay = Relay::start(sshd.port());
            let mut site = Site::over(&sshd, &user);
            site.reach_by(&sshd.through(relay.port()));
            site.succeed(&["setup"]);
            Line { site, relay, sshd, user }
        })
    }
}

impl Line {
    /// Starts a deploy that comes to a stop after `sent` MiB, of which the agent has written `staged` MiB.
    pub(crate) fn start_deploy(&self, sent: u64, staged: u64) -> Child {
        self.start_deploy_of(&mut self.site.command(&["deploy"]), sent, staged)
    }

    /// Works like [`Line::start_deploy`], with another command.
    pub(crate) fn start_deploy_of(&self, deploy: &mut Command, sent: u64, staged: u64) -> Child {
        self.relay.hold_after(sent * MIB);
        let deploy = deploy.spawn().unwrap();
        self.relay.wait_until_held();
        wait::until("content is staged", || (staged_bytes(&self.site) >= staged * MIB).then_some(()));
        deploy
    }

    /// Makes another client's site with the same deploy path, whose line is not relayed.
    pub(crate) fn other_client(&self) -> Site {
        Site::over(&self.sshd, &self.user)
    }

    /// Waits until the agent of a deploy that was killed is gone.
    pub(crate) fn wait_until_unlocked(&self) {
        let other = self.other_client();
        wait::until("the lock is free", || (other.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    }
}

/// Sums what stands in staging as received content.
pub(crate) fn staged_bytes(site: &Site) -> u64 {
    let below = |directory: &Path| -> Vec<_> {
        fs::read_dir(directory).into_iter().flatten().map_while(Result::ok).map(|entry| entry.path()).collect()
    };
    let runs = below(&site.target(".cutover/staging"));
    let shards = runs.into_iter().flat_map(|run| below(&run.join("objects")));
    shards.flat_map(|shard| below(&shard)).filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Returns the process of the agent that holds the lock.
pub(crate) fn agent_of(site: &Site) -> Pid {
    let lock: serde_json::Value = serde_json::from_slice(&fs::read(site.target(".cutover/lock")).unwrap()).unwrap();
    Pid::from_raw(i32::try_from(number(&lock["pid"])).unwrap()).unwrap()
}

/// Waits for a process that must end by itself.
pub(crate) fn ended(mut child: Child) -> RunResult {
    wait::until("the client ends", || child.try_wait().unwrap());
    RunResult::wait(child)
}

/// Writes files of noise into the source.
pub(crate) fn write_noise(site: &Site, files: u64, bytes: u64) {
    for file in 0..files {
        site.write(&format!("dir-{}/file-{file}", file % 7), noise(file + 1, usize::try_from(bytes).unwrap()));
    }
}
