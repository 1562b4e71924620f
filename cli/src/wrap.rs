//! Lines of a text that are not too long.

/// Returns the lines of a paragraph. A word that is longer than a line stays whole.
pub(crate) fn lines(paragraph: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(paragraph) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => *line += &format!(" {word}"),
            _ => lines.push(word),
        }
    }
    lines
}

/// Splits a sentence into words. What stands between backticks can be pasted, and is one.
fn words(sentence: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in sentence.split_whitespace() {
        match words.last_mut().filter(|_| is_open) {
            Some(last) => *last += &format!(" {word}"),
            None => words.push(word.to_owned()),
        }
        is_open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_pasted_stays_on_its_line() {
        let text = "Run  `cutover  status` and\nlook";
        assert_eq!(lines(text, 16), ["Run", "`cutover status`", "and look"]);
        assert_eq!(lines(text, 4), ["Run", "`cutover status`", "and", "look"]);
        assert_eq!(lines(" ", 4), [""; 0]);
    }
}
