//! A deploy, from the client's side: scan, compare, send, hear what came of it.
//!
//! The scan and the connection run at once. Then one flight, where the manifest database knows the release that is live
//! and little is to be sent; otherwise the client waits for what the agent says that it lacks.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::chunk::{self, Chunks, LARGE_FILE_BYTES};
use crate::client::cache::Cache;
use crate::client::content;
use crate::client::database::{Belief, Database};
use crate::client::scan::{Known, Scan, ScanRequest, scan};
use crate::client::talk::Talk;
use crate::client::upload::{Old, OldFile, Recipe, Sending, Uploading, sendings, upload};
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::hash::Hash;
use crate::manifest::encode::{decode, encode};
use crate::manifest::{File, Manifest, Node};
use crate::release::{Provenance, ReleaseId};
use crate::report::{DeployFailure, DeployReport, DeployState, Seconds};
use crate::target::Policy;
use crate::wire::connection::Connection;
use crate::wire::message::{
    BaseName, DeployBegin, DeployDone, FromAgent, Hello, Holding, Lacks, Reply, Request, ToAgent,
};

/// Up to this much content is sent without waiting to hear that the server lacks it. On a slow line (1 Mbit/s) a wrong
/// guess costs two seconds; a wait costs one round trip each time.
const UNASKED_BYTES_MAX: u64 = 256 << 10;

/// A delta is taken for this part of its file: edits are mostly far smaller, and a wrong guess costs little.
const DELTA_SHARE: u64 = 16;

/// By entry of the new manifest: what it is described in terms of.
type Olds = HashMap<u32, Old>;

/// What a deploy needs.
pub(crate) struct ClientDeploy<'a> {
    /// The source, absolute.
    pub(crate) source: PathBuf,
    /// Patterns that leave paths out.
    pub(crate) exclude: &'a [String],
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
    /// Over how many connections content goes; where none is said, as many as the link has use for.
    pub(crate) lanes: Option<u32>,
    /// Where the manifest database is.
    pub(crate) state_dir: PathBuf,
    /// Receives events.
    pub(crate) observer: Arc<dyn Observer>,
    /// Interrupts.
    pub(crate) cancel: Cancel,
}

/// A release of the server, as far as the client knows it.
struct Base {
    name: BaseName,
    manifest: Manifest,
}

/// What was found before anything was sent.
struct Prepared {
    scan: Scan,
    talk: Talk,
    seconds: Seconds,
}

