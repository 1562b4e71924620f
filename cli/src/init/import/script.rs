//! The words of a script, of Ruby or PHP: names, texts, numbers and signs, each with its place.
//!
//! A text between quotes is one word, with the code in it apart. Comments are left out. A script that ends in the middle
//! of a text or a comment ends there.

use super::literal::{Literal, Part};

/// A word of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// A name: of a function, a variable, a keyword.
    Name(String),
    /// A value that stands there: a text, a number, a list of words.
    Value(Literal),
    /// A sign, such as `(` or `=>`.
    Sign(&'static str),
    /// Something of which nothing is known: a text of another kind, a sign that no setting has.
    Other,
    /// The end of a line, where it may end a statement.
    Break,
}

/// A word and its offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The word.
    pub(crate) word: Word,
    /// The offset.
    pub(crate) at: usize,
}

/// The signs that matter, longer ones first.
const SIGNS: [&str; 17] = ["=>", "->", "::", "(", ")", "[", "]", "{", "}", ",", ";", ".", ":", "|", "+", "=", "\\"];

impl Token {
    /// Returns whether the word is this sign.
    pub(crate) fn is(&self, sign: &str) -> bool {
        matches!(self.word, Word::Sign(found) if found == sign)
    }

    /// Returns the name, if the word is one.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.word {
            Word::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// A script while it is read.
pub(crate) struct Reader<'a> {
    /// The whole text.
    pub(crate) text: &'a str,
    /// The offset of what was not read yet.
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    /// Returns the rest.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Returns the next character, and goes behind it.
    pub(crate) fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Goes behind a text, if it comes next.
    pub(crate) fn skip(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Goes behind the next place of a text, or to the end.
    pub(crate) fn skip_past(&mut self, text: &str) {
        self.at = self.rest().find(text).map_or(self.text.len(), |found| self.at + found + text.len());
    }

    /// Goes to the end of the line.
    pub(crate) fn skip_line(&mut self) {
        self.at = self.rest().find('\n').map_or(self.text.len(), |found| self.at + found);
    }

    /// Reads the characters that fit.
    pub(crate) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c: char| !fits(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Reads a sign, a name or a number, which both languages write alike. `of_name` are further characters of names.
    pub(crate) fn word(&mut self, of_name: &str) -> Word {
        if let Some(sign) = SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            self.at += sign.len();
            return Word::Sign(sign);
        }
        let first = self.rest().chars().next().unwrap_or_default();
        let is_of_name = |c: char| c.is_alphanumeric() || c == '_' || of_name.contains(c);
        let is_negative = first == '-' && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || is_negative {
            self.at += usize::from(is_negative);
            let digits = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '.');
            return match digits.replace('_', "").parse::<i64>() {
                Ok(number) => Word::Value(Literal::Number(if is_negative { -number } else { number })),
                Err(_) => Word::Other,
            };
        }
        if is_of_name(first) {
            return match self.take_while(is_of_name) {
                "true" | "TRUE" => Word::Value(Literal::Boolean(true)),
                "false" | "FALSE" => Word::Value(Literal::Boolean(false)),
                "nil" | "null" | "NULL" => Word::Value(Literal::Nothing),
                name => Word::Name(name.to_owned()),
            };
        }
        self.next();
        Word::Other
    }

    /// Reads a text up to its closing sign. `code` reads what begins code in it, from behind its first sign; `escapes`
    /// says whether `\n` and `\t` are one character.
    pub(crate) fn text(
        &mut self,
        close: char,
        escapes: bool,
        code: impl Fn(&mut Reader<'a>) -> Option<String>,
    ) -> Literal {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        loop {
            let before = self.at;
            if let Some(code) = code(self) {
                if !plain.is_empty() {
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                }
                parts.push(Part::Code(code));
                continue;
            }
            self.at = before;
            match self.next() {
                None => break,
                Some(end) if end == close => break,
                Some('\\') => plain.push_str(&self.escaped(close, escapes)),
                Some(character) => plain.push(character),
            }
        }
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Plain(plain));
        }
        Literal::Text(parts)
    }

    fn escaped(&mut self, close: char, escapes: bool) -> String {
        match self.next() {
            Some('n') if escapes => "\n".into(),
            Some('t') if escapes => "\t".into(),
            Some('e') if escapes => "\u{1b}".into(),
            Some(character) if escapes || character == close || character == '\\' => character.to_string(),
            Some(character) => format!("\\{character}"),
            None => String::new(),
        }
    }

    /// Reads code up to the closing brace that belongs to an opening one before.
    pub(crate) fn code(&mut self) -> String {
        let (start, mut depth) = (self.at, 1_usize);
        while let Some(character) = self.next() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return self.text[start..self.at - 1].to_owned();
            }
        }
        self.text[start..].to_owned()
    }
}
