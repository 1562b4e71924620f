//! Makes objects of what the base has in another mode: a file that was only made executable, or a whole tree that was
//! checked out under another umask, need not be sent.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::{Manifest, ObjectKey};

use super::assemble::Assembly;
use super::store::ObjectName;
use super::wanted::WantedObjects;

/// Copies what is wanted and the base has in another mode into staging, where it counts as arrived. What turns out not to
/// be what it should stays wanted.
pub(crate) fn remode(assembly: &Assembly<'_>, wanted: &WantedObjects, base: &Manifest) -> Result<(), Error> {
    let mut missing: HashMap<Hash, Vec<usize>> = HashMap::new();
    wanted.missing().for_each(|at| missing.entry(wanted.key(at).hash).or_default().push(at));
    if missing.is_empty() {
        return Ok(());
    }
    let mut found: Vec<(usize, ObjectKey)> = Vec::new();
    for (_, old) in base.all_files() {
        found.extend(missing.remove(&old.key.hash).into_iter().flatten().map(|at| (at, old.key)));
    }
    found.into_par_iter().try_for_each(|(at, from)| {
        let Some(object) = assembly.store.open_any(from)? else { return Ok(()) };
        if assembly.stage_copy(&object, ObjectName { key: wanted.key(at), copy: 0 }, assembly.second)? {
            wanted.arrive(at);
        }
        Ok(())
    })
}
