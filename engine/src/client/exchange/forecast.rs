//! The forecast of an exchange: the base that the agent will take, and a flight that follows the hello before any
//! answer.

use crate::client::source::Source;
use crate::error::Error;
use crate::manifest::encode::{HashSource, encode_with};

use super::base::Base;
use super::comparison::{Comparison, UNASKED_BYTES_MAX};
use super::gaps::{self, Gap};
use super::host::Host;
use super::old_versions::{OldVersions, Pair};
use super::recipes::add_recipes;

/// See the module's description.
#[derive(Default)]
pub(crate) struct Forecast {
    /// The base that the agent will take, according to the database.
    pub(super) base: Option<Base>,
    /// The flight behind the hello. None if the agent is asked first.
    pub(super) flight: Option<Flight>,
}

/// The tree, and all its content if that is little.
pub(super) struct Flight {
    /// The manifest, as its difference from the base.
    pub(super) tree: Vec<u8>,
    /// The entries whose hashes are not in the manifest, ascending.
    pub(super) promised: Vec<u32>,
    /// The entries whose content goes at once. None if no content does.
    pub(super) content: Option<Vec<u32>>,
    /// The old versions of files.
    pub(super) old_versions: OldVersions,
    /// The ranges of large files that the agent is asked to sign.
    pub(super) gaps: Vec<Gap>,
}

impl Forecast {
    /// Finds the base that the agent will take, and the flight: the tree, and all its content if that is little. After
    /// an upload that was cut off no content goes unasked, as the agent may have some of it.
    pub(crate) fn new(source: &Source<'_>, host: &Host<'_>) -> Result<Forecast, Error> {
        let Some(base) = Base::expected(source, host) else { return Ok(Forecast::default()) };
        // If nothing changed, the agent knows that from the root, and needs no tree.
        let is_to_ask = host.request.dry_run || is_live(source, host, &base) && !host.request.force;
        let flight = if is_to_ask { None } else { Flight::new(source, host, &base)? };
        Ok(Forecast { base: Some(base), flight })
    }
}

/// Tells whether the database says that the source is live.
fn is_live(source: &Source<'_>, host: &Host<'_>, base: &Base) -> bool {
    let live = host.known.as_ref().and_then(|known| known.live.as_ref());
    base.name.root == source.manifest().root() && live == Some(&base.name.release)
}

impl Flight {
    /// Returns the flight. None if the agent must be asked first.
    fn new(source: &Source<'_>, host: &Host<'_>, base: &Base) -> Result<Option<Flight>, Error> {
        let mut comparison = Comparison::new(source, base);
        let Some(old_versions) = known_old_versions(&comparison, host)? else { return Ok(None) };
        let gaps = gaps::gaps(&old_versions);
        let is_cut = host.known.as_ref().is_some_and(|known| known.is_cut);
        let is_little = !is_cut && gaps.is_empty() && comparison.is_little(&old_versions);
        let promised = if is_little { comparison.to_promise() } else { Vec::new() };
        comparison.hash_sources.extend(promised.iter().map(|&entry| (entry, HashSource::Promised)));
        let tree = encode_with(source.manifest(), Some(&base.manifest), &comparison.hash_sources).to_bytes();
        let content = is_little.then_some(comparison.fresh);
        Ok(Some(Flight { tree, promised, content, old_versions, gaps }))
    }
}

/// Finds the old versions that need no question to the agent. None if a question is worth it.
fn known_old_versions(comparison: &Comparison<'_>, host: &Host<'_>) -> Result<Option<OldVersions>, Error> {
    let memory = comparison.source.memory();
    let pairs = comparison.pairs();
    let mut large = pairs.iter().filter(|pair| pair.is_large());
    if large.any(|pair| memory.chunks(&pair.old.file.key.hash).is_none()) {
        return Ok(None);
    }
    let mut old_versions = comparison.cached_versions(&pairs);
    let is_lost = |pair: &&Pair| pair.is_signable() && !old_versions.contains_key(&pair.entry);
    if pairs.iter().filter(is_lost).map(|pair| pair.file.size).sum::<u64>() > UNASKED_BYTES_MAX {
        return Ok(None);
    }
    add_recipes(comparison.source, &pairs, &[], &mut old_versions, &host.context.cancel)?;
    Ok(Some(old_versions))
}
