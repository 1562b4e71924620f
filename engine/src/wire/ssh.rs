//! The built-in SSH transport: connects, checks the host key, logs in, runs commands.
//!
//! Everything here runs on the caller's thread with a session that does not block, so an interrupt or a deadline can
//! end each step. A started command gets a thread of its own ([`pump`]).
//!
//! The session asks for the kinds of host key that `known_hosts` lists for the server first. Otherwise a server with
//! several keys might show one that is not listed, and look as if its key had changed.
//!
//! If libssh2 knows none of the algorithms that a server allows, nothing is wrong with the server, and the system's
//! `ssh` takes over.
//!
//! A server with as many unfinished logins as it allows (`MaxStartups`) closes a connection before it greets. Another
//! attempt a moment later usually succeeds.

use std::cell::Cell;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh2::{Channel, ErrorCode, HashType, MethodType, Session};

use crate::cancel::Cancel;
use crate::error::{Error, LoginError, ReachError};
use crate::event::{Event, Observer};
use crate::path::Shown;
use crate::shell::quoted;
use crate::target::{Reach, SshDestination};
use crate::wire::algorithms::NoCommonAlgorithm;
use crate::wire::authenticate::{self, LoginRefusal};
use crate::wire::host_settings::{HostSettings, Need, Strictness};
use crate::wire::key_file::kind;
use crate::wire::known_hosts::{self, KnownHost, Verdict};
use crate::wire::login::{Login, RemoteCommand};
use crate::wire::pinned;
use crate::wire::preface::{Preface, is_busy};
use crate::wire::pump::{self, KeepAlive, Line};
use crate::wire::steps::{STEP_TIMEOUT, Steps, wait_a_moment};
use crate::wire::tcp;

/// The shortest limit for a step of a login, however short `ConnectTimeout` is: a server may look up the user
/// elsewhere. `ssh` has no limit there.
const LOGIN_TIMEOUT_MIN: Duration = Duration::from_secs(8);
/// The waits before further attempts at a server that accepts no connection now.
const TRY_AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];
/// How long a refused channel is requested again. The channel before may still be closing, and counts until then
/// (`MaxSessions`).
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(3);
/// The wait between these requests.
const CHANNEL_EVERY: Duration = Duration::from_millis(20);
/// The default without a setting in `ssh_config`: a dead connection is noticed within a minute, before most people
/// check.
const ALIVE: KeepAlive = KeepAlive { interval: Duration::from_secs(15), maximum: 3 };
/// libssh2's answer for "the server opens no channel".
const NO_CHANNEL: ErrorCode = ErrorCode::Session(-21);
/// The step in which both sides greet and agree.
const AGREE: &str = "agree on encryption";
/// The step before a command.
const OPEN: &str = "open a channel";
/// libssh2's answers if both sides could not agree on algorithms, or if it could not do what they agreed on.
const NO_AGREEMENT: [ErrorCode; 8] = [
    ErrorCode::Session(-4),
    ErrorCode::Session(-5),
    ErrorCode::Session(-8),
    ErrorCode::Session(-10),
    ErrorCode::Session(-11),
    ErrorCode::Session(-12),
    ErrorCode::Session(-14),
    ErrorCode::Session(-33),
];

