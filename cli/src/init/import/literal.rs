//! Values that stand in a script as they are.

use std::cell::Cell;

/// The longest text that code may be replaced in.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// A text, perhaps with code in it.
    Text(Vec<Part>),
    /// A whole number.
    Number(i64),
    /// A truth value.
    Boolean(bool),
    /// A list.
    List(Vec<Literal>),
    /// A table, in its order.
    Map(Vec<(String, Literal)>),
    /// Nothing: `nil`, `null`.
    Nothing,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Characters.
    Plain(String),
    /// Code whose value stands there.
    Code(String),
}

/// The names that may still be looked up for one value: settings that name each other have none.
#[derive(Debug)]
pub(crate) struct Lookups(Cell<u32>);

impl Default for Lookups {
    fn default() -> Lookups {
        Lookups(Cell::new(100))
    }
}

impl Lookups {
    /// Counts one. None if there were too many.
    pub(crate) fn take(&self) -> Option<()> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(())
    }
}

impl Literal {
    /// Makes a text without code.
    pub(crate) fn plain(text: impl Into<String>) -> Literal {
        Literal::Text(vec![Part::Plain(text.into())])
    }

    /// Returns a text without code.
    pub(crate) fn as_plain(&self) -> Option<String> {
        let Literal::Text(parts) = self else { return None };
        let plain = |part: &Part| match part {
            Part::Plain(text) => Some(text.clone()),
            Part::Code(_) => None,
        };
        parts.iter().map(plain).collect()
    }

    /// Returns the text with its code replaced, if all of it can be.
    pub(crate) fn text(&self, replace: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let Literal::Text(parts) = self else { return None };
        let mut whole = String::new();
        for part in parts {
            match part {
                Part::Plain(text) => whole += text,
                Part::Code(code) => whole += &replace(code.trim())?,
            }
            if whole.len() > TEXT_BYTES_MAX {
                return None;
            }
        }
        Some(whole)
    }

    /// Returns a whole number, also one that stands in a text.
    pub(crate) fn as_number(&self) -> Option<i64> {
        match self {
            Literal::Number(number) => Some(*number),
            other => other.as_plain()?.trim().parse().ok(),
        }
    }

    /// Returns the items of a list; another value is a list of itself.
    pub(crate) fn items(&self) -> Vec<&Literal> {
        match self {
            Literal::List(items) => items.iter().collect(),
            other => vec![other],
        }
    }

    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Literal> {
        match self {
            Literal::Map(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}
