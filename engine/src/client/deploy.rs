//! A deploy, from the client's side: scan, compare, send, hear what came of it.
//!
//! The scan and the connection run at once. Then one flight, where the manifest database knows the release that is live
//! and little is to be sent; otherwise the client waits for what the agent says that it lacks.
//!
//! What the server has of a changed file comes from the first of these that has it: the content cache, git, the agent,
//! which is asked for signatures (`olds`, `large`). Where the database does not know the base, the agent is asked for an
//! outline of it.

mod base;
mod large;
mod olds;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Sender, unbounded};

use crate::cancel::Cancel;
use crate::chunk::Chunks;
use crate::client::cache::Cache;
use crate::client::commit::Commit;
use crate::client::database::{Belief, Database};
use crate::client::git::Blobs;
use crate::client::review::{IgnoredFiles, Review};
use crate::client::scan::{REVISION, Scan, ScanRequest, scan};
use crate::client::sending::{OldAt, Sending, sendings};
use crate::client::talk::Talk;
use crate::client::upload::{Uploading, upload};
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::hash::Hash;
use crate::manifest::Manifest;
use crate::manifest::encode::{Given, encode, encode_with, introduced};
use crate::release::{Provenance, ReleaseId};
use crate::report::{DeployFailure, DeployReport, DeployState, Seconds};
use crate::scan::snapshot::Snapshot;
use crate::signature::{Care, Signatures};
use crate::target::Policy;
use crate::threads;
use crate::wire::bounds::{ROUNDS_MAX, SIGNATURES_BYTES_MAX, TREE_BYTES_MAX};
use crate::wire::connection::Connection;
use crate::wire::message::{
    Against, DeployBegin, DeployDone, FromAgent, Hello, Holding, Lacks, Reply, Request, Taken, ToAgent,
};

use base::{Base, Heard, whole_base};
use large::Gap;
use olds::{Described, Introduced, OldEntry, Olds};

/// Up to this much content is sent without waiting to hear that the server lacks it. On a slow line (10 Mbit/s) a wrong
/// guess costs a second; a wait costs one round trip each time.
const UNASKED_BYTES_MAX: u64 = 1 << 20;

/// What a deploy needs.
pub(crate) struct ClientDeploy<'a> {
    /// The source, absolute.
    pub(crate) source: PathBuf,
    /// Patterns that leave paths out.
    pub(crate) exclude: &'a [String],
    /// The config in use.
    pub(crate) config: Option<&'a Path>,
    /// The deploy path as the agent is to open it.
    pub(crate) path: Vec<u8>,
    /// The target as the manifest database knows it.
    pub(crate) destination: String,
    /// The local target's directory, as device and inode.
    pub(crate) forbidden: Option<(u64, u64)>,
    /// What the server keeps to.
    pub(crate) policy: Policy,
    /// Who deploys.
    pub(crate) provenance: Provenance,
    /// A name for the release.
    pub(crate) release: Option<ReleaseId>,
    /// Leave it ready.
    pub(crate) no_switch: bool,
    /// Make it even where nothing changed.
    pub(crate) force: bool,
    /// Change nothing.
    pub(crate) dry_run: bool,
    /// Scan as if nothing were known of the source.
    pub(crate) paranoid: bool,
    /// The zstd level of content; where none is said, the one that the line has time for.
    pub(crate) zstd_level: Option<i32>,
    /// Over how many connections content goes; where none is said, as many as the link has use for.
    pub(crate) lanes: Option<u32>,
    /// Where the manifest database is.
    pub(crate) state_dir: PathBuf,
    /// Receives events.
    pub(crate) observer: Arc<dyn Observer>,
    /// Interrupts.
    pub(crate) cancel: Cancel,
}

/// What was found before anything was sent.
struct Prepared {
    scan: Scan,
    warnings: Vec<String>,
    /// The files that git ignores, where they are not those that are kept.
    ignored: Option<IgnoredFiles>,
    foreseen: Foreseen,
    talk: Talk,
    seconds: Seconds,
}

