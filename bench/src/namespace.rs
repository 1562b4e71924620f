//! A network namespace: a machine's network of its own, on the same machine.
//!
//! It is made and removed by `ip netns`, under a name that holds this process's id. So one that a killed run has left can
//! be told from one that another bench uses.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;

/// Where `ip` keeps the names.
const DIRECTORY: &str = "/run/netns";

/// The beginning of all names.
const PREFIX: &str = "bench-";

/// A namespace; removed when dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with a loopback that is up. Only root may.
    pub(crate) fn create(side: &str) -> Result<Namespace> {
        let name = format!("{PREFIX}{}-{side}", std::process::id());
        Invocation::new("ip").args(["netns", "add", &name]).output()?;
        let namespace = Namespace { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Removes the namespaces of runs that were killed.
    pub(crate) fn remove_left() {
        let names = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                drop(Invocation::new("ip").args(["netns", "del", &name]).output());
            }
        }
    }

    /// Runs `ip` in it.
    pub(crate) fn ip(&self, arguments: &[&str]) -> Result<()> {
        Invocation::new("ip").args(["-n", &self.name]).args(arguments).output().map(drop)
    }

    /// Runs something in it: in a thread of its own, which never leaves the namespace. Programs that it starts stay
    /// there too.
    pub(crate) fn run<T: Send>(&self, then: impl FnOnce() -> T + Send) -> Result<T> {
        let path = PathBuf::from(DIRECTORY).join(&self.name);
        let file = File::open(&path).context(|| format!("Could not open `{}`", path.display()))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(then())
            });
            let done: rustix::io::Result<T> =
                thread.join().map_err(|_| Failure::new("What ran in a network namespace panicked"))?;
            done.context(|| format!("Could not enter the network namespace `{}`", self.name))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The next run removes it where this one could not.
        drop(Invocation::new("ip").args(["netns", "del", &self.name]).output());
    }
}
