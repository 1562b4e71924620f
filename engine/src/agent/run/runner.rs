//! The process of a runner: reads its order, carries it out, and reports to the agent and the journal.
//!
//! Its stdin is the socket to the agent. Its stdout and stderr are the open files of the lock, so it holds the lock
//! until it ends. Commands that it starts get neither.
//!
//! It has a session of its own: the end of the connection, and a hangup of a terminal, do not reach it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::command::Mask;
use crate::error::{Error, Refusal};
use crate::event::Phase;
use crate::hook::HookPhase;
use crate::journal::JournalEntry;
use crate::news::News;
use crate::release::ReleaseId;
use crate::threads;
use crate::wire::frame::{FrameKind, FrameReader, FrameWriter};
use crate::wire::message;

use super::attendance::Attendance;
use super::go_live::Launch;
use super::hooks::Hooks;
use super::order::{Act, FromRunner, Order, RunnerEnd, ToRunner};
use super::stops::Stops;
use crate::agent::conversation::CLIENT_SILENT_MAX;
use crate::agent::deploy_path::deploy_path;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::journal::Journal;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::{BEAT_EVERY, Descriptors, Lock};
use crate::process::ProcessIdentity;

/// The longest wait for an agent that does not read, because its client does not: as long as a client may be silent.
const WRITE_MAX: Duration = CLIENT_SILENT_MAX;

/// Serves one order of the agent that started this process.
pub(crate) fn serve_runner() -> Result<(), Error> {
    // It fails if this process leads a session already: then nothing is to be done.
    rustix::process::setsid().ok();
    let socket = UnixStream::from(own(io::stdin().as_fd())?);
    socket.set_write_timeout(Some(WRITE_MAX)).map_err(broken)?;
    let descriptors = Descriptors::of_child(own(io::stdout().as_fd())?, own(io::stderr().as_fd())?)?;
    let mut reader = FrameReader::new::<ToRunner>(socket.try_clone().map_err(broken)?);
    let Some((FrameKind::Message, payload)) = reader.read()? else {
        return Err(Error::Protocol("a runner without an order".into()));
    };
    let ToRunner::Order(order) = message::from_bytes(&payload)? else {
        return Err(Error::Protocol("a runner without an order".into()));
    };
    let attendance = Attendance::default();
    let listener = attendance.clone();
    threads::spawn(move || listener.listen(reader))?;
    let voice = Voice { out: Mutex::new(FrameWriter::new(socket)), journal: None, attendance: attendance.clone() };
    carry_out(&order, descriptors, voice)
}

fn own(stream: impl AsFd) -> Result<OwnedFd, Error> {
    stream.as_fd().try_clone_to_owned().map_err(broken)
}

fn broken(source: io::Error) -> Error {
    Error::io("use", "the streams of the agent", source)
}

/// Carries out an order, and answers.
fn carry_out(order: &Order, descriptors: Descriptors, mut voice: Voice) -> Result<(), Error> {
    let hello = &order.hello;
    let layout = open(&deploy_path(hello)?, order)?;
    let lock = Lock::inherit(&layout.private, descriptors, order.fence)?;
    keep_beating(&lock)?;
    voice.journal = Journal::of_other(&layout, order.fence).ok();
    let mut site = Site::hold(lock, layout)?;
    let hooks =
        Hooks { hello, reporter: &voice, attendance: &voice.attendance, mask: Mask::new(&hello.procedure.secrets) };
    let ended = act(order, &hooks, &voice, &mut site);
    let failure = ended.as_ref().err().map(|error| error.to_refusal().masked(&hooks.mask));
    let error = failure.as_ref().map(Refusal::text);
    let end_journal = || {
        if let Some(journal) = &voice.journal {
            journal.end(error.clone(), site.layout.current.live().ok().flatten(), false);
        }
    };
    let was_gone = voice.attendance.is_gone();
    if was_gone {
        end_journal();
    }
    voice.send(&FromRunner::Ended(Box::new(RunnerEnd { failure, ..ended.unwrap_or_default() })));
    if !was_gone && voice.attendance.is_gone() {
        end_journal();
    }
    if let Some(agent) = order.agent.clone().filter(ProcessIdentity::is_running) {
        // The agent goes on holding the lock, with the text in it. It may be stuck: then the text must name it.
        site.lock.name_holder(agent);
        site.lock.leave_to_other();
    }
    Ok(())
}

