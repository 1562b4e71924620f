//! What of the source is left out: `.git`, `exclude` and `.deployignore`.
//!
//! Patterns of `exclude` are asked first, then the `.deployignore` of the directory, then those above it. The first
//! that speaks of a path decides. A directory that is left out is not entered, as in git.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use crate::bytes::put_bytes;
use crate::error::Error;
use crate::hash::Hash;
use crate::path::Shown;
use crate::pattern::Patterns;

/// The name of the file with patterns, in any directory of the source.
pub(crate) const IGNORE_FILE: &[u8] = b".deployignore";

/// The patterns in force in one directory.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    exclude: Arc<Patterns>,
    nearest: Option<Arc<Level>>,
}

#[derive(Debug)]
struct Level {
    patterns: Patterns,
    /// The length of the path of the directory that they stand in, with the slash after it.
    prefix: usize,
    above: Option<Arc<Level>>,
}

impl Rules {
    /// Starts with the patterns of `exclude`.
    pub(crate) fn new(exclude: &[String]) -> Result<Rules, Error> {
        let patterns = Patterns::parse(exclude.iter().map(String::as_str), "`exclude`")?;
        Ok(Rules { exclude: Arc::new(patterns), nearest: None })
    }

    /// Returns a hash of `exclude` patterns: equal where the rules begin equal.
    pub(crate) fn hash_of(exclude: &[String]) -> Hash {
        let mut bytes = Vec::new();
        for pattern in exclude {
            put_bytes(&mut bytes, pattern.as_bytes());
        }
        Hash::of(&bytes)
    }

    /// Tells whether a path need not be known: nothing but `.git` is left out.
    pub(crate) fn is_plain(&self) -> bool {
        self.exclude.is_empty() && self.nearest.is_none()
    }

    /// Adds the patterns of a directory's own `.deployignore`. Returns the hash of that file too.
    pub(crate) fn enter(&self, directory: &[u8], mut file: File) -> Result<(Rules, Hash), Error> {
        let mut path = directory.to_vec();
        crate::path::push_name(&mut path, IGNORE_FILE);
        let place = format!("`{}`", Shown(&path));
        let mut text = Vec::new();
        file.read_to_end(&mut text)
            .map_err(|source| Error::SourceUnreadable { path: Shown(&path).to_string(), source })?;
        let hash = Hash::of(&text);
        let patterns = Patterns::parse_file(&text, &place)?;
        let prefix = if directory.is_empty() { 0 } else { directory.len() + 1 };
        let level = Level { patterns, prefix, above: self.nearest.clone() };
        Ok((Rules { exclude: self.exclude.clone(), nearest: Some(Arc::new(level)) }, hash))
    }

    /// Tells whether a path of the source is left out.
    pub(crate) fn leave_out(&self, path: &[u8], name: &[u8], is_directory: bool) -> bool {
        if is_always_left_out(name) {
            return true;
        }
        if !self.exclude.is_empty()
            && let Some(meant) = self.exclude.speak_of(path, is_directory)
        {
            return meant;
        }
        let mut level = self.nearest.as_deref();
        while let Some(Level { patterns, prefix, above }) = level {
            if let Some(meant) = patterns.speak_of(&path[*prefix..], is_directory) {
                return meant;
            }
            level = above.as_deref();
        }
        false
    }
}

/// Tells whether no rule can bring a name in.
pub(crate) fn is_always_left_out(name: &[u8]) -> bool {
    name == b".git"
}
