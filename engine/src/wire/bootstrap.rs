//! Gets the agent running on a server that need have nothing but a POSIX `sh`.
//!
//! 1. Where an agent is thought to be at its place, a short command looks at that one file and starts it.
//! 2. Otherwise a script ([`Mode::Start`]) starts the agent at its place, or says what is there instead.
//! 3. Where there is none, or a wrong one, another script takes the agent from stdin and puts it there ([`Mode::Place`]), or
//!    into a temporary directory where nothing must stay behind ([`Mode::Lend`]).
//! 4. The agent that was copied is started ([`Mode::Start`], [`Mode::Vanish`]).
//!
//! The script answers on stdout, between marks that are found among whatever a login prints. Script and program never
//! travel through the same stream: what a shell has read ahead of its script would be missing from the program.
//!
//! The name of the agent holds its hash, so what is at its place is right or damaged; the greeting tells which, on
//! every connection. What is damaged is replaced, once. It is copied under another name and renamed, so two clients
//! that copy at once do not disturb each other, and none runs half of it. It is not synced: after a power cut it may
//! be damaged, and then it is replaced.
//!
//! **Nobody else's program is run.** Whoever may change the agent's file, or the directory that holds it, decides what
//! the login user runs. So the shell that starts the agent first enters its directory, and looks at owner and mode of
//! both from inside: they must belong to the login user, and nobody else may write to them. It then runs the file by its
//! name in that directory. Links and renames on the way there change nothing any more: the directory is held, and only
//! its owner makes names in it. Nothing is copied to a place of which one of the directories above could be replaced by
//! others (`judge` in the script). The agent makes the same demands of the deploy path when it opens it.

mod answer;
mod copying;
mod places;
mod script;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::{Error, SiteError, StartError};
use crate::event::{Event, Observer};
use crate::path::Shown;
use crate::wire::bootstrap::answer::{Answer, check_system, said, says_format, says_missing, unsafe_place};
use crate::wire::bootstrap::copying::Copying;
use crate::wire::bootstrap::places::shown;
use crate::wire::bootstrap::script::{Mode, Script, Unpack, unasked};
use crate::wire::connection::Connection;
use crate::wire::greeting::{NoGreeting, PROTOCOL_VERSION, read_greeting};
use crate::wire::login::{Ended, Login, Running};
use crate::wire::packing::{self, Packing};
use crate::wire::program::Program;

pub(super) use crate::wire::bootstrap::places::Places;

/// How long a login may take until the agent greets. Some run a good deal of their owner's configuration first.
const GREETING_TIMEOUT: Duration = Duration::from_secs(60);
/// A copy that takes less says little of the line: where both ends are busy, beginning and unpacking may take half as long.
const TELLING: Duration = Duration::from_secs(1);

/// What to do where no agent is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Put it there, to stay.
    Keep,
    /// Start it from a temporary place that is gone at once: for what must leave nothing behind.
    Vanish,
}

/// Starts agents through a login.
pub(super) struct Bootstrap<'a> {
    /// Runs the commands.
    pub(super) login: &'a mut dyn Login,
    /// The agent.
    pub(super) program: &'a Program,
    /// Packs it for its way.
    pub(super) packing: Packing,
    /// Where things are on the server.
    pub(super) places: &'a Places,
    /// Is told what happens.
    pub(super) observer: &'a dyn Observer,
    /// Ends it.
    pub(super) cancel: &'a Cancel,
}

/// What came of an attempt to start the agent.
enum Start {
    Greeted(Connection),
    /// There is none at its place.
    Missing(Unpack),
    /// There is a file at its place that may not be run: it is not the login user's alone, or is not executable.
    Unfit(Unpack),
    /// There is one, but it is not what it should be. Holds what it said instead.
    Damaged(String),
}

/// An agent that was copied.
struct Copied {
    directory: PathBuf,
    /// How many bytes a second the line took, where it took long enough to tell.
    bytes_per_second: Option<f64>,
}

