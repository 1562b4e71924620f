//! Ends a process of this user, and no other: through a pidfd, which stays with one process.
//!
//! An id may come to another process between a look at it and a signal to it. So the process is compared with the
//! known one before the pidfd is opened and after it: if both are right, the pidfd leads to that process.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use super::identity::ProcessIdentity;
use super::proc::{Process, entries, user_of};

/// The reason why a process was not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotEnded {
    /// It runs on another machine, or ran before this boot.
    AnotherMachine,
    /// There is no such process: it has ended, or cannot be seen from here.
    Gone,
    /// It is this process, or the first one of the system.
    Own,
    /// It belongs to another user.
    AnotherUser(String),
    /// The kernel has no pidfd, or refuses it.
    Refused(Errno),
    /// It did not end, not even by `SIGKILL`: it waits in the kernel, for example for a disk.
    Survived,
}

impl fmt::Display for NotEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotEnded::AnotherMachine => f.write_str("it runs on another machine"),
            NotEnded::Gone => f.write_str("it is gone, and another process has its lock"),
            NotEnded::Own => f.write_str("it is the process that asks"),
            NotEnded::AnotherUser(user) => write!(f, "it belongs to {user}"),
            NotEnded::Refused(errno) => write!(f, "the system refuses it ({errno})"),
            NotEnded::Survived => f.write_str("it waits in the kernel, for example for a disk"),
        }
    }
}

/// Ends a process: asks it to end, and kills it if it has not ended after `patience`. Returns once it has ended.
pub(crate) fn end(process: &ProcessIdentity, patience: Duration) -> Result<(), NotEnded> {
    let pidfd = open(process)?;
    for signal in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(&pidfd, signal) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(()),
            Err(errno) => return Err(NotEnded::Refused(errno)),
        }
        if has_ended(&pidfd, patience) {
            return Ok(());
        }
    }
    Err(NotEnded::Survived)
}

/// Ends a process that leads a group, and its group. Returns once the leader has ended, or does not end. Whatever is left
/// of the group then is killed.
pub(crate) fn end_group(leader: &ProcessIdentity, patience: Duration) -> Result<(), NotEnded> {
    let pidfd = open(leader)?;
    let group = i32::try_from(leader.pid).ok().and_then(Pid::from_raw).ok_or(NotEnded::Gone)?;
    let session = Process::read(leader.pid).ok().flatten().map(|process| process.session);
    for signal in [Signal::TERM, Signal::KILL] {
        // The group keeps its number while it has a member.
        kill_process_group(group, signal).ok();
        if has_ended(&pidfd, patience) {
            session.into_iter().for_each(|session| kill_rest(leader.pid, session));
            return Ok(());
        }
    }
    Err(NotEnded::Survived)
}

/// Kills what is left of a group whose leader has ended. The number may be that of another group by now, so only
/// processes of its session are killed, each through a pidfd.
fn kill_rest(group: u32, session: u32) {
    /// Each round finds what the last one's processes started.
    const ROUNDS_MAX: usize = 16;
    let is_member = |process: &Process| process.group == group && process.session == session && !process.is_zombie;
    for _ in 0..ROUNDS_MAX {
        let pids = entries(Path::new("/proc")).unwrap_or_default().into_iter().filter_map(|path| pid_of(&path));
        let is_left = |pid: &u32| Process::read(*pid).ok().flatten().as_ref().is_some_and(is_member);
        let left: Vec<ProcessIdentity> = pids.filter(is_left).filter_map(ProcessIdentity::of).collect();
        if left.is_empty() {
            return;
        }
        for process in left {
            if let Ok(pidfd) = open(&process)
                && is_left(&process.pid)
            {
                pidfd_send_signal(&pidfd, Signal::KILL).ok();
            }
        }
    }
}

fn pid_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.parse().ok()
}

fn open(process: &ProcessIdentity) -> Result<OwnedFd, NotEnded> {
    if !process.is_of_this_boot() {
        return Err(NotEnded::AnotherMachine);
    }
    if process.pid == std::process::id() || process.pid == 1 {
        return Err(NotEnded::Own);
    }
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(NotEnded::Gone)?;
    check(process)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| match errno {
        Errno::SRCH => NotEnded::Gone,
        errno => NotEnded::Refused(errno),
    })?;
    check(process)?;
    Ok(pidfd)
}

fn check(process: &ProcessIdentity) -> Result<(), NotEnded> {
    if !process.exists() {
        Err(NotEnded::Gone)
    } else if !process.is_of_this_user() {
        Err(NotEnded::AnotherUser(user_of(process.pid).unwrap_or_else(|| "another user".to_owned())))
    } else {
        Ok(())
    }
}

/// Waits for the end of a process. Returns false if it has not come in this time.
fn has_ended(pidfd: &OwnedFd, time: Duration) -> bool {
    let time = Timespec::try_from(time).ok();
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], time.as_ref()) {
            Ok(events) => return events > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(300);

    fn start(script: &str) -> (Child, ProcessIdentity) {
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        // It has set its traps once it writes.
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        (child, identity)
    }

    #[test]
    fn a_process_ends_by_sigterm_or_else_by_sigkill_also_when_it_is_stopped() {
        use std::os::unix::process::ExitStatusExt;
        let loops = "echo; while :; do sleep 0.01; done";
        for (script, is_stopped, signal) in
            [(loops.to_owned(), false, 15), (format!("trap '' TERM; {loops}"), false, 9), (loops.to_owned(), true, 9)]
        {
            let (mut child, identity) = start(&script);
            if is_stopped {
                rustix::process::kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
                let is_running =
                    || !std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(") T ");
                while is_running() {
                    std::thread::yield_now();
                }
            }
            end(&identity, PATIENCE).unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(signal), "{script} {is_stopped}");
            assert_eq!(end(&identity, PATIENCE), Err(NotEnded::Gone));
        }
    }

    #[test]
    fn the_rest_of_a_group_is_killed_when_its_leader_has_ended() {
        use std::io::BufRead;
        use std::os::unix::process::CommandExt;
        let script = "(trap '' TERM; echo; while :; do sleep 0.01; done) & echo $!; wait";
        let mut command = Command::new("sh");
        let mut leader = command.args(["-c", script]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        // The child has set its trap and the shell has told its number, in any order.
        let lines: Vec<String> =
            std::io::BufReader::new(leader.stdout.take().unwrap()).lines().take(2).flatten().collect();
        let child = ProcessIdentity::of(lines.concat().parse().unwrap()).unwrap();
        let (mut other, other_identity) = start("echo; exec sleep 1000");
        end_group(&ProcessIdentity::of(leader.id()).unwrap(), PATIENCE).unwrap();
        leader.wait().unwrap();
        while child.is_running() {
            std::thread::yield_now();
        }
        assert!(other_identity.is_running());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn no_other_process_is_ended() {
        let (mut child, identity) = start("echo; exec sleep 1000");
        let check = |process: ProcessIdentity, expected| assert_eq!(end(&process, PATIENCE), Err(expected));
        // The id was used again: by a process that started later, or on a machine that was started anew.
        check(ProcessIdentity { started: identity.started - 10, ..identity.clone() }, NotEnded::Gone);
        check(ProcessIdentity { boot: "another".into(), ..identity.clone() }, NotEnded::AnotherMachine);
        check(ProcessIdentity::own().unwrap(), NotEnded::Own);
        check(ProcessIdentity { pid: 1, ..identity.clone() }, NotEnded::Own);
        check(ProcessIdentity { pid: 0, ..identity.clone() }, NotEnded::Gone);
        check(ProcessIdentity { pid: u32::MAX, ..identity }, NotEnded::Gone);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
