//! The words and statements of PHP, as far as a configuration of Deployer has them: calls of functions and methods.

use super::literal::Literal;
use super::script::{Reader, Token, Word};

/// The deepest nesting of lists that is read.
const DEPTH_MAX: usize = 40;

/// A statement: a chain of calls, such as `host('web1')->set('user', 'deploy')`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its words.
    pub(crate) words: Vec<Token>,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// The function or the method.
    pub(crate) name: &'a str,
    /// The words of each argument.
    pub(crate) arguments: Vec<&'a [Token]>,
    /// The offset.
    pub(crate) at: usize,
}

impl Statement {
    /// Returns the offset of its first word.
    pub(crate) fn at(&self) -> usize {
        self.words.first().map_or(0, |token| token.at)
    }

    /// Returns its first name.
    pub(crate) fn name(&self) -> &str {
        self.words.first().and_then(Token::name).unwrap_or_default()
    }

    /// Returns the statements of the block behind a keyword, if the statement is nothing else: `namespace a { … }`.
    pub(crate) fn block_of(&self, keyword: &str) -> Option<Vec<Statement>> {
        let open = self.words.iter().position(|token| token.is("{")).filter(|_| self.name() == keyword)?;
        let is_whole = closing(&self.words, open)? + 1 == self.words.len();
        is_whole.then(|| split_statements(self.words[open + 1..self.words.len() - 1].to_vec()))
    }

    /// Returns the calls, if the statement is nothing else.
    pub(crate) fn calls(&self) -> Option<Vec<Call<'_>>> {
        let (mut calls, mut at) = (Vec::new(), 0);
        loop {
            let name = self.words.get(at)?.name()?;
            let open = at + 1;
            if !self.words.get(open)?.is("(") {
                return None;
            }
            let close = closing(&self.words, open)?;
            let arguments = split(&self.words[open + 1..close]);
            calls.push(Call { name, arguments, at: self.words[at].at });
            match self.words.get(close + 1) {
                None => return Some(calls),
                Some(arrow) if arrow.is("->") => at = close + 2,
                Some(_) => return None,
            }
        }
    }
}

impl Call<'_> {
    /// Returns the arguments, if each of them stands there as it is.
    pub(crate) fn values(&self) -> Option<Vec<Literal>> {
        self.arguments.iter().map(|words| value(words)).collect()
    }
}

/// Returns the place of the bracket that closes the one at a place.
pub(crate) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        depth = depth_behind(token, depth);
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn depth_behind(token: &Token, depth: usize) -> usize {
    match &token.word {
        Word::Sign("(" | "[" | "{") => depth + 1,
        Word::Sign(")" | "]" | "}") => depth.saturating_sub(1),
        _ => depth,
    }
}

/// Splits words at commas outside brackets.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, token) in tokens.iter().enumerate() {
        depth = depth_behind(token, depth);
        if depth == 0 && token.is(",") {
            parts.push(&tokens[start..at]);
            start = at + 1;
        }
    }
    if start < tokens.len() {
        parts.push(&tokens[start..]);
    }
    parts
}

/// Reads a value, if all of the words are one.
pub(crate) fn value(tokens: &[Token]) -> Option<Literal> {
    let mut at = 0;
    let value = value_at(tokens, &mut at, 0)?;
    (at == tokens.len()).then_some(value)
}

fn value_at(tokens: &[Token], at: &mut usize, depth: usize) -> Option<Literal> {
    if depth > DEPTH_MAX {
        return None;
    }
    let token = tokens.get(*at)?;
    *at += 1;
    match &token.word {
        Word::Value(value) => Some(value.clone()),
        Word::Sign("[") => list(tokens, at, depth, "]"),
        Word::Name(name) if name == "array" && tokens.get(*at)?.is("(") => {
            *at += 1;
            list(tokens, at, depth, ")")
        }
        _ => None,
    }
}

