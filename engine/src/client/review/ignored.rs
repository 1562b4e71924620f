//! The files of a scan that git ignores.
//!
//! Git ignores only what it does not track. It is asked for that where patterns match anything, which in most checkouts they
//! do not. What git ignores by a user's own configuration, outside the checkout, is not known here.
//!
//! To look at 80,000 paths takes a tenth of the time of a scan, so what was found is kept. It holds as long as all that it was
//! made of is the same: the manifest, the patterns and git's index.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::bytes::put_bytes;
use crate::client::review::checkout::{Checkout, Ignored};
use crate::client::review::{Paths, Review, RulesByDirectory};
use crate::client::rules::GITIGNORE;
use crate::hash::Hash;
use crate::manifest::Node;
use crate::path::push_name;

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IgnoredFiles {
    /// The hash of all that they were found by.
    basis: Hash,
    paths: Paths,
    /// Whether git told which of them it tracks.
    is_told: bool,
}

impl IgnoredFiles {
    /// Finds them, or takes those that are kept. Returns whether they are new.
    pub(super) fn find(review: &Review<'_>, kept: Option<&IgnoredFiles>) -> (IgnoredFiles, bool) {
        let Some(checkout) = Checkout::around(review.source) else {
            let none = IgnoredFiles { basis: Hash::of(b""), paths: Paths::default(), is_told: true };
            return (none, false);
        };
        let basis = basis(review, &checkout);
        if let Some(kept) = kept.filter(|kept| kept.basis == basis) {
            return (kept.clone(), false);
        }
        let mut files = files(review, &checkout);
        let is_told = checkout.untrack(&mut files);
        (IgnoredFiles { basis, paths: Paths::of(&files), is_told }, true)
    }

    /// Returns the warning, where there are any.
    pub(super) fn warning(&self) -> Option<String> {
        let IgnoredFiles { paths, is_told, .. } = self;
        let count = paths.count("1 file is deployed that git ignores", "{} files are deployed that git ignores");
        let doubt = if *is_told { "" } else { ", unless it tracks them, which it does not tell" };
        let advice = "Leave out what should not go live with a line in `.deployignore`; a line with `!` before it says that a \
                      path is meant";
        (paths.number > 0).then(|| format!("{count}{doubt}: {paths}. {advice}"))
    }
}

/// Returns a hash of all that decides which files are ignored. The ignore files that are deployed are part of the manifest.
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
    let mut rules = RulesByDirectory::new(review);
    let mut files = Vec::new();
    // Directories are numbered in the order in which those above them name them. Of each: its path in the checkout, and what
    // is ignored in it; nothing where all of it is meant.
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
                let is_meant = rules.mean(number, checkout.path_in_source(&path), is_directory);
                within = if is_meant { None } else { Some(&Ignored::All) };
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
