//! A pattern that means one path and no other, for a line that a user adds to a list of patterns.

/// Returns a pattern that matches one path alone.
pub(crate) fn pattern_of(path: &str) -> String {
    let mut pattern = "/".to_owned();
    for letter in path.chars() {
        if matches!(letter, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    if pattern.ends_with(' ') {
        pattern.insert(pattern.len() - 1, '\\');
    }
    pattern
}
