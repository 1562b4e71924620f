//! The other side of a conversation, as a stranger may play it: frames are written by hand, and the program that reads
//! them is watched.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use super::site::Site;

/// The longest payload of a frame, in bytes.
pub(crate) const PAYLOAD_MAX: usize = (10 << 20) - 1;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message = 1,
    Block = 2,
    Part = 3,
    Piece = 4,
}

/// How long a program may take to end when it has heard all. One that does not is killed then.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes a frame.
pub(crate) fn frame(out: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    out.write_all(&(payload.len() as u32 + 1).to_le_bytes())?;
    out.write_all(&[kind as u8])?;
    out.write_all(payload)
}

/// Writes a message that begins so and goes on with zeros, in as many pieces as it takes.
pub(crate) fn long_message(out: &mut impl Write, begin: &[u8], zeros: usize) -> io::Result<()> {
    let mut piece = begin.to_vec();
    let mut left = zeros;
    loop {
        let more = left.min(PAYLOAD_MAX - piece.len());
        piece.resize(piece.len() + more, 0);
        left -= more;
        let kind = if left == 0 { Kind::Message } else { Kind::Piece };
        frame(out, kind, &piece)?;
        if left == 0 {
            return Ok(());
        }
        piece.clear();
    }
}

/// Returns a number as it is written in messages and manifests.
pub(crate) fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Returns the frames that were recorded, with their kinds.
pub(crate) fn frames(mut recorded: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [a, b, c, d, rest @ ..] = recorded {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        frames.push((rest[0], rest[1..length].to_vec()));
        recorded = &rest[length..];
    }
    frames
}

/// What became of a program that read something hostile.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The most memory that it took, in MiB.
    pub(crate) peak_mib: u64,
    /// Its exit code; nothing where it was killed.
    pub(crate) code: Option<i32>,
    /// What it printed on stderr.
    pub(crate) stderr: String,
}

/// How often it is looked whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The programs of this build, and a site whose server is a script.
pub(crate) struct Peer {
    pub(crate) site: Site,
}

impl Peer {
    /// Makes one. The script runs the file `play` of the site.
    pub(crate) fn new() -> Peer {
        let mut site = Site::new();
        let script = format!("#!/bin/sh\nfor last; do :; done\n. {}\n", site.path("play").display());
        site.reach_by_script(&script);
        site.write("a", "one");
        Peer { site }
    }

    /// Returns the agent by itself.
    pub(crate) fn agent() -> PathBuf {
        Path::new(env!("CARGO_BIN_EXE_cutover")).with_file_name("cutover-agent")
    }

    /// Returns what the agent greets with.
    pub(crate) fn greeting() -> Vec<u8> {
        let mut agent = Command::new(Peer::agent());
        let mut agent = agent.arg("agent").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut greeting = vec![0; 22];
        let agent = agent.as_mut().unwrap();
        agent.stdout.as_mut().unwrap().read_exact(&mut greeting).unwrap();
        agent.kill().ok();
        agent.wait().unwrap();
        greeting
    }

    /// Has the client speak to what this script does in the place of the server.
    pub(crate) fn play(&self, script: &str) {
        fs::write(self.site.path("play"), script).unwrap();
        fs::set_permissions(self.site.path("play"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Deploys to a real agent, and returns what the client said to it.
    pub(crate) fn recorded(&self, words: &[&str]) -> Vec<(u8, Vec<u8>)> {
        let heard = self.site.path("heard");
        self.play(&format!("tee {} | {} agent\n", heard.display(), Peer::agent().display()));
        self.site.deploy(words);
        frames(&fs::read(heard).unwrap())
    }

    /// Runs a verb of the client against an agent that greets, and then says what `say` writes, whatever is asked.
    pub(crate) fn client_hears(&self, words: &[&str], say: impl FnOnce(&mut File) -> io::Result<()>) -> Watched {
        let said = self.site.path("said");
        let mut file = File::create(&said).unwrap();
        file.write_all(&Peer::greeting()).unwrap();
        say(&mut file).unwrap();
        self.play(&format!("exec cat {}\n", said.display()));
        let mut command = self.site.command(words);
        watch(command.stdout(Stdio::null()).spawn().unwrap(), |_| Ok(()))
    }
}

/// Runs an agent, to which a client says what `say` writes, and which nobody answers.
pub(crate) fn agent_hears(say: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Watched {
    let mut agent = Command::new(Peer::agent());
    agent.arg("agent").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    watch(agent.spawn().unwrap(), say)
}

fn watch(mut child: Child, say: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Watched {
    let mut stderr = child.stderr.take().unwrap();
    let told = std::thread::spawn(move || {
        let mut told = String::new();
        stderr.read_to_string(&mut told).ok();
        told
    });
    if let Some(mut stdin) = child.stdin.take() {
        // A program that has heard enough reads no further.
        say(&mut stdin).ok();
    }
    let given_up = Instant::now() + PATIENCE;
    let pid = rustix::process::Pid::from_child(&child);
    let mut peak = 0;
    while let Some(taken) = peak_of(child.id()) {
        peak = taken;
        if Instant::now() > given_up {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            break;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    let used = child.wait4().unwrap();
    // A program begins with the peak of the process that started it, by this count, so it says nothing below that one.
    let counted = used.rusage.maxrss >> 10;
    let is_its_own = peak_of(std::process::id()).is_none_or(|started_with| counted > started_with);
    let peak_mib = if is_its_own { counted } else { peak } >> 10;
    Watched { peak_mib, code: used.status.code(), stderr: told.join().unwrap() }
}

/// Returns the most memory that a process has taken so far, in KiB; nothing once it has ended.
fn peak_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
