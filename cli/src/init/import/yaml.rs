//! YAML as a tree of values with their lines.
//!
//! Anchors are refused: a few lines of them can mean gigabytes.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::file::SourceFile;
use super::literal::Literal;
use crate::failure::Failure;

/// The deepest nesting.
const DEPTH_MAX: usize = 40;

/// A value and its line.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The value.
    pub(crate) kind: Kind,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A text, a number, a truth value or nothing.
    Value(Literal),
    /// A list.
    List(Vec<Node>),
    /// A table, in its order. Each key has its line.
    Map(Vec<(String, usize, Node)>),
}

impl Node {
    /// Returns the value of a table's key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.pairs().iter().find(|(name, ..)| name == key).map(|(.., node)| node)
    }

    /// Returns the pairs of a table.
    pub(crate) fn pairs(&self) -> &[(String, usize, Node)] {
        match &self.kind {
            Kind::Map(pairs) => pairs,
            _ => &[],
        }
    }

    /// Returns the items of a list; another value is a list of itself.
    pub(crate) fn items(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Value(Literal::Nothing) => Vec::new(),
            _ => vec![self],
        }
    }

    /// Returns a text, also of a number.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.kind {
            Kind::Value(Literal::Number(number)) => Some(number.to_string()),
            Kind::Value(value) => value.as_plain(),
            _ => None,
        }
    }

    /// Returns the value without its lines.
    pub(crate) fn literal(&self) -> Literal {
        match &self.kind {
            Kind::Value(value) => value.clone(),
            Kind::List(items) => Literal::List(items.iter().map(Node::literal).collect()),
            Kind::Map(pairs) => {
                Literal::Map(pairs.iter().map(|(name, _, node)| (name.clone(), node.literal())).collect())
            }
        }
    }
}

/// Reads the first document of a file.
pub(crate) fn read(file: &SourceFile) -> Result<Node, Failure> {
    let wrong = |reason: String| Failure::usage(format!("Could not read `{}`", file.name)).because(&reason);
    let mut events = Events { parser: Parser::new_from_str(&file.text) };
    loop {
        let (event, span) = events.next().map_err(wrong)?;
        match event {
            Event::StreamEnd => return Ok(nothing(1)),
            Event::StreamStart | Event::DocumentStart(_) => {}
            event => return events.node(event, span, 0).map_err(wrong),
        }
    }
}

fn nothing(line: usize) -> Node {
    Node { line, kind: Kind::Value(Literal::Nothing) }
}

/// The events of a parser.
struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.parser.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("It ends too early".to_owned()),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, String> {
        let line = span.start.line();
        if depth > DEPTH_MAX {
            return Err(format!("line {line}: it is nested too deep"));
        }
        let kind = match event {
            Event::Scalar(text, style, ..) => Kind::Value(scalar(&text, style)),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Kind::List(items),
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut pairs = Vec::new();
                loop {
                    let (event, span) = match self.next()? {
                        (Event::MappingEnd, _) => break Kind::Map(pairs),
                        next => next,
                    };
                    let key = self.node(event, span, depth + 1)?;
                    let name = key.text().ok_or_else(|| format!("line {}: a key is no text", key.line))?;
                    let (event, span) = self.next()?;
                    pairs.push((name, key.line, self.node(event, span, depth + 1)?));
                }
            }
            Event::Alias(..) => return Err(format!("line {line}: aliases (`*name`) are not read")),
            _ => Kind::Value(Literal::Nothing),
        };
        Ok(Node { line, kind })
    }
}

/// Reads a value that is not quoted as what it looks like.
fn scalar(text: &str, style: ScalarStyle) -> Literal {
    if style != ScalarStyle::Plain {
        return Literal::plain(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Literal::Nothing,
        "true" | "True" | "TRUE" => Literal::Boolean(true),
        "false" | "False" | "FALSE" => Literal::Boolean(false),
        text => text.parse().map_or_else(|_| Literal::plain(text), Literal::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_lines() {
        let file = SourceFile::new("a", "a: 1\nb:\n  - x\n  - 'true'\nc: { d: true, e: ~ }\n");
        let node = read(&file).unwrap();
        assert_eq!(node.get("a").unwrap().literal(), Literal::Number(1));
        let items: Vec<(usize, Option<String>)> =
            node.get("b").unwrap().items().into_iter().map(|item| (item.line, item.text())).collect();
        assert_eq!(items, [(3, Some("x".into())), (4, Some("true".into()))]);
        let map = vec![("d".into(), Literal::Boolean(true)), ("e".into(), Literal::Nothing)];
        assert_eq!(node.get("c").unwrap().literal(), Literal::Map(map));
        assert_eq!(read(&SourceFile::new("a", "")).unwrap().literal(), Literal::Nothing);
    }

    #[test]
    fn odd_files_are_refused() {
        for text in ["a: [", "a: &x 1\nb: *x", "? [a]\n: b", "\t- a: b:", "a: 'b"] {
            assert!(read(&SourceFile::new("a", text)).is_err(), "{text}");
        }
        for text in ["[", "- ", "{a: "] {
            assert!(read(&SourceFile::new("a", text.repeat(1000))).is_err(), "{text}");
        }
    }
}