impl ClientDeploy<'_> {
    /// Deploys over the connection that `connect` makes, unless it is cancelled; it is told whether the target is one that
    /// this side knows nothing of.
    pub(crate) fn run(
        &self,
        connect: impl FnOnce(bool, &Cancel) -> Result<Connection, Error> + Send,
    ) -> Result<DeployReport, DeployFailure> {
        let began = Instant::now();
        let database = self.open_database();
        let trusted = database.as_ref().filter(|_| !self.paranoid);
        let known = trusted.and_then(|database| self.told(database.scan(&self.source))).flatten().map(Arc::new);
        let belief = database.as_ref().and_then(|database| self.told(database.belief(&self.destination))).flatten();
        let holding = belief.as_ref().map_or_else(Holding::default, |belief| belief.holding.clone());
        let is_new = belief.is_none();
        let memory = Memory {
            database: database.as_ref(),
            belief,
            before: Cell::new(known.clone()),
            kept_chunks: RefCell::default(),
            cache: OnceCell::new(),
        };
        let foresee = |scan: &Scan| Outlook { deploy: self, scan, memory: &memory }.foresee();
        let kept = trusted.and_then(|database| self.told(database.ignored(&self.source))).flatten();
        let Prepared { scan, mut warnings, ignored, foreseen, talk, mut seconds } =
            self.prepare(known.as_ref(), kept.as_ref(), foresee, |cancel| connect(is_new, cancel), began)?;
        if let Some((database, ignored)) = database.as_ref().zip(ignored) {
            self.told(database.put_ignored(&self.source, &ignored));
        }
        for warning in &warnings {
            self.observer.observe(Event::Warning(warning.clone()));
        }
        let is_kept = known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &scan.found));
        let zstd_levels = RefCell::default();
        drop(known);
        let exchange = Exchange {
            outlook: Outlook { deploy: self, scan: &scan, memory: &memory },
            talk: &talk,
            holding,
            is_kept: Cell::new(is_kept),
            blobs: Blobs::default(),
            signatures: Signatures::default(),
            cutter: None,
            zstd_levels: &zstd_levels,
            began,
            sent_commits: 0,
        };
        let (done, holding) = match exchange.run(foreseen, &mut seconds) {
            Ok(done) => done,
            Err(failure) => {
                talk.leave();
                return Err(failure);
            }
        };
        seconds.total = began.elapsed().as_secs_f64();
        if let Some(database) = &database {
            self.told(self.remember(database, &scan.found.manifest, &done, holding));
        }
        let mut report = self.report(&scan, done, &talk, seconds);
        warnings.append(&mut report.warnings);
        report.warnings = warnings;
        report.zstd_levels = zstd_levels.into_inner();
        talk.finish();
        Ok(report)
    }

    /// Scans, finds out what there is to say, and connects at once. Where one of them fails, nobody waits for the other.
    fn prepare(
        &self,
        known: Option<&Arc<Snapshot>>,
        kept: Option<&IgnoredFiles>,
        foresee: impl FnOnce(&Scan) -> Result<Foreseen, Error>,
        connect: impl FnOnce(&Cancel) -> Result<Connection, Error> + Send,
        began: Instant,
    ) -> Result<Prepared, Error> {
        let both = self.cancel.part();
        let scanned = || {
            self.observer.observe(Event::Began(Phase::Scan));
            let scan = self.scan(known, &both)?;
            self.observer.observe(Event::Ended(Phase::Scan));
            let scanned = began.elapsed().as_secs_f64();
            let ((warnings, ignored), foreseen) = threads::beside(|| self.review(&scan, kept), || foresee(&scan));
            Ok((scan, warnings, ignored, foreseen?, scanned))
        };
        let connected = || {
            self.observer.observe(Event::Began(Phase::Connect));
            // The conversation begins at once: it tells the agent that this side is alive while it scans.
            let talk = Talk::new(connect(&both)?, self.observer.clone(), self.cancel.clone())?;
            self.observer.observe(Event::Ended(Phase::Connect));
            Ok((talk, began.elapsed().as_secs_f64()))
        };
        let connected = || connected().inspect_err(|_| both.cancel());
        let (connected, scanned) = threads::beside(connected, || scanned().inspect_err(|_| both.cancel()));
        match (scanned, connected) {
            (Ok((scan, warnings, ignored, foreseen, scanned)), Ok((talk, connect))) => {
                let seconds = Seconds { connect, scan: scanned, ..Seconds::default() };
                Ok(Prepared { scan, warnings, ignored, foreseen, talk, seconds })
            }
            // It was only cancelled because of the other.
            (Err(Error::Interrupted), Err(error)) | (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn scan(&self, known: Option<&Arc<Snapshot>>, cancel: &Cancel) -> Result<Scan, Error> {
        scan(&ScanRequest {
            source: &self.source,
            exclude: self.exclude,
            config: self.config,
            known,
            forbidden: self.forbidden,
            observer: self.observer.as_ref(),
            cancel,
        })
    }

    /// Returns what a user may not expect of the release, before it goes live.
    fn review(&self, scan: &Scan, kept: Option<&IgnoredFiles>) -> (Vec<String>, Option<IgnoredFiles>) {
        let Scan { found, source, rules, .. } = scan;
        let (mut warnings, ignored) = Review { source: &self.source, held: source, rules, found }.warnings(kept);
        let has_own = found.manifest.child(0, REVISION).is_some();
        if let Commit::Unknown { reason } = &scan.commit
            && !has_own
        {
            warnings
                .push(format!("The release has no `REVISION`, as the commit of the source cannot be told: {reason}"));
        }
        (warnings, ignored)
    }

    /// Without a database a deploy is slower and sends more, and is right all the same.
    fn open_database(&self) -> Option<Database> {
        self.told(Database::open(&self.state_dir, self.observer.clone()))
    }

    fn told<T>(&self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.observer.observe(Event::Warning(error.with_cause()))).ok()
    }

    fn remember(
        &self,
        database: &Database,
        manifest: &Manifest,
        done: &DeployDone,
        holding: Holding,
    ) -> Result<(), Error> {
        let Some(release) = done.release.as_ref().filter(|_| !self.dry_run) else { return Ok(()) };
        database.put_release(&holding, release, manifest)?;
        let live = match done.state {
            DeployState::Ready => done.previous.clone(),
            DeployState::Live | DeployState::Unchanged => Some(release.clone()),
        };
        database.put_belief(&self.destination, &Belief { holding, live, is_cut: false })
    }

    fn report(&self, scan: &Scan, done: DeployDone, talk: &Talk, seconds: Seconds) -> DeployReport {
        let manifest = &scan.found.manifest;
        DeployReport {
            release: done.release,
            previous: done.previous,
            state: done.state,
            dry_run: self.dry_run,
            manifest: manifest.root().to_string(),
            commit: scan.commit.known().map(str::to_owned),
            files: manifest.files(),
            bytes: manifest.bytes(),
            files_new: done.files_new,
            files_changed: done.files_changed,
            files_removed: done.files_removed,
            sent_bytes: talk.sent_bytes(),
            received_bytes: talk.received_bytes(),
            objects_new: done.objects_new,
            objects_linked: done.objects_linked,
            reused: done.reused,
            not_reused: done.not_reused,
            copied: done.copied.into_iter().collect(),
            round_trips: talk.round_trips(),
            zstd_levels: BTreeMap::new(),
            connections: talk.connections(),
            removed: done.removed,
            warnings: done.warnings,
            seconds,
        }
    }
}

/// What this side remembers of earlier deploys.
struct Memory<'a> {
    database: Option<&'a Database>,
    /// What is believed of the target.
    belief: Option<Belief>,
    /// The last scan: what was deployed last, most of the time.
    before: Cell<Option<Arc<Snapshot>>>,
    /// What the database has of chunks, as far as it was asked.
    kept_chunks: RefCell<HashMap<Hash, Option<Rc<Chunks>>>>,
    /// Opened when it is first needed; none where it cannot be used.
    cache: OnceCell<Option<Cache>>,
}

