//! The comparison of several releases. An edit in place of a linked file hits every release that has its object, so
//! differences that releases have alike are reported once.

use std::collections::BTreeMap;

use crate::agent::site::layout::Layout;
use crate::agent::site::own::Own;
use crate::agent::site::records::{StoredManifest, read_manifest};
use crate::agent::store::Store;
use crate::disk::{Kind, Stat};
use crate::error::{DamageError, Error, NamedDifferences};
use crate::release::{Record, ReleaseId};
use crate::report::{ComparisonReport, Difference, DifferenceKind, Differences, DiskDifference};
use crate::threads;

use super::found::{FoundDifference, Place};
use super::walk::{Comparer, Depth, ReadHashes, Stop};

/// The differences of one kind that a report names.
const NAMED_MAX: usize = 20;

/// The differences of one release whose paths are made. The others are only counted.
const LISTED_MAX: usize = 10_000;

/// The differences of several releases.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// The releases.
    pub(crate) releases: Vec<ReleaseId>,
    /// Their differences.
    pub(crate) differences: Vec<Differences>,
    /// Those of them that differ in more than added names.
    pub(crate) edited: Vec<ReleaseId>,
    /// The releases that could not be compared.
    pub(crate) failed: Vec<(ReleaseId, Error)>,
}

/// Compares releases with their manifests.
pub(crate) fn compare_releases(
    layout: &Layout,
    records: &[&Record],
    depth: Depth,
    stop: &Stop,
) -> Result<Compared, Error> {
    threads::start_pool()?;
    let store = Store::new(layout.objects.duplicate()?);
    let hashes = ReadHashes::default();
    let comparer = Comparer { layout, store: &store, depth, hashes: &hashes, stop };
    let mut compared = Compared::default();
    let mut lists = Vec::new();
    for record in records {
        match list(&comparer, record) {
            Ok(list) => {
                compared.releases.push(record.id.clone());
                compared.edited.extend(list.is_edited.then(|| record.id.clone()));
                lists.push(list);
            }
            Err(error) => compared.failed.push((record.id.clone(), error)),
        }
    }
    compared.differences = grouped(&compared.releases, lists);
    Ok(compared)
}

/// Compares one release with its manifest. Returns the first differences by path, and the number of all.
pub(crate) fn compare_one(layout: &Layout, record: &Record, depth: Depth) -> Result<(Vec<DiskDifference>, u64), Error> {
    threads::start_pool()?;
    let store = Store::new(layout.objects.duplicate()?);
    let (hashes, stop) = (ReadHashes::default(), Stop::default());
    let comparer = Comparer { layout, store: &store, depth, hashes: &hashes, stop: &stop };
    let (stored, found, total) = find(&comparer, record)?;
    let size = |difference: &FoundDifference| match difference.place {
        Place::Entry(entry) => stored.manifest.file(entry).map(|file| file.size),
        Place::Root | Place::Path(_) => None,
    };
    let mut listed: Vec<DiskDifference> = found
        .iter()
        .map(|difference| {
            let Difference { path, kind } = difference.to_report(&stored.manifest);
            let is_file = |stat: &&Stat| stat.kind == Kind::File;
            let bytes_after = difference.stat.as_ref().filter(is_file).map(|stat| stat.size);
            DiskDifference { path, kind, bytes_before: size(difference), bytes_after }
        })
        .collect();
    listed.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok((listed, total))
}

/// The differences of one release.
struct List {
    listed: Vec<Difference>,
    total: u64,
    /// Whether not all of them are added names.
    is_edited: bool,
}

/// Compares a release. Returns its manifest, the first differences, and the number of all.
fn find(comparer: &Comparer<'_>, record: &Record) -> Result<(StoredManifest, Vec<FoundDifference>, u64), Error> {
    let beside = comparer.layout.records.open_dir(record.id.as_str().as_bytes())?;
    let own = Own::read(&beside)?;
    let stored = read_manifest(comparer.layout, &record.id, &record.root)?;
    let mut found = comparer.compare(record, stored.view(), &own)?;
    let total = found.len() as u64;
    found.sort_unstable_by(|one, other| order(&one.place).cmp(&order(&other.place)));
    // Edits come before added names.
    found.truncate(LISTED_MAX);
    Ok((stored, found, total))
}

fn list(comparer: &Comparer<'_>, record: &Record) -> Result<List, Error> {
    let (stored, found, total) = find(comparer, record)?;
    let is_edited = found.iter().any(|difference| difference.kind != DifferenceKind::Added);
    let mut listed: Vec<Difference> =
        found.iter().map(|difference: &FoundDifference| difference.to_report(&stored.manifest)).collect();
    listed.sort_unstable();
    Ok(List { listed, total, is_edited })
}

fn order(place: &Place) -> (u32, &[u8]) {
    match place {
        Place::Root => (0, b""),
        Place::Entry(entry) => (*entry, b""),
        Place::Path(path) => (u32::MAX, path),
    }
}

