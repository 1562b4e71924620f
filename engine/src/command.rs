//! Runs a shell command: its output as lines, its time limit, and its end.
//!
//! Both sides use it: the client for builds, the server for hooks. The command has a process group of its own, no
//! input, and one pipe for its output and its errors, so that their order stays. It is over when the shell has ended:
//! a daemon that it started may still hold the pipe, and nobody waits for it. At a time limit or a stop the whole
//! group gets SIGTERM, and SIGKILL after a pause.

mod end;
mod lines;
mod output;

use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::accounts::Accounts;
use crate::error::Error;
use crate::hook::{Command, Shell};

pub use end::CommandEnd;
use lines::Lines;
pub(crate) use output::KeptLines;
pub use output::Mask;

/// The time between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// The longest time until the end of a command or a stop is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A command in its surroundings.
pub(crate) struct Invocation<'a> {
    /// The command.
    pub(crate) command: &'a Command,
    /// The directory where it runs, and where its own relative one begins.
    pub(crate) directory: &'a Path,
    /// Variables beside those of this process. Those of the command win over them.
    pub(crate) variables: &'a [(OsString, OsString)],
    /// Replaces secrets in the output.
    pub(crate) mask: &'a Mask,
}

impl Invocation<'_> {
    /// Runs the command to its end. `take` gets each line. If `must_stop` says so, the command is ended.
    pub(crate) fn run(&self, take: impl FnMut(String), must_stop: impl Fn() -> bool) -> Result<CommandEnd, Error> {
        self.run_noted(|_| {}, take, must_stop)
    }

    /// Works like [`Invocation::run`]. `note` gets the id of the process, which is that of its group too.
    pub(crate) fn run_noted(
        &self,
        note: impl FnOnce(u32),
        mut take: impl FnMut(String),
        must_stop: impl Fn() -> bool,
    ) -> Result<CommandEnd, Error> {
        let (mut child, mut output) = self.start()?;
        note(child.id());
        let mut ending = Ending { asked: None, timeout: self.command.timeout, began: Instant::now() };
        let mut lines = Lines::new(self.mask);
        let status = loop {
            if wait_for_output(&output) {
                read_some(&mut output, &mut lines, &mut take);
            }
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            ending.look(&child, must_stop());
        };
        drain(&mut output, &mut lines, &mut take);
        lines.finish(&mut take);
        if ending.asked.is_some() {
            // Whatever is left of the group was asked to end too.
            kill_process_group(group(&child), Signal::KILL).ok();
        }
        Ok(ending.asked.map_or_else(|| end_of(status), |(end, _)| end))
    }

    /// Runs the command as a check. The outer result is an interrupt, the inner one says why the check failed.
    pub(crate) fn prove(
        &self,
        take: impl FnMut(String),
        must_stop: impl Fn() -> bool,
    ) -> Result<Result<(), String>, Error> {
        match self.run(take, must_stop) {
            Ok(CommandEnd::Done) => Ok(Ok(())),
            Ok(CommandEnd::Stopped) => Err(Error::Interrupted),
            Ok(end) => Ok(Err(end.to_string())),
            Err(error) => Ok(Err(error.with_cause())),
        }
    }

    fn start(&self) -> Result<(Child, PipeReader), Error> {
        let (output, writer) = io::pipe().map_err(failed)?;
        let errors = writer.try_clone().map_err(failed)?;
        let directory = self.working_directory();
        let mut process = self.shell();
        process.current_dir(&directory).envs(self.variables.iter().map(|(name, value)| (name, value)));
        process.envs(&self.command.env).process_group(0);
        process.stdin(Stdio::null()).stdout(writer).stderr(errors);
        let child = process.spawn().map_err(|error| match directory.is_dir() {
            true => Error::io("run", process.get_program(), error),
            false => Error::io("run a command in", &directory, error),
        })?;
        rustix::io::ioctl_fionbio(&output, true).map_err(|error| failed(error.into()))?;
        Ok((child, output))
    }

    fn working_directory(&self) -> PathBuf {
        self.command.cwd.as_ref().map_or_else(|| self.directory.to_owned(), |cwd| self.directory.join(cwd))
    }

    fn shell(&self) -> std::process::Command {
        let (shell, flags): (PathBuf, &[&str]) = match &self.command.shell {
            Shell::Plain => ("/bin/sh".into(), &["-c"]),
            Shell::Path(path) => (path.into(), &["-c"]),
            Shell::Login => {
                let user = rustix::process::geteuid().as_raw();
                (Accounts::read().shell(user).unwrap_or_else(|| "/bin/sh".into()), &["-l", "-c"])
            }
        };
        let mut process = std::process::Command::new(shell);
        process.args(flags).arg(&self.command.run);
        process
    }
}