/// What can be said without having heard anything.
#[derive(Clone, Copy)]
struct Outlook<'a> {
    deploy: &'a ClientDeploy<'a>,
    scan: &'a Scan,
    memory: &'a Memory<'a>,
}

/// What is said and heard.
struct Exchange<'a> {
    outlook: Outlook<'a>,
    talk: &'a Talk,
    /// What the server holds, or held: as it is believed, until the agent says otherwise.
    holding: Holding,
    /// Whether the database has the scan.
    is_kept: Cell<bool>,
    /// What git has of the base.
    blobs: Blobs,
    /// What the agent told of the base.
    signatures: Signatures,
    /// Takes files that are to be cut, by entry and hash, until the conversation has ended.
    cutter: Option<Sender<(u32, Hash)>>,
    /// Bytes of content by the level that they were packed at.
    zstd_levels: &'a RefCell<BTreeMap<i32, u64>>,
    began: Instant,
    sent_commits: u32,
}

impl Exchange<'_> {
    /// Returns what it came to, and what the server holds then.
    fn run(mut self, foreseen: Foreseen, seconds: &mut Seconds) -> Result<(DeployDone, Holding), DeployFailure> {
        let (cutter, to_cut) = unbounded();
        self.cutter = Some(cutter);
        let (scan, over) = (self.outlook.scan, &self.outlook.deploy.cancel.part());
        let (conversed, chunks);
        // Moved in, so that whatever ends the conversation ends the cutting.
        let cutting = move || large::cut_until(over, scan, &to_cut);
        (chunks, (self, conversed)) = threads::beside(cutting, move || {
            let conversed = self.converse(foreseen);
            // What was not cut by then costs a question next time, and the deploy does not wait for it.
            over.cancel();
            self.cutter = None;
            (self, conversed)
        });
        self.keep_scan();
        self.outlook.keep_chunks(&chunks);
        let mut done = match conversed {
            Err(failure) if matches!(failure.error, Error::LineLost { .. }) => self.last_words(failure)?,
            other => other.map_err(|failure| self.talk.settle(failure))?,
        };
        seconds.upload = self.talk.delivery().took().as_secs_f64();
        for &(phase, spent) in &done.seconds {
            // Microseconds: an `f32` has no more to tell.
            let spent = (f64::from(spent) * 1e6).round() / 1e6;
            match phase {
                Phase::Assemble => seconds.assemble = spent,
                Phase::Sync => seconds.sync = spent,
                Phase::Switch => seconds.switch = spent,
                Phase::Cleanup => seconds.cleanup = spent,
                Phase::Connect | Phase::CopyAgent | Phase::Scan | Phase::Upload => {}
            }
        }
        seconds.live = self.began.elapsed().as_secs_f64() - seconds.cleanup;
        let holding = done.holding.take().unwrap_or_else(|| self.holding.after(done.release.as_ref(), &done.removed));
        Ok((done, holding))
    }

    /// Keeps what was scanned, where it differs from what is kept. To be called where the agent has work to do: the scan
    /// and the conversation would wait for it.
    fn keep_scan(&self) {
        if let Some(database) = self.outlook.memory.database.filter(|_| !self.is_kept.replace(true)) {
            self.outlook.deploy.told(database.put_scan(&self.outlook.deploy.source, &self.outlook.scan.found));
        }
    }

    /// A write fails when the agent has answered and gone: what it said last is the answer.
    fn last_words(&mut self, failure: DeployFailure) -> Result<DeployDone, DeployFailure> {
        let mut said = self.talk.wait();
        loop {
            match said {
                Ok(FromAgent::Done(Reply::Deploy(done))) => return Ok(*done),
                Ok(message) => {
                    if let FromAgent::Ready { holding: Some(holding), .. } = message {
                        self.holding = holding;
                    }
                    said = self.talk.next();
                }
                Err(said) if !matches!(said.error, Error::LineLost { .. }) => return Err(self.talk.settle(said)),
                Err(lost) => return Err(self.talk.settle(DeployFailure { error: failure.error, live: lost.live })),
            }
        }
    }

    fn converse(&mut self, foreseen: Foreseen) -> Result<DeployDone, DeployFailure> {
        let Foreseen { base, unsaid } = foreseen;
        self.hello(base.as_ref())?;
        if let Some(unsaid) = unsaid {
            drop(base);
            let unasked = self.send_unasked(unsaid)?;
            return self.hear_out(unasked);
        }
        // A store that is known under the name of another host needs none: then the wait for its answer is worth it.
        let is_asked = base.is_none() && !self.outlook.knows_a_release();
        if is_asked {
            self.want_outline()?;
        }
        match self.ready(base, is_asked)? {
            Heard::Done(done) => Ok(*done),
            Heard::Ready(base) => self.send_what_lacks(base, false),
            Heard::Empty => self.send_what_lacks(None, true),
        }
    }

    /// Sends the tree, and all its content where that is little.
    fn send_unasked(&mut self, unsaid: Unsaid) -> Result<Unasked, DeployFailure> {
        let Unsaid { tree, promised, content, olds, gaps } = unsaid;
        self.want_gaps(&gaps, &olds)?;
        let Some(content) = content else {
            self.send_tree(Against::Named, &tree)?;
            return Ok(Unasked { promised, olds: Some(olds), gaps });
        };
        let talk = self.talk;
        talk.together(|| {
            self.send_tree(Against::Named, &tree)?;
            self.send(sendings(content, &[], &olds), true)?;
            // Otherwise all of it is said again.
            if talk.takes_another() { Ok(()) } else { Ok(self.commit()?) }
        })?;
        Ok(Unasked { promised, olds: None, gaps })
    }

    /// The tree was sent unasked, and perhaps all its content: hear whether that was right, and what is lacking.
    fn hear_out(&mut self, sent: Unasked) -> Result<DeployDone, DeployFailure> {
        let Unasked { promised, mut olds, mut gaps } = sent;
        self.keep_scan();
        let mut message = self.talk.wait()?;
        loop {
            match message {
                FromAgent::Done(Reply::Deploy(done)) => return Ok(*done),
                FromAgent::Ready { holding, base, commit, .. } => {
                    self.holding = holding.unwrap_or_else(|| std::mem::take(&mut self.holding));
                    let other = match base {
                        Taken::Named => None,
                        Taken::Nothing | Taken::Empty => Some(None),
                        Taken::Another(name) => Some(Some(name)),
                    };
                    if let Some(base) = other {
                        self.drop_gaps(&gaps)?;
                        let base = self.learn_base(base, commit, false)?;
                        return self.send_what_lacks(base, false);
                    }
                }
                // What was said before it had read all that was sent is no news.
                FromAgent::Lacks(lacks) if lacks.after_commits < self.sent_commits => {}
                FromAgent::Lacks(lacks) => {
                    // What did not come whole is sent without any art.
                    self.send_lacking(&lacks, &olds.take().unwrap_or_default())?;
                    message = self.talk.wait()?;
                    continue;
                }
                FromAgent::GapSignatures { length } => {
                    let mut none = Olds::default();
                    self.close_gaps(&std::mem::take(&mut gaps), length, olds.as_mut().unwrap_or(&mut none))?;
                }
                FromAgent::WantHashes => {
                    let manifest = &self.outlook.scan.found.manifest;
                    let hash = |&entry: &u32| manifest.file(entry).map(|file| file.key.hash);
                    self.talk.send(&ToAgent::Hashes(promised.iter().filter_map(hash).collect()))?;
                    message = self.talk.wait()?;
                    continue;
                }
                _ => return Err(unexpected()),
            }
            message = self.talk.next()?;
        }
    }

    /// Sends the tree, waits for what is lacking, sends that. Where `is_all` lacking there is nothing to wait for.
    fn send_what_lacks(&mut self, base: Option<Base>, is_all: bool) -> Result<DeployDone, DeployFailure> {
        let mut is_outlined = base.as_ref().is_some_and(|base| base.is_outlined);
        let commit = base.as_ref().and_then(|base| base.commit.clone());
        let mut described = self.describe(base.as_ref())?;
        drop(base);
        self.keep_scan();
        if is_all {
            self.send(sendings(distinct(&self.outlook.scan.found.manifest), &[], &Olds::default()), false)?;
            self.commit()?;
        }
        let mut message = self.talk.wait()?;
        loop {
            match message {
                FromAgent::Done(Reply::Deploy(done)) => return Ok(*done),
                // What was said before it had read all that was sent is no news.
                FromAgent::Lacks(lacks) if lacks.after_commits < self.sent_commits => {
                    message = self.talk.next()?;
                    continue;
                }
                // A guess was wrong that the outline had led to.
                FromAgent::Manifest { name, length } if std::mem::take(&mut is_outlined) => {
                    let bytes = self.talk.parts(length, TREE_BYTES_MAX)?;
                    described = self.describe(Some(&whole_base(name, &bytes, commit.clone())?))?;
                }
                FromAgent::GapSignatures { length } => {
                    let gaps = std::mem::take(&mut described.gaps);
                    self.close_gaps(&gaps, length, &mut described.olds)?;
                    message = self.talk.next()?;
                    continue;
                }
                FromAgent::Lacks(_) if self.outlook.deploy.dry_run => {}
                FromAgent::Lacks(lacks) => {
                    // What did not come whole is sent without any art.
                    let Described { mut olds, to_sign, .. } = std::mem::take(&mut described);
                    self.hear_signatures(&lacks, to_sign, &mut olds)?;
                    self.send_lacking(&lacks, &olds)?;
                }
                _ => return Err(unexpected()),
            }
            message = self.talk.wait()?;
        }
    }

    /// Sends the tree, with the questions that belong to it.
    fn describe(&mut self, base: Option<&Base>) -> Result<Described, DeployFailure> {
        let manifest = &self.outlook.scan.found.manifest;
        let (described, encoded) = match base {
            Some(base) => {
                let introduced = introduced(manifest, Some(&base.manifest));
                let Introduced { givens, fresh } = self.outlook.introduced(base, &introduced);
                (self.find_olds(base, &fresh)?, encode_with(manifest, Some(&base.manifest), &givens))
            }
            None => (Described::default(), encode(manifest, None)),
        };
        if !described.to_sign.is_empty() {
            let entries = described.to_sign.iter().map(|&(entry, _)| entry);
            self.talk.send(&ToAgent::WantSignatures(Lacks::pack(entries)))?;
        }
        self.want_gaps(&described.gaps, &described.olds)?;
        let against = if base.is_some() { Against::Taken } else { Against::Nothing };
        self.send_tree(against, &encoded.to_bytes())?;
        Ok(described)
    }

    /// Hears the signatures that were asked for: those of files that are lacking.
    fn hear_signatures(
        &mut self,
        lacks: &Lacks,
        mut to_sign: Vec<(u32, OldEntry)>,
        olds: &mut Olds,
    ) -> Result<(), DeployFailure> {
        if to_sign.is_empty() {
            return Ok(());
        }
        let FromAgent::Signatures { length } = self.talk.next()? else { return Err(unexpected()) };
        let bytes = self.talk.parts(length, SIGNATURES_BYTES_MAX as u64)?;
        let lacking = lacks.entries(self.outlook.scan.found.manifest.len())?;
        to_sign.retain(|(entry, _)| lacking.binary_search(entry).is_ok());
        let lens: Vec<usize> = to_sign.iter().map(|(_, old)| old.file.size as usize).collect();
        self.signatures = Signatures::read(bytes, &lens, Care::File)
            .map_err(|reason| Error::Protocol(format!("a list of signatures that {reason}")))?;
        for (at, (entry, old)) in to_sign.into_iter().enumerate() {
            if self.signatures.has(at) {
                olds.insert(entry, old.small(OldAt::Signed(at)));
            }
        }
        Ok(())
    }

    fn send_lacking(&mut self, lacks: &Lacks, olds: &Olds) -> Result<(), DeployFailure> {
        let manifest = &self.outlook.scan.found.manifest;
        let entries = lacks.entries(manifest.len())?;
        let is_within = |&(entry, begun): &(u32, u64)| manifest.file(entry).is_some_and(|file| begun <= file.size);
        if self.sent_commits > ROUNDS_MAX || !lacks.partial.iter().all(is_within) {
            return Err(Error::Protocol("content that is asked for again and again, or beyond its end".into()).into());
        }
        self.send(sendings(entries, &lacks.partial, olds), false)?;
        Ok(self.commit()?)
    }

    /// Sends content. Where it goes unasked, it is described against the base that was named.
    fn send(&self, sendings: Vec<Sending>, is_unasked: bool) -> Result<(), DeployFailure> {
        if sendings.is_empty() {
            return Ok(());
        }
        if let Some(database) = self.outlook.memory.database {
            self.outlook.deploy.told(database.begin_upload(&self.outlook.deploy.destination));
        }
        let uploading = Uploading {
            talk: self.talk,
            scan: self.outlook.scan,
            cache: self.outlook.cache(),
            blobs: &self.blobs,
            signatures: &self.signatures,
            level: self.outlook.deploy.zstd_level,
            observer: self.outlook.deploy.observer.as_ref(),
            // An agent that takes another base knows nothing of lanes yet.
            lanes: if is_unasked { Some(1) } else { self.outlook.deploy.lanes },
            is_unasked,
        };
        for file in self.outlook.to_cut(&sendings) {
            // One that is not cut costs a question next time.
            self.cutter.as_ref().map_or(Ok(()), |cutter| cutter.send(file)).unwrap_or_default();
        }
        let levels = upload(uploading, sendings)?;
        self.talk.delivery().written(self.sent_commits + 1);
        for (level, bytes) in levels {
            *self.zstd_levels.borrow_mut().entry(level).or_default() += bytes;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        if !self.outlook.deploy.dry_run && !self.outlook.deploy.no_switch {
            self.talk.may_switch();
        }
        self.talk.send(&ToAgent::Commit)?;
        self.sent_commits += 1;
        Ok(())
    }

    fn hello(&self, base: Option<&Base>) -> Result<(), Error> {
        let deploy = self.outlook.deploy;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let root = self.outlook.scan.found.manifest.root();
        let begin = DeployBegin {
            root,
            base: base.map(|base| base.name.release.clone()),
            base_root: base.map(|base| base.name.root).filter(|base_root| *base_root != root),
            believed: self.holding.mark(),
            release: deploy.release.clone().unwrap_or_else(|| ReleaseId::at(now)),
            is_named: deploy.release.is_some(),
            no_switch: deploy.no_switch,
            force: deploy.force,
            dry_run: deploy.dry_run,
        };
        let commit = self.outlook.scan.commit.known().map(str::to_owned);
        let provenance = Provenance { commit, ..deploy.provenance.clone() };
        let request = Request::Deploy(begin);
        let hello = Hello { path: deploy.path.clone(), policy: deploy.policy.clone(), provenance, request };
        self.talk.send(&ToAgent::Hello(Box::new(hello)))
    }

    fn send_tree(&self, against: Against, bytes: &[u8]) -> Result<(), Error> {
        self.talk.send(&ToAgent::Tree { against, length: bytes.len() as u64 })?;
        self.talk.send_parts(bytes)
    }
}

