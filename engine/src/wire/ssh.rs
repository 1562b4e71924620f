//! The built-in SSH transport: connects, checks the host key, logs in, runs commands.
//!
//! Everything here happens on the caller's thread with a session that does not block, so that an interrupt and a
//! deadline end each step. A command that was started gets a thread of its own ([`pump`]).
//!
//! The kinds of host key that `known_hosts` has for the server are asked for first. Otherwise a server with several
//! kinds might show one that is not known, and look as if it had changed. The order of ciphers is libssh2's:
//! to send 2 GB takes it 7 s of processor time with ChaCha20-Poly1305, and 11 s with AES-GCM.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use ssh2::{BlockDirections, ErrorCode, HashType, MethodType, Session};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::path::Shown;
use crate::target::{Reach, SshDestination};
use crate::wire::authenticate::{self, Refused};
use crate::wire::greeting::{SLICE, timespec};
use crate::wire::host_settings::{HostSettings, Need, Strictness};
use crate::wire::known_hosts::{self, KnownHost, Verdict};
use crate::wire::login::{Login, Running};
use crate::wire::pump::{self, Alive, Line};
use crate::wire::tcp;

/// How long the server may take for one step. Time enough to touch a key, and for a server that looks up names first.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// Where `ssh_config` does not say: a dead line is noticed within a minute, before most people look.
const ALIVE: Alive = Alive { interval: Duration::from_secs(15), maximum: 3 };
/// libssh2's answer for "call again".
const AGAIN: ErrorCode = ErrorCode::Session(-37);

/// Why the built-in transport did not log in.
pub(super) enum Setback {
    /// The system's `ssh` might.
    NeedsOpenssh(Need),
    /// No key was accepted; the system's `ssh` might know another way.
    Refused(Refused),
    /// It failed.
    Failed(Error),
}

impl From<Error> for Setback {
    fn from(error: Error) -> Setback {
        Setback::Failed(error)
    }
}

/// A login through the built-in transport.
pub(super) struct SshLogin {
    steps: Steps,
    line: Line,
    /// The shortest that the server took for an answer that takes it no time.
    round_trip: Duration,
}

