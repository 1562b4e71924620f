//! The transport through the system's `ssh`, for features that libssh2 lacks: proxies, tokens, Kerberos,
//! certificates.
//!
//! Each command is a process of its own, which connects and logs in anew, unless `ControlMaster` shares a connection.
//! Its stdin and stdout are the command's. `ssh` runs in a process group of its own, so that an interrupt at the terminal
//! ends the deploy in order and does not cut its connection. It asks through [`askpass`](crate::askpass) if a person can be
//! asked, and else runs in batch mode. Keywords of `ssh_config` that
//! change the kind of session are overruled: a deploy needs a plain one.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::ask::Answers;
use crate::askpass::{Desk, VARIABLE};
use crate::cancel::Cancel;
use crate::error::{Error, ReachError};
use crate::host_key::HostKey;
use crate::path::shown_lines;
use crate::server::Server;
use crate::target::{Reach, SshDestination};
use crate::wire::greeting::timespec;
use crate::wire::host_settings::{HostSettings, Need, Strictness};
use crate::wire::login::{Exit, GREETING_TIMEOUT, LINGER, Login, Process, RemoteCommand, Tail};
use crate::wire::pinned::{self, PinnedKeys};
use crate::wire::ssh_version;

/// The exit status with which `ssh` reports its own failure.
const FAILED: i32 = 255;
/// The first OpenSSH with `SSH_ASKPASS_REQUIRE`.
const ASKPASS_REQUIRE: (u32, u32) = (8, 4);
/// The time in which a login with questions must be done. The server's own limit (`LoginGraceTime`) is shorter in most
/// cases, and `ssh` itself notices a line that is dead.
const PERSON: Duration = Duration::from_secs(600);

/// A login through the system's `ssh`. Only the first command shows whether it works.
pub(super) struct OpensshLogin {
    arguments: Vec<OsString>,
    /// The keys of which the server must show one, if any are pinned.
    host_keys: Vec<HostKey>,
    /// Whether `ssh_config` names a command that prints host keys, as far as is known.
    has_host_key_command: bool,
    /// The feature that requires `ssh`, or nothing if the user chose it.
    need: Option<Need>,
    /// The person to ask, and the interrupt of a question.
    asks: Option<(Answers, Cancel)>,
    /// The program that `ssh` starts to ask.
    askpass: PathBuf,
    server: Server,
}

