//! The shapes of values in `cutover.toml`, for its schema and for those who print values.
//!
//! A shape allows more than the reader of a key: the reader may still refuse the value.

/// The shape of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// A text that nobody may see.
    Secret,
    /// A command: `$NAME` and `${NAME}` in it belong to a shell.
    Command,
    /// A path.
    Path,
    /// An absolute path.
    AbsolutePath,
    /// A whole number from the first to the second.
    Number(u32, u32),
    /// A truth value.
    Boolean,
    /// A number and a unit.
    Duration,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A text, or a list of texts.
    TextOrList,
    /// A list of texts.
    Texts,
    /// A list of patterns.
    Patterns,
    /// A list of shared paths, with these rules for a path that both sides have.
    SharedPaths {
        /// The rules for a path that both sides have.
        conflict: &'static [&'static str],
        /// The rules for a path that `shared/` lacks.
        missing: &'static [&'static str],
    },
    /// A table of texts.
    Map,
    /// A list of tables.
    Tables(&'static Table),
}

/// The shape of one of several tables.
#[derive(Debug)]
pub(crate) struct Table {
    /// The section of the docs that describes its keys.
    pub(crate) section: &'static str,
    /// The keys.
    pub(crate) keys: &'static [(&'static str, Shape)],
    /// The keys that it must have.
    pub(crate) required: &'static [&'static str],
    /// The keys of which it must have one.
    pub(crate) either: &'static [&'static str],
}

/// Returns the words of a list of words with their meanings.
pub(crate) const fn words<T: Copy, const N: usize>(list: &[(&'static str, T); N]) -> [&'static str; N] {
    let (mut words, mut at) = ([""; N], 0);
    while at < N {
        words[at] = list[at].0;
        at += 1;
    }
    words
}
