//! The text of a table while it is read, and the notes of its reader: secrets, and mistakes that count only where a value
//! is used.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::mistake::{Line, Mistake};
use crate::variables::{Grammar, Variables};

/// The shortest text that is masked. A shorter one stands in too many words, and tells little.
pub(crate) const SECRET_CHARACTERS_MIN: usize = 4;

/// The notes of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Mistakes in values of the environment, each with the key at the table's top.
    pub(crate) unusable: Vec<(String, Mistake)>,
    /// Texts from the environment that no output may show.
    pub(crate) secrets: BTreeSet<String>,
}

impl Notes {
    /// Returns whether the value of a key cannot be used.
    pub(crate) fn is_unusable(&self, key: &str) -> bool {
        self.unusable.iter().any(|(unusable, _)| unusable == key)
    }
}

/// The text of a table while it is read.
pub(crate) struct Page<'a> {
    /// The whole file. None: a value of the command line.
    text: Option<&'a str>,
    variables: &'a Variables,
    notes: RefCell<Notes>,
}

impl<'a> Page<'a> {
    /// Opens a page for one table of a text.
    pub(crate) fn new(text: Option<&'a str>, variables: &'a Variables) -> Page<'a> {
        Page { text, variables, notes: RefCell::default() }
    }

    /// Opens a page for another table of the text.
    pub(crate) fn of_another_table(&self) -> Page<'a> {
        Page::new(self.text, self.variables)
    }

    /// Returns the place of an offset in the text.
    pub(crate) fn line_at(&self, at: usize) -> Line {
        self.text.map_or(Line::Flag, |text| line_at(text, at))
    }

    /// Replaces the variables in a value, and notes their values as secrets if they are.
    pub(crate) fn expand(
        &self,
        value: &str,
        at: usize,
        (grammar, is_secret): (Grammar, bool),
    ) -> Result<String, Mistake> {
        let expanded = self.variables.expand(value, grammar).map_err(|error| Mistake {
            is_of_environment: error.is_of_environment,
            ..Mistake::new(self.line_at(at), error.reason).hint(error.hint)
        })?;
        if is_secret {
            let secrets = expanded.inserted.iter().flat_map(|value| secret_texts(value));
            self.notes.borrow_mut().secrets.extend(secrets);
        }
        Ok(expanded.text)
    }

    /// Notes the value of a variable as a secret. It must be set, and long enough to be masked.
    pub(crate) fn add_secret(&self, name: &str, at: usize) -> Result<(), Mistake> {
        self.expand(&format!("${{{name}}}"), at, (Grammar::Plain, true))
            .map_err(|mistake| mistake.hint(format!("Set `{name}`, or take it out of `secrets`")))?;
        let value = self.variables.get(name).ok().flatten().unwrap_or_default();
        if value.chars().count() < SECRET_CHARACTERS_MIN {
            let reason = format!(
                "the value of `{name}` has fewer than {SECRET_CHARACTERS_MIN} characters, and cannot be masked"
            );
            return Err(Mistake {
                is_of_environment: true,
                ..Mistake::new(self.line_at(at), reason)
                    .hint(format!("Choose a longer secret, or take `{name}` out of `secrets`"))
            });
        }
        Ok(())
    }

    /// Notes a mistake in the value of a key.
    pub(crate) fn note(&self, key: &str, mistake: Mistake) {
        self.notes.borrow_mut().unusable.push((key.to_owned(), mistake));
    }

    /// Returns the number of mistakes that were noted.
    pub(crate) fn mistakes(&self) -> usize {
        self.notes.borrow().unusable.len()
    }

    /// Returns the notes.
    pub(crate) fn finish(self) -> Notes {
        self.notes.into_inner()
    }
}

/// Returns the texts to mask for a secret: each of its lines, because output comes in lines.
fn secret_texts(value: &str) -> Vec<String> {
    let parts = value.lines().map(str::trim);
    parts.filter(|part| part.chars().count() >= SECRET_CHARACTERS_MIN).map(str::to_owned).collect()
}

/// Returns the line of an offset in a text.
pub(crate) fn line_at(text: &str, at: usize) -> Line {
    let before = &text.as_bytes()[..at.min(text.len())];
    Line::Number(1 + before.iter().filter(|&&byte| byte == b'\n').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_line_by_line() {
        assert_eq!(secret_texts("pass"), ["pass"]);
        assert_eq!(secret_texts("abc"), [""; 0]);
        assert_eq!(secret_texts("{\n  \"key\": 1\n}"), ["\"key\": 1"]);
    }
}
