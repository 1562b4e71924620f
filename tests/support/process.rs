//! Processes that a test watches, stops and kills.

use std::fs;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use super::wait;

/// Returns the processes whose parent is this one.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    let output = Command::new("pgrep").args(["-P", &parent.as_raw_nonzero().to_string()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
}

/// Returns the process whose parent is this one.
pub(crate) fn child_of(parent: Pid) -> Pid {
    *children_of(parent).first().expect("a child")
}

/// Returns the runner of a run on this machine. Its agent is a part of the client.
pub(crate) fn runner_of(run: &Child) -> Pid {
    child_of(Pid::from_child(run))
}

/// Kills a run on this machine: first its client, with the agent, then its runner. The hook that runs lives on.
pub(crate) fn kill_with_runner(mut run: Child) {
    let runner = runner_of(&run);
    for victim in [Pid::from_child(&run), runner] {
        kill_process(victim, Signal::KILL).unwrap();
    }
    run.wait().unwrap();
    wait_for_end(runner);
}

/// Waits until a process has ended.
pub(crate) fn wait_for_end(process: Pid) {
    let stat = format!("/proc/{}/stat", process.as_raw_nonzero());
    wait::until("the process has ended", || {
        let is_running = fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        (!is_running).then_some(())
    });
}