/// The text of the command is not named: it may hold a secret.
fn failed(error: io::Error) -> Error {
    Error::io("follow", "the command", error)
}

/// The end of a command that must not go on.
struct Ending {
    /// The reason, and the time of SIGTERM.
    asked: Option<(CommandEnd, Instant)>,
    timeout: Option<Duration>,
    began: Instant,
}

impl Ending {
    /// Ends the command if its time is over or it must stop.
    fn look(&mut self, child: &Child, must_stop: bool) {
        if let Some((_, since)) = self.asked {
            if since.elapsed() >= KILL_AFTER {
                kill_process_group(group(child), Signal::KILL).ok();
            }
            return;
        }
        let is_late = self.timeout.is_some_and(|timeout| self.began.elapsed() >= timeout);
        if must_stop || is_late {
            let end = if must_stop { CommandEnd::Stopped } else { CommandEnd::TimedOut };
            self.asked = Some((end, Instant::now()));
            kill_process_group(group(child), Signal::TERM).ok();
        }
    }
}

fn group(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn end_of(status: ExitStatus) -> CommandEnd {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => CommandEnd::Done,
        (Some(code), _) => CommandEnd::Code(code),
        (None, signal) => CommandEnd::Signal(signal.unwrap_or_default()),
    }
}

/// Waits a moment for output. Tells whether there is some, or its end.
fn wait_for_output(output: &PipeReader) -> bool {
    let time = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.subsec_nanos().into() };
    let mut ready = [PollFd::new(output, PollFlags::IN)];
    match poll(&mut ready, Some(&time)) {
        Ok(0) | Err(_) => false,
        Ok(_) if ready[0].revents().contains(PollFlags::IN) => true,
        Ok(_) => {
            // The pipe has ended and the shell has not: `poll` would not wait any more.
            std::thread::sleep(Duration::from_millis(1));
            false
        }
    }
}

/// Reads output once. Returns whether there was some.
fn read_some(output: &mut PipeReader, lines: &mut Lines<'_>, take: &mut impl FnMut(String)) -> bool {
    let mut buffer = [0; 16 << 10];
    match output.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(read) => {
            lines.add(&buffer[..read], take);
            true
        }
    }
}

/// Reads the output that is there, up to the size of a pipe: a daemon may write for ever.
fn drain(output: &mut PipeReader, lines: &mut Lines<'_>, take: &mut impl FnMut(String)) {
    const READS_MAX: usize = 64;
    for _ in 0..READS_MAX {
        if !read_some(output, lines, take) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &Command) -> (CommandEnd, Vec<String>) {
        let place = tempfile::tempdir().unwrap();
        let mut lines = Vec::new();
        let variables = [("GREETING".into(), "hello".into())];
        let mask = Mask::new(&["s3cret".to_owned()]);
        let invocation = Invocation { command, directory: place.path(), variables: &variables, mask: &mask };
        let end = invocation.run(|line| lines.push(line), || false).unwrap();
        (end, lines)
    }

    fn command(run: &str) -> Command {
        Command { run: run.to_owned(), ..Command::default() }
    }

    #[test]
    fn output_and_errors_come_as_lines_in_their_order() {
        let (end, lines) = run(&command("echo $GREETING; echo error >&2; printf last"));
        assert_eq!((end, lines), (CommandEnd::Done, ["hello", "error", "last"].map(str::to_owned).to_vec()));
        assert_eq!(run(&command("exit 3")).0, CommandEnd::Code(3));
        assert_eq!(run(&command("kill -9 $$")).0, CommandEnd::Signal(9));
    }

    #[test]
    fn a_secret_across_the_cut_of_a_long_line_is_not_shown() {
        for before in 4080..4100 {
            let (_, lines) = run(&command(&format!("head -c {before} /dev/zero | tr '\\0' x; echo s3cret after")));
            assert_eq!(lines.concat(), format!("{}*** after", "x".repeat(before)));
        }
    }

    #[test]
    fn a_command_that_ignores_sigterm_is_killed_with_its_children() {
        let timeout = Some(Duration::from_millis(100));
        let began = Instant::now();
        let (end, lines) =
            run(&Command { timeout, ..command("trap '' TERM; echo begun; sleep 1000 & wait; sleep 1000") });
        assert_eq!((end, lines), (CommandEnd::TimedOut, vec!["begun".to_owned()]));
        assert!(began.elapsed() >= KILL_AFTER);
    }

    #[test]
    fn nobody_waits_for_a_daemon_that_holds_the_output() {
        let began = Instant::now();
        let (end, lines) = run(&command("setsid sleep 5 & echo done"));
        assert_eq!((end, lines), (CommandEnd::Done, vec!["done".to_owned()]));
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}