impl SshLogin {
    /// Connects and logs in.
    pub(super) fn open(
        settings: &HostSettings,
        destination: &SshDestination,
        reach: &Reach,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<SshLogin, Setback> {
        let files = settings.user_known_hosts.iter().chain(&settings.global_known_hosts);
        let known = KnownHost::read(files, &settings.known_as)?;
        if let (true, Some(need)) = (known.keys.is_empty(), authority(&known)) {
            return Err(Setback::NeedsOpenssh(need));
        }
        let (socket, round_trip) = tcp::connect(settings, cancel)?;
        let mut login = SshLogin::new(settings, Arc::new(socket), round_trip, cancel)?;
        login.handshake(&known)?;
        observer.observe(Event::Detail(login.describe()));
        login.check_host_key(&known, settings, destination, reach, observer)?;
        match authenticate::log_in(&login.steps, &login.line.session, settings, reach, observer)? {
            None => Ok(login),
            Some(refused) => Err(Setback::Refused(refused)),
        }
    }

    fn new(
        settings: &HostSettings,
        socket: Arc<TcpStream>,
        round_trip: Duration,
        cancel: &Cancel,
    ) -> Result<SshLogin, Error> {
        let steps = Steps { host: settings.host_name.clone(), socket: Arc::clone(&socket), cancel: cancel.clone() };
        let mut session = Session::new().map_err(|error| steps.failed("start", error))?;
        session.set_tcp_stream(Arc::clone(&socket));
        session.set_blocking(false);
        let alive = Alive {
            // libssh2 asks at most every other second.
            interval: settings.alive_interval.unwrap_or(ALIVE.interval).max(Duration::from_secs(2)),
            maximum: settings.alive_maximum.unwrap_or(ALIVE.maximum),
        };
        // When to ask is the pump's business. To libssh2, each of its requests must be due.
        session.set_keepalive(true, 1);
        Ok(SshLogin { steps, line: Line { session, socket, alive }, round_trip })
    }

    fn handshake(&mut self, known: &KnownHost) -> Result<(), Error> {
        let mut session = self.line.session.clone();
        if let Some(preferred) = preferred_kinds(&session, known) {
            session
                .method_pref(MethodType::HostKey, &preferred)
                .map_err(|error| self.steps.failed("choose the kind of host key", error))?;
        }
        self.steps.step(&session.clone(), "agree on encryption", || session.handshake())
    }

    fn describe(&self) -> String {
        let method = |kind| self.line.session.methods(kind).unwrap_or("none").to_owned();
        let address = self.line.socket.peer_addr().map_or_else(|_| String::new(), |address| address.to_string());
        format!(
            "Connected to {address} ({}): key exchange {}, host key {}, cipher {}",
            Shown(self.line.session.banner_bytes().unwrap_or_default()),
            method(MethodType::Kex),
            method(MethodType::HostKey),
            method(MethodType::CryptCs),
        )
    }

    fn check_host_key(
        &self,
        known: &KnownHost,
        settings: &HostSettings,
        destination: &SshDestination,
        reach: &Reach,
        observer: &dyn Observer,
    ) -> Result<(), Setback> {
        let session = &self.line.session;
        let (Some((key, _)), Some(sha256)) = (session.host_key(), session.host_key_hash(HashType::Sha256)) else {
            return Err(Setback::Failed(Error::Protocol("the server showed no host key".into())));
        };
        let host = settings.known_as.clone();
        let algorithm = known_hosts::algorithm(key);
        let fingerprint = known_hosts::fingerprint(sha256);
        let verdict = known.check(key);
        if let (Verdict::Unknown | Verdict::Changed(_), Some(need)) = (&verdict, authority(known)) {
            return Err(Setback::NeedsOpenssh(need));
        }
        match (verdict, settings.strictness) {
            (Verdict::Known, _) => Ok(()),
            (Verdict::Unknown, Strictness::Refuse) => Err(Setback::Failed(Error::HostKeyUnknown {
                host,
                algorithm,
                fingerprint,
                searched: settings.user_known_hosts.iter().chain(&settings.global_known_hosts).cloned().collect(),
                ssh_command: ssh_command(destination, reach),
            })),
            (Verdict::Unknown, Strictness::AcceptNew | Strictness::Off) => {
                accept(settings, key, &format!("{algorithm} {fingerprint}"), observer);
                Ok(())
            }
            (Verdict::Changed(file), Strictness::Off) => {
                observer.observe(Event::Warning(format!(
                    "The host key of `{host}` is not the one in `{}`, and `StrictHostKeyChecking no` lets it pass: \
                     {algorithm} {fingerprint}",
                    file.display()
                )));
                Ok(())
            }
            (Verdict::Changed(file), _) => {
                Err(Setback::Failed(Error::HostKeyChanged { host, algorithm, fingerprint, file }))
            }
            (Verdict::Revoked(file), _) => {
                Err(Setback::Failed(Error::HostKeyRevoked { host, algorithm, fingerprint, file }))
            }
        }
    }
}

impl Login for SshLogin {
    fn run(&mut self, command: &str) -> Result<Running, Error> {
        let session = &self.line.session;
        let began = Instant::now();
        let mut channel = self.steps.step(session, "open a channel", || session.channel_session())?;
        // A packet that was lost and sent again makes one measurement long, and seldom two.
        self.round_trip = self.round_trip.min(began.elapsed());
        self.steps.step(session, "run a command", || channel.exec(command))?;
        pump::start(self.line.clone(), channel)
    }

    fn host(&self) -> &str {
        &self.steps.host
    }

    fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip)
    }
}

