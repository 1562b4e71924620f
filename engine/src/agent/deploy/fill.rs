//! Fills a release in staging: links what the store has, receives what it has not, and asks again for what did not come
//! whole.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use crate::agent::assemble::{Assembly, Origin};
use crate::agent::classify::{Classified, Classifier, NeedsOwnCopy};
use crate::agent::layout::Layout;
use crate::agent::receive::{FirstError, Inlets, Promise, RECEIVER_BYTES, Receivers, Reception, WantedObjects, resume};
use crate::agent::remode::remode;
use crate::agent::reuse::{Reuse, give_up, reuse};
use crate::agent::room;
use crate::agent::seen::{KnownObjects, Seen};
use crate::agent::staging;
use crate::agent::store::{ObjectName, Store};
use crate::agent::talk::{Incoming, Next};
use crate::agent::trash::Spare;
use crate::error::Error;
use crate::event::Phase;
use crate::hash::Hash;
use crate::manifest::{Manifest, ObjectKey};
use crate::report::Reused;
use crate::threads;
use crate::wire::bounds::LANES_AT_ONCE_MAX;
use crate::wire::frame::FRAME_MAX;
use crate::wire::message::{FromAgent, ToAgent};

use super::{Base, Deploy, Filled, Plan};

/// How often content that does not arrive whole is asked for.
const ROUNDS_MAX: u32 = 4;

/// The memory of the agent while it receives, in bytes. What lies beyond it, up to 512 MiB, is for the program, stacks, and
/// what the allocator keeps.
const MEMORY_BYTES: u64 = 480 << 20;

/// What waits to be received, in bytes: of the first connection, and of all lanes.
const FRAMES_BYTES: [u64; 2] = [2 * FRAME_MAX as u64, (LANES_AT_ONCE_MAX * FRAME_MAX) as u64];