impl Outlook<'_> {
    /// Finds the base that is believed in, and what is to be sent unasked: the tree, and all its content where that is little
    /// and no upload was cut off before, which the agent would have some of.
    fn foresee(&self) -> Result<Foreseen, Error> {
        let believed = self.believed_base();
        // It takes memory.
        self.memory.before.take();
        let Some((base, is_cut)) = believed else { return Ok(Foreseen::default()) };
        // Where nothing changed the agent sees that by the root, and needs no tree.
        let is_to_ask = self.deploy.dry_run || self.is_live(&base) && !self.deploy.force;
        let unsaid = if is_to_ask { None } else { self.unsaid(&base, is_cut)? };
        Ok(Foreseen { base: Some(base), unsaid })
    }

    /// Tells whether this tree is believed to be live.
    fn is_live(&self, base: &Base) -> bool {
        let live = self.memory.belief.as_ref().and_then(|belief| belief.live.as_ref());
        base.name.root == self.scan.found.manifest.root() && live == Some(&base.name.release)
    }

    /// Nothing where the agent must be asked first.
    fn unsaid(&self, base: &Base, is_cut: bool) -> Result<Option<Unsaid>, Error> {
        let manifest = &self.scan.found.manifest;
        let introduced = introduced(manifest, Some(&base.manifest));
        let Introduced { mut givens, fresh } = self.introduced(base, &introduced);
        let Some(olds) = self.olds_at_hand(base, &fresh)? else { return Ok(None) };
        let gaps = large::gaps(&olds);
        let is_little = !is_cut && gaps.is_empty() && self.is_little(&fresh, &olds);
        let promised = if is_little { self.to_promise(&introduced, &fresh) } else { Vec::new() };
        givens.extend(promised.iter().map(|&entry| (entry, Given::Promised)));
        let tree = encode_with(manifest, Some(&base.manifest), &givens).to_bytes();
        Ok(Some(Unsaid { tree, promised, content: is_little.then_some(fresh), olds, gaps }))
    }
}