/// Reads a list or a table, from behind its opening bracket.
fn list(tokens: &[Token], at: &mut usize, depth: usize, close: &str) -> Option<Literal> {
    let (mut items, mut pairs) = (Vec::new(), Vec::new());
    while !tokens.get(*at)?.is(close) {
        let item = value_at(tokens, at, depth + 1)?;
        if tokens.get(*at)?.is("=>") {
            *at += 1;
            let key = item.as_plain().or_else(|| item.as_number().map(|number| number.to_string()))?;
            pairs.push((key, value_at(tokens, at, depth + 1)?));
        } else {
            items.push(item);
        }
        if tokens.get(*at)?.is(",") {
            *at += 1;
        }
    }
    *at += 1;
    match (items.is_empty(), pairs.is_empty()) {
        (_, true) => Some(Literal::List(items)),
        (true, false) => Some(Literal::Map(pairs)),
        (false, false) => None,
    }
}

/// Reads the statements of a script. A block in braces outside brackets is a part of its statement.
pub(crate) fn statements(text: &str) -> Vec<Statement> {
    split_statements(tokens(text))
}

/// Reads the statements of a function without arguments: `function () { … }` and `fn () => …`.
pub(crate) fn body(words: &[Token]) -> Option<Vec<Statement>> {
    let start = words.iter().position(|token| token.is("{") || token.is("=>"))?;
    let (head, rest) = words.split_at(start);
    let names: Vec<&str> = head.iter().filter_map(Token::name).filter(|name| *name != "static").collect();
    let is_plain = head.iter().all(|token| token.name().is_some() || [":", "(", ")"].iter().any(|sign| token.is(sign)));
    let is_whole = || closing(words, start).is_some_and(|close| close + 1 == words.len());
    match (&names[..], rest.first()?.is("{")) {
        (["function"] | ["function", "void"], true) if is_plain && is_whole() => {
            Some(split_statements(rest[1..rest.len() - 1].to_vec()))
        }
        (["fn"], false) if is_plain => Some(split_statements(rest[1..].to_vec())),
        _ => None,
    }
}

fn split_statements(tokens: Vec<Token>) -> Vec<Statement> {
    let (mut found, mut words, mut depth) = (Vec::new(), Vec::new(), 0);
    for token in tokens {
        let before = depth;
        depth = depth_behind(&token, depth);
        let is_end = before == 0 && token.is(";");
        let is_block = depth == 0 && before == 1 && token.is("}");
        if !is_end {
            words.push(token);
        }
        if (is_end || is_block) && !words.is_empty() {
            found.push(Statement { words: std::mem::take(&mut words) });
        }
    }
    if !words.is_empty() {
        found.push(Statement { words });
    }
    found
}

fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_past("<?php");
    let mut found = Vec::new();
    while let Some(next) = reader.rest().chars().next() {
        let at = reader.at;
        if next.is_whitespace() {
            reader.next();
        } else if reader.skip("/*") {
            reader.skip_past("*/");
        } else if reader.rest().starts_with("//") || (next == '#' && !reader.rest().starts_with("#[")) {
            reader.skip_line();
        } else if reader.skip("?>") {
            reader.skip_past("<?php");
        } else {
            found.push(Token { word: word(&mut reader), at });
        }
    }
    found
}

fn word(reader: &mut Reader<'_>) -> Word {
    if reader.skip("'") {
        return Word::Value(reader.text('\'', false, |_| None));
    }
    if reader.skip("\"") {
        return Word::Value(reader.text('"', true, variable));
    }
    if reader.skip("<<<") {
        return heredoc(reader);
    }
    reader.word("$")
}

/// `$name` and `{$name}` in a text. `{{name}}` is a text of Deployer's own.
fn variable(reader: &mut Reader<'_>) -> Option<String> {
    if reader.skip("{$") {
        return Some(reader.code());
    }
    if reader.skip("$") {
        let name = reader.take_while(|c| c.is_alphanumeric() || c == '_');
        return (!name.is_empty()).then(|| name.to_owned());
    }
    None
}

