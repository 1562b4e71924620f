//! The agent's side of a runner: starts it, and passes on its news and questions, and the client's answers.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::error::{Error, HookError, ReleaseError};
use crate::hook::HookPhase;
use crate::threads;
use crate::wire::frame::{FrameKind, FrameReader, FrameWriter};
use crate::wire::message::{self, FromAgent, Hello, ToAgent};

use super::RunnerProgram;
use super::order::{Act, FromRunner, Order, RunnerEnd, ToRunner};
use crate::agent::conversation::{Conversation, Incoming, Next};
use crate::agent::reporter::Reporter;
use crate::agent::site::lock::{Descriptors, Lock};
use crate::process::{ProcessIdentity, end_group};

/// The words that start a runner.
const WORDS: [&str; 2] = ["agent", "--runner"];

/// The time until a client that has gone is noticed while its content waits.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The longest wait for a runner that does not read.
const WRITE_MAX: Duration = Duration::from_secs(60);

/// The time that a hook has to end by itself.
const HOOK_END_MAX: Duration = Duration::from_secs(5);

/// Messages of the runner that are read ahead.
const READ_AHEAD: usize = 16;

/// Has a runner carry out an act, and waits for its end. If the client goes away meanwhile, the runner learns of it
/// and decides.
pub(crate) fn relay(conversation: &Conversation, lock: &Lock, hello: &Hello, act: Act) -> Result<RunnerEnd, Error> {
    // Before there is a release, content of the client may be under way, which is not for the runner.
    let listens = !matches!(act, Act::Hooks { phase: HookPhase::BeforeUpload, .. } | Act::TakeBack { .. });
    conversation.ensure_journal();
    let (mut child, socket) = start(&conversation.program, lock)?;
    let agent = ProcessIdentity::own();
    let order = ToRunner::Order(Box::new(Order { hello: hello.clone(), fence: lock.fence(), agent, act }));
    let said = listen(&socket);
    let mut relay = Relay { conversation, out: FrameWriter::new(socket), listens, has_client: true };
    lock.lend();
    conversation.forget_interrupt();
    let ended = match said.and_then(|said| relay.send(&order).map(|()| said)) {
        Ok(said) => relay.pass_on(&said),
        Err(error) => {
            // It has done nothing yet.
            child.kill().map_err(unstarted)?;
            Err(error)
        }
    };
    // It ends at once, or has ended.
    child.wait().map_err(unstarted)?;
    lock.resume();
    wait_for_hook(conversation, lock);
    let mut ended = ended?;
    ended.failure.take().map_or(Ok(ended), |refusal| Err(Error::Agent(refusal)))
}

/// Begins to read the messages of a runner. The last one is none.
fn listen(socket: &UnixStream) -> Result<Receiver<Option<FromRunner>>, Error> {
    let mut reader = FrameReader::new::<FromRunner>(socket.try_clone().map_err(unstarted)?);
    let (sender, said) = bounded(READ_AHEAD);
    threads::spawn(move || {
        while let Ok(Some((_, payload))) = reader.read() {
            let Ok(message) = message::from_bytes::<FromRunner>(&payload) else { break };
            if sender.send(Some(message)).is_err() {
                return;
            }
        }
        sender.send(None).unwrap_or_default();
    })?;
    Ok(said)
}

/// Waits for a hook that still runs because its runner was killed. It is not ended, as a migration must not stop half-way,
/// unless the user interrupts.
fn wait_for_hook(conversation: &Conversation, lock: &Lock) {
    let Some((hook, process)) = lock.running_hook() else { return };
    let pid = process.pid;
    conversation.warn(format!(
        "The process that runs the hooks was ended. Its hook `{hook}` (process {pid}) still runs: waiting for its end"
    ));
    while process.is_running() {
        std::thread::sleep(LOOK_EVERY);
        if conversation.last_word() == Some(true) {
            // One that cannot be ended has ended, or keeps the lock.
            end_group(&process, HOOK_END_MAX).ok();
            break;
        }
    }
    lock.resume();
}

/// Starts a runner that holds the lock. Returns it, and the socket to it.
fn start(program: &RunnerProgram, lock: &Lock) -> Result<(Child, UnixStream), Error> {
    let (own, other) = UnixStream::pair().map_err(unstarted)?;
    own.set_write_timeout(Some(WRITE_MAX)).map_err(unstarted)?;
    let Descriptors { directory, file } = lock.descriptors_for_child().map_err(unstarted)?;
    let stdio = |descriptor: Option<OwnedFd>| descriptor.map_or_else(Stdio::null, Stdio::from);
    let mut command = Command::new(&program.0);
    command.args(WORDS).stdin(OwnedFd::from(other));
    command.stdout(stdio(file)).stderr(stdio(directory));
    Ok((command.spawn().map_err(unstarted)?, own))
}

fn unstarted(source: io::Error) -> Error {
    Error::io("start", "the runner of the hooks", source)
}

struct Relay<'a> {
    conversation: &'a Conversation,
    out: FrameWriter<UnixStream>,
    /// Whether messages of the client are for the runner.
    listens: bool,
    has_client: bool,
}

impl Relay<'_> {
    fn send(&mut self, message: &ToRunner) -> Result<(), Error> {
        self.out.write(FrameKind::Message, &message::to_bounded_bytes(message)?)
    }

    /// Passes messages on until the runner has ended.
    fn pass_on(&mut self, said: &Receiver<Option<FromRunner>>) -> Result<RunnerEnd, Error> {
        loop {
            let Some(message) = self.next(said) else { continue };
            match message {
                Some(FromRunner::News(news)) => self.conversation.pass_on(news),
                Some(FromRunner::WantsVerdict) => self.conversation.send(&FromAgent::WantsVerdict).unwrap_or_default(),
                Some(FromRunner::Ended(end)) => return Ok(*end),
                None => return Err(HookError::RunnerEnded { stays_live: false }.into()),
            }
        }
    }

    /// Waits for a message of the runner. Returns nothing if one of the client came first, and handles that one.
    fn next(&mut self, said: &Receiver<Option<FromRunner>>) -> Option<Option<FromRunner>> {
        if !self.has_client {
            return Some(said.recv().ok().flatten());
        }
        if !self.listens {
            return self.next_beside_content(said);
        }
        let answer = match self.conversation.next_or(said) {
            Ok(Next::Other(message)) => return Some(message),
            Ok(Next::Client(Incoming::Message(ToAgent::Verdict(verdict)))) => ToRunner::Verdict(verdict),
            // The client interrupted. Its connection may still carry news.
            Err(Error::Interrupted) => {
                self.has_client = false;
                ToRunner::Stop
            }
            // The runner looks for itself, where nothing runs that must not be ended.
            Err(Error::Release(ReleaseError::InterruptedBy { .. })) => {
                self.conversation.forget_interrupt();
                return None;
            }
            Ok(Next::Client(_)) | Err(_) => {
                self.has_client = false;
                ToRunner::ClientGone
            }
        };
        // A runner that has ended says so itself.
        self.send(&answer).unwrap_or_default();
        None
    }

    /// Waits for a message of the runner, and reads none of the client.
    fn next_beside_content(&mut self, said: &Receiver<Option<FromRunner>>) -> Option<Option<FromRunner>> {
        match said.recv_timeout(LOOK_EVERY) {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Disconnected) => return Some(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(answer) = self.conversation.last_word() {
            self.has_client = false;
            self.send(&if answer { ToRunner::Stop } else { ToRunner::ClientGone }).unwrap_or_default();
        }
        None
    }
}
