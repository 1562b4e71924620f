//! Starts the agent on a server that needs nothing but a POSIX `sh`.
//!
//! 1. If the client expects an agent at its place, a short command checks that one file and starts it.
//! 2. Otherwise a script ([`Mode::Start`]) starts the agent at its place, or reports what it found there.
//! 3. If the agent is missing or damaged, another script reads the agent from stdin and puts it there
//!    ([`Mode::Place`]), or into a temporary directory if nothing may be left behind ([`Mode::Lend`]).
//! 4. The copied agent is started ([`Mode::Start`], [`Mode::Vanish`]).
//!
//! The script answers on stdout, between marks that can be found among the output of the login. Script and program
//! never share a stream: the shell may read ahead of its script, and those bytes would be missing from the program.
//!
//! The script also tells the server's architecture, which decides which agent is copied. A server for which there is
//! none is refused before anything is sent.
//!
//! The agent's file name holds a hash of the agents for all architectures, so the file at that place is right or damaged.
//! The greeting shows which, on every connection. A damaged agent is replaced, once. A copy is written under another name and renamed, so two
//! clients that copy at once do not disturb each other, and neither runs a partial file. The copy is not synced: if a
//! power cut damages it, the next deploy replaces it.
//!
//! **No program of another user is run.** Anybody who can change the agent's file or its directory decides what the
//! login user runs. So the shell that starts the agent first enters its directory and checks owner and mode of both
//! from inside: they must belong to the login user, and nobody else may write to them. It then runs the file by its
//! name in that directory. Links and renames on the way there change nothing any more: the shell holds the directory,
//! and only its owner creates names in it. The agent is copied to no place that others can replace by way of a
//! directory above (`judge` in the script). The agent makes the same demands of the deploy path when it opens it.

mod alphabet;
mod answer;
mod places;
mod run_as;
mod script;
mod transfer;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::{Error, SiteError, StartError};
use crate::event::{Event, Observer};
use crate::path::Shown;
use crate::wire::agents::Agents;
use crate::wire::bootstrap::answer::{
    Answer, before_answer, is_command_missing, is_format_error, printed_text, unsafe_place,
};
use crate::wire::bootstrap::places::shown;
use crate::wire::bootstrap::script::{Mode, Script, Unpack, direct_command};
use crate::wire::bootstrap::transfer::AgentTransfer;
use crate::wire::connection::Connection;
use crate::wire::greeting::{NoGreeting, PROTOCOL_VERSION, read_greeting};
use crate::wire::login::{Exit, Login, RemoteCommand};
use crate::wire::packing::{self, Packing};
use crate::wire::program::Program;

pub(super) use crate::wire::bootstrap::places::Places;
pub(super) use crate::wire::bootstrap::run_as::RunAs;
pub use crate::wire::bootstrap::run_as::sudo_words;

/// The shortest copy from which a rate is measured. In a shorter one, start and unpacking may take half the time if
/// both machines are busy.
const MEASURABLE_COPY: Duration = Duration::from_secs(1);

/// What to do if no agent is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Copy it there, to stay.
    Keep,
    /// Start it from a temporary directory that is removed at once, for commands that must leave nothing behind.
    Vanish,
    /// The same, also if others could change that place: for an examination, which says so.
    Visit,
}

/// Starts agents through a login.
pub(super) struct Bootstrap<'a> {
    /// The login that runs the commands.
    pub(super) login: &'a mut dyn Login,
    /// The agents for each architecture.
    pub(super) agents: &'a Agents,
    /// The source of the packed agent.
    pub(super) packing: Packing,
    /// The paths on the server.
    pub(super) places: &'a Places,
    /// Receives the events.
    pub(super) observer: &'a dyn Observer,
    /// Interrupts the bootstrap.
    pub(super) cancel: &'a Cancel,
}

/// The agent for the architecture of the server, and how it is sent.
struct Shipment<'a> {
    program: &'a Program,
    unpack: Unpack,
}