impl ClientDeploy<'_> {
    /// Deploys over the connection that `connect` makes.
    pub(crate) fn run(
        &self,
        connect: impl FnOnce() -> Result<Connection, Error> + Send,
    ) -> Result<DeployReport, DeployFailure> {
        let began = Instant::now();
        let database = self.open_database();
        let known = database.as_ref().and_then(|database| self.told(database.scan(&self.source))).flatten();
        let Prepared { scan, talk, mut seconds } = self.prepare(known.as_ref(), connect, began)?;
        for path in &scan.dropped_bits {
            self.observer.observe(Event::Warning(format!("The setuid, setgid or sticky bit of `{path}` is dropped")));
        }
        let saving = self.save_scan(database.as_ref(), known.as_ref(), &scan);
        drop(known);
        let exchange = Exchange {
            deploy: self,
            talk: &talk,
            scan: &scan,
            database: saving,
            cache: OnceCell::new(),
            began,
            sent_commits: 0,
        };
        let done = match exchange.run(&mut seconds) {
            Ok(done) => done,
            Err(failure) => {
                talk.leave();
                return Err(failure);
            }
        };
        seconds.total = began.elapsed().as_secs_f64();
        if let Some(database) = saving {
            self.told(self.remember(database, &scan.found.manifest, &done));
        }
        let report = self.report(&scan, done, &talk, seconds);
        talk.finish();
        Ok(report)
    }

    fn prepare(
        &self,
        known: Option<&Known>,
        connect: impl FnOnce() -> Result<Connection, Error> + Send,
        began: Instant,
    ) -> Result<Prepared, Error> {
        let request = ScanRequest {
            source: &self.source,
            exclude: self.exclude,
            known,
            forbidden: self.forbidden,
            observer: self.observer.as_ref(),
            cancel: &self.cancel,
        };
        std::thread::scope(|scope| {
            let connecting = scope.spawn(move || {
                self.observer.observe(Event::Began(Phase::Connect));
                // The conversation begins at once: it tells the agent that this side is alive while it scans.
                let talk = Talk::new(connect()?, self.observer.clone(), self.cancel.clone());
                self.observer.observe(Event::Ended(Phase::Connect));
                Ok((talk, began.elapsed().as_secs_f64()))
            });
            self.observer.observe(Event::Began(Phase::Scan));
            let scan = scan(&request);
            if scan.is_ok() {
                self.observer.observe(Event::Ended(Phase::Scan));
            }
            let scanned = began.elapsed().as_secs_f64();
            let connected = connecting.join().expect("connecting does not panic");
            let (scan, (talk, connect)) = (scan?, connected?);
            Ok(Prepared { scan, talk, seconds: Seconds { connect, scan: scanned, ..Seconds::default() } })
        })
    }

    /// Without a database a deploy is slower and sends more, and is right all the same.
    fn open_database(&self) -> Option<Database> {
        self.told(Database::open(&self.state_dir, self.observer.clone()))
    }

    fn told<T>(&self, result: Result<T, Error>) -> Option<T> {
        result
            .map_err(|error| {
                let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                self.observer.observe(Event::Warning(format!("{error}{cause}")));
            })
            .ok()
    }

    /// Keeps what was scanned, where it differs from what is kept.
    fn save_scan<'d>(
        &self,
        database: Option<&'d Database>,
        known: Option<&Known>,
        scan: &Scan,
    ) -> Option<&'d Database> {
        let database = database?;
        let is_kept = known.is_some_and(|known| {
            scan.hashed_files == 0
                && known.manifest.root() == scan.found.manifest.root()
                && known.stats == scan.found.stats
        });
        if !is_kept {
            self.told(database.put_scan(&self.source, &scan.found));
        }
        Some(database)
    }

    fn remember(&self, database: &Database, manifest: &Manifest, done: &DeployDone) -> Result<(), Error> {
        let Holding { store, standing } = &done.holding;
        let Some(release) = done.release.as_ref().filter(|_| !self.dry_run) else { return Ok(()) };
        database.put_release(store, release, manifest, standing)?;
        let live = match done.state {
            DeployState::Ready => done.previous.clone(),
            DeployState::Live | DeployState::Unchanged => Some(release.clone()),
        };
        database.put_belief(&self.destination, &Belief { store: store.clone(), live })
    }

    fn report(&self, scan: &Scan, done: DeployDone, talk: &Talk, seconds: Seconds) -> DeployReport {
        let manifest = &scan.found.manifest;
        DeployReport {
            release: done.release,
            previous: done.previous,
            state: done.state,
            dry_run: self.dry_run,
            manifest: manifest.root().to_string(),
            commit: scan.commit.clone(),
            files: manifest.files(),
            bytes: manifest.bytes(),
            files_new: done.files_new,
            files_changed: done.files_changed,
            files_removed: done.files_removed,
            sent_bytes: talk.sent_bytes(),
            received_bytes: talk.received_bytes(),
            objects_new: done.objects_new,
            objects_linked: done.objects_linked,
            copied: done.copied.into_iter().collect(),
            round_trips: talk.round_trips(),
            connections: talk.connections(),
            removed: done.removed,
            warnings: done.warnings,
            seconds,
        }
    }
}

