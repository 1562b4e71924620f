//! Mistakes in the config: a value with its place, a mistake with its place, and the words for them.

/// A value and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// A mistake in the file: its line, its reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The reason.
    pub(crate) reason: String,
    /// The way out.
    pub(crate) hint: Option<String>,
}

impl Mistake {
    /// Adds the way out.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Mistake {
        Mistake { hint: Some(hint.into()), ..self }
    }
}

/// The similarity from which a word is suggested: `keep_release` has 0.98 to `keep_releases`, unrelated words less
/// than 0.7.
const ALIKE: f64 = 0.8;

/// Returns the word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |known: &&str| strsim::jaro_winkler(word, known);
    let nearest = known.into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    nearest.filter(|known| alike(known) >= ALIKE)
}

/// Returns the line of an offset in the text, from 1.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

/// Joins names for people: `a`, `b` and `c`.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