/// The reason that the built-in transport did not log in.
pub(super) enum Setback {
    /// The system's `ssh` might log in.
    NeedsOpenssh(Need),
    /// The server accepted no key; the system's `ssh` might know another method.
    Refused(LoginRefusal),
    /// The login failed.
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
    /// The shortest measured round trip.
    round_trip: Duration,
    /// Whether a further connection can log in without a question.
    is_repeatable: bool,
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
        let known = if reach.host_keys.is_empty() {
            let files = settings.known.files();
            KnownHost::read(files, &settings.known.name, settings.known.plain_name.as_deref())?
        } else {
            KnownHost::pinned(&reach.host_keys)
        };
        if let (true, Some(need)) = (known.is_empty(), authority(&known)) {
            return Err(Setback::NeedsOpenssh(need));
        }
        let mut login = SshLogin::connect(settings, &known, observer, cancel)?;
        observer.observe(Event::Detail(login.describe()));
        login.check_host_key(&known, settings, destination, reach, observer)?;
        login.steps.patience = settings.line.connect_timeout.map_or(STEP_TIMEOUT, |limit| limit.max(LOGIN_TIMEOUT_MIN));
        let outcome = authenticate::log_in(&login.steps, &login.line.session, settings, reach, observer)?;
        login.steps.patience = STEP_TIMEOUT;
        let admission = outcome.map_err(Setback::Refused)?;
        login.is_repeatable = admission.is_repeatable;
        Ok(login)
    }

    /// Connects and agrees on encryption.
    fn connect(
        settings: &HostSettings,
        known: &KnownHost,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<SshLogin, Setback> {
        for pause in TRY_AGAIN {
            match SshLogin::try_connect(settings, known, cancel) {
                Err(Setback::Failed(Error::Reach(ReachError::ClosedEarly { .. }))) => {}
                done => return done,
            }
            observer.observe(Event::Detail("The server closed the connection before it greeted: trying again".into()));
            wait_a_moment(pause, cancel)?;
        }
        SshLogin::try_connect(settings, known, cancel)
    }

    fn try_connect(settings: &HostSettings, known: &KnownHost, cancel: &Cancel) -> Result<SshLogin, Setback> {
        let (socket, round_trip) = tcp::connect(settings, cancel)?;
        // As with `ssh`, the connection to an address and the handshake share one limit, if there is one.
        let deadline = settings.line.connect_timeout.map(|limit| Instant::now() + limit.saturating_sub(round_trip));
        let mut login = SshLogin::new(settings, Arc::new(socket), round_trip, cancel)?;
        login.handshake(known, settings, deadline)?;
        Ok(login)
    }

    fn new(
        settings: &HostSettings,
        socket: Arc<TcpStream>,
        round_trip: Duration,
        cancel: &Cancel,
    ) -> Result<SshLogin, Error> {
        let steps = Steps {
            server: settings.server.clone(),
            socket: Arc::clone(&socket),
            cancel: cancel.clone(),
            patience: STEP_TIMEOUT,
            answered: Cell::new(None),
        };
        let mut session = Session::new().map_err(|error| steps.failed("start", error))?;
        session.set_tcp_stream(Arc::clone(&socket));
        session.set_blocking(false);
        let alive = KeepAlive {
            // libssh2 asks at most every other second.
            interval: settings.line.alive_interval.unwrap_or(ALIVE.interval).max(Duration::from_secs(2)),
            maximum: settings.line.alive_maximum.unwrap_or(ALIVE.maximum),
        };
        // The pump decides when to ask. libssh2 must regard each of the pump's requests as due.
        session.set_keepalive(true, 1);
        Ok(SshLogin { steps, line: Line { session, socket, alive }, round_trip, is_repeatable: true })
    }

    fn handshake(
        &mut self,
        known: &KnownHost,
        settings: &HostSettings,
        deadline: Option<Instant>,
    ) -> Result<(), Setback> {
        let mut session = self.line.session.clone();
        settings.algorithms.apply(&session, &known.kinds()).map_err(|NoCommonAlgorithm(kind)| {
            Setback::NeedsOpenssh(Need::other(format!("The {kind} that `ssh_config` asks for")))
        })?;
        let mut preface = Preface::default();
        let take = || {
            preface.inspect(&self.line)?;
            session.handshake()
        };
        let outcome = self.steps.attempt_until(&self.line.session, AGREE, deadline, take);
        match outcome.and_then(|outcome| outcome.map_err(|error| self.steps.failed(AGREE, error))) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.judge_handshake(error, preface, settings)),
        }
    }

    /// Tells apart a server that does not speak SSH, one whose algorithms libssh2 lacks, and a failed connection.
    fn judge_handshake(&self, error: Error, mut preface: Preface, settings: &HostSettings) -> Setback {
        let Error::Reach(ReachError::Ssh { source, .. }) = &error else { return Setback::Failed(error) };
        let failed = source.downcast_ref::<ssh2::Error>();
        if !preface.is_ssh(&self.line.session) && (failed.is_some() || preface.has_come()) {
            let server = self.steps.server.clone();
            return Setback::Failed(match Preface::read_first_line(settings, &self.steps.cancel) {
                Ok(Some(said)) if !is_busy(&said) => Error::from(ReachError::NotSsh { server, said }),
                Ok(_) => Error::from(ReachError::ClosedEarly { server }),
                Err(error) => error,
            });
        }
        if let Some(failed) = failed.filter(|failed| NO_AGREEMENT.contains(&failed.code())) {
            let need = format!("The server's choice of algorithms ({})", failed.message());
            return Setback::NeedsOpenssh(Need::other(need));
        }
        Setback::Failed(error)
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
        let host = settings.known.name.clone();
        let algorithm = kind(key);
        let fingerprint = known_hosts::fingerprint(sha256);
        let verdict = known.check(key);
        if !reach.host_keys.is_empty() {
            let shown = Some(format!("{algorithm} {fingerprint}"));
            let wrong = || Setback::Failed(pinned::not_pinned(destination.host.clone(), shown, &reach.host_keys));
            return if verdict == Verdict::Known { Ok(()) } else { Err(wrong()) };
        }
        if let (Verdict::Unknown | Verdict::Changed(_), Some(need)) = (&verdict, authority(known)) {
            return Err(Setback::NeedsOpenssh(need));
        }
        match (verdict, settings.known.strictness) {
            (Verdict::Known, _) => Ok(()),
            (Verdict::Unknown, Strictness::Refuse) => Err(Setback::Failed(Error::from(LoginError::HostKeyUnknown {
                host,
                algorithm,
                fingerprint,
                searched: settings.known.files().cloned().collect(),
                ssh_command: ssh_command(destination, reach),
            }))),
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
                Err(Setback::Failed(Error::from(LoginError::HostKeyChanged { host, algorithm, fingerprint, file })))
            }
            (Verdict::Revoked(file), _) => {
                Err(Setback::Failed(Error::from(LoginError::HostKeyRevoked { host, algorithm, fingerprint, file })))
            }
        }
    }
}

