//! A verb under `strace`.

use std::fs;
use std::process::Command;

use super::site::{Ran, Site};

/// Runs a verb, which must succeed, and returns what `strace` wrote of these calls, of all its threads and with the paths of
/// descriptors. Nothing where no process may be traced.
pub(crate) fn trace(site: &Site, words: &[&str], calls: &str) -> Option<String> {
    let output = site.path("trace");
    let command = site.command(words);
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-y", "-qq", "-s", "4096", "-e", "signal=none"]);
    strace.args(["-e", &format!("trace={calls}"), "-o"]).arg(&output);
    strace.arg(command.get_program()).args(command.get_args());
    strace.env("HOME", site.path("home")).current_dir(site.path(""));
    let ran = Ran::of(&strace.output().unwrap());
    if ran.stderr.contains("ptrace(PTRACE_TRACEME") || ran.stderr.contains("PTRACE_SEIZE") {
        eprintln!("skipped, no process may be traced: {}", ran.stderr);
        return None;
    }
    ran.succeeded();
    Some(fs::read_to_string(output).unwrap())
}
