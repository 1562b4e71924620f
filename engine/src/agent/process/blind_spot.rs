//! The blind spots of a search: processes that `/proc` does not show, and hidden processes that may live in a tree.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::agent::mounts::Mount;
use crate::agent::uptime::Uptime;
use crate::disk::is_local;
use crate::process::{Process, user_of};
use crate::release::BootSpan;

use super::Search;

/// The process id of `kthreadd`, the parent of all kernel threads. Only the first PID namespace has it.
const KERNEL_PARENT: u32 = 2;

impl Search {
    /// Returns the reason why `/proc` may hide some processes completely, if there is one.
    pub(super) fn find_blind_spot(&self, tree: &Path) -> Option<String> {
        let mounts = &self.namespaces[0].mounts;
        if mounts.is_empty() {
            return Some("processes that live in it cannot be seen without `/proc`".into());
        }
        if !is_local(tree) {
            return Some("a process of another machine may still use it, as its filesystem may be in use there".into());
        }
        // If the kernel's own threads are visible, all processes are.
        if matches!(Process::read(KERNEL_PARENT), Ok(Some(process)) if process.is_kernel) {
            return None;
        }
        let hides = || mounts.holder(Path::new("/proc")).is_some_and(Mount::hides_processes);
        if !matches!(Process::read(1), Ok(Some(_))) || hides() {
            return Some("a process that `/proc` hides may still use it".into());
        }
        // No process outside a container lives in the container's own root, but other containers may share a volume.
        let is_volume = mounts.holder(tree).is_none_or(|holder| holder.point != Path::new("/"));
        is_volume.then(|| "a process outside this container may still use it".into())
    }

    /// Finds a hidden process that may live in a tree: it, or a process that it descends from, started while the
    /// release was live.
    pub(super) fn find_suspect(&self, span: Option<&BootSpan>, grace: Duration) -> Option<String> {
        let now = Uptime::now();
        let started_in = |started: &Range<u64>| match (span, &now) {
            (Some(span), Some(now)) => span.holds(started, grace, now),
            _ => true,
        };
        let may_live = |pid: u32, process: &Option<Process>| {
            // Its start is not known either.
            let Some(process) = process else { return true };
            let mut started = process.started.clone();
            let mut parent = process.parent;
            let mut above = HashSet::from([pid]);
            while !started_in(&started) {
                match Process::read(parent).ok().flatten().filter(|_| above.insert(parent)) {
                    Some(process) => (started, parent) = (process.started, process.parent),
                    None => return false,
                }
            }
            true
        };
        let (pid, process) = self.hidden.iter().find(|(pid, process)| may_live(*pid, process))?;
        let name = process.as_ref().map_or("a process", |process| &process.name);
        let user = user_of(*pid).map_or(String::new(), |user| format!(" of {user}"));
        Some(format!(
            "{name} ({pid}){user} may still use it: its working directory is hidden, and it started while the release was live"
        ))
    }
}