/// Groups differences by the releases that have them.
fn grouped(releases: &[ReleaseId], lists: Vec<List>) -> Vec<Differences> {
    let further: Vec<u64> = lists.iter().map(|list| list.total - list.listed.len() as u64).collect();
    let mut holders: BTreeMap<Difference, Vec<usize>> = BTreeMap::new();
    for (at, list) in lists.into_iter().enumerate() {
        list.listed.into_iter().for_each(|difference| holders.entry(difference).or_default().push(at));
    }
    let mut groups: BTreeMap<Vec<usize>, Differences> = BTreeMap::new();
    for (difference, of) in holders {
        let named = of.iter().map(|&at| releases[at].clone()).collect();
        let group = groups.entry(of).or_insert(Differences { releases: named, paths: Vec::new(), total: 0 });
        group.total += 1;
        if group.paths.len() < NAMED_MAX {
            group.paths.push(difference);
        }
    }
    // The differences that are not listed count once, with the largest group of their release.
    let mut is_counted = vec![false; further.len()];
    for (at, further) in further.into_iter().enumerate() {
        let largest = groups.iter_mut().filter(|(of, _)| of.contains(&at)).max_by_key(|(_, group)| group.total);
        if let Some((of, group)) = largest.filter(|_| further > 0 && !is_counted[at]) {
            group.total += further;
            of.iter().for_each(|&other| is_counted[other] = true);
        }
    }
    groups.into_values().collect()
}

impl Compared {
    /// Returns the differences of one release.
    fn of<'a>(&'a self, id: &'a ReleaseId) -> impl Iterator<Item = &'a Differences> {
        self.differences.iter().filter(move |differences| differences.releases.contains(id))
    }

    /// Fails if a release differs from its manifest in more than added names, or could not be compared. Many applications
    /// write files beside their own, and a way back must be open to them.
    pub(crate) fn refuse(&mut self, id: &ReleaseId) -> Result<(), Error> {
        if let Some(at) = self.failed.iter().position(|(failed, _)| failed == id) {
            return Err(self.failed.swap_remove(at).1);
        }
        if self.edited.contains(id) { Err(error_of(self, id)) } else { Ok(()) }
    }

    /// Returns a warning for each group of differences, and for each release that could not be compared.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.differences.iter().map(warning_of).chain(self.failed_warnings()).collect()
    }

    /// Returns a warning for each release that could not be compared.
    pub(crate) fn failed_warnings(&self) -> impl Iterator<Item = String> {
        let warning = |(id, error): &(ReleaseId, Error)| {
            format!("Release {id} could not be compared with its manifest: {}", error.with_cause())
        };
        self.failed.iter().map(warning)
    }

    /// Returns it for a report.
    pub(crate) fn into_report(self, depth: Depth) -> ComparisonReport {
        let Compared { releases, differences, .. } = self;
        ComparisonReport { releases, content: depth == Depth::Content, differences }
    }
}

/// Returns the error for a release that differs from its manifest.
fn error_of(compared: &Compared, id: &ReleaseId) -> Error {
    let total = compared.of(id).map(|differences| differences.total).sum();
    let part = |differences: &Differences| {
        let others: Vec<&str> =
            differences.releases.iter().filter(|&other| other != id).map(ReleaseId::as_str).collect();
        match others[..] {
            [] => differences.to_string(),
            _ => format!("{differences} (the same in {})", others.join(", ")),
        }
    };
    let source = NamedDifferences(compared.of(id).map(part).collect::<Vec<_>>().join("; "));
    DamageError::Edited { id: id.clone(), total, source }.into()
}

/// Returns a warning for differences.
pub(crate) fn warning_of(differences: &Differences) -> String {
    match &differences.releases[..] {
        [id] => format!("Release {id} was changed on the server: {differences}"),
        several => {
            let ids: Vec<&str> = several.iter().map(ReleaseId::as_str).collect();
            format!("Releases {} were changed on the server in the same way: {differences}", ids.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(paths: &[&str], total: u64) -> List {
        let difference = |path: &&str| Difference { path: (*path).to_owned(), kind: DifferenceKind::Content };
        List { listed: paths.iter().map(difference).collect(), total, is_edited: true }
    }

    fn shown(lists: Vec<List>) -> Vec<String> {
        let releases: Vec<ReleaseId> = (1..=lists.len()).map(|id| id.to_string().parse().unwrap()).collect();
        grouped(&releases, lists)
            .iter()
            .map(|group| format!("{} {group}", group.releases.iter().map(ReleaseId::as_str).collect::<String>()))
            .collect()
    }

    #[test]
    fn differences_that_releases_have_alike_are_reported_once() {
        assert_eq!(shown(vec![list_of(&["a"], 1), list_of(&["a"], 1), list_of(&["a"], 1)]), ["123 `a` (content)"]);
        assert_eq!(
            shown(vec![list_of(&["a", "b"], 2), list_of(&[], 0), list_of(&["a"], 1)]),
            ["1 `b` (content)", "13 `a` (content)"]
        );
        assert_eq!(shown(vec![list_of(&["a"], 4), list_of(&["a"], 4)]), ["12 `a` (content) and 3 more"]);
        assert_eq!(shown(vec![list_of(&[], 0)]), Vec::<String>::new());
    }
}
