//! The files of a scan that git ignores.
//!
//! Git ignores only untracked files. Cutover asks it for the tracked ones if patterns match anything, which is rare in
//! most checkouts. Patterns of a user's own configuration, outside the checkout, are unknown here.
//!
//! Matching 80,000 paths takes a tenth of the time of a scan, so the result is kept. It holds as long as everything
//! that it was made of is the same: the manifest, the patterns and git's index.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::bytes::put_bytes;
use crate::client::checkout::{Checkout, GITIGNORE, IgnoredEntries};
use crate::hash::Hash;
use crate::manifest::Node;
use crate::path::push_name;

use super::directory_rules::DirectoryRules;
use super::paths::Paths;
use super::subject::Review;

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IgnoredFiles {
    /// The hash of everything that the files were found by.
    basis: Hash,
    paths: Paths,
    /// Whether git said which files it tracks.
    is_tracking_known: bool,
}

impl IgnoredFiles {
    /// Finds the files, or returns the kept ones. Returns also whether they are new.
    pub(super) fn find(review: &Review<'_>, kept: Option<&IgnoredFiles>) -> (IgnoredFiles, bool) {
        let around = review.warns_of_ignored.then(|| Checkout::around(review.source)).flatten();
        let Some(checkout) = around else {
            let none = IgnoredFiles { basis: Hash::of(b""), paths: Paths::default(), is_tracking_known: true };
            return (none, false);
        };
        let basis = basis(review, &checkout);
        if let Some(kept) = kept.filter(|kept| kept.basis == basis) {
            return (kept.clone(), false);
        }
        let mut files = files(review, &checkout);
        let is_tracking_known = checkout.remove_tracked(&mut files);
        (IgnoredFiles { basis, paths: Paths::of(&files), is_tracking_known }, true)
    }

    /// Returns the warning, if there are such files.
    pub(super) fn warning(&self) -> Option<String> {
        let IgnoredFiles { paths, is_tracking_known, .. } = self;
        let count = paths.count("1 file is deployed that git ignores", "{} files are deployed that git ignores");
        let doubt = if *is_tracking_known { "" } else { " or tracks (`git` did not say which)" };
        let advice = "To leave a path out, add a line to `.deployignore`; to deploy it without this warning, put `!` before \
                      the line";
        (paths.number > 0).then(|| format!("{count}{doubt}: {paths}. {advice}"))
    }
}

/// Returns a hash of everything that decides which files are ignored. Deployed ignore files are part of the manifest.
fn basis(review: &Review<'_>, checkout: &Checkout) -> Hash {
    let Review { found, held, .. } = review;
    let mut bytes = checkout.basis();
    bytes.extend_from_slice(found.manifest.root().as_bytes());
    bytes.extend_from_slice(found.rules.as_bytes());
    for (directory, hash) in &found.rule_files {
        bytes.extend_from_slice(&directory.to_le_bytes());
        bytes.extend_from_slice(hash.as_bytes());
    }
    for &directory in &found.noted {
        if found.manifest.child(directory, GITIGNORE).is_none() {
            bytes.extend_from_slice(&directory.to_le_bytes());
            let text = Checkout::read_in(held, &found.manifest.directory_path(directory));
            put_bytes(&mut bytes, &text.unwrap_or_default());
        }
    }
    Hash::of(&bytes)
}

/// Returns the files that patterns of git match, tracked or not.
fn files(review: &Review<'_>, checkout: &Checkout) -> Vec<Vec<u8>> {
    let Review { found, held, .. } = review;
    let manifest = &found.manifest;
    let mut rules = DirectoryRules::new(review);
    let mut files = Vec::new();
    // Directories are numbered in the order in which those above name them. Each has its path in the checkout, and its
    // ignored entries; none if a pattern brings all of it in.
    let mut directories = VecDeque::from([(checkout.path_of(b""), Some(checkout.root()))]);
    let mut numbers = 0..;
    while let (Some((mut path, ignored)), Some(number)) = (directories.pop_front(), numbers.next()) {
        let ignored = match ignored {
            Some(ignored) if found.has_noted(number) => Some(checkout.enter(&ignored, held, &path)),
            other => other,
        };
        let length = path.len();
        for named in manifest.children(number).filter(|named| !found.is_generated(named.index)) {
            path.truncate(length);
            push_name(&mut path, named.name);
            let is_directory = matches!(named.node, Node::Directory(_));
            let mut within = ignored.as_ref();
            if within.is_some_and(|ignored| ignored.has(&path, is_directory)) {
                let is_meant = rules.is_meant(number, checkout.path_in_source(&path), is_directory);
                within = if is_meant { None } else { Some(&IgnoredEntries::All) };
                if !is_meant && !is_directory {
                    files.push(checkout.path_in_source(&path).to_vec());
                }
            }
            if is_directory {
                directories.push_back((path.clone(), within.cloned()));
            }
        }
    }
    files
}
