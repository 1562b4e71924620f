//! Runs one program and measures it.
//!
//! Wall time is from before the spawn until the program was waited for. Processor time and peak memory are the kernel's
//! own account of the waited process (`wait4`), so that nothing has to watch it while it runs: on a machine of two
//! cores a watcher would be part of the measurement. That account covers the children which the program itself
//! waited for (rsync waits for its `ssh`); peak memory is that of the largest of them, not their sum.
//!
//! The kernel counts a process's memory from the fork on, so no peak can read less than the bench's own memory. The
//! bench therefore streams and holds no trees.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use wait4::Wait4;

use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;
use crate::namespace::Namespace;

/// Where a program runs. Its environment is empty, so that no ssh-agent and no configuration of the user takes part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Its working directory and its home.
    pub(crate) home: &'a Path,
    /// Its network, if not the machine's.
    pub(crate) namespace: Option<&'a Namespace>,
}

/// A program that has ended, with its time and memory.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// From the spawn until it was waited for.
    pub(crate) seconds: f64,
    /// User and system time, with its waited-for children.
    pub(crate) cpu_seconds: f64,
    /// The greatest resident memory of it or of any one child.
    pub(crate) peak_bytes: u64,
    /// Its stdout.
    pub(crate) stdout: String,
    /// Its stderr.
    pub(crate) stderr: String,
}

/// A program that runs, as a companion thread sees it.
pub(crate) struct Running<'a> {
    done: &'a AtomicBool,
}

impl Running<'_> {
    /// Tells whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

/// Runs a program to its end, with a companion thread that may watch it.
///
/// Its output goes to files, because a pipe that nobody reads could stop it.
pub(crate) fn run_beside<T: Send>(
    invocation: &Invocation,
    surroundings: Surroundings<'_>,
    companion: impl FnOnce(&Running<'_>) -> T + Send,
) -> Result<(Finished, T)> {
    let [out_path, err_path] = ["stdout", "stderr"].map(|name| surroundings.home.join(name));
    let create = |path: &Path| File::create(path).context(|| format!("Could not create `{}`", path.display()));
    let mut command = command(invocation, surroundings.home);
    command.stdin(Stdio::null()).stdout(create(&out_path)?).stderr(create(&err_path)?);

    let done = AtomicBool::new(false);
    let start = Instant::now();
    let spawned = match surroundings.namespace {
        Some(namespace) => namespace.run(|| command.spawn())?,
        None => command.spawn(),
    };
    let mut child = spawned.context(|| format!("Could not run `{invocation}`"))?;
    let running = Running { done: &done };
    let (waited, seconds, companion) = std::thread::scope(|scope| {
        let companion = scope.spawn(|| companion(&running));
        let waited = child.wait4();
        let seconds = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Release);
        (waited, seconds, companion.join())
    });
    let used = waited.context(|| format!("Could not wait for `{invocation}`"))?;
    let companion = companion.map_err(|_| Failure::new("The thread that watched a run panicked"))?;
    let finished = Finished {
        status: used.status,
        seconds,
        cpu_seconds: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
        peak_bytes: used.rusage.maxrss,
        stdout: read_lossy(&out_path)?,
        stderr: read_lossy(&err_path)?,
    };
    Ok((finished, companion))
}

impl Finished {
    /// Fails unless the program succeeded.
    pub(crate) fn succeeded(self, invocation: &Invocation) -> Result<Finished> {
        if self.status.success() { Ok(self) } else { Err(invocation.failed(self.status, &self.stderr)) }
    }
}

fn command(invocation: &Invocation, home: &Path) -> Command {
    let mut command = invocation.command();
    command.current_dir(home).env_clear().env("HOME", home).env("LC_ALL", "C");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

fn read_lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).context(|| format!("Could not read `{}`", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
