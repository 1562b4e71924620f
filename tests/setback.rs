//! A deploy that cannot begin fails at once: the scan and the connection do not wait for each other.

use std::fs::File;
use std::process::Command;

use crate::support::site::{RunResult, Site};
use crate::support::sshd::run;
use crate::support::wait;

/// Starts a deploy that must end by itself, long before what it has begun would.
fn deploy(site: &Site) -> RunResult {
    let mut deploy = site.command(&["deploy"]).spawn().unwrap();
    wait::until("the client ends", || deploy.try_wait().unwrap());
    RunResult::wait(deploy)
}

#[test]
fn a_source_that_cannot_be_deployed_does_not_wait_for_a_server_that_does_not_answer() {
    let mut site = Site::new();
    site.reach_by_script("#!/bin/sh\nexec sleep 1000\n");
    run(Command::new("mkfifo").arg(site.source("pipe")));
    deploy(&site).failed(1, &["`pipe`", "fifo"]);
}

#[test]
fn a_login_that_is_refused_does_not_wait_for_a_long_scan() {
    let mut site = Site::new();
    site.reach_by_script("#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n");
    // Takes ten minutes to hash.
    File::create(site.source("large")).unwrap().set_len(1 << 40).unwrap();
    deploy(&site).failed(1, &["Permission denied (publickey)."]);
}
