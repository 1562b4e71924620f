//! The rules in the directories of a scan, for questions about single paths.

use std::collections::HashMap;

use crate::client::ignore_file::{self, IGNORE_FILE};
use crate::client::rules::SourceRules;
use crate::path::push_name;

use super::subject::Review;

/// The rules of directories, each made on demand.
pub(super) struct DirectoryRules<'a> {
    review: &'a Review<'a>,
    rules: HashMap<u32, SourceRules>,
}

impl<'a> DirectoryRules<'a> {
    pub(super) fn new(review: &'a Review<'a>) -> DirectoryRules<'a> {
        DirectoryRules { review, rules: HashMap::new() }
    }

    /// Tells whether a pattern brings in an entry of a directory, or a directory above it.
    pub(super) fn is_meant(&mut self, mut directory: u32, mut path: &[u8], mut is_directory: bool) -> bool {
        loop {
            if self.of(directory).verdict(path, is_directory) == Some(false) {
                return true;
            }
            let Some(slash) = memchr::memrchr(b'/', path) else { return false };
            path = &path[..slash];
            directory = self.review.found.manifest.directories()[directory as usize].parent;
            is_directory = true;
        }
    }

    fn of(&mut self, directory: u32) -> SourceRules {
        if let Some(rules) = self.rules.get(&directory) {
            return rules.clone();
        }
        let Review { source, held, found, .. } = self.review;
        let mut rules = match directory {
            0 => self.review.rules.clone(),
            _ => self.of(found.manifest.directories()[directory as usize].parent),
        };
        if found.rule_file(directory).is_some() {
            let path = found.manifest.directory_path(directory);
            let mut file = path.clone();
            push_name(&mut file, IGNORE_FILE);
            // If it cannot be read, the scan has reported that.
            let text = ignore_file::read(source, held, &file, &file).ok().flatten();
            if let Some(entered) = text.and_then(|text| rules.with(&path, &text).ok()) {
                rules = entered;
            }
        }
        self.rules.insert(directory, rules.clone());
        rules
    }
}
