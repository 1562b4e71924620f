//! The first step: a release that is complete in staging.
//!
//! Links what the store has, receives what it has not, and asks again for what did not come whole. Then the links into
//! `shared/`, and the modes and mtimes of directories.

use std::cell::OnceCell;

use crate::error::{DamageError, Error};
use crate::manifest::Manifest;
use crate::path::Shown;
use crate::pattern::Patterns;
use crate::report::ReuseReport;
use crate::wire::message::FromAgent;

use crate::agent::assemble::{Assembled, Assembly};
use crate::agent::classify::Classifier;
use crate::agent::receive::{Inlets, Promise, Reception, WantedObjects, resume};
use crate::agent::remode::remode;
use crate::agent::room;
use crate::agent::shared;
use crate::agent::sign;
use crate::agent::site::Site;
use crate::agent::staging;
use crate::agent::talk::Talk;
use crate::agent::tell::Tell;

use super::lacks::send_lacks;
use super::plan::Plan;
use super::promised::{redeem, settle};
use super::reception::{Round, receive, room_beside};
use super::spare::make_directories;
use super::task::Task;
use super::unfit::{link_otherwise, make_own_copies};

/// How often content that does not arrive whole is asked for.
const ROUNDS_MAX: u32 = 4;

/// A release that is complete in staging.
pub(super) struct Filled {
    /// How it was assembled.
    pub(super) assembled: Assembled,
    /// The objects that arrived, by round.
    pub(super) arrived: Vec<WantedObjects>,
    /// Its manifest, where hashes of the one that came were promised.
    settled: Option<Manifest>,
    /// What became of a release that was to be reused: why it could not be, where that is so.
    pub(super) reused: Option<Result<ReuseReport, Error>>,
}

impl Filled {
    /// Returns the manifest, in which all hashes are known.
    pub(super) fn manifest<'a>(&'a self, task: Task<'a>) -> &'a Manifest {
        self.settled.as_ref().unwrap_or(&task.tree.manifest)
    }

    /// Sums the sizes of the objects that arrived.
    pub(super) fn arrived_bytes(&self) -> u64 {
        self.arrived.iter().flat_map(|wanted| wanted.arrived().map(|at| wanted.size(at))).sum()
    }
}

/// Fills the release.
pub(super) fn fill(talk: &Talk, site: &Site, plan: &Plan<'_>) -> Result<Filled, Error> {
    let Plan { task, classified, staging, store, .. } = *plan;
    // Others may have put something into a tree that was reused which this user cannot remove.
    if let Err(error) = staging::clear_others(&site.lock, &site.layout, staging, false) {
        talk.warn(error.with_cause());
    }
    let policy = task.order.policy();
    let copies = Patterns::parse(policy.copy_paths.iter().map(String::as_str), "`copy_paths`")?;
    let (manifest, decided) = (&task.tree.manifest, task.decided);
    let settled = OnceCell::new();
    let classifier = task.classifier(&site.layout, &site.releases, store);
    let assembly = Assembly::new(manifest, &classified.expected, &copies, decided.second, store, staging);
    let (wanted, partial) = take_what_is_there(site, plan, &assembly)?;
    let reused = announce(talk, site, plan, &assembly, &wanted, &partial)?;
    let content = Content { talk, plan, classifier, assembly, settled: &settled, commits: task.tree.commits };
    let (assembly, arrived) = content.receive(wanted, partial)?;
    shared::link(&staging.tree, &decided.shared)?;
    decided.shared.links.iter().for_each(|path| assembly.note_link(path));
    assembly.finish_directories(&decided.shared.links)?;
    let assembled = assembly.finish();
    Ok(Filled { assembled, arrived, settled: settled.into_inner(), reused })
}

/// Takes what an interrupted run has received, once there is room for the rest. Returns the objects that are wanted, and the
/// entries of which a beginning is there.
fn take_what_is_there(
    site: &Site,
    plan: &Plan<'_>,
    assembly: &Assembly<'_>,
) -> Result<(WantedObjects, Vec<(u32, u64)>), Error> {
    let (classified, lock, layout) = (plan.classified, &site.lock, &site.layout);
    let own_copies = &classified.own_copies;
    let wanted = WantedObjects::gather(assembly.manifest, classified.lacking.iter().copied());
    let mut partial = resume::adopt(lock, layout, assembly, &wanted)?;
    let room = room::check(layout, assembly, own_copies, &wanted);
    if plan.choice.waits {
        // What waits to be reused goes first.
        room?;
    } else if room.is_err() {
        // What other runs received and this one has no use for makes room.
        staging::clear_others(lock, layout, assembly.staging, true)?;
        room::check(layout, assembly, own_copies, &wanted)?;
    }
    if let Some(base) = plan.task.base_manifest() {
        remode(assembly, &wanted, base)?;
        resume::retain_begun(&mut partial, assembly, &wanted)?;
    }
    Ok((wanted, partial))
}

