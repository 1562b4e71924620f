//! Makes a release: the agent's part of a deploy, from the lock to the answer.
//!
//! The order is what makes it safe: receive and assemble in staging, make durable, publish objects, then record, then
//! tree, make those names durable, switch. A crash leaves staging that the next run uses, or objects and records that
//! nothing names yet; `current` is touched last.

mod fill;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::chunk;
use crate::error::Error;
use crate::event::Phase;
use crate::manifest::decode::{Decoded, decode_with};
use crate::manifest::placement::Placements;
use crate::manifest::{Manifest, diff, outline};
use crate::pattern::Patterns;
use crate::release::{BootSpan, Record, ReleaseId};
use crate::report::{ChangesReport, DeployState, Reused};
use crate::target::Policy;
use crate::threads;
use crate::wire::bounds::{PROMISED_MAX, STANDING_MAX, TREE_BYTES_MAX};
use crate::wire::frame::Parts;
use crate::wire::message::{
    Against, BaseName, DeployBegin, DeployDone, FromAgent, Hello, Holding, Lacks, Live, Taken, ToAgent,
};

use super::assemble::{Assembly, known_from_base};
use super::classify::{Classified, Classifier};
use super::layout::Layout;
use super::lock::Lock;
use super::prune::{self, Due, How, Tell as _};
use super::publish::{Publication, Published, publish};
use super::records::{self, Kept, Placed, Releases, manifest_to_bytes, read_manifest};
use super::second::Seconds;
use super::seen::{self, Looks};
use super::shared::{self, SharedPlan};
use super::staging::{self, Staging};
use super::store::Store;
use super::switch::now;
use super::talk::{Incoming, Talk};
use super::trash::{self, Spare};
use super::uptime::Uptime;
use super::wanted::WantedObjects;
use super::{second, sign, switch};

/// One deploy.
pub(crate) struct Deploy<'a> {
    /// The conversation.
    pub(crate) talk: &'a Talk,
    /// What the client opened with.
    pub(crate) hello: &'a Hello,
    /// What is to be made.
    pub(crate) begin: &'a DeployBegin,
    /// The deploy path.
    pub(crate) path: &'a Path,
}

/// A release of the server against which the new one is described.
struct Base {
    name: BaseName,
    kept: Kept,
    commit: Option<String>,
}

/// The new manifest, and what it owes to the base.
struct Tree {
    /// With placeholders for the hashes that are promised.
    manifest: Manifest,
    origins: Vec<u32>,
    /// The entries whose hashes are promised, ascending.
    promised: Vec<u32>,
    commits: u32,
    /// Files of whose old versions the client wants signatures, as far as they are lacking.
    to_sign: Vec<u32>,
}

/// What was decided before content comes.
struct Decided {
    id: ReleaseId,
    sequence: u64,
    second: u32,
    /// Whether the filesystem keeps whole seconds alone.
    is_whole: bool,
    counts: diff::Counts,
    shared: SharedPlan,
    live: Option<ReleaseId>,
}

/// What is to be made.
#[derive(Clone, Copy)]
struct Task<'a> {
    lock: &'a Lock,
    tree: &'a Tree,
    /// What it is described against.
    base: Option<&'a Base>,
    decided: &'a Decided,
}

/// What is to be made, and of what.
struct Plan<'a> {
    lock: &'a Lock,
    tree: &'a Tree,
    /// What it is described against.
    base: Option<&'a Base>,
    decided: &'a Decided,
    classified: &'a Classified,
    choice: &'a Choice,
}

/// Whether a release is turned into the new one.
#[derive(Default)]
struct Choice {
    /// It is this one.
    spare: Option<Spare>,
    /// There is one in trash, this or another, which goes where space is short.
    waits: bool,
    /// Why the first that was looked at is not.
    refused: Option<Error>,
}

impl Choice {
    /// Takes a release, where it may be reused. Says whether it did.
    fn takes(&mut self, layout: &Layout, spare: Option<Spare>, grace: Duration) -> Result<bool, Error> {
        let Some(spare) = spare else { return Ok(false) };
        match spare.obstacle(layout, grace)? {
            Some(reason) => {
                let error = Error::NotReused { id: spare.id, reason };
                self.refused.get_or_insert(error);
            }
            None => (self.spare, self.refused) = (Some(spare), None),
        }
        Ok(self.spare.is_some())
    }
}