fn authority(known: &KnownHost) -> Option<Need> {
    let file = known.authority.clone()?;
    Some(Need { keyword: "@cert-authority".into(), file })
}

/// Returns the kinds of host key to ask for, the known ones first; none when nothing is known.
fn preferred_kinds(session: &Session, known: &KnownHost) -> Option<String> {
    let supported = session.supported_algs(MethodType::HostKey).ok()?;
    let is_known = |name: &str| {
        // One key of RSA signs in three ways, and has the name of the oldest.
        let kind = if name.starts_with("rsa-sha2-") { "ssh-rsa" } else { name };
        known.keys.iter().any(|key| key.algorithm == kind)
    };
    let (mut first, rest): (Vec<&str>, Vec<&str>) = supported.into_iter().partition(|name| is_known(name));
    if first.is_empty() {
        return None;
    }
    first.extend(rest);
    Some(first.join(","))
}

/// Adds a key that was not known. Where that fails, the login goes on: the configuration accepts the key either way.
fn accept(settings: &HostSettings, key: &[u8], shown: &str, observer: &dyn Observer) {
    let Some(file) = settings.user_known_hosts.first() else {
        return;
    };
    let (name, file_shown) = (&settings.known_as, file.display());
    let warning = match known_hosts::add(file, name, key) {
        Err(_) => format!("Could not add the host key of `{name}` to `{file_shown}`: {shown}"),
        Ok(()) if settings.hash_known_hosts => format!(
            "Added the host key of `{name}` to `{file_shown}`: {shown}; the name is not hashed, for which there is \
             `ssh-keygen -H`"
        ),
        Ok(()) => format!("Added the host key of `{name}` to `{file_shown}`: {shown}"),
    };
    observer.observe(Event::Warning(warning));
}

/// Returns the command that shows the key, asks, and adds it.
fn ssh_command(destination: &SshDestination, reach: &Reach) -> String {
    let mut words = vec!["ssh".to_owned()];
    if let Some(config) = &reach.ssh_config {
        words.push(format!("-F {}", quoted(config)));
    }
    words.push("-o StrictHostKeyChecking=ask".into());
    if let Some(port) = destination.port {
        words.push(format!("-p {port}"));
    }
    match &destination.user {
        Some(user) => words.push(format!("{user}@{}", destination.host)),
        None => words.push(destination.host.clone()),
    }
    words.push("true".into());
    words.join(" ")
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Takes steps with a session that does not block.
pub(super) struct Steps {
    host: String,
    socket: Arc<TcpStream>,
    cancel: Cancel,
}

impl Steps {
    /// Takes a step, and makes an error of its failure.
    pub(super) fn step<T>(
        &self,
        session: &Session,
        action: &'static str,
        take: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, Error> {
        self.attempt(session, action, take)?.map_err(|error| self.failed(action, error))
    }

    /// Takes a step that may fail; only an interrupt and a deadline are errors at once.
    pub(super) fn attempt<T>(
        &self,
        session: &Session,
        action: &'static str,
        mut take: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<Result<T, ssh2::Error>, Error> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        loop {
            self.cancel.check()?;
            match take() {
                Err(error) if error.code() == AGAIN => {}
                done => return Ok(done),
            }
            if Instant::now() >= deadline {
                return Err(self.failed(action, io::Error::from(io::ErrorKind::TimedOut)));
            }
            self.wait(session).map_err(|error| self.failed(action, error))?;
        }
    }

    fn wait(&self, session: &Session) -> io::Result<()> {
        let wanted = match session.block_directions() {
            BlockDirections::None | BlockDirections::Inbound => PollFlags::IN,
            BlockDirections::Outbound => PollFlags::OUT,
            BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
        };
        match poll(&mut [PollFd::new(&*self.socket, wanted)], Some(&timespec(SLICE))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes an error of a failed step.
    pub(super) fn failed(
        &self,
        action: &'static str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Ssh { host: self.host.clone(), action, source: error.into() }
    }
}
