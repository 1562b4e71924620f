//! The other side of a conversation, played by a stranger: frames are written by hand, and the program that reads
//! them is watched.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use super::site::Site;

/// The longest payload of a frame, in bytes.
pub(crate) const PAYLOAD_MAX: usize = (10 << 20) - 1;

/// The content of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message = 1,
    Block = 2,
    Part = 3,
    Piece = 4,
}

/// The time that a program has to end after it has read everything. A slower one is killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes a frame.
pub(crate) fn frame(out: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    out.write_all(&(payload.len() as u32 + 1).to_le_bytes())?;
    out.write_all(&[kind as u8])?;
    out.write_all(payload)
}

/// Writes a message that begins with `begin` and goes on with zeros, in as many pieces as necessary.
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

/// Returns a number as messages and manifests encode it.
pub(crate) fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Returns the recorded frames, with their kinds.
pub(crate) fn frames(mut recorded: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [a, b, c, d, rest @ ..] = recorded {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        frames.push((rest[0], rest[1..length].to_vec()));
        recorded = &rest[length..];
    }
    frames
}

/// The end of a program that read hostile input.
#[derive(Debug)]
pub(crate) struct ProgramEnd {
    /// The most memory that it used, in MiB.
    pub(crate) peak_mib: u64,
    /// Its exit code, or nothing if it was killed.
    pub(crate) code: Option<i32>,
    /// Its stderr.
    pub(crate) stderr: String,
}

/// The interval of checks whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The programs of this build, and a site whose server is a script.
pub(crate) struct Peer {
    pub(crate) site: Site,
}

impl Peer {
    /// Makes a peer. The script runs the file `play` of the site.
    pub(crate) fn new() -> Peer {
        let mut site = Site::new();
        let script = format!("#!/bin/sh\nfor last; do :; done\n. {}\n", site.path("play").display());
        site.reach_by_script(&script);
        site.write("a", "one");
        Peer { site }
    }

    /// Returns the path of the agent alone.
    pub(crate) fn agent() -> PathBuf {
        Path::new(env!("CARGO_BIN_EXE_cutover")).with_file_name("cutover-agent")
    }

    /// Returns the agent's greeting.
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

    /// Runs this script in the place of the server.
    pub(crate) fn play(&self, script: &str) {
        fs::write(self.site.path("play"), script).unwrap();
        super::tree::set_mode(self.site.path("play"), 0o755);
    }

    /// Deploys to a real agent, and returns the client's frames.
    pub(crate) fn recorded(&self, words: &[&str]) -> Vec<(u8, Vec<u8>)> {
        let heard = self.site.path("heard");
        self.play(&format!("tee {} | {} agent\n", heard.display(), Peer::agent().display()));
        self.site.deploy(words);
        frames(&fs::read(heard).unwrap())
    }

    /// Runs a verb of the client against an agent that greets, and then writes the output of `say`, whatever the
    /// client sends.
    pub(crate) fn client_hears(&self, words: &[&str], say: impl FnOnce(&mut File) -> io::Result<()>) -> ProgramEnd {
        let said = self.site.path("said");
        let mut file = File::create(&said).unwrap();
        file.write_all(&Peer::greeting()).unwrap();
        say(&mut file).unwrap();
        self.play(&format!("exec cat {}\n", said.display()));
        let mut command = self.site.command(words);
        watch(command.stdout(Stdio::null()).spawn().unwrap(), |_| Ok(()))
    }
}

/// Runs an agent whose client writes the output of `say` and reads nothing.
pub(crate) fn agent_hears(say: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> ProgramEnd {
    let mut agent = Command::new(Peer::agent());
    agent.arg("agent").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    watch(agent.spawn().unwrap(), say)
}

fn watch(mut child: Child, say: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> ProgramEnd {
    let mut stderr = child.stderr.take().unwrap();
    let told = std::thread::spawn(move || {
        let mut told = String::new();
        stderr.read_to_string(&mut told).ok();
        told
    });
    if let Some(mut stdin) = child.stdin.take() {
        // A program that refuses its input reads no further.
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
    // This count starts at the peak of the parent process, so a lower value means nothing.
    let counted = used.rusage.maxrss >> 10;
    let is_its_own = peak_of(std::process::id()).is_none_or(|started_with| counted > started_with);
    let peak_mib = if is_its_own { counted } else { peak } >> 10;
    ProgramEnd { peak_mib, code: used.status.code(), stderr: told.join().unwrap() }
}

/// Returns the most memory that a process has used so far, in KiB, or nothing once it has ended.
fn peak_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
