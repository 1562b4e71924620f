//! The first step: completes the release in staging.
//!
//! 1. Adopt the content that an interrupted run received, and check that the rest has space.
//! 2. Send the list of lacking content. While the client packs it, make the directories and link the content that is there.
//! 3. Receive the content in rounds: ask again for objects that did not arrive whole.
//! 4. Add what the manifest does not have (`additions`), then set the modes and mtimes of directories.

use std::cell::OnceCell;

use crate::error::{DamageError, Error};
use crate::manifest::Manifest;
use crate::path::Shown;
use crate::pattern::Patterns;
use crate::report::ReuseReport;
use crate::wire::message::FromAgent;

use crate::agent::assemble::{AssembledTree, Assembly};
use crate::agent::classify::Classifier;
use crate::agent::conversation::Conversation;
use crate::agent::receive::{Inlets, Promise, Reception, WantedObjects, resume};
use crate::agent::remode::remode;
use crate::agent::reporter::Reporter;
use crate::agent::sign;
use crate::agent::site::Site;
use crate::agent::space::{Demand, SpaceCheck};
use crate::agent::staging;

use super::additions::make_additions;
use super::lacks::send_lacks;
use super::plan::Plan;
use super::promise::{link_promised, resolve_hashes};
use super::reception::{Round, memory_left, receive};
use super::spare::make_directories;
use super::task::Task;
use super::unfit::{link_otherwise, make_further_copies};

/// How often lacking content is asked for. Content that never arrives whole must not be asked for without end.
const ROUNDS_MAX: u32 = 4;

/// A release that is complete in staging.
pub(super) struct StagedRelease {
    /// The assembled tree.
    pub(super) assembled: AssembledTree,
    /// The objects that arrived, by round.
    pub(super) arrived: Vec<WantedObjects>,
    /// The manifest with all hashes, if the tree promised some.
    settled: Option<Manifest>,
    /// The reuse of a spare, or the reason why it failed; nothing if there was no spare.
    pub(super) reused: Option<Result<ReuseReport, Error>>,
    /// The first of the files that were carried over.
    pub(super) carried: Vec<String>,
}

impl StagedRelease {
    /// Returns the manifest with all hashes.
    pub(super) fn manifest<'a>(&'a self, task: Task<'a>) -> &'a Manifest {
        self.settled.as_ref().unwrap_or(&task.tree.manifest)
    }

    /// Returns the total size of the objects that arrived.
    pub(super) fn arrived_bytes(&self) -> u64 {
        self.arrived.iter().flat_map(|wanted| wanted.arrived().map(|at| wanted.size(at))).sum()
    }
}

/// Completes the release in staging.
pub(super) fn fill(conversation: &Conversation, site: &Site, plan: &Plan<'_>) -> Result<StagedRelease, Error> {
    let Plan { task, classification, staging, store, .. } = *plan;
    // Other users may have put files into a reused tree that this user cannot remove.
    if let Err(error) = staging::clear_others(&site.lock, &site.layout, staging, false) {
        conversation.warn(error.with_cause());
    }
    let policy = task.order.policy();
    let copies = Patterns::parse(policy.copy_paths.iter().map(String::as_str), "`copy_paths`")?;
    let (manifest, decision) = (&task.tree.manifest, task.decision);
    let settled = OnceCell::new();
    let classifier = task.classifier(&site.layout, &site.releases, store);
    let (expected, writable) = (&classification.expected, &decision.writable);
    let assembly = Assembly::new(manifest, expected, &copies, writable, decision.second, store, staging);
    let assembly = assembly.link_as(policy.link)?;
    assembly.count_unfit(classification.unfit);
    let (wanted, partial) = adopt_content(site, plan, &assembly)?;
    let reused = announce(conversation, site, plan, &assembly, &wanted, &partial)?;
    let content = Content { conversation, plan, classifier, assembly, settled: &settled, commits: task.tree.commits };
    let (assembly, arrived) = content.receive(wanted, partial)?;
    let carried = make_additions(conversation, site, plan, &assembly)?;
    assembly.finish_directories(&decision.shared.links)?;
    let assembled = assembly.finish();
    Ok(StagedRelease { assembled, arrived, settled: settled.into_inner(), reused, carried })
}