/// Says what is lacking. While the client packs that, makes the directories, and links what is there already. Returns what
/// became of a release that was to be reused.
fn announce(
    talk: &Talk,
    site: &Site,
    plan: &Plan<'_>,
    assembly: &Assembly<'_>,
    wanted: &WantedObjects,
    partial: &[(u32, u64)],
) -> Result<Option<Result<ReuseReport, Error>>, Error> {
    let tree = plan.task.tree;
    // If the tree promises hashes, the client is already sending that content.
    if tree.promised.is_empty() {
        send_lacks(talk, wanted, partial.to_vec(), tree.commits)?;
    }
    if !tree.to_sign.is_empty() {
        send_signatures(talk, plan, wanted)?;
    }
    talk.begin_receiving(tree.commits);
    let reused = make_directories(&site.layout, assembly, plan.task, plan.choice.spare.as_ref())?;
    make_own_copies(assembly, &plan.classified.own_copies)?;
    assembly.link_all_arrived(wanted)?;
    Ok(reused)
}

/// Sends the signatures that were asked for, of those files that are lacking.
fn send_signatures(talk: &Talk, plan: &Plan<'_>, wanted: &WantedObjects) -> Result<(), Error> {
    let task = plan.task;
    let lacking = wanted.missing_entries();
    let is_lacking = |entry: &&u32| lacking.binary_search(entry).is_ok();
    let entries: Vec<u32> = task.tree.to_sign.iter().filter(is_lacking).copied().collect();
    let bytes = sign::old_versions(plan.store, task.base_manifest(), &task.tree.manifest, &entries);
    talk.send(&FromAgent::Signatures { length: bytes.len() as u64 })?;
    talk.send_parts(&bytes)
}

/// The content that is received, in rounds.
struct Content<'a, 'p> {
    talk: &'p Talk,
    plan: &'p Plan<'p>,
    classifier: Classifier<'a>,
    assembly: Assembly<'a>,
    /// The manifest with all its hashes, once those that were promised are known.
    settled: &'a OnceCell<Manifest>,
    commits: u32,
}

impl<'a> Content<'a, '_> {
    /// Receives what is wanted, and asks again for what did not come whole. Returns the objects that arrived, by round.
    fn receive(
        mut self,
        mut wanted: WantedObjects,
        mut partial: Vec<(u32, u64)>,
    ) -> Result<(Assembly<'a>, Vec<WantedObjects>), Error> {
        let mut promise = Promise::new(self.plan.task.tree.promised.clone());
        let mut inlets = Inlets::closed(self.talk.counter());
        let mut arrived = Vec::new();
        for round in 0..ROUNDS_MAX {
            let held = arrived.iter().chain([&wanted]).map(WantedObjects::memory_bytes).sum();
            self.receive_round(round == 0, held, &mut inlets, &wanted, &partial, &promise)?;
            let mut still = Vec::new();
            if !promise.entries().is_empty() {
                (wanted, still) = self.settle(&promise, &wanted)?;
                promise = Promise::default();
            }
            still.extend(wanted.missing().flat_map(|at| wanted.entries(at).iter().copied()));
            arrived.push(wanted.into_arrived());
            still.extend(link_otherwise(&self.classifier, &self.assembly, &arrived)?);
            if still.is_empty() {
                return Ok((self.assembly, arrived));
            }
            wanted = WantedObjects::gather(self.assembly.manifest, still);
            // What a lane did not bring is a gap, and the content before it is right; otherwise it may be wrong.
            partial = if inlets.are_open() { resume::begun(&self.assembly, &wanted)? } else { Vec::new() };
            if round + 1 < ROUNDS_MAX {
                send_lacks(self.talk, &wanted, partial.clone(), self.commits)?;
                self.talk.begin_receiving(self.commits);
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
        let room_bytes = room_beside(held_bytes + task.memory_bytes() + self.assembly.memory_bytes());
        receive(self.talk, &reception, inlets, &Round { links_known: is_first, room_bytes })?;
        self.commits += 1;
        self.talk.end_receiving(self.commits)
    }

    /// Goes on with the manifest in which the hashes are known that were promised. Returns what is wanted of it, and the
    /// entries whose object in the store cannot be used.
    fn settle(&mut self, promise: &Promise, wanted: &WantedObjects) -> Result<(WantedObjects, Vec<u32>), Error> {
        let task = self.plan.task;
        let whole = settle(self.talk, task.order.begin.root, &task.tree.manifest, promise)?;
        let manifest = self.settled.get_or_init(|| whole);
        self.assembly.set_manifest(manifest);
        self.classifier.manifest = manifest;
        redeem(&self.classifier, &self.assembly, promise, wanted)
    }
}
