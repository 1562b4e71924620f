//! Serves one client: reads its request, carries it out, and answers.

mod commands;
mod journals;
mod manifests;
mod shared_files;
mod switching;

use std::io::{Read, Write};
use std::path::Path;

use crate::disk;
use crate::error::{DamageError, Error, Refusal, ReleaseError, SiteError};
use crate::journal::{RunHead, RunResult, RunSummary};
use crate::live::LiveNow;
use crate::release::ReleaseId;
use crate::report::{LockHolder, RunsReport};
use crate::threads;
use crate::wire::bounds;
use crate::wire::message::{self, FromAgent, Hello, Reply, Request, ToAgent};

use super::clock::now;
use super::conversation::{CLIENT_SILENT_MAX, Conversation, Incoming, keep_alive};
use super::deploy::{Order, deploy};
use super::deploy_path::deploy_path;
use super::reporter::Reporter;
use super::run::RunnerProgram;
use super::site::journal::{self, Journal};
use super::site::layout::Layout;
use super::site::lock::{self, Lock};
use super::site::log::{self, MissedWarningsLine};
use super::site::mend::mend;
use super::site::records::Releases;
use super::{prune, query};

/// Serves one client until it has its answer. `program` runs as the runner.
pub(crate) fn serve(
    program: RunnerProgram,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<(), Error> {
    converse(&Conversation::new(program, input, output, CLIENT_SILENT_MAX)?)
}

fn converse(conversation: &Conversation) -> Result<(), Error> {
    disk::raise_open_files();
    // The client connects while it scans, so its hello may arrive late.
    let served = keep_alive(conversation, || {
        let Incoming::Message(ToAgent::Hello(hello)) = conversation.next()? else {
            return Err(Error::Protocol("a conversation that does not begin with a hello".into()));
        };
        let message = match (Service { conversation, hello: &hello }.answer()) {
            Ok(reply) => FromAgent::Done(reply.fitting()),
            Err(error) => {
                FromAgent::Failed { refusal: fitting(error.to_refusal()), live: live_now(conversation, &hello) }
            }
        };
        let is_gone = conversation.check_client().is_err();
        // If the client has gone, the work is done all the same. Only the log can keep its warnings.
        let sent = conversation.send(&message);
        let is_heard = !is_gone && sent.is_ok();
        if !is_heard {
            log_missed_warnings(&hello, &message);
        }
        if conversation.has_journal() {
            conversation.end_journal(result(&hello, &message, is_heard));
        }
        sent
    });
    served.unwrap_or_else(|error| {
        conversation.send(&FromAgent::Failed { refusal: error.to_refusal(), live: LiveNow::Unchanged })?;
        Err(error)
    })
}

/// Returns the result of a run, for its journal.
fn result(hello: &Hello, message: &FromAgent, is_heard: bool) -> RunResult {
    let live = || Layout::open(&deploy_path(hello)?, &hello.policy)?.map_or(Ok(None), |layout| layout.current.live());
    let live = live().unwrap_or_default();
    let (error, previous) = match message {
        FromAgent::Failed { refusal, .. } => {
            (Some([&[refusal.message.clone()], &refusal.causes[..]].concat().join(": ")), None)
        }
        FromAgent::Done(Reply::Deploy(done)) => (None, done.previous.clone()),
        FromAgent::Done(Reply::Switch(report)) => (None, report.previous.clone()),
        _ => (None, None),
    };
    RunResult { error, live, previous, is_heard }
}

/// Writes the warnings of a run into the log, because the client has gone. If that fails too, nothing is left to try.
fn log_missed_warnings(hello: &Hello, message: &FromAgent) {
    let unheard = match message {
        FromAgent::Done(Reply::Deploy(done)) => &done.warnings,
        FromAgent::Done(Reply::Switch(report)) => &report.warnings,
        FromAgent::Done(Reply::Cleanup(report)) => &report.warnings,
        _ => return,
    };
    if unheard.is_empty() {
        return;
    }
    let (verb, provenance) = (hello.request.verb(), &hello.provenance);
    let line = MissedWarningsLine { at: now(), verb, who: &provenance.who, from: &provenance.from, unheard };
    if let Ok(Some(layout)) = deploy_path(hello).and_then(|path| Layout::open(&path, &hello.policy)) {
        log::append(&layout.private, &line).ok();
    }
}

/// Cuts off text that is longer than a message may carry.
fn fitting(refusal: Refusal) -> Refusal {
    let Refusal { kind, message, mut causes, hint } = refusal;
    bounds::fitting(&mut causes);
    let cut_off = |text| bounds::cut_off(text, bounds::REPORTED_TEXT_BYTES_MAX);
    // Half a hint could name another path than the whole, so a hint that is too long is left out.
    let hint = hint.filter(|hint| message::to_bytes(hint).len() <= bounds::REPORTED_TEXT_BYTES_MAX);
    Refusal { kind, message: cut_off(message), causes, hint }
}

fn live_now(conversation: &Conversation, hello: &Hello) -> LiveNow {
    let switching = conversation.switching();
    let not_found = if switching.is_some() { LiveNow::Unknown } else { LiveNow::Unchanged };
    match deploy_path(hello).and_then(|path| Layout::open(&path, &hello.policy)) {
        Ok(None) => LiveNow::Nothing,
        Ok(Some(layout)) => match layout.current.live() {
            Ok(Some(release)) if switching.as_ref() == Some(&release) => LiveNow::Switched(release),
            // The link may point at a release that is gone: then nothing is served.
            Ok(Some(release)) if layout.releases.stat(release.as_str().as_bytes()).is_ok_and(|stat| stat.is_some()) => {
                LiveNow::Release(release)
            }
            Ok(None) => LiveNow::Nothing,
            Ok(Some(_)) | Err(_) => not_found,
        },
        Err(_) => not_found,
    }
}

struct Service<'a> {
    conversation: &'a Conversation,
    hello: &'a Hello,
}