impl<'a> Plan<'a> {
    fn base_manifest(&self) -> Option<&'a Manifest> {
        self.base.map(|base| &base.kept.manifest)
    }

    /// Returns how much memory the two manifests take, with what is known of their entries, in bytes.
    fn memory_bytes(&self) -> u64 {
        let base = self
            .base
            .map_or(0, |base| base.kept.manifest.memory_bytes() + size_of_val(base.kept.placements.as_slice()) as u64);
        base + self.tree.manifest.memory_bytes() + size_of_val(self.tree.origins.as_slice()) as u64
    }
}

/// A release that is made.
struct Made {
    done: DeployDone,
    /// Its manifest, where hashes of the one that came were promised.
    settled: Option<Manifest>,
    placements: Placements,
    looks: Looks,
}

/// A release that is complete in staging.
struct Filled<'a> {
    assembly: Assembly<'a>,
    /// The objects that arrived, by round.
    arrived: Vec<WantedObjects>,
    /// What became of a release that was to be reused: why it could not be, where that is so.
    reused: Option<Result<Reused, Error>>,
}

/// Seconds by phase, as they pass.
#[derive(Default)]
struct Clock(Vec<(Phase, f32)>);

impl Clock {
    fn time<T>(&mut self, talk: &Talk, phase: Phase, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        talk.phase(phase, false)?;
        let began = Instant::now();
        let result = work()?;
        self.0.push((phase, began.elapsed().as_secs_f32()));
        talk.phase(phase, true)?;
        Ok(result)
    }
}