/// What is known before anything is heard.
#[derive(Default)]
struct Foreseen {
    /// The release that the agent is believed to have.
    base: Option<Base>,
    /// What is to be sent unasked.
    unsaid: Option<Unsaid>,
}

/// What is to be sent before anything is heard.
struct Unsaid {
    /// The manifest, as its difference from the base.
    tree: Vec<u8>,
    /// The entries whose hashes are not in it, ascending.
    promised: Vec<u32>,
    /// The entries whose content goes at once, where it does.
    content: Option<Vec<u32>>,
    /// What files can be described in terms of.
    olds: Olds,
    /// What the agent is to be asked to sign of large files.
    gaps: Vec<Gap>,
}

/// What was sent before anything was heard.
struct Unasked {
    /// The entries whose hashes were not sent, ascending.
    promised: Vec<u32>,
    /// Where content is still to be sent, what it can be described in terms of.
    olds: Option<Olds>,
    /// What the agent was asked to sign of large files.
    gaps: Vec<Gap>,
}

/// Returns the entries of all content, each once.
fn distinct(manifest: &Manifest) -> Vec<u32> {
    let mut seen = HashSet::new();
    manifest.all_files().filter(|(_, file)| file.size > 0 && seen.insert(file.key)).map(|(entry, _)| entry).collect()
}

fn unexpected() -> DeployFailure {
    Error::Protocol("an answer to a question that was not asked".into()).into()
}