impl Service<'_> {
    fn answer(&self) -> Result<Reply, Error> {
        let path = &deploy_path(self.hello)?;
        let policy = &self.hello.policy;
        match &self.hello.request {
            Request::Setup => {
                let (mut layout, mut report) = Layout::set_up(path, policy, self.conversation)?;
                layout.make_shared(policy, &mut report)?;
                let _lock = if layout.moves_current(policy)? { Some(self.lock(&mut layout)?) } else { None };
                Ok(Reply::Setup(report))
            }
            Request::Deploy(begin) => {
                let order = Order { hello: self.hello, begin, path };
                deploy(self.conversation, &order, |layout| self.lock(layout)).map(|done| Reply::Deploy(Box::new(done)))
            }
            Request::Releases => query::releases(&self.open(path)?).map(Reply::Releases),
            Request::Status => query::status(&self.open(path)?).map(|report| Reply::Status(Box::new(report))),
            Request::Switch(id) => self.switch(path, id),
            Request::Rollback(to) => self.rollback(path, to.as_ref()),
            Request::Cleanup { dry_run } => {
                let mut layout = self.open(path)?;
                let lock = if *dry_run { None } else { Some(self.lock(&mut layout)?) };
                let mut releases = Releases::read(&layout)?;
                if let Some(lock) = &lock {
                    mend(lock, &mut layout, &mut releases)?;
                }
                let options =
                    prune::CleanupOptions { lock: lock.as_ref(), sweep: true, ..prune::CleanupOptions::default() };
                prune::cleanup(&mut layout, &mut releases, policy, &options, self.conversation).map(Reply::Cleanup)
            }
            Request::Runs => {
                let runs = journal::runs(&self.open(path)?.private)?;
                Ok(Reply::Runs(RunsReport { runs, warnings: Vec::new() }))
            }
            Request::Journal { run, follow } => self.journal(path, *run, *follow),
            Request::RunHook(name) => self.run_hook(path, name),
            Request::Exec(command) => self.exec(path, command),
            Request::SharedList => self.list_shared(path),
            Request::SharedRead(file) => self.send_shared(path, file),
            Request::SharedWrite { path: file, known, length } => self.receive_shared(path, file, *known, *length),
            Request::Manifests { wanted, known } => self.manifests(path, wanted, known),
        }
    }

    fn open(&self, path: &Path) -> Result<Layout, Error> {
        threads::start_pool()?;
        Layout::open(path, &self.hello.policy)?
            .ok_or_else(|| Error::from(SiteError::NotSetUp(path.display().to_string())))
    }

    /// Takes the lock, and reads again what could have changed before.
    fn lock(&self, layout: &mut Layout) -> Result<Lock, Error> {
        let provenance = &self.hello.provenance;
        let holder = LockHolder {
            who: provenance.who.clone(),
            from: provenance.from.clone(),
            since: now(),
            pid: std::process::id(),
            verb: self.hello.request.verb().to_owned(),
        };
        let lock = Lock::take(&layout.private, &holder)?;
        if let Some(dead) = &lock.taken_over {
            self.conversation.lock_taken_over(lock::describe(dead));
        }
        layout.refresh(&lock, &self.hello.policy)?;
        let head = RunHead { verb: self.hello.request.verb().to_owned(), provenance: provenance.clone() };
        let before = journal::newest(&layout.private)?;
        self.conversation.begin_journal(Journal::new(&layout.private, lock.fence(), head)?);
        // The warning begins a journal, so it is given once.
        if let Some(warning) = before.and_then(|run| unheard_warning(&run)) {
            self.conversation.warn(warning);
        }
        Ok(lock)
    }
}

