//! Serves one client: reads its request, carries it out, and answers.

mod adopting;
mod commands;
mod disk_diff;
mod journals;
mod locking;
mod manifests;
mod pinning;
mod shared_files;
mod switching;

use std::io::{Read, Write};
use std::path::Path;

use crate::disk;
use crate::error::{Error, Refusal, SiteError};
use crate::live::LiveNow;
use crate::release::ReleaseId;
use crate::report::RunsReport;
use crate::target::Policy;
use crate::threads;
use crate::wire::bounds;
use crate::wire::message::{self, CheckDepth, FromAgent, Hello, Reply, Request, ToAgent};

use super::adopt;
use super::clock::now;
use super::compare::Depth;
use super::conversation::alive::keep_alive;
use super::conversation::{CLIENT_SILENT_MAX, Conversation, Incoming};
use super::deploy::{Look, Order, deploy};
use super::deploy_path::deploy_path;
use super::disk_use::disk_use;
use super::doctor::examine;
use super::run::RunnerProgram;
use super::site::Site;
use super::site::journal;
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::log::{self, MissedWarningsLine};
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
    let served = keep_alive(conversation, || {
        let (hello, look) = hear_hello(conversation)?;
        let answer = Service { conversation, hello: &hello, look }.answer();
        let message = match answer.map_err(|error| explained(error, &hello)) {
            Ok(reply) => FromAgent::Done(reply.fitting()),
            Err(error) => {
                FromAgent::Failed { refusal: fitting(error.to_refusal()), live: live_now(conversation, &hello) }
            }
        };
        // A user who interrupted still listens.
        let is_heard = conversation.check_line().is_ok() || conversation.last_word() == Some(true);
        // The journal comes first: a client that has its answer may end this process.
        let end_journal = |is_heard| {
            if conversation.has_journal() {
                let (error, live) = result(&hello, &message);
                conversation.end_journal(error, live, is_heard);
            }
        };
        end_journal(is_heard);
        let sent = conversation.send(&message);
        // If the client has gone, the work is done all the same. Only the log can keep its warnings.
        if !is_heard || sent.is_err() {
            log_missed_warnings(&hello, &message);
        }
        if is_heard && sent.is_err() {
            end_journal(false);
        }
        sent
    });
    served.unwrap_or_else(|error| {
        conversation.send(&FromAgent::Failed { refusal: error.to_refusal(), live: LiveNow::Unchanged })?;
        Err(error)
    })
}

/// Returns the error of a run and the live release after it, for its journal.
fn result(hello: &Hello, message: &FromAgent) -> (Option<String>, Option<ReleaseId>) {
    let live = || Layout::open(&deploy_path(hello)?, &hello.policy)?.map_or(Ok(None), |layout| layout.current.live());
    let error = if let FromAgent::Failed { refusal, .. } = message { Some(refusal.text()) } else { None };
    (error, live().unwrap_or_default())
}

/// Waits for the hello. The client connects while it scans, so it may ask for a look at the live release first.
fn hear_hello(conversation: &Conversation) -> Result<(Box<Hello>, Option<Look>), Error> {
    let unexpected = || Error::Protocol("a conversation that does not begin with a hello".into());
    let (mut hello, looked_at) = match conversation.next()? {
        Incoming::Message(ToAgent::Hello(hello)) => return Ok((hello, None)),
        Incoming::Message(ToAgent::Look(path)) => {
            let look = Look::begin(&path);
            match conversation.next()? {
                Incoming::Message(ToAgent::Hello(hello)) => (hello, (path, look)),
                _ => return Err(unexpected()),
            }
        }
        _ => return Err(unexpected()),
    };
    let (path, look) = looked_at;
    if hello.path.is_empty() {
        hello.path = path;
    }
    Ok((hello, look))
}