/// Adopts the content that an interrupted run received, and checks that the rest has space. Returns the wanted
/// objects, and the entries of large files of which the beginning is there, with its length.
fn adopt_content(
    site: &Site,
    plan: &Plan<'_>,
    assembly: &Assembly<'_>,
) -> Result<(WantedObjects, Vec<(u32, u64)>), Error> {
    let (classification, lock, layout) = (plan.classification, &site.lock, &site.layout);
    let wanted = WantedObjects::gather(assembly.manifest, classification.lacking.iter().copied());
    let mut partial = resume::adopt(lock, layout, assembly, &wanted)?;
    if !plan.task.order.begin.no_space_check {
        let space = space_check(plan, assembly, &wanted, &partial);
        match space.run(layout) {
            Err(_) if !plan.choice.has_spare => {
                // Content of other runs that this run cannot use makes room.
                staging::clear_others(lock, layout, assembly.staging, true)?;
                space.run(layout)?;
            }
            // The caller removes the spare first, and tries again.
            checked => checked?,
        }
    }
    if let Some(base) = plan.task.base_manifest() {
        remode(assembly, &wanted, base)?;
        resume::retain_begun(&mut partial, assembly, &wanted)?;
    }
    Ok((wanted, partial))
}

/// Returns the check of the space that the rest needs.
fn space_check<'a>(
    plan: &'a Plan<'_>,
    assembly: &'a Assembly<'_>,
    wanted: &'a WantedObjects,
    begun: &'a [(u32, u64)],
) -> SpaceCheck<'a> {
    let demand = Demand {
        manifest: assembly.manifest,
        link: assembly.link,
        copies: assembly.copies,
        shared_links: plan.task.decision.shared.links.len() as u64,
        further_copies: &plan.classification.further_copies,
        wanted,
        begun,
        store: Some(plan.store),
        missing_agent: None,
    };
    SpaceCheck { demand, spare: plan.choice.spare.as_ref(), min_free: plan.task.order.policy().min_free }
}

/// Sends the list of lacking content. While the client packs it, makes the directories and links the content that is
/// there. Returns the result of the reuse, if there was a spare.
fn announce(
    conversation: &Conversation,
    site: &Site,
    plan: &Plan<'_>,
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
    partial: &[(u32, u64)],
) -> Result<Option<Result<ReuseReport, Error>>, Error> {
    let tree = plan.task.tree;
    // If the tree promises hashes, the client is already sending that content.
    if tree.promised.is_empty() {
        send_lacks(conversation, wanted, partial.to_vec(), tree.commits)?;
    }
    if !tree.to_sign.is_empty() {
        send_signatures(conversation, plan, wanted)?;
    }
    conversation.begin_receiving(tree.commits);
    let reused = make_directories(&site.layout, assembly, plan.task, plan.choice.spare.as_ref())?;
    make_further_copies(assembly, &plan.classification.further_copies)?;
    assembly.link_all_arrived(wanted)?;
    Ok(reused)
}

/// Sends the signatures that the client asked for, as far as their files are lacking.
fn send_signatures(conversation: &Conversation, plan: &Plan<'_>, wanted: &WantedObjects) -> Result<(), Error> {
    let task = plan.task;
    let lacking = wanted.missing_entries();
    let is_lacking = |entry: &&u32| lacking.binary_search(entry).is_ok();
    let entries: Vec<u32> = task.tree.to_sign.iter().filter(is_lacking).copied().collect();
    let bytes = sign::sign_old_versions(plan.store, task.base_manifest(), &task.tree.manifest, &entries);
    conversation.send(&FromAgent::Signatures { length: bytes.len() as u64 })?;
    conversation.send_parts(&bytes)
}

