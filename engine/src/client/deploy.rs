//! A deploy, from the client's side: scan, compare, send, hear what came of it.
//!
//! The scan and the connection run at once. Then one flight, where the manifest database knows the release that is live
//! and little is to be sent; otherwise the client waits for what the agent says that it lacks.
//!
//! What the server has of a changed file comes from the first of these that has it: the content cache, git, the agent,
//! which is asked for signatures. Where the database does not know the base, the agent is asked for an outline of it.

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
use crate::client::git::Blobs;
use crate::client::scan::{Known, Scan, ScanRequest, scan};
use crate::client::talk::Talk;
use crate::client::upload::{Old, OldAt, OldFile, Recipe, Sending, Uploading, sendings, upload};
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::hash::Hash;
use crate::manifest::encode::{decode, encode};
use crate::manifest::{File, Manifest, Node, outline};
use crate::release::{Provenance, ReleaseId};
use crate::report::{DeployFailure, DeployReport, DeployState, Seconds};
use crate::signature::Signatures;
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

/// Of smaller files the agent is not asked for signatures: compressed with others they take little more than those.
const SIGNED_BYTES_MIN: u64 = 512;

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
    /// The commit that it was made of.
    commit: Option<String>,
    /// Whether it was put together from an outline.
    is_outlined: bool,
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
            blobs: Blobs::default(),
            signatures: Signatures::default(),
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
    /// What git has of the base.
    blobs: Blobs,
    /// What the agent told of the base.
    signatures: Signatures,
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
            if let Some(olds) = self.olds_at_hand(base, &encoded.introduced) {
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
        if believed.is_none() {
            self.want_outline()?;
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
                FromAgent::Ready { holding, base, commit, .. } => {
                    if base.as_ref() != Some(believed) {
                        let base = self.learn_base(&holding, base, commit, false)?;
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
        let mut is_outlined = base.as_ref().is_some_and(|base| base.is_outlined);
        let commit = base.as_ref().and_then(|base| base.commit.clone());
        let mut described = self.describe(base.as_ref())?;
        drop(base);
        loop {
            match self.talk.wait()? {
                FromAgent::Done(Reply::Deploy(done)) => return Ok(*done),
                // A guess was wrong that the outline had led to.
                FromAgent::Manifest { name, length } if std::mem::take(&mut is_outlined) => {
                    let bytes = self.talk.parts(length)?;
                    described = self.describe(Some(&whole_base(name, &bytes, commit.clone())?))?;
                }
                FromAgent::Lacks(_) if self.deploy.dry_run => {}
                FromAgent::Lacks(lacks) => {
                    // What did not come whole is sent without any art.
                    let Described { mut olds, to_sign } = std::mem::take(&mut described);
                    self.hear_signatures(&lacks, to_sign, &mut olds)?;
                    self.send_lacking(&lacks, &olds, seconds)?;
                }
                _ => return Err(unexpected()),
            }
        }
    }

    /// Sends the tree, with the questions that belong to it.
    fn describe(&mut self, base: Option<&Base>) -> Result<Described, DeployFailure> {
        let encoded = encode(&self.scan.found.manifest, base.map(|base| &base.manifest));
        let described = match base {
            Some(base) => self.find_olds(base, &encoded.introduced)?,
            None => Described::default(),
        };
        if !described.to_sign.is_empty() {
            let entries = described.to_sign.iter().map(|&(entry, _)| entry);
            self.talk.send(&ToAgent::WantSignatures(Lacks::pack(entries)))?;
        }
        self.send_tree(base, &encoded.bytes)?;
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
        let bytes = self.talk.parts(length)?;
        let lacking = lacks.entries(self.scan.found.manifest.len())?;
        to_sign.retain(|(entry, _)| lacking.binary_search(entry).is_ok());
        let lens: Vec<usize> = to_sign.iter().map(|(_, old)| old.file.size as usize).collect();
        self.signatures = Signatures::read(bytes, &lens)
            .map_err(|reason| Error::Protocol(format!("a list of signatures that {reason}")))?;
        for (at, (entry, old)) in to_sign.into_iter().enumerate() {
            if self.signatures.has(at) {
                olds.insert(entry, old.small(OldAt::Signed(at)));
            }
        }
        Ok(())
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
        let uploading = Uploading {
            talk: self.talk,
            scan: self.scan,
            cache: self.cache(),
            blobs: &self.blobs,
            signatures: &self.signatures,
            observer: self.deploy.observer.as_ref(),
        };
        upload(uploading, sendings)?;
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
        let manifest = if name.root == self.scan.found.manifest.root() {
            self.scan.found.manifest.clone()
        } else {
            self.deploy.told(self.database?.manifest(&name.root))??
        };
        Some(Base { name, manifest, commit: None, is_outlined: false })
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
            FromAgent::Ready { holding, base, commit, .. } => match (believed, base) {
                (Some(believed), Some(base)) if believed.name == base => {
                    Ok(Heard::Ready(Some(Base { commit, ..believed })))
                }
                (believed, base) => Ok(Heard::Ready(self.learn_base(&holding, base, commit, believed.is_none())?)),
            },
            _ => Err(unexpected()),
        }
    }

    fn want_outline(&self) -> Result<(), Error> {
        self.talk.send(&ToAgent::WantOutline(outline::describe_own(&self.scan.found.manifest)))
    }

    /// Gets the manifest of the base that the agent takes: from this side, or an outline of it from the agent, which was
    /// asked for or is now.
    fn learn_base(
        &self,
        holding: &Holding,
        base: Option<BaseName>,
        commit: Option<String>,
        is_asked: bool,
    ) -> Result<Option<Base>, DeployFailure> {
        let Some(name) = base else { return Ok(None) };
        let known = self.base_from(name.clone()).map(|base| Base { commit: commit.clone(), ..base });
        if known.is_some() && !is_asked {
            return Ok(known);
        }
        let answer = if is_asked {
            self.talk.next()?
        } else {
            self.want_outline()?;
            self.talk.wait()?
        };
        let FromAgent::Outline { length } = answer else { return Err(unexpected()) };
        let outlined = outline::decode(&self.talk.parts(length)?, &self.scan.found.manifest);
        let base = match (known, outlined) {
            (Some(known), _) => return Ok(Some(known)),
            (None, Ok(manifest)) => Base { is_outlined: manifest.root() != name.root, name, manifest, commit },
            (None, Err(_)) => {
                self.talk.send(&ToAgent::WantBase)?;
                let (name, bytes) = self.talk.manifest()?;
                whole_base(name, &bytes, commit)?
            }
        };
        if let Some(database) = self.database.filter(|_| !base.is_outlined) {
            self.deploy.told(database.put_release(
                &holding.store,
                &base.name.release,
                &base.manifest,
                &holding.standing,
            ));
        }
        Ok(Some(base))
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

    /// Finds what changed files can be described in terms of without a question to the agent; nothing where one is worth
    /// it.
    fn olds_at_hand(&self, base: &Base, introduced: &[u32]) -> Option<Olds> {
        let pairs = self.pairs(base, introduced);
        let mut large = pairs.iter().filter(|pair| pair.is_large());
        if large.any(|pair| self.kept_chunks(&pair.old.file.key.hash).is_none()) {
            return None;
        }
        let mut olds = self.cached_olds(&pairs);
        let is_lost = |pair: &&Pair| pair.is_signable() && !olds.contains_key(&pair.entry);
        if pairs.iter().filter(is_lost).map(|pair| pair.file.size).sum::<u64>() > UNASKED_BYTES_MAX {
            return None;
        }
        self.add_recipes(&pairs, &[], &mut olds);
        Some(olds)
    }

    /// Finds what changed files can be described in terms of; asks the agent for chunks where need be.
    fn find_olds(&mut self, base: &Base, introduced: &[u32]) -> Result<Described, DeployFailure> {
        let pairs = self.pairs(base, introduced);
        let is_unknown = |pair: &&Pair| pair.is_large() && self.kept_chunks(&pair.old.file.key.hash).is_none();
        let unknown: Vec<u32> = pairs.iter().filter(is_unknown).map(|pair| pair.old.index).collect();
        let asked = self.ask_chunks(&unknown)?;
        let mut olds = self.cached_olds(&pairs);
        let mut to_sign = Vec::new();
        if !self.deploy.dry_run {
            let mut lost: Vec<Pair> = pairs.iter().filter(|pair| pair.is_signable()).copied().collect();
            lost.retain(|pair| !olds.contains_key(&pair.entry));
            self.add_blobs(base, &lost, &mut olds);
            lost.retain(|pair| !olds.contains_key(&pair.entry));
            to_sign = lost.iter().map(|pair| (pair.entry, pair.old)).collect();
        }
        self.add_recipes(&pairs, &asked, &mut olds);
        Ok(Described { olds, to_sign })
    }

    /// Describes large files. `asked` are the chunks of those whose old ones this side does not know, in order.
    fn add_recipes(&self, pairs: &[Pair], asked: &[Option<Chunks>], olds: &mut Olds) {
        let large: Vec<&Pair> = pairs.iter().filter(|pair| pair.is_large()).collect();
        let own = self.own_chunks(large.iter().map(|pair| (pair.entry, pair.file.key.hash)));
        let mut asked = asked.iter();
        for pair in large {
            let old = pair.old.file;
            let chunks = self.kept_chunks(&old.key.hash).or_else(|| asked.next().cloned().flatten());
            if let (Some(chunks), Some(own)) = (chunks, own.get(&pair.file.key.hash)) {
                let recipe = Recipe { old: old.key, pieces: chunk::pieces(&chunks, own) };
                olds.insert(pair.entry, Old::Large(recipe));
            }
        }
    }

    /// Adds small files whose old content git has.
    fn add_blobs(&mut self, base: &Base, pairs: &[Pair], olds: &mut Olds) {
        let Some(commit) = base.commit.as_ref().filter(|_| self.scan.commit.is_some() && !pairs.is_empty()) else {
            return;
        };
        let files: Vec<(Vec<u8>, u64)> =
            pairs.iter().map(|pair| (self.scan.found.manifest.path(pair.entry), pair.old.file.size)).collect();
        let (blobs, found) = Blobs::find(&self.deploy.source, commit, &files);
        for (pair, blob) in pairs.iter().zip(found) {
            if let Some(blob) = blob {
                olds.insert(pair.entry, pair.old.small(OldAt::Git(blob)));
            }
        }
        self.blobs = blobs;
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
    fn cached_olds(&self, pairs: &[Pair]) -> Olds {
        let mut small = pairs.iter().filter(|pair| pair.is_small()).peekable();
        let Some(cache) = small.peek().and_then(|_| self.cache()) else {
            return Olds::default();
        };
        let old = |pair: &Pair| {
            let spot = cache.find(&pair.old.file.key.hash, pair.old.file.size)?;
            Some((pair.entry, pair.old.small(OldAt::Cached(spot))))
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

impl Pair {
    fn is_large(&self) -> bool {
        self.file.size.min(self.old.file.size) >= LARGE_FILE_BYTES
    }

    fn is_small(&self) -> bool {
        self.file.size.max(self.old.file.size) < LARGE_FILE_BYTES
    }

    /// Tells whether to know of the old content saves more than it costs.
    fn is_signable(&self) -> bool {
        self.is_small() && self.file.size.min(self.old.file.size) >= SIGNED_BYTES_MIN
    }
}

/// A file of the base.
#[derive(Clone, Copy)]
struct OldEntry {
    index: u32,
    file: File,
}

impl OldEntry {
    fn small(self, at: OldAt) -> Old {
        Old::Small(OldFile { index: self.index, file: self.file, at })
    }
}

/// What a tree that was sent is followed by.
#[derive(Default)]
struct Described {
    olds: Olds,
    /// Files of whose old versions signatures were asked for.
    to_sign: Vec<(u32, OldEntry)>,
}

enum Heard {
    Ready(Option<Base>),
    Done(Box<DeployDone>),
}

/// Reads the whole manifest of a base.
fn whole_base(name: BaseName, bytes: &[u8], commit: Option<String>) -> Result<Base, Error> {
    let (decoded, _) = decode(bytes, None).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
    if decoded.manifest.root() != name.root {
        return Err(Error::Protocol("a manifest with another root than was announced".into()));
    }
    Ok(Base { name, manifest: decoded.manifest, commit, is_outlined: false })
}

fn unexpected() -> DeployFailure {
    Error::Protocol("an answer to a question that was not asked".into()).into()
}
