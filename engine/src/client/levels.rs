//! Patterns that lie in the directories of a tree, each for its directory and all below.

use std::sync::Arc;

use crate::pattern::Patterns;

/// The patterns of one directory and of those above it. The nearest match decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels(Option<Arc<Level>>);

#[derive(Debug)]
struct Level {
    patterns: Patterns,
    /// The length of the path of their directory, with the slash after it.
    prefix: usize,
    above: Levels,
}

impl Levels {
    /// Adds the patterns of a directory below.
    pub(crate) fn with(&self, directory: &[u8], patterns: Patterns) -> Levels {
        let prefix = if directory.is_empty() { 0 } else { directory.len() + 1 };
        Levels(Some(Arc::new(Level { patterns, prefix, above: self.clone() })))
    }

    /// Tells whether there are any patterns.
    pub(crate) fn has_any(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the verdict on a path, as [`Patterns::verdict`] does. Only patterns of directories above it count.
    pub(crate) fn verdict(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        let mut level = self.0.as_deref();
        while let Some(Level { patterns, prefix, above }) = level {
            let verdict = path.get(*prefix..).and_then(|path| patterns.verdict(path, is_directory));
            if verdict.is_some() {
                return verdict;
            }
            level = above.0.as_deref();
        }
        None
    }
}