impl Deploy<'_> {
    /// Links what is there, receives what is not, and asks again for what did not come whole.
    pub(super) fn fill<'a: 'c, 'c>(
        &self,
        mut classifier: Classifier<'c>,
        mut assembly: Assembly<'a>,
        plan: &Plan<'_>,
        settled: &'a OnceCell<Manifest>,
    ) -> Result<Filled<'a>, Error> {
        let Classified { lacking, own_copies, .. } = plan.classified;
        let mut commits = plan.tree.commits;
        let mut wanted = WantedObjects::gather(assembly.manifest, lacking.iter().copied());
        let layout = classifier.layout;
        let mut partial = resume::adopt(layout, &assembly, &wanted)?;
        let room = room::check(layout, &assembly, own_copies, &wanted);
        if plan.choice.waits {
            // What waits to be reused goes first.
            room?;
        } else if room.is_err() {
            // What other runs received and this one has no use for makes room.
            staging::clear_others(layout, assembly.staging, true)?;
            room::check(layout, &assembly, own_copies, &wanted)?;
        }
        if let Some(base) = plan.base_manifest() {
            remode(&assembly, &wanted, base)?;
            resume::retain_begun(&mut partial, &assembly, &wanted)?;
        }
        // If the tree promises hashes, the client is already sending that content.
        if plan.tree.promised.is_empty() {
            self.send_lacks(&wanted, partial.clone(), commits)?;
        }
        if !plan.tree.to_sign.is_empty() {
            self.send_signatures(plan, assembly.store, &wanted)?;
        }
        self.talk.begin_receiving(commits);
        // The client packs what is lacking meanwhile.
        let reused = self.make_tree(layout, &assembly, plan)?;
        make_own_copies(&assembly, own_copies)?;
        assembly.link_all_arrived(&wanted)?;
        let mut promise = Promise::new(plan.tree.promised.clone());
        let mut inlets = Inlets::closed(self.talk.counter());
        let mut arrived = Vec::new();
        for round in 0..ROUNDS_MAX {
            let reception = Reception {
                assembly: &assembly,
                wanted: &wanted,
                promise: &promise,
                base: plan.base_manifest(),
                begun: &partial,
            };
            let held = arrived.iter().chain([&wanted]).map(WantedObjects::memory_bytes).sum::<u64>();
            let room =
                MEMORY_BYTES.saturating_sub(held + plan.memory_bytes() + assembly.memory_bytes() + FRAMES_BYTES[0]);
            self.receive(&reception, &mut inlets, round == 0, room)?;
            commits += 1;
            self.talk.end_receiving(commits)?;
            let mut still = Vec::new();
            if !promise.entries().is_empty() {
                let whole = self.settle(&plan.tree.manifest, &promise)?;
                assembly = assembly.with_manifest(settled.get_or_init(|| whole));
                classifier.manifest = assembly.manifest;
                (wanted, still) = redeem(&classifier, &assembly, &promise, &wanted)?;
                promise = Promise::default();
            }
            still.extend(wanted.missing().flat_map(|at| wanted.entries(at).iter().copied()));
            arrived.push(wanted.into_arrived());
            still.extend(link_otherwise(&classifier, &assembly, &arrived)?);
            if still.is_empty() {
                return Ok(Filled { assembly, arrived, reused });
            }
            wanted = WantedObjects::gather(assembly.manifest, still);
            // What a lane did not bring is a gap, and the content before it is right; otherwise it may be wrong.
            partial = if inlets.are_open() { resume::begun(&assembly, &wanted)? } else { Vec::new() };
            if round + 1 < ROUNDS_MAX {
                self.send_lacks(&wanted, partial.clone(), commits)?;
                self.talk.begin_receiving(commits);
            }
        }
        let first = wanted.missing_entries().first().copied().unwrap_or(0);
        let path = crate::path::Shown(&assembly.manifest.path(first)).to_string();
        Err(Error::NotWhole { objects: wanted.len() as u64, path })
    }

    /// Makes all directories: of a release that may be reused, with what is in them, or anew. Says what came of the reuse,
    /// where there was such a release.
    fn make_tree(
        &self,
        layout: &Layout,
        assembly: &Assembly<'_>,
        plan: &Plan<'_>,
    ) -> Result<Option<Result<Reused, Error>>, Error> {
        let Some(spare) = &plan.choice.spare else { return assembly.make_directories().map(|()| None) };
        let reused = self.reuse(layout, assembly, plan, spare);
        if reused.is_err() {
            give_up(layout, assembly, spare)?;
            assembly.make_directories()?;
        }
        Ok(Some(reused))
    }

    fn reuse(&self, layout: &Layout, assembly: &Assembly<'_>, plan: &Plan<'_>, spare: &Spare) -> Result<Reused, Error> {
        let objects =
            plan.base.map(|base| known_objects(layout, assembly.store, base, spare, &plan.tree.origins)).transpose()?;
        let (base, seen) = (plan.base_manifest(), spare.seen(layout)?);
        reuse(layout, spare, Reuse { assembly, base, seen, objects: objects.flatten() })
    }

    /// Returns the manifest with the hashes that were promised: those of the content that came, or, where the root says
    /// that it is another or not all of it came, those that the client tells.
    fn settle(&self, manifest: &Manifest, promise: &Promise) -> Result<Manifest, Error> {
        let entries = promise.entries();
        let came: Option<Vec<(u32, Hash)>> = entries.iter().map(|&entry| Some((entry, promise.hash(entry)?))).collect();
        let is_right = |manifest: &Manifest| manifest.root() == self.begin.root;
        if let Some(manifest) = came.map(|came| manifest.with_hashes(came)).filter(is_right) {
            return Ok(manifest);
        }
        self.talk.send(&FromAgent::WantHashes)?;
        match self.talk.next()? {
            Incoming::Message(ToAgent::Hashes(hashes)) if hashes.len() == entries.len() => {
                let manifest = manifest.with_hashes(entries.iter().copied().zip(hashes));
                let lied = || Error::Protocol("hashes that do not lead to the root that was announced".into());
                if is_right(&manifest) { Ok(manifest) } else { Err(lied()) }
            }
            _ => Err(Error::Protocol("something else where hashes were due".into())),
        }
    }

    /// Receives until the client commits; in the first round, links meanwhile what the store has.
    fn receive(
        &self,
        reception: &Reception<'_>,
        inlets: &mut Inlets,
        first_round: bool,
        room: u64,
    ) -> Result<(), Error> {
        let assembly = reception.assembly;
        let beside_lanes = room.checked_sub(FRAMES_BYTES[1]).filter(|&room| room >= RECEIVER_BYTES);
        let first_error = FirstError::default();
        let link = || {
            let linked = std::sync::atomic::AtomicU64::new(0);
            let done = |files| {
                let files = linked.fetch_add(files, std::sync::atomic::Ordering::Relaxed) + files;
                self.talk.progress(Phase::Assemble, files, assembly.manifest.files());
            };
            if let Err(error) = assembly.link_known(done) {
                first_error.put(error);
            }
        };
        let received = std::thread::scope(|scope| {
            if first_round && threads::spawn_scoped(scope, link).is_err() {
                link();
            }
            let mut receivers = Receivers::start(scope, reception, &first_error, beside_lanes.unwrap_or(room))?;
            loop {
                first_error.check()?;
                // A client that has gone is noticed by what is read.
                drop(self.talk.tell_read(Some(receivers.stalled())));
                match self.talk.next_or(inlets.arrivals())? {
                    Next::Beside(arrival) => inlets.note(arrival).map_or(Ok(()), |payload| receivers.give(payload))?,
                    Next::Here(Incoming::Block(payload)) => receivers.give(payload)?,
                    Next::Here(Incoming::Message(ToAgent::WantLanes)) => {
                        // Without them the deploy takes longer, and that is all.
                        let ticket = beside_lanes.and_then(|_| inlets.open().ok());
                        self.talk.send(&FromAgent::Lanes(ticket))?;
                    }
                    Next::Here(Incoming::Message(ToAgent::SentOnLanes(sent))) => inlets.expect(sent),
                    Next::Here(Incoming::Message(ToAgent::Commit)) => {
                        // What was sent on lanes before it may still be on its way there.
                        let give = |payload| first_error.check().and_then(|()| receivers.give(payload));
                        return inlets.take_rest(give, || first_error.check().and_then(|()| self.talk.check_client()));
                    }
                    Next::Here(_) => return Err(Error::Protocol("something else where content was due".into())),
                }
            }
        });
        // What went wrong in a receiver says more than that the conversation broke off because of it.
        first_error.take()?;
        received
    }
}

