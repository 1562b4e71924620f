//! Makes objects from content that the base has in another mode. A file that was only made executable, or a tree from
//! a checkout under another umask, need not be sent.

use rayon::prelude::*;

use crate::error::Error;
use crate::manifest::{Manifest, ObjectKey};

use super::assemble::Assembly;
use super::receive::WantedObjects;
use super::store::ObjectName;

/// Copies wanted objects into staging that the base has in another mode. They count as arrived. An object with wrong
/// content stays wanted.
pub(crate) fn remode(assembly: &Assembly<'_>, wanted: &WantedObjects, base: &Manifest) -> Result<(), Error> {
    if wanted.missing().next().is_none() {
        return Ok(());
    }
    let mut found: Vec<(usize, ObjectKey)> = Vec::new();
    for (_, old) in base.all_files() {
        found.extend(wanted.of_hash(&old.key.hash).filter(|&at| !wanted.has_arrived(at)).map(|at| (at, old.key)));
    }
    // Any of several sources will do.
    found.sort_unstable();
    found.dedup_by_key(|(at, _)| *at);
    found.into_par_iter().try_for_each(|(at, from)| {
        let Some(object) = assembly.store.open_any(from)? else { return Ok(()) };
        if assembly.sources.stage_copy(&object, ObjectName { key: wanted.key(at), copy: 0 }, assembly.second)? {
            wanted.arrive(at);
        }
        Ok(())
    })
}
