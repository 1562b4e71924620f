//! A program with its arguments: a line that is recorded, shown, and can be pasted into a shell.
//!
//! Programs that the bench itself needs run from here, unmeasured. Measured runs are in [`crate::process`].

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::{Context, Failure, Result};

/// The last lines of stderr that a failure holds.
const TAIL_LINES: usize = 20;

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Invocation {
    /// Names the program.
    pub(crate) fn new(program: impl AsRef<Path>) -> Invocation {
        Invocation { program: program.as_ref().to_path_buf(), arguments: Vec::new() }
    }

    /// Names a script of `sh`.
    pub(crate) fn script(script: &str) -> Invocation {
        Invocation::new("sh").args(["-c", script])
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

    /// Runs the program to its end and returns its stdout; fails when it fails.
    pub(crate) fn output(&self) -> Result<Vec<u8>> {
        let output = self
            .command()
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .context(|| format!("Could not run `{self}`"))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(self.failed(output.status, &String::from_utf8_lossy(&output.stderr)))
    }

    /// As [`Invocation::output`], as trimmed text.
    pub(crate) fn text(&self) -> Result<String> {
        let output = self.output()?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    /// Returns the command that starts it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }

    /// Returns the failure of a run that ended so.
    pub(crate) fn failed(&self, status: ExitStatus, stderr: &str) -> Failure {
        let lines: Vec<&str> = stderr.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        Failure::new(format!("`{self}` failed: {status}\n{}", tail.join("\n")))
    }
}

impl fmt::Display for Invocation {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted() {
        let line = Invocation::new("rsync").args(["-a", "-e", "ssh -F x", "it's"]);
        assert_eq!(line.to_string(), r"rsync -a -e 'ssh -F x' 'it'\''s'");
    }

    #[test]
    fn a_failure_holds_the_end_of_stderr() {
        let failure = Invocation::script("seq 1000 1099 >&2; exit 3").output().unwrap_err().to_string();
        assert!(failure.contains("exit status: 3\n1080\n") && failure.ends_with("\n1099"), "{failure}");
    }
}