impl Deploy<'_> {
    /// Runs the deploy. `lock` takes the lock of an open deploy path, and reads again what may have changed before.
    pub(crate) fn run(&self, lock: impl Fn(&mut Layout) -> Result<Lock, Error>) -> Result<DeployDone, Error> {
        if self.begin.dry_run {
            return self.dry_run();
        }
        let (mut layout, _) = Layout::set_up(self.path, &self.hello.policy, |text| self.talk.warn(text))?;
        let lock = lock(&mut layout)?;
        layout.take_reserve()?;
        let mut releases = Releases::read(&layout)?;
        records::mend(&mut layout, &mut releases)?;
        let live = layout.current.live()?;
        if let Some(done) = self.unchanged(&layout, &releases, live.as_ref())? {
            return Ok(done);
        }
        let base = self.choose_base(&layout, &releases, live.as_ref())?;
        let held = holding(&layout, &releases);
        self.send_ready(held.clone(), base.as_ref(), live.as_ref().into(), layout.stores_nothing()?)?;
        let tree = self.receive_tree(Some(&layout), base.as_ref())?;
        let decided = self.decide(&layout, &releases, live, base.as_ref(), &tree.manifest)?;
        let task = Task { lock: &lock, tree: &tree, base: base.as_ref(), decided: &decided };
        let mut done = self.make(&mut layout, &mut releases, task)?;
        let holds = holding(&layout, &releases);
        done.holding = (holds != held.after(done.release.as_ref(), &done.removed)).then_some(holds);
        Ok(done)
    }

    fn dry_run(&self) -> Result<DeployDone, Error> {
        let layout = Layout::open(self.path, &self.hello.policy)?;
        let releases = layout.as_ref().map_or_else(|| Ok(Releases::default()), Releases::read)?;
        let live = layout.as_ref().map_or(Ok(None), |layout| layout.current.live())?;
        if let Some(layout) = &layout
            && let Some(done) = self.unchanged(layout, &releases, live.as_ref())?
        {
            return Ok(done);
        }
        let base = layout.as_ref().map_or(Ok(None), |layout| self.choose_base(layout, &releases, live.as_ref()))?;
        let holding = layout.as_ref().map_or_else(Holding::default, |layout| holding(layout, &releases));
        // Without the lock, what is live now need not be live when it is told.
        self.send_ready(holding, base.as_ref(), Live::Unchanged, false)?;
        threads::start_pool()?;
        let tree = self.receive_tree(layout.as_ref(), base.as_ref())?;
        let Some(layout) = layout else {
            if let Some(path) = self.hello.policy.shared_files.first() {
                return Err(Error::SharedMissing(self.path.join("shared").join(path.as_path()).display().to_string()));
            }
            let lacking = WantedObjects::gather(
                &tree.manifest,
                tree.manifest.all_files().filter(|(_, f)| f.size > 0).map(|(e, _)| e),
            );
            self.send_lacks(&lacking, Vec::new(), tree.commits)?;
            return Ok(self.done(&Decided::nothing_stood(&tree.manifest)));
        };
        let decided = self.decide(&layout, &releases, live, base.as_ref(), &tree.manifest)?;
        let store = Store::new(layout.objects.again()?);
        let classified = self.classify(&layout, &releases, &store, base.as_ref(), &tree, decided.second)?;
        let wanted = WantedObjects::gather(&tree.manifest, classified.lacking);
        self.send_lacks(&wanted, Vec::new(), tree.commits)?;
        Ok(self.done(&decided))
    }

    /// Answers at once where what is live is what was to be deployed, in content and in what is linked into it.
    fn unchanged(
        &self,
        layout: &Layout,
        releases: &Releases,
        live: Option<&ReleaseId>,
    ) -> Result<Option<DeployDone>, Error> {
        let Some(record) = live.and_then(|live| releases.find(live)) else {
            return Ok(None);
        };
        let policy = &self.hello.policy;
        if self.begin.force || record.root != self.begin.root || record.copy_paths != policy.copy_paths {
            return Ok(None);
        }
        let shares_nothing =
            policy.shared_dirs.is_empty() && policy.shared_files.is_empty() && layout.shared.names()?.is_empty();
        if !(shares_nothing && record.shared.is_empty()) {
            threads::start_pool()?;
            // A manifest that cannot be read is a reason to make the release anew.
            let Ok(kept) = read_manifest(layout, &record.id, &record.root) else {
                return Ok(None);
            };
            if shared::plan(&layout.shared, policy, &kept.manifest)?.links != record.shared {
                return Ok(None);
            }
        }
        let mut done = DeployDone::of(DeployState::Unchanged);
        done.holding = self.unless_believed(holding(layout, releases));
        done.release = Some(record.id.clone());
        done.previous = Some(record.id.clone());
        Ok(Some(done))
    }

    /// Takes the client's base where it stands, else the live release, else the newest whose manifest is whole.
    fn choose_base(
        &self,
        layout: &Layout,
        releases: &Releases,
        live: Option<&ReleaseId>,
    ) -> Result<Option<Base>, Error> {
        threads::start_pool()?;
        let named = self.begin.base();
        let named = named.iter().filter_map(|base| releases.find(&base.release).filter(|own| own.root == base.root));
        let live = live.and_then(|live| releases.find(live));
        for record in named.chain(live).chain(releases.records.iter().rev()) {
            match read_manifest(layout, &record.id, &record.root) {
                Ok(kept) => {
                    let name = BaseName { release: record.id.clone(), root: record.root };
                    return Ok(Some(Base { name, kept, commit: record.provenance.commit.clone() }));
                }
                Err(error) => self.talk.warn(error.to_string())?,
            }
        }
        Ok(None)
    }

    fn send_ready(&self, holding: Holding, base: Option<&Base>, live: Live, stores_nothing: bool) -> Result<(), Error> {
        let commit = base.and_then(|base| base.commit.clone());
        let base = match base.map(|base| &base.name) {
            None if stores_nothing => Taken::Empty,
            None => Taken::Nothing,
            Some(name) if self.begin.base().as_ref() == Some(name) => Taken::Named,
            Some(name) => Taken::Another(name.clone()),
        };
        self.talk.send(&FromAgent::Ready { holding: self.unless_believed(holding), base, live, commit })
    }

    fn unless_believed(&self, holding: Holding) -> Option<Holding> {
        (holding.mark() != self.begin.believed).then_some(holding)
    }

    /// Answers questions about the base until a tree comes that is described against it. What comes before, against
    /// another base, is read and dropped. A tree that was described against an outline may not fit: that is told once,
    /// with the base's whole manifest.
    fn receive_tree(&self, layout: Option<&Layout>, base: Option<&Base>) -> Result<Tree, Error> {
        let mut commits = 0;
        let mut is_outlined = false;
        let mut to_sign = Vec::new();
        loop {
            match self.talk.next()? {
                Incoming::Message(ToAgent::Tree { against, length }) => {
                    let bytes = self.receive_parts(length)?;
                    let to_sign = std::mem::take(&mut to_sign);
                    let fits = match against {
                        Against::Nothing => base.is_none(),
                        Against::Named => base.is_some_and(|base| self.begin.base().as_ref() == Some(&base.name)),
                        Against::Taken => base.is_some(),
                    };
                    if !fits {
                        continue;
                    }
                    match (self.read_tree(&bytes, base, commits, &to_sign), base) {
                        (Err(Error::Protocol(_)), Some(base)) if is_outlined => self.send_manifest(base)?,
                        (result, _) => return result,
                    }
                    is_outlined = false;
                }
                Incoming::Message(ToAgent::WantBase) => {
                    self.send_manifest(
                        base.ok_or_else(|| Error::Protocol("a question for a base where there is none".into()))?,
                    )?;
                }
                Incoming::Message(ToAgent::WantOutline(own)) => {
                    if let Some(base) = base {
                        self.send_outline(base, &own)?;
                        is_outlined = true;
                    }
                }
                Incoming::Message(ToAgent::WantSignatures(runs)) => to_sign = runs,
                Incoming::Message(ToAgent::WantChunks(entries)) => {
                    let mut seen = HashSet::new();
                    if !entries.iter().all(|entry| seen.insert(entry)) {
                        return Err(Error::Protocol("a file that is asked for twice".into()));
                    }
                    let lists = entries.iter().map(|&entry| chunks_of(layout?, base?, entry));
                    self.talk.send(&FromAgent::chunks(lists))?;
                }
                Incoming::Message(ToAgent::WantGaps(gaps)) => {
                    let signed = |layout: &Layout| Ok(sign::gaps(&Store::new(layout.objects.again()?), &gaps));
                    let bytes = layout.map_or_else(|| Ok(Vec::new()), signed)?;
                    self.talk.send(&FromAgent::GapSignatures { length: bytes.len() as u64 })?;
                    self.talk.send_parts(&bytes)?;
                }
                Incoming::Message(ToAgent::Commit) => commits = u32::saturating_add(commits, 1),
                // It goes with content for a tree that does not fit.
                Incoming::Message(ToAgent::WantLanes) => self.talk.send(&FromAgent::Lanes(None))?,
                Incoming::Message(ToAgent::SentOnLanes(_)) | Incoming::Block(_) => {}
                _ => return Err(Error::Protocol("something else where a manifest was due".into())),
            }
        }
    }

    fn send_manifest(&self, base: &Base) -> Result<(), Error> {
        let bytes = manifest_to_bytes(&base.kept.manifest);
        self.talk.send(&FromAgent::Manifest { name: base.name.clone(), length: bytes.len() as u64 })?;
        self.talk.send_parts(&bytes)
    }

    fn send_outline(&self, base: &Base, own: &[u8]) -> Result<(), Error> {
        let bytes = outline::encode(&base.kept.manifest, own)
            .map_err(|error| Error::Bug(format!("an outline cannot be packed: {error}")))?;
        self.talk.send(&FromAgent::Outline { length: bytes.len() as u64 })?;
        self.talk.send_parts(&bytes)
    }

    /// Sends the signatures that were asked for, of those files that are lacking.
    fn send_signatures(&self, plan: &Plan<'_>, store: &Store, wanted: &WantedObjects) -> Result<(), Error> {
        let lacking = wanted.missing_entries();
        let is_lacking = |entry: &&u32| lacking.binary_search(entry).is_ok();
        let entries: Vec<u32> = plan.tree.to_sign.iter().filter(is_lacking).copied().collect();
        let bytes = sign::old_versions(store, plan.base_manifest(), &plan.tree.manifest, &entries);
        self.talk.send(&FromAgent::Signatures { length: bytes.len() as u64 })?;
        self.talk.send_parts(&bytes)
    }

    fn receive_parts(&self, length: u64) -> Result<Vec<u8>, Error> {
        let mut parts = Parts::begin(length, TREE_BYTES_MAX)?;
        while !parts.are_all() {
            match self.talk.next()? {
                Incoming::Part(part) => parts.add(&part)?,
                _ => return Err(Error::Protocol("a manifest that breaks off".into())),
            }
        }
        Ok(parts.finish())
    }

    fn read_tree(
        &self,
        bytes: &[u8],
        base: Option<&Base>,
        commits: u32,
        to_sign: &[(u32, u32)],
    ) -> Result<Tree, Error> {
        let (decoded, _) = decode_with(bytes, base.map(|base| &base.kept.manifest))
            .map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
        if decoded.root != self.begin.root {
            return Err(Error::Protocol("a manifest with another root than was announced".into()));
        }
        let Decoded { manifest, origins, promised, .. } = decoded;
        if promised.len() > PROMISED_MAX {
            return Err(Error::Protocol("a manifest that promises too many hashes".into()));
        }
        let to_sign = Lacks::unpack(to_sign, manifest.len())?;
        Ok(Tree { manifest, origins, promised, commits, to_sign })
    }

    fn decide(
        &self,
        layout: &Layout,
        releases: &Releases,
        live: Option<ReleaseId>,
        base: Option<&Base>,
        manifest: &Manifest,
    ) -> Result<Decided, Error> {
        let shared = shared::plan(&layout.shared, &self.hello.policy, manifest)?;
        let last = releases.records.last();
        let given = releases.records.iter().map(|record| record.second).chain([layout.store.second]);
        let given = given.chain(trash::greatest_second(layout)?);
        let is_whole = !self.begin.dry_run && layout.keeps_whole_seconds()?;
        let (proposed, given, now) = (self.begin.second, given.max().unwrap_or(0), now() as u32);
        let second = second::choose(Seconds { proposed, given, now, is_whole });
        let counts = match live.as_ref().and_then(|live| releases.find(live)) {
            None => diff::count(None, manifest),
            Some(record) if base.is_some_and(|base| base.name.release == record.id) => {
                diff::count(base.map(|base| &base.kept.manifest), manifest)
            }
            Some(record) => match read_manifest(layout, &record.id, &record.root) {
                Ok(kept) => diff::count(Some(&kept.manifest), manifest),
                Err(_) => diff::count(None, manifest),
            },
        };
        let id = self.choose_id(layout, releases)?;
        let sequence = last.map_or(0, |record| record.sequence) + 1;
        Ok(Decided { id, sequence, second, is_whole, counts, shared, live })
    }

    /// A name that was asked for is taken as it is or refused; a time is moved on until it is later than every other.
    fn choose_id(&self, layout: &Layout, releases: &Releases) -> Result<ReleaseId, Error> {
        let wanted = &self.begin.release;
        let taken: Vec<ReleaseId> = layout
            .release_names()?
            .into_iter()
            .filter_map(|name| String::from_utf8(name).ok()?.parse().ok())
            .chain(releases.ids())
            .chain(releases.damaged.iter().map(|(id, _)| id.clone()))
            .collect();
        if self.begin.is_named {
            return if taken.contains(wanted) { Err(Error::ReleaseExists(wanted.clone())) } else { Ok(wanted.clone()) };
        }
        let next = taken.iter().filter_map(ReleaseId::a_second_later).max();
        Ok(next.map_or_else(|| wanted.clone(), |next| next.max(wanted.clone())))
    }

    fn classify(
        &self,
        layout: &Layout,
        releases: &Releases,
        store: &Store,
        base: Option<&Base>,
        tree: &Tree,
        second: u32,
    ) -> Result<Classified, Error> {
        let expected = known_from_base(&tree.manifest, &tree.origins, base.map(|base| base.kept.placements.as_slice()));
        let is_dry_run = self.begin.dry_run;
        let classifier = Classifier { layout, releases, store, manifest: &tree.manifest, second, is_dry_run };
        classifier.classify(&tree.origins, base.map(|base| &base.kept), expected)
    }

    fn send_lacks(&self, wanted: &WantedObjects, partial: Vec<(u32, u64)>, after_commits: u32) -> Result<(), Error> {
        let runs = Lacks::pack(wanted.missing_entries());
        self.talk.send(&FromAgent::Lacks(Lacks { after_commits, runs, partial }))
    }

    fn make(&self, layout: &mut Layout, releases: &mut Releases, task: Task<'_>) -> Result<DeployDone, Error> {
        let Task { tree, base, decided, .. } = task;
        let mut given_up = Vec::new();
        let mut choice = self.choose_spare(layout, releases, tree, decided, &mut given_up)?;
        let made = match self.try_to_make(layout, releases, task, &choice) {
            // Before anything is asked for: what waits goes first.
            Err(Error::NoSpace { .. } | Error::NoInodes { .. }) if choice.waits => {
                let policy = Policy { spare: false, ..self.hello.policy.clone() };
                let made_room = prune::cleanup(layout, releases, &policy, &How::default(), self.talk)?;
                given_up.extend(made_room.removed);
                made_room.warnings.into_iter().try_for_each(|warning| self.talk.warn(warning))?;
                choice = Choice::default();
                self.try_to_make(layout, releases, task, &choice)
            }
            made => made,
        };
        let Made { mut done, settled, placements, looks } = made?;
        done.removed = given_up;
        let refused = choice.refused.map(|error| error.with_cause());
        done.making.not_reused = done.making.not_reused.or(refused);
        let manifest = settled.as_ref().unwrap_or(&tree.manifest);
        let new = (&decided.id, Placed { manifest, placements: &placements });
        let read: Vec<_> = base.map(|base| (&base.name.release, base.kept.placed())).into_iter().chain([new]).collect();
        self.tidy(layout, releases, &read, &mut done)?;
        if let Err(error) = keep_seen(layout, &decided.id, manifest, &looks) {
            done.warnings.push(error.with_cause());
        }
        Ok(done)
    }

    /// Chooses a release to be turned into the new one: what waits for that, else what is given up once the new one is live.
    fn choose_spare(
        &self,
        layout: &mut Layout,
        releases: &mut Releases,
        tree: &Tree,
        decided: &Decided,
        given_up: &mut Vec<ReleaseId>,
    ) -> Result<Choice, Error> {
        let waiting = Spare::find(layout)?;
        let mut choice = Choice { waits: waiting.is_some(), ..Choice::default() };
        if choice.takes(layout, waiting, self.hello.policy.grace)? || self.begin.no_switch {
            return Ok(choice);
        }
        let mut next = self.record(decided, &tree.manifest, &[]);
        next.go_live(now(), releases.next_turn());
        next.previous.clone_from(&decided.live);
        // What keeps it from being taken is told when it is to be removed.
        let due = match prune::take_due(layout, releases, &self.hello.policy, next) {
            Ok(due) => due,
            Err(error) => {
                self.talk.warn(error.with_cause())?;
                // It may be half-way to trash.
                *releases = Releases::read(layout)?;
                records::mend(layout, releases)?;
                Due::Nothing
            }
        };
        match due {
            Due::Taken(id) => {
                self.talk.removed(&id);
                let taken = Spare::find(layout)?.filter(|spare| spare.id == id);
                given_up.push(id);
                // A process may have entered it before it was taken.
                choice.takes(layout, taken, self.hello.policy.grace)?;
                choice.waits = true;
            }
            Due::Refused(error) => choice.refused = choice.refused.or(Some(error)),
            Due::Nothing => {}
        }
        Ok(choice)
    }

    fn try_to_make(
        &self,
        layout: &mut Layout,
        releases: &mut Releases,
        task: Task<'_>,
        choice: &Choice,
    ) -> Result<Made, Error> {
        let Task { lock, tree, base, decided } = task;
        let store = Store::new(layout.objects.again()?);
        let classified = self.classify(layout, releases, &store, base, tree, decided.second)?;
        let staging = Staging::create(layout)?;
        let plan = Plan { lock, tree, base, decided, classified: &classified, choice };
        let settled = OnceCell::new();
        let made = self.make_in(layout, releases, &plan, &store, &staging, &settled);
        // What they hold open is closed before other things are opened.
        drop(store);
        if made.is_err() {
            // The next run clears what cannot be removed now; the error is what matters.
            drop(staging.abandon(layout));
        }
        made.map(|(done, placements, looks)| Made { done, settled: settled.into_inner(), placements, looks })
    }

    fn make_in(
        &self,
        layout: &Layout,
        releases: &mut Releases,
        plan: &Plan<'_>,
        store: &Store,
        staging: &Staging,
        settled: &OnceCell<Manifest>,
    ) -> Result<(DeployDone, Placements, Looks), Error> {
        let &Plan { tree, decided, .. } = plan;
        let policy = &self.hello.policy;
        let copies = Patterns::parse(policy.copy_paths.iter().map(String::as_str), "`copy_paths`")?;
        let assembly =
            Assembly::new(&tree.manifest, &plan.classified.expected, &copies, decided.second, store, staging);
        let (releases_then, manifest, second) = (&*releases, &tree.manifest, decided.second);
        let classifier = Classifier { layout, releases: releases_then, store, manifest, second, is_dry_run: false };
        let mut clock = Clock::default();
        let Filled { assembly, arrived, reused } = clock.time(self.talk, Phase::Assemble, || {
            // Others may have put something into a tree that was reused which this user cannot remove.
            if let Err(error) = staging::clear_others(layout, staging, false) {
                self.talk.warn(error.with_cause())?;
            }
            let filled = self.fill(classifier, assembly, plan, settled)?;
            shared::link(&staging.tree, &decided.shared)?;
            decided.shared.links.iter().for_each(|path| filled.assembly.note_link(path));
            filled.assembly.finish_directories(&decided.shared.links)?;
            Ok(filled)
        })?;
        let record = self.record(decided, assembly.manifest, &arrived);
        let publication =
            Publication { layout, store, staging, assembly: &assembly, arrived: &arrived, record: &record };
        if decided.is_whole {
            wait_for_the_end_of(decided.second);
        }
        let Published { objects_new, placements, moment } =
            clock.time(self.talk, Phase::Sync, || publish(&publication))?;
        releases.records.push(record);
        let mut done = self.done(decided);
        if !self.begin.no_switch {
            let switched = clock.time(self.talk, Phase::Switch, || {
                self.talk.begin_switch(&decided.id)?;
                switch::switch(layout, plan.lock, releases, &decided.id, "deploy", &self.hello.provenance)
            })?;
            done.warnings.extend(switched.warnings);
            self.talk.send(&FromAgent::Live(decided.id.clone()))?;
        }
        if assembly.found_unfit() > 0 {
            done.warnings.push(unfit_warning(assembly.found_unfit()));
        }
        if store.count_put_right() > 0 {
            done.warnings.push(put_right_warning(store.count_put_right()));
        }
        done.release = Some(decided.id.clone());
        done.making.objects_new = objects_new;
        done.making.objects_linked = assembly.linked();
        done.making.copied = assembly.copied().into_iter().collect();
        match reused {
            Some(Ok(reused)) => done.making.reused = Some(reused),
            Some(Err(error)) => done.making.not_reused = Some(error.with_cause()),
            None => {}
        }
        done.seconds = clock.0;
        Ok((done, placements, assembly.into_looks(moment)))
    }

    fn record(&self, decided: &Decided, manifest: &Manifest, arrived: &[WantedObjects]) -> Record {
        let new_bytes = arrived.iter().flat_map(|wanted| wanted.arrived().map(|at| wanted.size(at))).sum();
        Record {
            id: decided.id.clone(),
            sequence: decided.sequence,
            root: manifest.root(),
            second: decided.second,
            created: now(),
            provenance: self.hello.provenance.clone(),
            files: manifest.files(),
            bytes: manifest.bytes(),
            new_bytes,
            shared: decided.shared.links.clone(),
            copy_paths: self.hello.policy.copy_paths.clone(),
            went_live: Vec::new(),
            live_turn: 0,
            retired: None,
            previous: None,
            span: BootSpan::begin(Uptime::now()),
        }
    }

    fn done(&self, decided: &Decided) -> DeployDone {
        let state = if self.begin.no_switch { DeployState::Ready } else { DeployState::Live };
        let mut done = DeployDone::of(state);
        done.previous.clone_from(&decided.live);
        let diff::Counts { new, changed, removed } = decided.counts;
        done.changes = ChangesReport { files_new: new, files_changed: changed, files_removed: removed };
        done.warnings = decided.shared.hidden.iter().map(hidden_warning).collect();
        done
    }

    /// Retention and leftovers, once the release is live: what fails here is only a warning.
    fn tidy(
        &self,
        layout: &mut Layout,
        releases: &mut Releases,
        read: &[(&ReleaseId, Placed<'_>)],
        done: &mut DeployDone,
    ) -> Result<(), Error> {
        let began = Instant::now();
        self.talk.phase(Phase::Cleanup, false)?;
        if let Err(error) = staging::clear(layout, false) {
            done.warnings.push(error.with_cause());
        }
        let how = How { read, ..How::default() };
        match prune::cleanup(layout, releases, &self.hello.policy, &how, self.talk) {
            Ok(report) => {
                done.removed.extend(report.removed);
                done.warnings.extend(report.warnings);
            }
            Err(error) => done.warnings.push(error.with_cause()),
        }
        for name in &releases.foreign {
            done.warnings.push(format!(
                "`{}` was not made by Cutover and is left alone",
                layout.releases.path_of(name).display()
            ));
        }
        done.seconds.push((Phase::Cleanup, began.elapsed().as_secs_f32()));
        self.talk.phase(Phase::Cleanup, true)
    }
}

impl Decided {
    fn nothing_stood(manifest: &Manifest) -> Decided {
        Decided {
            id: ReleaseId::at(0),
            sequence: 1,
            second: 0,
            is_whole: false,
            counts: diff::count(None, manifest),
            shared: SharedPlan::default(),
            live: None,
        }
    }
}

/// Waits until a second is over, which takes so long only where releases come one a second: not where the clock was ahead
/// when an earlier one was made.
fn wait_for_the_end_of(second: u32) {
    const WAIT_MAX: u64 = 3;
    const A_WHILE: Duration = Duration::from_millis(20);
    let second = u64::from(second);
    while now() <= second && second - now() <= WAIT_MAX {
        std::thread::sleep(A_WHILE);
    }
}

fn unfit_warning(files: u64) -> String {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    format!(
        "The stored content of {files} had been changed or removed, and was made good in this release; earlier releases still hold the change: deploy their source again rather than roll back"
    )
}

fn put_right_warning(objects: u64) -> String {
    let objects = if objects == 1 { "1 stored file".to_owned() } else { format!("{objects} stored files") };
    format!(
        "The mode, time or group of {objects} had been changed by hand, and was put right: releases share their files. Name in `copy_paths` what the application is to change"
    )
}

fn hidden_warning((path, files): &(crate::path::RelativePath, u64)) -> String {
    let noun = if *files == 1 { "file" } else { "files" };
    format!("The shared directory `{path}` hides {files} {noun} of the release")
}

/// Keeps what was seen of a release for whoever makes another one of it.
fn keep_seen(layout: &Layout, id: &ReleaseId, manifest: &Manifest, looks: &Looks) -> Result<(), Error> {
    let record = layout.records.open_dir(id.as_str().as_bytes())?;
    seen::keep(&record, &Store::new(layout.objects.again()?), manifest, looks)
}

fn holding(layout: &Layout, releases: &Releases) -> Holding {
    let mut standing = releases.ids();
    standing.sort_unstable();
    // Of more than anybody keeps the newest: what is not told is only not believed in.
    standing.drain(..standing.len().saturating_sub(STANDING_MAX));
    Holding { store: layout.store.id.clone(), standing }
}

fn chunks_of(layout: &Layout, base: &Base, entry: u32) -> Option<Vec<u8>> {
    let file = base.kept.manifest.file(entry)?;
    let store = Store::new(layout.objects.again().ok()?);
    let object = store.open_any(file.key).ok()??;
    let (hash, chunks) = chunk::cut(object, chunk::told_average_log(file.size)).ok()?;
    (hash == file.key.hash).then(|| chunk::to_bytes(&chunks))
}
