//! Quotes the words of a command for a shell, so that each command in a message can be pasted.
//!
//! Only characters that no shell interprets stay unquoted. `[` and `=` are not among them: zsh interprets the one as
//! a pattern, and the other at the start of a word as the name of a program.

/// Quotes a word for a shell if necessary.
pub fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+,:@%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_it_otherwise() {
        let check = |word: &str, expected: &str| assert_eq!(quoted(word), expected);
        check("/srv/shop", "/srv/shop");
        check("me@web1:/srv/a-b_c.d+e,f%g", "me@web1:/srv/a-b_c.d+e,f%g");
        check("", "''");
        check("~/a", "'~/a'");
        check("a b", "'a b'");
        check("it's", "'it'\\''s'");
        check("[::1]:/srv", "'[::1]:/srv'");
        check("=ls", "'=ls'");
        check("$(rm)", "'$(rm)'");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["", "a", "it's", "a\\b", "$HOME `id` \"x\"", "*", "~", "-n", "café", "a\nb"] {
            let script = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