impl OpensshLogin {
    /// Prepares the arguments. Without settings, `ssh` itself reports the error in them.
    pub(super) fn new(
        destination: &SshDestination,
        reach: &Reach,
        settings: Option<&HostSettings>,
        need: Option<Need>,
        asks: Option<(Answers, Cancel)>,
    ) -> OpensshLogin {
        let mut arguments: Vec<OsString> = vec!["-T".into()];
        let mut add = |words: [OsString; 2]| arguments.extend(words);
        if let Some(file) = &reach.ssh_config {
            add(["-F".into(), file.into()]);
        }
        let mut options = vec!["ClearAllForwardings=yes".to_owned()];
        let asks = asks.filter(|_| can_ask());
        if asks.is_none() {
            options.push("BatchMode=yes".to_owned());
        } else if settings.is_some_and(|settings| settings.known.strictness == Strictness::Refuse) {
            // A new host key is refused here too, and not asked about.
            options.push("StrictHostKeyChecking=yes".to_owned());
        }
        // A configured command for interactive logins would replace ours.
        options.push("RemoteCommand=none".to_owned());
        if settings.is_none_or(|settings| settings.line.alive_interval.is_none()) {
            options.push("ServerAliveInterval=15".to_owned());
        }
        // Only keywords that are set: an older `ssh` does not know the others.
        let overruled = settings.into_iter().flat_map(|settings| &settings.openssh.overruled);
        options.extend(overruled.map(|(keyword, plain)| format!("{keyword}={plain}")));
        options.into_iter().for_each(|option| add(["-o".into(), option.into()]));
        if let Some(identity) = &reach.identity {
            add(["-i".into(), existing(identity).into()]);
        }
        if let Some(port) = destination.port {
            add(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = &destination.user {
            add(["-l".into(), user.into()]);
        }
        add(["--".into(), destination.host.clone().into()]);
        let server = settings.map_or_else(|| destination.server(), |settings| settings.server.clone());
        let askpass = askpass_program(&reach.program);
        let has_host_key_command = settings.is_none_or(|settings| settings.known.has_command);
        let host_keys = reach.host_keys.clone();
        OpensshLogin { arguments, host_keys, has_host_key_command, need, asks, askpass, server }
    }
}

/// Returns whether `ssh` can ask through a program although there is a terminal. An older one would be stopped when it
/// reads from the terminal.
fn can_ask() -> bool {
    ssh_version::installed().is_ok_and(|version| version >= Some(ASKPASS_REQUIRE))
}

/// Returns a name of the running program for other processes.
fn askpass_program(program: &Path) -> PathBuf {
    let own = program.strip_prefix("/proc/self");
    own.map_or_else(|_| program.to_owned(), |rest| Path::new("/proc").join(std::process::id().to_string()).join(rest))
}

/// Returns the key, or its public half if only that exists and an SSH agent has the private key: `ssh` skips a file
/// that does not exist.
fn existing(identity: &Path) -> PathBuf {
    let mut public = identity.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    if !identity.exists() && public.exists() { public } else { identity.to_owned() }
}

impl Login for OpensshLogin {
    fn run(&mut self, command: &str) -> Result<RemoteCommand, Error> {
        let mut ssh = Command::new("ssh");
        let pinned = PinnedKeys::write(&self.host_keys)?;
        // The first value of an option counts.
        ssh.args(pinned.iter().flat_map(|pinned| pinned.options(self.has_host_key_command)));
        ssh.args(&self.arguments).arg(command);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh.process_group(0);
        let desk = self.asks.as_ref().map(|(answers, cancel)| Desk::open(answers.clone(), cancel)).transpose();
        let desk = desk.map_err(|source| Error::io("make a socket for", "ssh", source))?;
        if let Some(desk) = &desk {
            ssh.env("SSH_ASKPASS", &self.askpass).env("SSH_ASKPASS_REQUIRE", "force").env(VARIABLE, &desk.name);
        }
        let failed = |source: io::Error| Error::io("run", "ssh", source);
        let mut child = ssh.spawn().map_err(|error| match &self.need {
            Some(need) if error.kind() == io::ErrorKind::NotFound => need.clone().into_error(),
            _ => failed(error),
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::Bug("a child process lacks a stream that was asked for".into()));
        };
        // Larger pipes save context switches; the default size works too.
        rustix::pipe::fcntl_setpipe_size(&stdin, 1 << 20).ok();
        rustix::pipe::fcntl_setpipe_size(&stdout, 1 << 20).ok();
        Ok(RemoteCommand {
            input: OwnedFd::from(stdout).into(),
            output: OwnedFd::from(stdin).into(),
            // `ssh` does not report how many bytes have arrived.
            ack_meter: None,
            process: Box::new(OpensshProcess {
                child,
                _desk: desk,
                _pinned: pinned,
                stderr: StderrReader::start(OwnedFd::from(stderr).into()).map_err(failed)?,
            }),
        })
    }

    fn host(&self) -> &str {
        &self.server.name
    }

    fn patience(&self) -> Duration {
        if self.asks.is_some() { PERSON } else { GREETING_TIMEOUT }
    }

    fn failure(&self, exit: &Exit) -> Option<Error> {
        (exit.status == Some(FAILED)).then(|| {
            if let Some(error) = pinned::judge(exit, &self.server.name, &self.host_keys) {
                return error;
            }
            Error::from(ReachError::OpensshFailed { server: self.server.clone(), output: shown_lines(&exit.stderr) })
        })
    }
}

struct OpensshProcess {
    child: Child,
    /// Takes its questions as long as it runs.
    _desk: Option<Desk>,
    /// Open until `ssh` has read it.
    _pinned: Option<PinnedKeys>,
    stderr: StderrReader,
}

impl Process for OpensshProcess {
    fn wait(mut self: Box<Self>) -> Result<Exit, Error> {
        self.wait_or_kill();
        let status = self.child.wait().map_err(|error| Error::io("wait for", "ssh", error))?;
        let signalled = status.signal().map(|signal| 128 + signal);
        Ok(Exit { status: status.code().or(signalled), stderr: self.stderr.finish() })
    }
}

impl OpensshProcess {
    /// Kills an `ssh` that does not end although both its streams are closed.
    fn wait_or_kill(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
            return;
        };
        let deadline = Instant::now() + LINGER;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timespec(left))) {
                Err(Errno::INTR) => {}
                Ok(0) => {
                    self.child.kill().ok();
                    return;
                }
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl Drop for OpensshProcess {
    fn drop(&mut self) {
        // End a command that nobody waits for. If it has ended, there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Keeps the end of `ssh`'s stderr.
///
/// The stream may outlive the process: with `ControlPersist`, a process in the background inherits it. So the thread
/// also watches a pipe that is closed when `ssh` has ended, and then reads only the bytes that are already there.
struct StderrReader {
    tail: Tail,
    ended: Option<File>,
    thread: Option<JoinHandle<()>>,
}

impl StderrReader {
    fn start(stderr: File) -> io::Result<StderrReader> {
        let (watched, ended) = io::pipe()?;
        let tail = Tail::default();
        let kept = tail.clone();
        let thread = std::thread::Builder::new()
            .name("ssh stderr".into())
            .spawn(move || keep(stderr, &OwnedFd::from(watched).into(), &kept))?;
        Ok(StderrReader { tail, ended: Some(OwnedFd::from(ended).into()), thread: Some(thread) })
    }

    fn finish(&mut self) -> Vec<u8> {
        self.ended = None;
        if let Some(thread) = self.thread.take() {
            // The thread returns nothing, and a panic there only loses a message.
            thread.join().ok();
        }
        self.tail.bytes()
    }
}

fn keep(mut stderr: File, ended: &File, tail: &Tail) {
    let mut buffer = [0; 4096];
    loop {
        let mut polled = [PollFd::new(&stderr, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        if polled[0].revents().is_empty() {
            return;
        }
        match stderr.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(bytes) => tail.push(&buffer[..bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_a_name_that_other_processes_understand() {
        let own = format!("/proc/{}/exe", std::process::id());
        assert_eq!(askpass_program(Path::new("/proc/self/exe")), Path::new(&own));
        assert_eq!(askpass_program(Path::new("/usr/bin/cutover")), Path::new("/usr/bin/cutover"));
    }
}
