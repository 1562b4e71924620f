//! Environment variables in config values: `${NAME}` and `${NAME:-default}`.
//!
//! `$${` writes the characters `${`. An unset name and an empty one are refused, because a path or a host with a hole
//! in it leads elsewhere; a default says that the hole is meant. A bare `$NAME` is refused where a reader would expect
//! its value. Decision 0024 has the rules and their reasons.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// The variables of the environment. Empty ones count as unset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeMap<OsString, OsString>);

impl FromIterator<(OsString, OsString)> for Variables {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(variables: T) -> Variables {
        Variables(variables.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }
}

/// The grammar of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// A path, a name, an address: a bare `$NAME` is refused.
    Plain,
    /// A pattern: a bare `$NAME` is refused, and `\$` and `[$]` are the character itself.
    Pattern,
    /// The value of an environment variable: `$NAME` stays, as in a password.
    Variable,
}

/// A value with its variables replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// The value.
    pub(crate) text: String,
    /// The values that came from the environment.
    pub(crate) inserted: Vec<String>,
}

/// The text for a variable.
enum Insertion<'a> {
    /// Its value in the environment.
    Value(&'a str),
    /// The default in the config.
    Default(&'a str),
}

/// The reason that a value cannot be expanded, and the way out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unexpanded {
    /// The reason.
    pub(crate) reason: String,
    /// The way out.
    pub(crate) hint: String,
    /// Whether another environment would do.
    pub(crate) is_of_environment: bool,
}

impl Variables {
    /// Returns a variable, if it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, Unexpanded> {
        let Some(value) = self.0.get(OsString::from(name).as_os_str()) else { return Ok(None) };
        value.to_str().map(Some).ok_or_else(|| Unexpanded {
            reason: format!("the environment variable `{name}` is not UTF-8 text"),
            hint: format!("Set `{name}` to text"),
            is_of_environment: true,
        })
    }

    /// Replaces the variables in a value.
    pub(crate) fn expand(&self, value: &str, grammar: Grammar) -> Result<Expanded, Unexpanded> {
        let mut expanded = Expanded::default();
        let mut rest = value;
        while let Some(at) = rest.find('$') {
            let before = &rest[..at];
            expanded.text += before;
            rest = &rest[at..];
            if grammar == Grammar::Pattern && before.ends_with('\\') {
                expanded.text.push('$');
                rest = &rest[1..];
            } else if let Some(after) = rest.strip_prefix("$${") {
                expanded.text += "${";
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let (insertion, end) = self.insertion(after)?;
                match insertion {
                    Insertion::Value(value) => {
                        expanded.text += value;
                        expanded.inserted.push(value.to_owned());
                    }
                    Insertion::Default(default) => expanded.text += default,
                }
                rest = end;
            } else {
                let name = &rest[1..1 + name_length(&rest[1..])];
                if grammar != Grammar::Variable && !name.is_empty() {
                    return Err(bare(name, grammar));
                }
                expanded.text.push('$');
                rest = &rest[1..];
            }
        }
        expanded.text += rest;
        Ok(expanded)
    }

    /// Returns the text for what follows `${`, and the rest behind its `}`.
    fn insertion<'a>(&'a self, text: &'a str) -> Result<(Insertion<'a>, &'a str), Unexpanded> {
        let (name, rest) = text.split_at(name_length(text));
        let (default, rest) = match (name, rest.strip_prefix('}'), rest.strip_prefix(":-")) {
            ("", ..) | (_, None, None) => return Err(malformed()),
            (_, Some(rest), _) => (None, rest),
            (_, _, Some(rest)) => {
                let (default, rest) = rest.split_once('}').ok_or_else(malformed)?;
                (Some(default), rest)
            }
        };
        match (self.get(name)?, default) {
            (Some(value), _) => Ok((Insertion::Value(value), rest)),
            (None, Some(default)) => Ok((Insertion::Default(default), rest)),
            (None, None) => Err(Unexpanded {
                reason: format!("the environment variable `{name}` is not set, or is empty"),
                hint: format!("Set it, or give a default: `${{{name}:-default}}`"),
                is_of_environment: true,
            }),
        }
    }
}

/// Returns whether a value has a variable that is replaced.
pub(crate) fn has_variable(value: &str) -> bool {
    let mut starts = value.match_indices("${");
    starts.any(|(at, _)| !value[..at].ends_with('$'))
}

