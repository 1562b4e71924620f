//! The part of a document that the bench writes: between two marks, each a line of its own.

use std::fs;
use std::path::Path;

use crate::failure::{Context, Failure, Result};

const BEGIN: &str = "<!-- runs: written by `bench digest` -->\n";
const END: &str = "<!-- end of runs -->\n";

/// Writes a text between the marks of a document, in place of the text that stands there.
pub(crate) fn replace(document: &Path, part: &str) -> Result<()> {
    let text = fs::read_to_string(document).context(|| format!("Could not read `{}`", document.display()))?;
    let text = replaced(&text, part).ok_or_else(|| {
        Failure::new(format!(
            "`{}` does not say where: it must hold the line `{}` and after it the line `{}`",
            document.display(),
            BEGIN.trim_end(),
            END.trim_end()
        ))
    })?;
    fs::write(document, text).context(|| format!("Could not write `{}`", document.display()))
}

fn replaced(text: &str, part: &str) -> Option<String> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some(format!("{}\n{part}\n{}", &text[..begin], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let expected = format!("before\n{BEGIN}\nnew\n\n{END}after\n");
        assert_eq!(replaced(&text, "new\n"), Some(expected.clone()));
        assert_eq!(replaced(&expected, "new\n"), Some(expected));
        assert_eq!(replaced("before\n", "new\n"), None);
        assert_eq!(replaced(&format!("{END}{BEGIN}"), "new\n"), None);
    }
}
