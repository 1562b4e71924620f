//! Makes a pattern for exactly one path, for a line that a user adds to an ignore file.

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