/// Returns whether `name` can name a variable.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name_length(name) == name.len()
}

/// Returns the length of the name at the start of a text: letters, digits and `_`, and no digit first.
fn name_length(text: &str) -> usize {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return 0;
    }
    text.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_')).unwrap_or(text.len())
}

fn malformed() -> Unexpanded {
    Unexpanded {
        reason: "`${` begins no variable".into(),
        hint: "Write `${NAME}` or `${NAME:-default}`; `$${` writes the characters themselves".into(),
        is_of_environment: false,
    }
}

fn bare(name: &str, grammar: Grammar) -> Unexpanded {
    let itself = if grammar == Grammar::Pattern { ", or `[$]` for the character itself" } else { "" };
    Unexpanded {
        reason: format!("`${name}` is not expanded"),
        hint: format!("Write `${{{name}}}`{itself}"),
        is_of_environment: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("A", "one"), ("B_2", "$A ${A}"), ("EMPTY", "")]
            .map(|(name, value)| (name.into(), value.into()))
            .into_iter()
            .collect()
    }

    fn expand(value: &str, grammar: Grammar) -> Result<String, String> {
        let found = variables().expand(value, grammar).map(|expanded| expanded.text);
        found.map_err(|error| format!("{} / {}", error.reason, error.hint))
    }

    #[test]
    fn a_variable_is_replaced_once() {
        for grammar in [Grammar::Plain, Grammar::Pattern, Grammar::Variable] {
            let check = |value: &str, expected: &str| {
                assert_eq!(expand(value, grammar).as_deref(), Ok(expected), "{value} as {grammar:?}");
            };
            check("", "");
            check("/srv/${A}/x", "/srv/one/x");
            check("${A}${A}", "oneone");
            check("${B_2}", "$A ${A}");
            check("${NONE:-two}", "two");
            check("${EMPTY:-two}", "two");
            check("${EMPTY:-}", "");
            check("${A:-two}", "one");
            check("$${A}", "${A}");
            check("$$${A}", "$${A}");
            check("a$", "a$");
            check("a$1 $ {A}", "a$1 $ {A}");
        }
    }

    #[test]
    fn a_bare_variable_stays_where_another_program_reads_it() {
        const HINT: &str = "`$A` is not expanded / Write `${A}`";
        assert_eq!(expand("/srv/$A", Grammar::Plain), Err(HINT.into()));
        assert_eq!(expand("$A", Grammar::Pattern), Err(format!("{HINT}, or `[$]` for the character itself")));
        assert_eq!(expand(r"\$A/\${A}", Grammar::Pattern), Ok(r"\$A/\${A}".into()));
        assert_eq!(expand("[$]A", Grammar::Pattern), Ok("[$]A".into()));
        assert_eq!(expand("pa$A$$word", Grammar::Variable), Ok("pa$A$$word".into()));
    }

    #[test]
    fn a_hole_is_refused() {
        for (value, name) in [("${NONE}", "NONE"), ("x${EMPTY}", "EMPTY")] {
            let error = variables().expand(value, Grammar::Plain).unwrap_err();
            assert_eq!(error.reason, format!("the environment variable `{name}` is not set, or is empty"));
            assert_eq!(error.hint, format!("Set it, or give a default: `${{{name}:-default}}`"));
            assert!(error.is_of_environment);
        }
        for value in ["${", "${}", "${1A}", "${A", "${A B}", "${A-x}", "${A:-x", "${A:?x}", "${A%x}", "${Ä}"] {
            assert_eq!(variables().expand(value, Grammar::Variable), Err(malformed()), "{value}");
        }
    }

    #[test]
    fn values_of_the_environment_are_told() {
        let expanded = variables().expand("${A}:${NONE:-x}", Grammar::Variable).unwrap();
        assert_eq!(expanded.inserted, ["one"]);
        assert!(has_variable("a${A}") && has_variable("$${A}${B}") && !has_variable("$A $${A}"));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let variables: Variables = [("A".into(), OsString::from_vec(vec![0xff]))].into_iter().collect();
        let error = variables.expand("${A}", Grammar::Plain).unwrap_err();
        assert_eq!(error.reason, "the environment variable `A` is not UTF-8 text");
    }
}