/// `<<<NAME`, up to the line that begins with the name.
fn heredoc(reader: &mut Reader<'_>) -> Word {
    let name = reader.take_while(|c| c.is_alphanumeric() || "_'\" ".contains(c)).trim().trim_matches(['\'', '"']);
    if name.is_empty() {
        return Word::Other;
    }
    reader.skip_line();
    while reader.skip("\n") {
        let rest = reader.rest().trim_start_matches([' ', '\t']);
        if rest.starts_with(name) {
            reader.at = reader.text.len() - rest.len() + name.len();
            break;
        }
        reader.skip_line();
    }
    Word::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Option<Vec<Literal>> {
        let statements = statements(&format!("<?php {text}"));
        statements.first()?.calls()?.first()?.values()
    }

    #[test]
    fn a_call_with_values_is_read_in_all_their_forms() {
        let check = |text: &str, expected: Option<&[Literal]>| {
            assert_eq!(arguments(text).as_deref(), expected, "{text}");
        };
        let (a, b) = (Literal::plain("a"), Literal::plain("b"));
        check("set('a', 'b');", Some(&[a.clone(), b.clone()]));
        check("set('a', \"b\"); // comment", Some(&[a.clone(), b.clone()]));
        check("set('a', 5)", Some(&[a.clone(), Literal::Number(5)]));
        check("set('a', /* five */ true);", Some(&[a.clone(), Literal::Boolean(true)]));
        let list = Literal::List(vec![a.clone(), b.clone()]);
        check("add('a', [\n 'a', # one\n 'b',\n]);", Some(&[a.clone(), list.clone()]));
        check("add('a', array('a', 'b'));", Some(&[a.clone(), list]));
        let map = Literal::Map(vec![("a".into(), b.clone()), ("0".into(), Literal::Nothing)]);
        check("set('a', ['a' => 'b', 0 => null]);", Some(&[a.clone(), map]));
        check("set('a', 'it\\'s {{x}}');", Some(&[a.clone(), Literal::plain("it's {{x}}")]));
        check("set('a', \"$x\");", Some(&[a, Literal::Text(vec![super::super::literal::Part::Code("x".into())])]));
        check("set('a', getenv('B'));", None);
        check("set('a', 'b' . 'c');", None);
        check("set('a', function () { return 1; });", None);
        check("set('a', <<<X\n text\n X);", None);
        check("set('a', [", None);
    }

    #[test]
    fn calls_may_be_a_chain_and_a_function_has_statements() {
        let found = statements(
            "<?php\nnamespace Deployer;\nhost('a')\n  ->set('b', 'c')\n  ->setPort(22);\nif (x()) { y(); }\nz();",
        );
        assert_eq!(found.iter().map(Statement::name).collect::<Vec<_>>(), ["namespace", "host", "if", "z"]);
        let names: Vec<String> = found[1].calls().unwrap().iter().map(|call| call.name.to_owned()).collect();
        assert_eq!(names, ["host", "set", "setPort"]);
        let found = statements("<?php task('a', function () { run('x'); cd('y'); });");
        let calls = found[0].calls().unwrap();
        let inner = body(calls[0].arguments[1]).unwrap();
        assert_eq!(inner.iter().map(Statement::name).collect::<Vec<_>>(), ["run", "cd"]);
        let is_read = |function: &str| {
            let found = statements(&format!("<?php task('a', {function});"));
            body(found[0].calls().unwrap()[0].arguments[1]).is_some()
        };
        assert!(is_read("static function (): void { x(); }") && is_read("fn () => x()") && is_read("function () {}"));
        assert!(!is_read("function ($a) { x(); }") && !is_read("fn ($a) => x()") && !is_read("$x"));
    }

    #[test]
    fn odd_scripts_end() {
        for text in
            ["", "<?php set('a", "<?php /*", "<?php )]}", "<?php <<<", "<?php <<<X", "no php at all", "<?php ?>"]
        {
            statements(text);
        }
        statements(&format!("<?php {}", "[".repeat(100_000)));
        assert_eq!(value(&tokens(&format!("<?php {}", "[".repeat(100_000)))), None);
    }
}
