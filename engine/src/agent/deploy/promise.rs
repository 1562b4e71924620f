//! The hashes that a tree promises. They are known when the content has arrived.

use std::collections::HashSet;

use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::{Manifest, ObjectKey};
use crate::wire::message::{FromAgent, ToAgent};

use crate::agent::assemble::Assembly;
use crate::agent::classify::Classifier;
use crate::agent::conversation::{Conversation, Incoming};
use crate::agent::receive::Promise;
use crate::agent::receive::WantedObjects;
use crate::agent::store::ObjectName;

use super::unfit::make_further_copies;

/// Returns the manifest with all hashes. They are computed from the content. If some of it did not arrive, or the
/// root does not match, the client sends the hashes.
pub(super) fn resolve_hashes(
    conversation: &Conversation,
    root: Hash,
    manifest: &Manifest,
    promise: &Promise,
) -> Result<Manifest, Error> {
    let entries = promise.entries();
    let came: Option<Vec<(u32, Hash)>> = entries.iter().map(|&entry| Some((entry, promise.hash(entry)?))).collect();
    let is_right = |manifest: &Manifest| manifest.root() == root;
    if let Some(manifest) = came.map(|came| manifest.with_hashes(came)).filter(is_right) {
        return Ok(manifest);
    }
    conversation.send(&FromAgent::WantHashes)?;
    match conversation.next()? {
        Incoming::Message(ToAgent::Hashes(hashes)) if hashes.len() == entries.len() => {
            let manifest = manifest.with_hashes(entries.iter().copied().zip(hashes));
            let mismatch = || Error::Protocol("hashes that do not match the announced root".into());
            if is_right(&manifest) { Ok(manifest) } else { Err(mismatch()) }
        }
        _ => Err(Error::Protocol("another message while hashes were expected".into())),
    }
}

/// Links the promised content that arrived, now that the hashes are known. Returns the objects that are wanted and
/// not in the store, and the entries whose object in the store is unfit.
pub(super) fn link_promised(
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
            // This is other content than the manifest names: nobody will ask for it.
            assembly.staging.objects.remove(ObjectName { key: ObjectKey { hash, ..file.key }, copy: 0 })?;
        } else if !promise.includes(entry) && before.find(file.key).is_some_and(|at| before.has_arrived(at)) {
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
    assembly.count_unfit(choice.unfit);
    make_further_copies(assembly, &choice.further_copies)?;
    Ok((wanted, choice.lacking))
}