/// Returns what the store is known to hold of what the base names, where that is known.
fn known_objects<'a>(
    layout: &Layout,
    store: &Store,
    base: &'a Base,
    spare: &Spare,
    origins: &'a [u32],
) -> Result<Option<KnownObjects<'a>>, Error> {
    if !layout.objects.keeps_times()? {
        return Ok(None);
    }
    // The base may be the very release that is reused: then its record is in trash.
    let seen = if base.name.release == spare.id {
        spare.seen(layout)?
    } else {
        Seen::read(&layout.records.open_dir(base.name.release.as_str().as_bytes())?)?
    };
    seen.map(|seen| KnownObjects::new(seen, store, base.kept.placed(), origins)).transpose()
}

/// Links what was promised and came, now that the manifest's hashes are known. Returns the objects that are wanted and
/// not in the store, and the entries whose object in the store cannot be used.
fn redeem(
    classifier: &Classifier<'_>,
    assembly: &Assembly<'_>,
    promise: &Promise,
    before: &WantedObjects,
) -> Result<(WantedObjects, Vec<u32>), Error> {
    let manifest = assembly.manifest;
    let mut staged = HashSet::new();
    let (mut stored, mut others) = (Vec::new(), Vec::new());
    for &entry in before.all_entries() {
        let Some(file) = manifest.file(entry) else { continue };
        if promise.hash(entry) == Some(file.key.hash) {
            if assembly.store.has(file.key)? {
                stored.push(entry);
                continue;
            }
            staged.insert(file.key);
        } else if let Some(hash) = promise.hash(entry) {
            // Another content than was meant: nobody will ask for it.
            assembly.staging.objects.remove(ObjectName { key: ObjectKey { hash, ..file.key }, copy: 0 })?;
        } else if !promise.means(entry) && before.find(file.key).is_some_and(|at| before.has_arrived(at)) {
            staged.insert(file.key);
        }
        others.push(entry);
    }
    let wanted = WantedObjects::gather(manifest, others);
    staged.into_iter().filter_map(|key| wanted.find(key)).for_each(|at| wanted.arrive(at));
    assembly.link_all_arrived(&wanted)?;
    let choice = classifier.choose(stored, assembly.expected)?;
    for (entry, placement) in choice.placed {
        assembly.link_stored(entry, placement)?;
    }
    make_own_copies(assembly, &choice.own_copies)?;
    Ok((wanted, choice.lacking))
}

/// Links the entries whose object was found unfit to what has arrived, or to another copy. Returns those whose content
/// is to be asked for.
fn link_otherwise(
    classifier: &Classifier<'_>,
    assembly: &Assembly<'_>,
    arrived: &[WantedObjects],
) -> Result<Vec<u32>, Error> {
    let mut lacking = Vec::new();
    loop {
        let unfit = assembly.take_unfit();
        if unfit.is_empty() {
            return Ok(lacking);
        }
        let mut open = Vec::new();
        for entry in unfit {
            if !assembly.link_if_arrived(entry, arrived)? {
                open.push(entry);
            }
        }
        let choice = classifier.choose(open, assembly.expected)?;
        for (entry, placement) in choice.placed {
            assembly.link_stored(entry, placement)?;
        }
        // Each object that proves unfit here is set aside, so this comes to an end.
        make_own_copies(assembly, &choice.own_copies)?;
        lacking.extend(choice.lacking);
    }
}

fn make_own_copies(assembly: &Assembly<'_>, own_copies: &[NeedsOwnCopy]) -> Result<(), Error> {
    let mut made: HashMap<ObjectKey, u16> = HashMap::new();
    for own in own_copies {
        let copy = match made.get(&own.from.key) {
            Some(&copy) => copy,
            None => match assembly.make_further(own.from, assembly.second, Origin::Store) {
                Ok(copy) => {
                    made.insert(own.from.key, copy);
                    copy
                }
                Err(error) if is_unfit(&error) => {
                    assembly.set_aside(own.from, own.entry)?;
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        assembly.link_own_copy(own.entry, ObjectName { key: own.from.key, copy })?;
    }
    Ok(())
}

/// Tells whether a copy failed because of the object that it was to be made of.
fn is_unfit(error: &Error) -> bool {
    match error {
        Error::Damaged { .. } => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
        _ => false,
    }
}