/// The content of a release, which arrives in rounds.
struct Content<'a, 'p> {
    conversation: &'p Conversation,
    plan: &'p Plan<'p>,
    classifier: Classifier<'a>,
    assembly: Assembly<'a>,
    /// The manifest with all hashes, once the promised ones are known.
    settled: &'a OnceCell<Manifest>,
    commits: u32,
}

impl<'a> Content<'a, '_> {
    /// Receives the wanted objects, and asks again for those that did not arrive whole. Returns the objects that
    /// arrived, by round.
    fn receive(
        mut self,
        mut wanted: WantedObjects,
        mut partial: Vec<(u32, u64)>,
    ) -> Result<(Assembly<'a>, Vec<WantedObjects>), Error> {
        let mut promise = Promise::new(self.plan.task.tree.promised.clone());
        let mut inlets = Inlets::closed(self.conversation.counter());
        let mut arrived = Vec::new();
        for round in 0..ROUNDS_MAX {
            let held = arrived.iter().chain([&wanted]).map(WantedObjects::memory_bytes).sum();
            self.receive_round(round == 0, held, &mut inlets, &wanted, &partial, &promise)?;
            let mut still = Vec::new();
            if !promise.entries().is_empty() {
                (wanted, still) = self.resolve_hashes(&promise, &wanted)?;
                promise = Promise::default();
            }
            still.extend(wanted.missing().flat_map(|at| wanted.entries(at).iter().copied()));
            arrived.push(wanted.into_arrived());
            still.extend(link_otherwise(&self.classifier, &self.assembly, &arrived)?);
            if still.is_empty() {
                return Ok((self.assembly, arrived));
            }
            wanted = WantedObjects::gather(self.assembly.manifest, still);
            // A block that a lane lost leaves a gap, and the content before the gap is right. Without lanes that
            // content may be wrong.
            partial = if inlets.are_open() { resume::begun(&self.assembly, &wanted)? } else { Vec::new() };
            if round + 1 < ROUNDS_MAX {
                send_lacks(self.conversation, &wanted, partial.clone(), self.commits)?;
                self.conversation.begin_receiving(self.commits);
            }
        }
        let first = wanted.missing_entries().first().copied().unwrap_or(0);
        let path = Shown(&self.assembly.manifest.path(first)).to_string();
        Err(Error::Damage(DamageError::NotWhole { objects: wanted.len() as u64, path }))
    }

    fn receive_round(
        &mut self,
        is_first: bool,
        held_bytes: u64,
        inlets: &mut Inlets,
        wanted: &WantedObjects,
        begun: &[(u32, u64)],
        promise: &Promise,
    ) -> Result<(), Error> {
        let task = self.plan.task;
        let base = task.base_manifest();
        let reception = Reception { assembly: &self.assembly, wanted, promise, base, begun };
        let memory_bytes = memory_left(held_bytes + task.memory_bytes() + self.assembly.memory_bytes());
        receive(self.conversation, &reception, inlets, &Round { is_first, memory_bytes })?;
        self.commits += 1;
        self.conversation.end_receiving(self.commits)
    }

    /// Continues with the manifest in which the promised hashes are known. Returns its wanted objects, and the
    /// entries whose object in the store is unfit.
    fn resolve_hashes(
        &mut self,
        promise: &Promise,
        wanted: &WantedObjects,
    ) -> Result<(WantedObjects, Vec<u32>), Error> {
        let task = self.plan.task;
        let whole = resolve_hashes(self.conversation, task.order.begin.root, &task.tree.manifest, promise)?;
        let manifest = self.settled.get_or_init(|| whole);
        self.assembly.set_manifest(manifest);
        self.classifier.manifest = manifest;
        link_promised(&self.classifier, &self.assembly, promise, wanted)
    }
}