impl Login for SshLogin {
    fn run(&mut self, command: &str) -> Result<RemoteCommand, Error> {
        let began = Instant::now();
        let mut channel = self.open_channel()?;
        // A lost packet makes one measurement long, and seldom two.
        self.round_trip = self.round_trip.min(began.elapsed());
        let session = &self.line.session;
        self.steps.step(session, "run a command", || channel.exec(command))?;
        pump::start(self.line.clone(), channel)
    }

    fn host(&self) -> &str {
        &self.steps.server.name
    }

    fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip)
    }

    fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }
}

impl SshLogin {
    /// Opens a channel, and repeats a refused request for a while.
    fn open_channel(&self) -> Result<Channel, Error> {
        let session = &self.line.session;
        let deadline = Instant::now() + CHANNEL_TIMEOUT;
        loop {
            match self.steps.attempt(session, OPEN, || session.channel_session())? {
                Err(error) if error.code() == NO_CHANNEL && Instant::now() < deadline => {
                    wait_a_moment(CHANNEL_EVERY, &self.steps.cancel)?;
                }
                opened => return opened.map_err(|error| self.steps.failed(OPEN, error)),
            }
        }
    }
}

fn authority(known: &KnownHost) -> Option<Need> {
    let file = known.authority.as_ref()?;
    Some(Need::keyword("@cert-authority", &file.display().to_string()))
}

/// Adds a new host key. If that fails, the login goes on: the configuration accepts the key either way.
fn accept(settings: &HostSettings, key: &[u8], shown: &str, observer: &dyn Observer) {
    let Some(file) = settings.known.user_files.first() else {
        return;
    };
    let (name, file_shown) = (&settings.known.name, file.display());
    let warning = match known_hosts::add(file, name, key) {
        Err(_) => format!("Could not add the host key of `{name}` to `{file_shown}`: {shown}"),
        Ok(()) if settings.known.hashes_names => format!(
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
        words.push(format!("-F {}", quoted(&config.display().to_string())));
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
