//! The identity of a process: its id, its start and the boot. Ids are used again; the three together are not.

use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

use crate::boot;

use super::proc::Process;

/// The identity of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    /// Its id.
    pub(crate) pid: u32,
    /// Its start, in milliseconds of the boot.
    pub(crate) started: u64,
    /// The identity of the boot.
    pub(crate) boot: String,
}

impl ProcessIdentity {
    /// Returns the identity of this process, or nothing without `/proc`.
    pub(crate) fn own() -> Option<ProcessIdentity> {
        ProcessIdentity::of(std::process::id())
    }

    /// Returns the identity of the process that has this id now.
    pub(crate) fn of(pid: u32) -> Option<ProcessIdentity> {
        let process = Process::read(pid).ok()??;
        Some(ProcessIdentity { pid, started: process.started.start, boot: boot::id()? })
    }

    /// Tells whether the process is one of this boot. It is not if it ran before, or runs on another machine.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        boot::id().is_some_and(|boot| boot == self.boot)
    }

    /// Tells whether the process exists still, and is no other one with its id.
    pub(crate) fn exists(&self) -> bool {
        ProcessIdentity::of(self.pid).is_some_and(|found| found == *self)
    }

    /// Tells whether the process exists and has not ended. One that has ended exists until its parent looks.
    pub(crate) fn is_running(&self) -> bool {
        self.exists() && matches!(Process::read(self.pid), Ok(Some(process)) if !process.is_zombie)
    }

    /// Tells whether this process descends from it.
    pub(crate) fn is_ancestor(&self) -> bool {
        const GENERATIONS_MAX: usize = 1000;
        let parent = |pid: &u32| Process::read(*pid).ok().flatten().map(|process| process.parent);
        let mut line = std::iter::successors(Some(std::process::id()), parent).take(GENERATIONS_MAX);
        self.exists() && line.any(|pid| pid == self.pid)
    }

    /// Tells whether the process belongs to the user of this one.
    pub(crate) fn is_of_this_user(&self) -> bool {
        let owner = std::fs::metadata(format!("/proc/{}", self.pid)).map(|metadata| metadata.uid());
        owner.is_ok_and(|owner| owner == rustix::process::geteuid().as_raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_start_or_another_boot_is_another_process() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.exists() && own.is_running() && own.is_of_this_boot() && own.is_of_this_user());
        assert!(own.is_ancestor());
        let later = ProcessIdentity { started: own.started + 10, ..own.clone() };
        assert!(!later.exists() && later.is_of_this_boot());
        let before = ProcessIdentity { boot: "another".into(), ..own };
        assert!(!before.exists() && !before.is_of_this_boot());
    }
    #[test]
    fn a_child_that_has_ended_and_was_not_waited_for_does_not_run() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        while identity.is_running() {
            std::thread::yield_now();
        }
        assert!(identity.exists() && !identity.is_ancestor());
        child.wait().unwrap();
        assert!(!identity.exists());
    }
}