/// What is said and heard.
struct Exchange<'a> {
    deploy: &'a ClientDeploy<'a>,
    talk: &'a Talk,
    scan: &'a Scan,
    database: Option<&'a Database>,
    /// Opened when it is first needed; none where it cannot be used.
    cache: OnceCell<Option<Cache>>,
    began: Instant,
    sent_commits: u32,
}

impl Exchange<'_> {
    fn run(mut self, seconds: &mut Seconds) -> Result<DeployDone, DeployFailure> {
        let done = match self.converse(seconds) {
            Err(failure) if matches!(failure.error, Error::LineLost { .. }) => self.last_words(failure)?,
            other => other.map_err(|failure| self.talk.settle(failure))?,
        };
        for &(phase, spent) in &done.seconds {
            match phase {
                Phase::Assemble => seconds.assemble = spent,
                Phase::Sync => seconds.sync = spent,
                Phase::Switch => seconds.switch = spent,
                Phase::Cleanup => seconds.cleanup = spent,
                Phase::Connect | Phase::Scan | Phase::Upload => {}
            }
        }
        seconds.live = self.began.elapsed().as_secs_f64() - seconds.cleanup;
        Ok(done)
    }

    /// A write fails when the agent has answered and gone: what it said last is the answer.
    fn last_words(&self, failure: DeployFailure) -> Result<DeployDone, DeployFailure> {
        let mut said = self.talk.wait();
        loop {
            match said {
                Ok(FromAgent::Done(Reply::Deploy(done))) => return Ok(*done),
                Ok(_) => said = self.talk.next(),
                Err(said) if !matches!(said.error, Error::LineLost { .. }) => return Err(self.talk.settle(said)),
                Err(lost) => return Err(self.talk.settle(DeployFailure { error: failure.error, live: lost.live })),
            }
        }
    }

    fn converse(&mut self, seconds: &mut Seconds) -> Result<DeployDone, DeployFailure> {
        let believed = self.believed_base();
        self.hello(believed.as_ref())?;
        if let Some(base) = &believed
            && !self.deploy.dry_run
        {
            let encoded = encode(&self.scan.found.manifest, Some(&base.manifest));
            if let Some(olds) = self.olds(base, &encoded.introduced, false)? {
                self.send_tree(Some(base), &encoded.bytes)?;
                let is_little = self.is_little(&encoded.introduced, &olds);
                let mut olds = Some(olds);
                if is_little {
                    let entries = self.distinct(&encoded.introduced);
                    self.send(sendings(entries, &[], &olds.take().unwrap_or_default()), seconds)?;
                    self.commit()?;
                }
                let name = base.name.clone();
                drop((believed, encoded));
                return self.hear_out(&name, olds, seconds);
            }
        }
        match self.ready(believed)? {
            Heard::Done(done) => Ok(*done),
            Heard::Ready(base) => self.send_what_lacks(base, seconds),
        }
    }

    /// The tree was sent unasked, and perhaps all its content: hear whether that was right, and what is lacking.
    fn hear_out(
        &mut self,
        believed: &BaseName,
        mut olds: Option<Olds>,
        seconds: &mut Seconds,
    ) -> Result<DeployDone, DeployFailure> {
        let mut message = self.talk.wait()?;
        loop {
            match message {
                FromAgent::Done(Reply::Deploy(done)) => return Ok(*done),
                FromAgent::Ready { holding, base, .. } => {
                    if base.as_ref() != Some(believed) {
                        let base = self.learn_base(&holding, base)?;
                        return self.send_what_lacks(base, seconds);
                    }
                }
                // What was said before it had read all that was sent is no news.
                FromAgent::Lacks(lacks) if lacks.after_commits < self.sent_commits => {}
                FromAgent::Lacks(lacks) => {
                    // What did not come whole is sent without any art.
                    self.send_lacking(&lacks, &olds.take().unwrap_or_default(), seconds)?;
                    message = self.talk.wait()?;
                    continue;
                }
                _ => return Err(unexpected()),
            }
            message = self.talk.next()?;
        }
    }

    /// Sends the tree, waits for what is lacking, sends that.
    fn send_what_lacks(&mut self, base: Option<Base>, seconds: &mut Seconds) -> Result<DeployDone, DeployFailure> {
        let encoded = encode(&self.scan.found.manifest, base.as_ref().map(|base| &base.manifest));
        let olds = match &base {
            Some(base) => self.olds(base, &encoded.introduced, true)?.unwrap_or_default(),
            None => Olds::default(),
        };
        self.send_tree(base.as_ref(), &encoded.bytes)?;
        drop((base, encoded));
        let mut olds = Some(olds);
        loop {
            match self.talk.wait()? {
                FromAgent::Done(Reply::Deploy(done)) => return Ok(*done),
                FromAgent::Lacks(_) if self.deploy.dry_run => {}
                FromAgent::Lacks(lacks) => {
                    // What did not come whole is sent without any art.
                    self.send_lacking(&lacks, &olds.take().unwrap_or_default(), seconds)?;
                }
                _ => return Err(unexpected()),
            }
        }
    }

    fn send_lacking(&mut self, lacks: &Lacks, olds: &Olds, seconds: &mut Seconds) -> Result<(), DeployFailure> {
        let entries = lacks.entries(self.scan.found.manifest.len())?;
        self.send(sendings(entries, &lacks.partial, olds), seconds)?;
        Ok(self.commit()?)
    }

    fn send(&self, sendings: Vec<Sending>, seconds: &mut Seconds) -> Result<(), DeployFailure> {
        if sendings.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let (cache, observer) = (self.cache(), self.deploy.observer.as_ref());
        let lanes = self.deploy.lanes;
        upload(Uploading { talk: self.talk, scan: self.scan, cache, observer, lanes }, sendings)?;
        seconds.upload += began.elapsed().as_secs_f64();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        if !self.deploy.dry_run && !self.deploy.no_switch {
            self.talk.may_switch();
        }
        self.talk.send(&ToAgent::Commit)?;
        self.sent_commits += 1;
        Ok(())
    }

    fn believed_base(&self) -> Option<Base> {
        let database = self.database?;
        let belief = self.deploy.told(database.belief(&self.deploy.destination))??;
        let release = belief.live?;
        let root = self.deploy.told(database.root(&belief.store, &release))??;
        self.base_from(BaseName { release, root })
    }

    /// Finds the manifest of a base on this side: the scan's own, or one that was kept.
    fn base_from(&self, name: BaseName) -> Option<Base> {
        if name.root == self.scan.found.manifest.root() {
            return Some(Base { name, manifest: self.scan.found.manifest.clone() });
        }
        let manifest = self.deploy.told(self.database?.manifest(&name.root))??;
        Some(Base { name, manifest })
    }

    fn hello(&self, base: Option<&Base>) -> Result<(), Error> {
        let deploy = self.deploy;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let begin = DeployBegin {
            root: self.scan.found.manifest.root(),
            base: base.map(|base| base.name.clone()),
            release: deploy.release.clone().unwrap_or_else(|| ReleaseId::at(now)),
            is_named: deploy.release.is_some(),
            no_switch: deploy.no_switch,
            force: deploy.force,
            dry_run: deploy.dry_run,
        };
        let provenance = Provenance { commit: self.scan.commit.clone(), ..deploy.provenance.clone() };
        let request = Request::Deploy(begin);
        let hello = Hello { path: deploy.path.clone(), policy: deploy.policy.clone(), provenance, request };
        self.talk.send(&ToAgent::Hello(Box::new(hello)))
    }

    fn ready(&mut self, believed: Option<Base>) -> Result<Heard, DeployFailure> {
        match self.talk.wait()? {
            FromAgent::Done(Reply::Deploy(done)) => Ok(Heard::Done(done)),
            FromAgent::Ready { holding, base, .. } => match (believed, base) {
                (Some(believed), Some(base)) if believed.name == base => Ok(Heard::Ready(Some(believed))),
                (_, base) => Ok(Heard::Ready(self.learn_base(&holding, base)?)),
            },
            _ => Err(unexpected()),
        }
    }

    /// Gets the manifest of the base that the agent takes: from this side, or from the agent.
    fn learn_base(&self, holding: &Holding, base: Option<BaseName>) -> Result<Option<Base>, DeployFailure> {
        let Some(name) = base else { return Ok(None) };
        if let Some(base) = self.base_from(name.clone()) {
            return Ok(Some(base));
        }
        self.talk.send(&ToAgent::WantBase)?;
        let (name, bytes) = self.talk.manifest()?;
        let (decoded, _) =
            decode(&bytes, None).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
        let manifest = decoded.manifest;
        if manifest.root() != name.root {
            return Err(Error::Protocol("a manifest with another root than was announced".into()).into());
        }
        if let Some(database) = self.database {
            self.deploy.told(database.put_release(&holding.store, &name.release, &manifest, &holding.standing));
        }
        Ok(Some(Base { name, manifest }))
    }

    fn send_tree(&self, base: Option<&Base>, bytes: &[u8]) -> Result<(), Error> {
        let base = base.map(|base| base.name.clone());
        self.talk.send(&ToAgent::Tree { base, length: bytes.len() as u64 })?;
        self.talk.send_parts(bytes)
    }

    /// Tells whether so little is to be sent that it is not worth asking first.
    fn is_little(&self, introduced: &[u32], olds: &Olds) -> bool {
        let size = |&entry: &u32| {
            let size = self.scan.found.manifest.file(entry).map_or(0, |file| file.size);
            if olds.contains_key(&entry) { size / DELTA_SHARE } else { size }
        };
        introduced.iter().map(size).sum::<u64>() <= UNASKED_BYTES_MAX
    }

    /// Leaves out empty files and all but the first of those with equal content and mode.
    fn distinct(&self, introduced: &[u32]) -> Vec<u32> {
        let mut seen = std::collections::HashSet::new();
        let is_first = |&entry: &u32| {
            self.scan.found.manifest.file(entry).is_some_and(|file| file.size > 0 && seen.insert(file.key))
        };
        introduced.iter().copied().filter(is_first).collect()
    }

    /// Finds what changed files can be described in terms of; nothing where the agent would have to be asked first, and
    /// it may not be.
    fn olds(&self, base: &Base, introduced: &[u32], may_ask: bool) -> Result<Option<Olds>, DeployFailure> {
        let pairs = self.pairs(base, introduced);
        let is_large = |pair: &&Pair| pair.file.size.min(pair.old.file.size) >= LARGE_FILE_BYTES;
        let large: Vec<Pair> = pairs.iter().filter(is_large).copied().collect();
        let is_unknown = |pair: &&Pair| self.kept_chunks(&pair.old.file.key.hash).is_none();
        let unknown: Vec<u32> = large.iter().filter(is_unknown).map(|pair| pair.old.index).collect();
        if !(may_ask || unknown.is_empty()) {
            return Ok(None);
        }
        let own = self.own_chunks(large.iter().map(|pair| (pair.entry, pair.file.key.hash)));
        let mut asked = self.ask_chunks(&unknown)?.into_iter();
        let mut olds = self.small_olds(&pairs);
        for pair in large {
            let old = pair.old.file;
            let chunks = self.kept_chunks(&old.key.hash).or_else(|| asked.next().flatten());
            if let (Some(chunks), Some(own)) = (chunks, own.get(&pair.file.key.hash)) {
                let recipe = Recipe { old: old.key, pieces: chunk::pieces(&chunks, own) };
                olds.insert(pair.entry, Old::Large(recipe));
            }
        }
        Ok(Some(olds))
    }

    /// Finds the base's files at the paths of changed ones, both with content.
    fn pairs(&self, base: &Base, introduced: &[u32]) -> Vec<Pair> {
        let manifest = &self.scan.found.manifest;
        let pair = |&entry: &u32| {
            let file = manifest.file(entry).filter(|file| file.size > 0)?;
            let path = manifest.path(entry);
            let old = base.manifest.find(path.split(|&byte| byte == b'/'))?;
            match old.node {
                Node::File(old_file) if old_file.size > 0 => {
                    Some(Pair { entry, file, old: OldEntry { index: old.index, file: old_file } })
                }
                _ => None,
            }
        };
        introduced.iter().filter_map(pair).collect()
    }

    /// Finds the small files whose old content is in the content cache.
    fn small_olds(&self, pairs: &[Pair]) -> Olds {
        let is_small = |pair: &&Pair| pair.file.size.max(pair.old.file.size) < LARGE_FILE_BYTES;
        let mut small = pairs.iter().filter(is_small).peekable();
        let Some(cache) = small.peek().and_then(|_| self.cache()) else {
            return Olds::default();
        };
        let old = |pair: &Pair| {
            let spot = cache.find(&pair.old.file.key.hash)?;
            Some((pair.entry, Old::Small(OldFile { index: pair.old.index, file: pair.old.file, spot })))
        };
        small.filter_map(old).collect()
    }

    /// Opens the content cache. Where that fails more is sent, and it is told once.
    fn cache(&self) -> Option<&Cache> {
        self.cache.get_or_init(|| self.deploy.told(Cache::open(&self.deploy.state_dir))).as_ref()
    }

    /// Returns the chunks of files of the source: kept ones, or cut now and kept. None of those that have changed.
    fn own_chunks(&self, files: impl Iterator<Item = (u32, Hash)>) -> HashMap<Hash, Chunks> {
        let (mut own, mut unknown) = (HashMap::new(), HashMap::new());
        for (entry, hash) in files {
            match self.kept_chunks(&hash) {
                Some(chunks) => drop(own.insert(hash, chunks)),
                None => drop(unknown.insert(hash, entry)),
            }
        }
        let cut = |(&hash, &entry): (&Hash, &u32)| {
            let path = self.scan.found.manifest.path(entry);
            let file = content::open(&self.scan.source, OsStr::from_bytes(&path)).ok()?;
            let (found, _, chunks) = chunk::cut(file).ok()?;
            (found == hash).then_some((hash, chunks))
        };
        let unknown: Vec<(Hash, Chunks)> = unknown.iter().collect::<Vec<_>>().into_par_iter().filter_map(cut).collect();
        if let Some(database) = self.database.filter(|_| !unknown.is_empty()) {
            self.deploy.told(database.put_chunks(&unknown));
        }
        own.extend(unknown);
        own
    }

    fn kept_chunks(&self, hash: &Hash) -> Option<Chunks> {
        self.deploy.told(self.database?.chunks(hash))?
    }

    fn ask_chunks(&self, entries: &[u32]) -> Result<Vec<Option<Chunks>>, DeployFailure> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.talk.send(&ToAgent::WantChunks(entries.to_vec()))?;
        match self.talk.wait()? {
            FromAgent::Chunks(lists) if lists.len() == entries.len() => {
                Ok(lists.into_iter().map(|list| chunk::from_bytes(&list?).ok()).collect())
            }
            _ => Err(unexpected()),
        }
    }
}

/// A changed file, and the base's at its path.
#[derive(Clone, Copy)]
struct Pair {
    entry: u32,
    file: File,
    old: OldEntry,
}

/// A file of the base.
#[derive(Clone, Copy)]
struct OldEntry {
    index: u32,
    file: File,
}

enum Heard {
    Ready(Option<Base>),
    Done(Box<DeployDone>),
}

fn unexpected() -> DeployFailure {
    Error::Protocol("an answer to a question that was not asked".into()).into()
}
