//! A git that runs beside other work, until it ends, the user interrupts, or a deadline has passed.
//!
//! Its output goes into memory and not into pipes: so nothing has to read meanwhile, and a program that git started and
//! that outlives it keeps nobody waiting.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::cancel::Cancel;
use crate::error::Error;

use super::command::{complaint, not_run};

/// The first and the longest time between two looks at the process. Most questions take 3 ms.
const LOOK_AFTER: Duration = Duration::from_micros(500);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The most bytes of an error message that are read.
const STDERR_BYTES_MAX: u64 = 64 << 10;

/// See the module's description. A dropped one is killed.
pub(crate) struct Running {
    process: Child,
    stdout: File,
    stderr: File,
}

/// The output of a git that has ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit code. None if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The reason why git gave no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The user interrupted.
    Interrupted,
    /// It took too long.
    Late,
    /// It could not be run, or failed.
    Failed(String),
}

impl NoAnswer {
    /// Makes the error, with the reason if it failed.
    pub(crate) fn into_error(self, failed: impl FnOnce(String) -> Error) -> Error {
        match self {
            NoAnswer::Interrupted => Error::Interrupted,
            NoAnswer::Late => failed("`git` took too long".to_owned()),
            NoAnswer::Failed(reason) => failed(reason),
        }
    }
}

impl Answer {
    /// Returns the output if git succeeded.
    pub(crate) fn success(self) -> Result<Vec<u8>, NoAnswer> {
        match self.code {
            Some(0) => Ok(self.stdout),
            _ => Err(NoAnswer::Failed(complaint(&self.stderr))),
        }
    }
}

impl Running {
    /// Starts git.
    pub(crate) fn start(mut command: Command) -> Result<Running, NoAnswer> {
        let memory = |name| memfd_create(name, MemfdFlags::CLOEXEC).map(File::from);
        let failed = |error: std::io::Error| NoAnswer::Failed(not_run(&error));
        let stdout = memory("git-output").map_err(|errno| failed(errno.into()))?;
        let stderr = memory("git-errors").map_err(|errno| failed(errno.into()))?;
        let copy = |file: &File| file.try_clone().map(Stdio::from).map_err(failed);
        command.stdout(copy(&stdout)?).stderr(copy(&stderr)?);
        let process = command.spawn().map_err(failed)?;
        Ok(Running { process, stdout, stderr })
    }

    /// Waits until git ends. Kills it if the user interrupts, or after the deadline.
    pub(crate) fn finish(mut self, cancel: &Cancel, deadline: Option<Instant>) -> Result<Answer, NoAnswer> {
        let mut pause = LOOK_AFTER;
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => return Err(NoAnswer::Failed(not_run(&error))),
            }
            cancel.check().map_err(|_| NoAnswer::Interrupted)?;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(NoAnswer::Late);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK_EVERY);
        };
        let read = |file: &mut File, most| {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.take(most).read_to_end(&mut bytes).map(|_| bytes)
        };
        let failed = |error: std::io::Error| NoAnswer::Failed(not_run(&error));
        let stdout = read(&mut self.stdout, u64::MAX).map_err(failed)?;
        let stderr = read(&mut self.stderr, STDERR_BYTES_MAX).map_err(failed)?;
        Ok(Answer { code: status.code(), stdout, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that was waited for is not killed.
        drop((self.process.kill(), self.process.wait()));
    }
}

/// Runs git and waits until it ends.
pub(crate) fn run(command: Command, cancel: &Cancel) -> Result<Answer, NoAnswer> {
    Running::start(command)?.finish(cancel, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_outlives_git_keeps_nobody_waiting() {
        let answer = run(shell("sleep 100 & echo done; echo $! >&2; exit 3"), &Cancel::default()).unwrap();
        assert_eq!((answer.code, answer.stdout.as_slice()), (Some(3), b"done\n".as_slice()));
        let pid = String::from_utf8(answer.stderr).unwrap().trim().to_owned();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
    }

    #[test]
    fn git_is_killed_by_an_interruption_and_after_the_deadline() {
        let cancel = Cancel::default();
        let late = Running::start(shell("exec sleep 100")).unwrap().finish(&cancel, Some(Instant::now()));
        assert!(matches!(late, Err(NoAnswer::Late)));
        cancel.cancel();
        assert!(matches!(run(shell("exec sleep 100"), &cancel), Err(NoAnswer::Interrupted)));
    }
}
