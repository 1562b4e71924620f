//! Entries whose object is unfit, and entries that need a further copy.

use std::collections::HashMap;
use std::io::ErrorKind;

use crate::error::{DamageError, Error};
use crate::manifest::ObjectKey;

use crate::agent::assemble::{Assembly, Origin};
use crate::agent::classify::{Classifier, FurtherCopy};
use crate::agent::receive::WantedObjects;
use crate::agent::store::ObjectName;

/// Links the entries whose object was found unfit to content that arrived, or to another copy. Returns those whose
/// content must be asked for.
pub(super) fn link_otherwise(
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
        // Each object that proves unfit here is set aside, so the loop ends.
        make_further_copies(assembly, &choice.further_copies)?;
        lacking.extend(choice.lacking);
    }
}

/// Makes a further copy of each of these objects, and links the entry to it.
pub(crate) fn make_further_copies(assembly: &Assembly<'_>, further_copies: &[FurtherCopy]) -> Result<(), Error> {
    let mut made: HashMap<ObjectKey, u16> = HashMap::new();
    for own in further_copies {
        let copy = match made.get(&own.from.key) {
            Some(&copy) => copy,
            None => match assembly.sources.make_further(own.from, assembly.second, Origin::Store) {
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
        assembly.link_further_copy(own.entry, ObjectName { key: own.from.key, copy })?;
    }
    Ok(())
}

/// Tells whether a copy failed because its source object is unfit.
fn is_unfit(error: &Error) -> bool {
    match error {
        Error::Damage(DamageError::File { .. }) => true,
        Error::Io { source, .. } => source.kind() == ErrorKind::PermissionDenied,
        _ => false,
    }
}
