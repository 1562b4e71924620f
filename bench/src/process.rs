//! Runs one program and measures it.
//!
//! Wall time is from before the spawn until the program was waited for. Processor time and peak memory are the kernel's
//! own account of the waited process (`wait4`), so that nothing has to watch it while it runs: on a machine of two
//! cores a watcher would be part of what is measured. That account covers the children which the program itself
//! waited for (rsync waits for its `ssh`); peak memory is that of the largest of them, not their sum.
//!
//! The kernel counts a process's memory from the fork on, so no peak can read less than the bench's own memory. The
//! bench therefore streams what it reads and holds no trees.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wait4::Wait4;

use crate::failure::{Context, Failure, Result};
use crate::namespace::Namespace;

/// A program with its arguments, and where it runs.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// Where a program runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Its working directory and its home.
    pub(crate) home: &'a Path,
    /// Its network, if not the machine's.
    pub(crate) namespace: Option<&'a Namespace>,
    /// Whether it has the user's environment and home. Otherwise the environment is empty, so that no ssh-agent and no
    /// configuration of the user takes part.
    pub(crate) is_users: bool,
}

/// A program that has ended, with what it used.
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
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

/// A program that runs, as a companion thread sees it.
pub(crate) struct Running<'a> {
    pidfd: OwnedFd,
    done: &'a AtomicBool,
}

impl Running<'_> {
    /// Tells whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Ends it at once, as a power cut of the client would.
    pub(crate) fn kill(&self) -> Result<()> {
        // Through the pidfd, so that a process id used again is never hit.
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => other.context(|| "Could not kill the client"),
        }
    }
}

impl Invocation {
    /// Names the program.
    pub(crate) fn new(program: impl AsRef<Path>) -> Invocation {
        Invocation { program: program.as_ref().to_path_buf(), arguments: Vec::new() }
    }

    /// Adds one argument.
    pub(crate) fn arg(self, argument: impl AsRef<OsStr>) -> Invocation {
        self.args([argument])
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Invocation {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Runs it to its end, with a companion thread that may watch or kill it.
    ///
    /// What the program prints goes to files, because a pipe that nobody reads could stop it.
    pub(crate) fn run_beside<T: Send>(
        &self,
        surroundings: Surroundings<'_>,
        companion: impl FnOnce(&Running<'_>) -> T + Send,
    ) -> Result<(Finished, T)> {
        let home = surroundings.home;
        let (out_path, err_path) = (home.join("stdout"), home.join("stderr"));
        let out = File::create(&out_path).context(|| format!("Could not create `{}`", out_path.display()))?;
        let err = File::create(&err_path).context(|| format!("Could not create `{}`", err_path.display()))?;
        let mut command = self.command(surroundings);
        command.stdin(Stdio::null()).stdout(out).stderr(err);

        let done = AtomicBool::new(false);
        let start = Instant::now();
        let spawned = match surroundings.namespace {
            Some(namespace) => namespace.run(|| command.spawn())?,
            None => command.spawn(),
        };
        let mut child = spawned.context(|| format!("Could not run `{self}`"))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::new("A process id is out of range"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context(|| "Could not open a pidfd")?;
        let running = Running { pidfd, done: &done };
        let (waited, seconds, companion) = std::thread::scope(|scope| {
            let companion = scope.spawn(|| companion(&running));
            let waited = child.wait4();
            let seconds = start.elapsed().as_secs_f64();
            done.store(true, Ordering::Release);
            (waited, seconds, companion.join())
        });
        let used = waited.context(|| format!("Could not wait for `{self}`"))?;
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

    /// Runs a tool of the harness itself, unmeasured, and returns what it printed; fails when it fails.
    pub(crate) fn output(&self) -> Result<Vec<u8>> {
        let output = Command::new(&self.program)
            .args(&self.arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .context(|| format!("Could not run `{self}`"))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(failed(self, output.status, &String::from_utf8_lossy(&output.stderr)))
    }

    /// As [`Invocation::output`], as trimmed text.
    pub(crate) fn text(&self) -> Result<String> {
        let output = self.output()?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    fn command(&self, surroundings: Surroundings<'_>) -> Command {
        let home = surroundings.home;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(home);
        if surroundings.is_users {
            return command;
        }
        command.env_clear();
        command.env("HOME", home).env("LC_ALL", "C");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }
}

impl Finished {
    /// Fails unless the program succeeded.
    pub(crate) fn succeeded(self, invocation: &Invocation) -> Result<Finished> {
        if self.status.success() {
            return Ok(self);
        }
        Err(failed(invocation, self.status, &self.stderr))
    }
}

impl fmt::Display for Invocation {
    /// Prints a line that can be pasted into a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.program.to_string_lossy()))?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(&argument.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// Returns a word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@,+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn failed(invocation: &Invocation, status: ExitStatus, stderr: &str) -> Failure {
    let tail: Vec<&str> = stderr.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Failure::new(format!("`{invocation}` failed: {status}\n{}", tail.join("\n")))
}

fn read_lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).context(|| format!("Could not read `{}`", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted() {
        let line = Invocation::new("rsync").args(["-a", "-e", "ssh -F x", "it's"]);
        assert_eq!(line.to_string(), r"rsync -a -e 'ssh -F x' 'it'\''s'");
    }
}