/// Returns a warning about a run that ended without its client.
fn unheard_warning(run: &RunSummary) -> Option<String> {
    let RunSummary { run: number, verb, who, error, is_heard, ended, .. } = run;
    if *is_heard {
        return None;
    }
    let end = match (ended, error) {
        (None, _) => "was killed".to_owned(),
        (Some(_), None) => "ended well after its connection was lost".to_owned(),
        (Some(_), Some(error)) => format!("failed after its connection was lost: {error}"),
    };
    Some(format!("The last run, number {number}, a {verb} by {who}, {end}"))
}

/// Returns the error for a release that has no right record.
fn missing(releases: &Releases, id: &ReleaseId) -> Error {
    match releases.damaged.iter().find(|(damaged, _)| damaged == id) {
        Some((id, reason)) => Error::from(DamageError::Release { id: id.clone(), reason: reason.clone() }),
        None => Error::from(ReleaseError::Unknown(id.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::time::Duration;

    use super::*;
    use crate::error::{Hint, SiteHint};
    use crate::hash::Hash;
    use crate::release::Provenance;
    use crate::target::Policy;
    use crate::wire::frame::{FrameKind, FrameReader, FrameWriter};
    use crate::wire::message::{self, DeployBegin, Holding, TreeBase};

    fn hello(path: &Path) -> Hello {
        let begin = DeployBegin {
            root: Hash::of(b"root"),
            base: None,
            base_root: None,
            believed: Holding::default().mark(),
            release: "1".parse().unwrap(),
            is_named: false,
            second: 0,
            no_switch: false,
            force: false,
            dry_run: false,
        };
        Hello {
            path: path.as_os_str().as_bytes().to_vec(),
            policy: Policy::default(),
            procedure: Default::default(),
            provenance: Provenance::default(),
            request: Request::Deploy(begin),
        }
    }

    /// Sends all messages of a client at once, and returns the answers.
    fn answers(path: &Path, said: &[ToAgent]) -> Vec<FromAgent> {
        let mut words = Vec::new();
        let mut writer = FrameWriter::new(&mut words);
        let hello = ToAgent::Hello(Box::new(hello(path)));
        for message in [&hello].into_iter().chain(said) {
            writer.write(FrameKind::Message, &message::to_bytes(message)).unwrap();
        }
        let (answers, output) = io::pipe().unwrap();
        let agent = std::thread::spawn(|| serve(RunnerProgram::default(), io::Cursor::new(words), output));
        let mut answers = FrameReader::new::<FromAgent>(answers);
        let mut heard = Vec::new();
        while let Ok(Some((_, payload))) = answers.read() {
            heard.push(message::from_bytes(&payload).unwrap());
        }
        agent.join().unwrap().unwrap();
        heard
    }

    #[test]
    fn a_hint_is_told_whole_or_not_at_all() {
        let refusal = |bytes: usize| {
            fitting(Error::from(SiteError::NotDirectory(format!("/{}", "x".repeat(bytes)))).to_refusal())
        };
        let short = refusal(100);
        assert_eq!(short.hint, Some(Hint::Site(SiteHint::MoveAway { path: format!("/{}", "x".repeat(100)) })));
        let long = refusal(bounds::REPORTED_TEXT_BYTES_MAX);
        assert_eq!((long.message.len(), long.hint), (bounds::REPORTED_TEXT_BYTES_MAX, None));
    }

    #[test]
    fn lanes_for_a_tree_that_does_not_fit_are_not_to_be_had() {
        let directory = tempfile::tempdir().unwrap();
        let tree = ToAgent::Tree { against: TreeBase::Proposed, length: 0 };
        let said = [tree, ToAgent::WantLanes, ToAgent::SentOnLanes(vec![(1, 2)]), ToAgent::Commit];
        let heard = answers(&directory.path().join("site"), &said);
        let [FromAgent::Ready { .. }, FromAgent::Lanes(None), FromAgent::Failed { refusal, .. }] = &heard[..] else {
            panic!("{heard:?}");
        };
        // It waits for a tree that fits.
        assert_eq!(refusal.message, "The connection to the server was lost");
    }

    #[test]
    fn no_file_is_cut_twice_for_one_question() {
        let directory = tempfile::tempdir().unwrap();
        let heard = answers(&directory.path().join("site"), &[ToAgent::WantChunks(vec![1, 2, 1])]);
        let [FromAgent::Ready { .. }, FromAgent::Failed { refusal, .. }] = &heard[..] else { panic!("{heard:?}") };
        assert!(refusal.message.contains("a file that is asked for twice"), "{}", refusal.message);
    }

    #[test]
    fn a_client_that_is_silent_for_long_loses_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site");
        let (input, client) = io::pipe().unwrap();
        let (answers, output) = io::pipe().unwrap();
        let agent = std::thread::spawn(move || {
            converse(&Conversation::new(RunnerProgram::default(), input, output, Duration::from_secs(1)).unwrap())
        });
        let mut client = FrameWriter::new(client);
        client.write(FrameKind::Message, &message::to_bytes(&ToAgent::Hello(Box::new(hello(&path))))).unwrap();
        let mut answers = FrameReader::new::<FromAgent>(answers);
        let mut answer = || {
            let (_, payload) = answers.read().unwrap().unwrap();
            message::from_bytes::<FromAgent>(&payload).unwrap()
        };
        assert!(matches!(answer(), FromAgent::Ready { live: LiveNow::Nothing, .. }));
        let layout = Layout::open(&path, &Policy::default()).unwrap().unwrap();
        assert!(Lock::holder(&layout.private).unwrap().is_some());

        let FromAgent::Failed { refusal, live } = answer() else { panic!("the silence was not noticed") };
        assert_eq!((refusal.message.as_str(), live), ("The connection to the server was lost", LiveNow::Nothing));
        agent.join().unwrap().unwrap();
        assert!(Lock::holder(&layout.private).unwrap().is_none());
        // The connection existed all the while.
        drop(client);
    }
}