/// Shows other runs that this one is alive, until the process ends.
fn keep_beating(lock: &Lock) -> Result<(), Error> {
    let pulse = lock.pulse();
    threads::spawn(move || {
        loop {
            thread::sleep(BEAT_EVERY);
            pulse.beat();
        }
    })
    .map(drop)
}

fn open(path: &Path, order: &Order) -> Result<Layout, Error> {
    Layout::open(path, &order.hello.policy)?.ok_or_else(|| Error::Bug("the runner finds no deploy path".into()))
}

fn act(order: &Order, hooks: &Hooks<'_>, voice: &Voice, site: &mut Site) -> Result<RunnerEnd, Error> {
    let ask_verdict = || voice.send(&FromRunner::WantsVerdict);
    let launch = Launch {
        hello: &order.hello,
        hooks,
        reporter: voice,
        attendance: &voice.attendance,
        ask_verdict: &ask_verdict,
    };
    match &order.act {
        Act::GoLive(go_live) => launch.go_live(site, go_live),
        Act::Hooks { phase, scene } => {
            if *phase == HookPhase::OnFailure {
                launch.run_on_failure(site, scene);
                return Ok(RunnerEnd::default());
            }
            // The deploy does not go on without its client, and the journal must not say that it is done.
            let run = hooks.run(*phase, scene, site, Stops::BeforeSwitch).and_then(|()| launch.attendance.check());
            run.inspect_err(|_| launch.run_on_failure(site, scene)).map(|()| RunnerEnd::default())
        }
        Act::Hook { name, scene } => hooks.run_named(name, scene, site).map(|()| RunnerEnd::default()),
        Act::TakeBack { to, reason } => launch.take_back(site, to, reason).map(|()| RunnerEnd::default()),
    }
}

/// The voice of the runner: to the agent, and into the journal.
struct Voice {
    out: Mutex<FrameWriter<UnixStream>>,
    journal: Option<Journal>,
    attendance: Attendance,
}

impl Voice {
    /// Sends a message. An agent that does not take it counts as gone, and so does its client.
    fn send(&self, message: &FromRunner) {
        let sent = message::to_bounded_bytes(message).and_then(|bytes| {
            let mut out = self.out.lock().expect("no sender panics");
            out.write(FrameKind::Message, &bytes)
        });
        if sent.is_err() {
            self.attendance.note_gone();
        }
    }
}

impl Reporter for Voice {
    fn tell(&self, news: News) {
        if let Some(journal) = &self.journal {
            journal.add(JournalEntry::News(news.clone()));
        }
        self.send(&FromRunner::News(news.fitting()));
    }

    fn progress(&self, _: Phase, _: u64, _: u64) {}

    fn begin_switch(&self, _: &ReleaseId) -> Result<(), Error> {
        self.attendance.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_does_not_read_counts_as_gone_when_the_time_is_over() {
        let (own, other) = UnixStream::pair().unwrap();
        own.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let voice = Voice { out: Mutex::new(FrameWriter::new(own)), journal: None, attendance: Attendance::default() };
        let mut told = 0;
        while !voice.attendance.is_gone() {
            voice.warn("x".repeat(1000));
            told += 1;
            assert!(told < 10_000, "it was never noticed");
        }
        // Nothing waits any more, and no switch begins.
        voice.warn("further".to_owned());
        assert!(matches!(voice.begin_switch(&"1".parse().unwrap()), Err(Error::LineLost { .. })));
        drop(other);
    }
}