/// The result of an attempt to start the agent.
enum Start<'a> {
    Greeted(Connection),
    /// No agent is at its place.
    Missing(Shipment<'a>),
    /// The file at its place may not be run: others can write to it, or it is not executable.
    Unfit(Shipment<'a>),
    /// The file at its place is not this agent.
    Damaged {
        /// The output of that file.
        output: String,
        shipment: Shipment<'a>,
    },
}

/// A copied agent.
struct AgentCopy {
    directory: PathBuf,
    /// The measured rate of the connection in bytes a second, if the copy took long enough.
    bytes_per_second: Option<f64>,
    /// Its length, if it does not stay.
    lent_bytes: Option<u64>,
}

impl<'a> Bootstrap<'a> {
    /// Starts the agent, copies it first if it is missing or damaged, and returns the connection once the agent has
    /// greeted.
    pub(super) fn start_agent(&mut self, install: Install) -> Result<Connection, Error> {
        if let Some(connection) = self.start_directly(Mode::Start)? {
            return Ok(connection);
        }
        let own = &self.places.agent_directory;
        let (ask, (copy, directory), start) = match install {
            Install::Keep => (Mode::Start, (Mode::Place, own.as_path()), Mode::Start),
            Install::Vanish => (Mode::Look, (Mode::Lend, Path::new("/tmp")), Mode::Vanish),
            Install::Visit => (Mode::Visit, (Mode::Lend, Path::new("/tmp")), Mode::Vanish),
        };
        let shipment = match self.start(ask, own)? {
            Start::Greeted(connection) => return Ok(connection),
            Start::Missing(shipment) | Start::Unfit(shipment) => shipment,
            Start::Damaged { output, shipment } => {
                if install == Install::Keep {
                    let replacing = format!("Replacing the agent in `{}`: {output}", shown(own));
                    self.observer.observe(Event::Detail(replacing));
                }
                shipment
            }
        };
        let AgentCopy { directory, bytes_per_second, lent_bytes } = self.copy(copy, directory, &shipment)?;
        let connection = self.start_existing(start, &directory)?;
        Ok(Connection { copied_at: bytes_per_second, lent_bytes, ..connection })
    }

    /// Starts a lane of the running agent, and returns the connection once the lane has greeted.
    pub(super) fn start_lane(&mut self) -> Result<Connection, Error> {
        match self.start_directly(Mode::Lane)? {
            Some(connection) => Ok(connection),
            None => self.start_existing(Mode::Lane, &self.places.agent_directory),
        }
    }

    /// Starts the agent by the short command. Returns nothing if the command cannot be used, or the agent did not
    /// start.
    fn start_directly(&mut self, mode: Mode) -> Result<Option<Connection>, Error> {
        // With the system's `ssh`, a second attempt costs a second login.
        if !self.packing.is_on_demand() || self.login.round_trip().is_none() {
            return Ok(None);
        }
        let Some(command) = direct_command(mode, &self.agents.name(), self.places) else { return Ok(None) };
        self.cancel.check()?;
        let mut running = self.login.run(&command)?;
        match read_greeting(&mut running.input, Instant::now() + self.login.patience(), self.cancel) {
            Ok(greeting) if self.agents.include(&greeting.program) && greeting.version == PROTOCOL_VERSION => {
                Ok(Some(running.into_connection(greeting.noise)))
            }
            Err(NoGreeting::Failed(error)) => Err(error),
            Err(NoGreeting::TimedOut(noise)) => Err(self.too_late(&noise)),
            Ok(_) | Err(NoGreeting::Missing(_)) => {
                let exit = running.end()?;
                self.login.failure(&exit).map_or(Ok(None), Err)
            }
        }
    }

    fn too_late(&self, noise: &[u8]) -> Error {
        let mut output = format!("no greeting within {} seconds", self.login.patience().as_secs());
        if !noise.trim_ascii().is_empty() {
            output += &format!("; the login printed: {}", Shown(noise.trim_ascii()));
        }
        self.no_greeting(output)
    }

    /// Starts an agent that must be there.
    fn start_existing(&mut self, mode: Mode, directory: &Path) -> Result<Connection, Error> {
        match self.start(mode, directory)? {
            Start::Greeted(connection) => Ok(connection),
            Start::Missing(_) => Err(self.no_greeting(format!("it is gone from `{}`", shown(directory)))),
            // Owner and mode were right when the agent was copied: the filesystem does not keep them.
            Start::Unfit(_) => Err(Error::Start(StartError::Noexec { directory: shown(directory) })),
            Start::Damaged { output, .. } => Err(self.no_greeting(output)),
        }
    }

    fn no_greeting(&self, output: String) -> Error {
        Error::Start(StartError::NoGreeting { host: self.login.host().to_owned(), output })
    }

    fn start(&mut self, mode: Mode, directory: &Path) -> Result<Start<'a>, Error> {
        let mut running = self.run(mode, directory, None)?;
        let noise = match read_greeting(&mut running.input, Instant::now() + self.login.patience(), self.cancel) {
            Ok(greeting) if !self.agents.include(&greeting.program) => {
                running.end()?;
                let system = Answer::find(&greeting.noise).map_or(&b""[..], |answer| answer.rest);
                return Ok(Start::Damaged {
                    output: "another program answered".into(),
                    shipment: self.shipment(system)?,
                });
            }
            Ok(greeting) if greeting.version != PROTOCOL_VERSION => {
                return Err(Error::ProtocolVersion { found: greeting.version, known: PROTOCOL_VERSION });
            }
            Ok(greeting) => {
                let noise = before_answer(greeting.noise);
                return Ok(Start::Greeted(running.into_connection(noise)));
            }
            Err(NoGreeting::Failed(error)) => return Err(error),
            Err(NoGreeting::TimedOut(noise)) => return Err(self.too_late(&noise)),
            Err(NoGreeting::Missing(noise)) => noise,
        };
        let exit = running.end()?;
        self.judge_start(&noise, &exit, directory)
    }

    fn judge_start(&self, noise: &[u8], exit: &Exit, directory: &Path) -> Result<Start<'a>, Error> {
        if let Some(failure) = self.login.failure(exit) {
            return Err(failure);
        }
        match Answer::find(noise) {
            Some(Answer { word: b"missing", rest }) => Ok(Start::Missing(self.shipment(rest)?)),
            Some(Answer { word: b"unfit", rest }) => Ok(Start::Unfit(self.shipment(rest)?)),
            Some(Answer { word: b"foreign", rest }) => {
                Err(SiteError::NotOurs { path: shown(&self.places.deploy_path), found: Shown(rest).to_string() }.into())
            }
            Some(Answer { word: b"unsafe", rest }) => Err(unsafe_place(rest, exit)),
            Some(Answer { word: b"start", .. }) if exit.status == Some(126) && !is_format_error(&exit.stderr) => {
                Err(StartError::Noexec { directory: shown(directory) }.into())
            }
            Some(Answer { word: b"start", rest }) => {
                Ok(Start::Damaged { output: printed_text(b"", exit), shipment: self.shipment(rest)? })
            }
            _ => Err(self.no_shell(noise, exit)),
        }
    }

    /// Parses the server's system and unpacker, `Linux x86_64:gzip`, or nothing behind the colon. Refuses a server for
    /// which there is no agent.
    fn shipment(&self, answer: &[u8]) -> Result<Shipment<'a>, Error> {
        let colon = answer.iter().position(|&byte| byte == b':').unwrap_or(answer.len());
        let program = self.agents.for_system(&answer[..colon])?;
        Ok(Shipment { program, unpack: if answer.len() > colon + 1 { Unpack::Gzip } else { Unpack::Cat } })
    }

    /// Sends the agent to the server.
    fn copy(&mut self, mode: Mode, directory: &Path, shipment: &Shipment<'_>) -> Result<AgentCopy, Error> {
        let content = match shipment.unpack {
            Unpack::Cat => packing::read(shipment.program)?,
            Unpack::Gzip => self.packing.packed(shipment.program)?,
        };
        let running = self.run(mode, directory, Some(shipment))?;
        let began = Instant::now();
        let transfer = AgentTransfer {
            content: &content,
            timeout: self.login.patience(),
            observer: self.observer,
            cancel: self.cancel,
        };
        let (printed, exit) = transfer.run(running)?;
        let took = began.elapsed().saturating_sub(self.login.round_trip().unwrap_or_default());
        let bytes_per_second = (took >= MEASURABLE_COPY).then(|| content.len() as f64 / took.as_secs_f64());
        let lent = self.judge_copy(&printed, &exit, directory)?;
        self.observer.observe(Event::AgentCopied { bytes: content.len() as u64, is_lent: lent.is_some() });
        let lent_bytes = lent.is_some().then_some(shipment.program.bytes);
        Ok(AgentCopy { directory: lent.unwrap_or_else(|| directory.to_owned()), bytes_per_second, lent_bytes })
    }

    /// Returns the temporary directory, if the script made one.
    fn judge_copy(&self, printed: &[u8], exit: &Exit, directory: &Path) -> Result<Option<PathBuf>, Error> {
        if let Some(failure) = self.login.failure(exit) {
            return Err(failure);
        }
        let not_copied = |output| Error::from(StartError::AgentNotCopied { directory: shown(directory), output });
        match Answer::find(printed) {
            Some(Answer { word: b"placed", .. }) => Ok(None),
            Some(Answer { word: b"lent", rest }) if rest.starts_with(b"/") => {
                Ok(Some(PathBuf::from(OsStr::from_bytes(rest))))
            }
            Some(Answer { word: b"unsafe", rest }) => Err(unsafe_place(rest, exit)),
            Some(Answer { word: b"noexec", .. }) => Err(StartError::Noexec { directory: shown(directory) }.into()),
            Some(Answer { word: b"short", .. }) => Err(not_copied("not all of it arrived".into())),
            Some(Answer { word: b"failed", .. }) if is_command_missing(&exit.stderr) => {
                Err(StartError::ProgramsMissing { output: printed_text(b"", exit) }.into())
            }
            Some(Answer { word: b"failed", .. }) => Err(not_copied(printed_text(b"", exit))),
            _ => Err(self.no_shell(printed, exit)),
        }
    }

    fn run(&mut self, mode: Mode, directory: &Path, sent: Option<&Shipment<'_>>) -> Result<RemoteCommand, Error> {
        self.cancel.check()?;
        let script = Script {
            mode,
            agent: &self.agents.name(),
            agent_bytes: sent.map_or(0, |shipment| shipment.program.bytes),
            deploy_path: &self.places.deploy_path,
            directory,
            unpack: sent.map_or(Unpack::Cat, |shipment| shipment.unpack),
            run_as: self.places.run_as.as_ref(),
        };
        self.login.run(&script.command())
    }

    fn no_shell(&self, printed: &[u8], exit: &Exit) -> Error {
        let of_sudo = self.places.run_as.as_ref().and_then(|run_as| run_as.failure(self.login.host(), printed, exit));
        if let Some(error) = of_sudo {
            return error;
        }
        Error::from(StartError::NoShell { host: self.login.host().to_owned(), output: printed_text(printed, exit) })
    }
}

#[cfg(test)]
mod tests;