/// Writes the warnings of a run into the log, because the client has gone. If that fails too, nothing is left to try.
fn log_missed_warnings(hello: &Hello, message: &FromAgent) {
    let unheard = match message {
        FromAgent::Done(Reply::Deploy(done)) => &done.warnings,
        FromAgent::Done(Reply::Switch(report)) => &report.warnings,
        FromAgent::Done(Reply::Pin(report)) => &report.warnings,
        FromAgent::Done(Reply::Cleanup(report)) => &report.warnings,
        FromAgent::Done(Reply::Adopt(report)) => &report.warnings,
        FromAgent::Done(Reply::UndoAdoption(report)) => &report.warnings,
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
    let Refusal { id, kind, message, mut causes, hint } = refusal;
    bounds::fitting(&mut causes);
    let cut_off = |text| bounds::cut_off(text, bounds::REPORTED_TEXT_BYTES_MAX);
    // Half a hint could name another path than the whole, so a hint that is too long is left out.
    let hint = hint.filter(|hint| message::to_bytes(hint).len() <= bounds::REPORTED_TEXT_BYTES_MAX);
    Refusal { id, kind, message: cut_off(message), causes, hint }
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
    /// The comparison of the live release that the client asked for while it scanned.
    look: Option<Look>,
}

impl Service<'_> {
    fn cleanup(
        &self,
        lock: Option<&Lock>,
        layout: &mut Layout,
        releases: &mut Releases,
        original: bool,
    ) -> Result<Reply, Error> {
        let removal = if original { adopt::remove_original(lock, layout)? } else { None };
        let options = prune::CleanupOptions { lock, sweep: true, ..prune::CleanupOptions::default() };
        let mut report = prune::cleanup(layout, releases, &self.hello.policy, &options, self.conversation)?;
        if let Some(removal) = removal {
            adopt::note_original(layout, &removal, &mut report);
        }
        Ok(Reply::Cleanup(report))
    }

    fn answer(mut self) -> Result<Reply, Error> {
        let look = self.look.take();
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
                deploy(self.conversation, &order, look, |layout| self.lock(layout))
                    .map(|done| Reply::Deploy(Box::new(done)))
            }
            Request::Releases { all } => query::releases(&self.open(path)?, *all).map(Reply::Releases),
            Request::Status(depth) => {
                let depth = depth.map(depth_of);
                query::status(&self.open(path)?, depth).map(|report| Reply::Status(Box::new(report)))
            }
            Request::Doctor(order) => {
                examine(self.conversation, self.hello, order, path).map(|report| Reply::Doctor(Box::new(report)))
            }
            Request::Switch { to, force } => self.switch(path, to, *force),
            Request::Rollback { rollback, force } => self.rollback(path, rollback, *force),
            Request::Pin { release, pin } => self.pin(path, release, pin.as_ref()),
            Request::Cleanup { dry_run: true, original } => {
                let mut layout = self.open(path)?;
                let mut releases = Releases::read(&layout)?;
                self.cleanup(None, &mut layout, &mut releases, *original)
            }
            Request::Cleanup { dry_run: false, original } => {
                let Site { lock, layout, releases } = &mut self.hold(path)?;
                self.cleanup(Some(lock), layout, releases, *original)
            }
            Request::Runs => {
                let runs = journal::runs(&self.open(path)?.private)?;
                Ok(Reply::Runs(RunsReport { runs, warnings: Vec::new() }))
            }
            Request::Journal { run, follow } => self.journal(path, *run, *follow),
            Request::RunHook(name) => self.run_hook(path, name),
            Request::Exec(command) => self.exec(path, command),
            Request::DiskDiff { release, depth } => self.disk_diff(path, release.as_ref(), *depth),
            Request::DiskUse => disk_use(&self.open(path)?).map(|report| Reply::DiskUse(Box::new(report))),
            Request::LockStatus => self.lock_status(path),
            Request::AcquireLock(message) => self.acquire_lock(path, message),
            Request::Unlock => self.unlock(path),
            Request::Survey { begin, length } => self.survey(path, begin, *length),
            Request::Adopt { begin, length } => self.adopt(path, begin, *length),
            Request::UndoAdoption { site, dry_run } => self.undo_adoption(path, site, *dry_run),
            Request::SharedList => self.list_shared(path),
            Request::SharedRead(file) => self.send_shared(path, file),
            Request::SharedWrite { path: file, known, length } => self.receive_shared(path, file, *known, *length),
            Request::Manifests { wanted, known } => self.manifests(path, wanted, known),
        }
    }

    /// Opens a deploy path to which something was deployed.
    fn open(&self, path: &Path) -> Result<Layout, Error> {
        self.open_or(path, SiteError::NotSetUp)
    }

    fn open_or(&self, path: &Path, error: fn(String) -> SiteError) -> Result<Layout, Error> {
        threads::start_pool()?;
        Layout::open(path, &self.hello.policy)?.ok_or_else(|| error(path.display().to_string()).into())
    }
}

/// Returns the reason behind an error: where the link should be, a site stands whose adoption did not end.
fn explained(error: Error, hello: &Hello) -> Error {
    let Error::Site(SiteError::CurrentNotSymlink(_)) = error else { return error };
    match deploy_path(hello).and_then(|path| Layout::open(&path, &Policy::default())) {
        Ok(Some(layout)) => adopt::check_finished(&layout).err().unwrap_or(error),
        _ => error,
    }
}

fn depth_of(depth: CheckDepth) -> Depth {
    match depth {
        CheckDepth::Entries => Depth::Stat,
        CheckDepth::Content => Depth::Content,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::time::Duration;

    use super::*;
    use crate::agent::site::lock::Lock;
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
            no_space_check: false,
            missing_agent: None,
        };
        Hello {
            path: path.as_os_str().as_bytes().to_vec(),
            policy: Policy::default(),
            procedure: Default::default(),
            lock: Default::default(),
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
