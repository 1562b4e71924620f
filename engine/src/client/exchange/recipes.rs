//! Large files in terms of old ones, by the chunks of both.

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::chunk::{self, Chunks};
use crate::client::outgoing_file::{OldVersion, Recipe};
use crate::client::source::Source;
use crate::error::Error;

use super::old_versions::{OldVersions, Pair};

/// Adds recipes of large files. `asked` has the chunks, in order, of the old files whose chunks this machine does not
/// know.
pub(super) fn add_recipes(
    source: &Source<'_>,
    pairs: &[Pair],
    asked: &[Option<Arc<Chunks>>],
    old_versions: &mut OldVersions,
    cancel: &Cancel,
) -> Result<(), Error> {
    let mut asked = asked.iter();
    let with_chunks = |pair: &Pair| {
        let kept = source.memory().chunks(&pair.old.file.key.hash);
        Some((*pair, kept.or_else(|| asked.next().cloned().flatten())?))
    };
    let large: Vec<(Pair, Arc<Chunks>)> = pairs.iter().filter(|pair| pair.is_large()).filter_map(with_chunks).collect();
    let to_cut = large.iter().map(|(pair, old)| (pair.entry, (pair.file.key.hash, old.average_log)));
    let own = source.chunks(to_cut, cancel)?;
    for (pair, chunks) in large {
        let old = pair.old.file;
        if let Some(own) = own.get(&(pair.file.key.hash, chunks.average_log)) {
            let pieces = chunk::pieces(&chunks.list, &own.list);
            old_versions.insert(pair.entry, OldVersion::Large(Recipe { old: old.key, old_size: old.size, pieces }));
        }
    }
    Ok(())
}