impl Bootstrap<'_> {
    /// Starts the agent, copying it when it is missing or damaged, and returns the connection once it has greeted.
    pub(super) fn start_agent(&mut self, install: Install) -> Result<Connection, Error> {
        if let Some(connection) = self.start_unasked(Mode::Start)? {
            return Ok(connection);
        }
        let own = &self.places.agent_directory;
        let (ask, (copy, directory), start) = match install {
            Install::Keep => (Mode::Start, (Mode::Place, own.as_path()), Mode::Start),
            Install::Vanish => (Mode::Look, (Mode::Lend, Path::new("/tmp")), Mode::Vanish),
        };
        let unpack = match self.start(ask, own)? {
            Start::Greeted(connection) => return Ok(connection),
            Start::Missing(unpack) | Start::Unfit(unpack) => unpack,
            Start::Damaged(output) => {
                if install == Install::Keep {
                    let replacing = format!("Replacing the agent in `{}`: {output}", shown(own));
                    self.observer.observe(Event::Detail(replacing));
                }
                Unpack::Cat
            }
        };
        let Copied { directory, bytes_per_second } = self.copy(copy, directory, unpack)?;
        let connection = self.insist(start, &directory)?;
        Ok(Connection { copied_at: bytes_per_second, ..connection })
    }

    /// Starts a lane of an agent that runs, and returns the connection once it has greeted.
    pub(super) fn start_lane(&mut self) -> Result<Connection, Error> {
        match self.start_unasked(Mode::Lane)? {
            Some(connection) => Ok(connection),
            None => self.insist(Mode::Lane, &self.places.agent_directory),
        }
    }

    /// Starts the agent that is thought to be at its place, by a short command. Nothing where that may not be tried, or
    /// came to nothing.
    fn start_unasked(&mut self, mode: Mode) -> Result<Option<Connection>, Error> {
        // Another try costs the system's `ssh` another login.
        if !self.packing.is_on_demand() || self.login.round_trip().is_none() {
            return Ok(None);
        }
        let Some(command) = unasked(mode, self.program, self.places) else { return Ok(None) };
        self.cancel.check()?;
        let mut running = self.login.run(&command)?;
        match read_greeting(&mut running.input, Instant::now() + GREETING_TIMEOUT, self.cancel) {
            Ok(greeting) if greeting.program == self.program.mark() && greeting.version == PROTOCOL_VERSION => {
                Ok(Some(running.into_connection()))
            }
            Err(NoGreeting::Failed(error)) => Err(error),
            Err(NoGreeting::TimedOut(noise)) => Err(self.too_late(&noise)),
            Ok(_) | Err(NoGreeting::Missing(_)) => {
                let ended = running.end()?;
                self.login.failure(&ended).map_or(Ok(None), Err)
            }
        }
    }

    fn too_late(&self, noise: &[u8]) -> Error {
        let mut output = format!("no greeting within {} seconds", GREETING_TIMEOUT.as_secs());
        if !noise.trim_ascii().is_empty() {
            output += &format!("; the login printed: {}", Shown(noise.trim_ascii()));
        }
        self.no_greeting(output)
    }

    /// Starts an agent that must be there.
    fn insist(&mut self, mode: Mode, directory: &Path) -> Result<Connection, Error> {
        match self.start(mode, directory)? {
            Start::Greeted(connection) => Ok(connection),
            Start::Missing(_) => Err(self.no_greeting(format!("it is gone from `{}`", shown(directory)))),
            // Owner and mode were right when it was copied: the filesystem does not keep them.
            Start::Unfit(_) => Err(Error::Start(StartError::Noexec { directory: shown(directory) })),
            Start::Damaged(output) => Err(self.no_greeting(output)),
        }
    }

    fn no_greeting(&self, output: String) -> Error {
        Error::Start(StartError::NoGreeting { host: self.login.host().to_owned(), output })
    }

    fn start(&mut self, mode: Mode, directory: &Path) -> Result<Start, Error> {
        let mut running = self.run(mode, directory, Unpack::Cat)?;
        let noise = match read_greeting(&mut running.input, Instant::now() + GREETING_TIMEOUT, self.cancel) {
            Ok(greeting) if greeting.program != self.program.mark() => {
                running.end()?;
                return Ok(Start::Damaged("another program answered".into()));
            }
            Ok(greeting) if greeting.version != PROTOCOL_VERSION => {
                return Err(Error::ProtocolVersion { found: greeting.version, known: PROTOCOL_VERSION });
            }
            Ok(_) => return Ok(Start::Greeted(running.into_connection())),
            Err(NoGreeting::Failed(error)) => return Err(error),
            Err(NoGreeting::TimedOut(noise)) => return Err(self.too_late(&noise)),
            Err(NoGreeting::Missing(noise)) => noise,
        };
        let ended = running.end()?;
        self.judge_start(&noise, &ended, directory)
    }

    fn judge_start(&self, noise: &[u8], ended: &Ended, directory: &Path) -> Result<Start, Error> {
        if let Some(failure) = self.login.failure(ended) {
            return Err(failure);
        }
        match Answer::find(noise) {
            Some(Answer { word: b"missing", rest }) => Ok(Start::Missing(unpack_there(rest)?)),
            Some(Answer { word: b"unfit", rest }) => Ok(Start::Unfit(unpack_there(rest)?)),
            Some(Answer { word: b"foreign", rest }) => {
                Err(SiteError::NotOurs { path: shown(&self.places.deploy_path), found: Shown(rest).to_string() }.into())
            }
            Some(Answer { word: b"unsafe", rest }) => Err(unsafe_place(rest, ended)),
            Some(Answer { word: b"start", .. }) if ended.status == Some(126) && !says_format(&ended.words) => {
                Err(StartError::Noexec { directory: shown(directory) }.into())
            }
            Some(Answer { word: b"start", .. }) => Ok(Start::Damaged(said(b"", ended))),
            _ => Err(self.no_shell(noise, ended)),
        }
    }

    /// Sends the program.
    fn copy(&mut self, mode: Mode, directory: &Path, unpack: Unpack) -> Result<Copied, Error> {
        let content = match unpack {
            Unpack::Cat => packing::read(self.program)?,
            Unpack::Gzip => self.packing.packed(self.program)?,
        };
        let running = self.run(mode, directory, unpack)?;
        let began = Instant::now();
        let copying =
            Copying { content: &content, timeout: GREETING_TIMEOUT, observer: self.observer, cancel: self.cancel };
        let (printed, ended) = copying.run(running)?;
        let took = began.elapsed().saturating_sub(self.login.round_trip().unwrap_or_default());
        let bytes_per_second = (took >= TELLING).then(|| content.len() as f64 / took.as_secs_f64());
        let lent = self.judge_copy(&printed, &ended, directory)?;
        self.observer.observe(Event::AgentCopied { bytes: content.len() as u64 });
        Ok(Copied { directory: lent.unwrap_or_else(|| directory.to_owned()), bytes_per_second })
    }

    /// Returns the directory that was lent, where one was.
    fn judge_copy(&self, printed: &[u8], ended: &Ended, directory: &Path) -> Result<Option<PathBuf>, Error> {
        if let Some(failure) = self.login.failure(ended) {
            return Err(failure);
        }
        let not_copied = |output| Error::from(StartError::AgentNotCopied { directory: shown(directory), output });
        match Answer::find(printed) {
            Some(Answer { word: b"placed", .. }) => Ok(None),
            Some(Answer { word: b"lent", rest }) if rest.starts_with(b"/") => {
                Ok(Some(PathBuf::from(OsStr::from_bytes(rest))))
            }
            Some(Answer { word: b"unsafe", rest }) => Err(unsafe_place(rest, ended)),
            Some(Answer { word: b"noexec", .. }) => Err(StartError::Noexec { directory: shown(directory) }.into()),
            Some(Answer { word: b"short", .. }) => Err(not_copied("not all of it arrived".into())),
            Some(Answer { word: b"failed", .. }) if says_missing(&ended.words) => {
                Err(StartError::ProgramsMissing { output: said(b"", ended) }.into())
            }
            Some(Answer { word: b"failed", .. }) => Err(not_copied(said(b"", ended))),
            _ => Err(self.no_shell(printed, ended)),
        }
    }

    fn run(&mut self, mode: Mode, directory: &Path, unpack: Unpack) -> Result<Running, Error> {
        self.cancel.check()?;
        let deploy_path = &self.places.deploy_path;
        self.login.run(&Script { mode, program: self.program, deploy_path, directory, unpack }.command())
    }

    fn no_shell(&self, printed: &[u8], ended: &Ended) -> Error {
        Error::from(StartError::NoShell { host: self.login.host().to_owned(), output: said(printed, ended) })
    }
}

/// Reads what a server is, and refuses one on which the agent cannot run: `Linux x86_64:gzip`, or nothing behind the colon.
fn unpack_there(answer: &[u8]) -> Result<Unpack, Error> {
    let colon = answer.iter().position(|&byte| byte == b':').unwrap_or(answer.len());
    check_system(&answer[..colon])?;
    Ok(if answer.len() > colon + 1 { Unpack::Gzip } else { Unpack::Cat })
}

#[cfg(test)]
mod tests;
