//! Circles of imports: files each of which leads back to itself through its imports.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Imports;

/// Files that all lead to each other, with the imports between them.
pub(crate) struct Circle {
    pub(crate) ties: Imports,
}

impl Circle {
    /// Finds all circles.
    pub(crate) fn find(imports: &Imports) -> Vec<Circle> {
        let mut direct: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (from, to) in imports.keys() {
            direct.entry(from).or_default().push(to);
        }
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            direct.keys().map(|from| (*from, reached(&direct, from))).collect();
        let lead_to = |from: &str, to: &str| reached.get(from).is_some_and(|reached| reached.contains(to));
        let mut circles: Vec<Circle> = Vec::new();
        for (from, reached) in &reached {
            let files: BTreeSet<String> =
                reached.iter().filter(|file| lead_to(file, from)).map(|file| (*file).to_owned()).collect();
            if files.first().is_some_and(|first| first == from) {
                let is_tie = |(from, to): &(String, String)| files.contains(from) && files.contains(to);
                let ties = imports.iter().filter(|(files, _)| is_tie(files));
                circles.push(Circle { ties: ties.map(|(files, names)| (files.clone(), names.clone())).collect() });
            }
        }
        circles
    }
}

/// Returns all files to which a file leads.
fn reached<'a>(direct: &BTreeMap<&str, Vec<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(file) = waiting.pop() {
        for to in direct.get(file).into_iter().flatten() {
            if reached.insert(*to) {
                waiting.push(to);
            }
        }
    }
    reached
}
