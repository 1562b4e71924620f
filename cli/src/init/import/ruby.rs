//! The statements and values of Ruby, as far as a configuration of Capistrano has them.
//!
//! A statement is a line, with those that belong to it: an open bracket or a comma goes on in the next line. What stands
//! between `do` and `end` are statements of its own.

use super::literal::Literal;
use super::ruby_words::words;
use super::script::{Token, Word as Kind};

/// A word of a statement.
pub(crate) type Word = Token;

/// The deepest nesting of blocks and brackets that is read.
const DEPTH_MAX: usize = 40;

/// Keywords at the start of a statement that end with `end`.
const OPENERS: [&str; 10] = ["if", "unless", "while", "until", "case", "begin", "def", "class", "module", "for"];

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its words, up to `do`.
    pub(crate) head: Vec<Token>,
    /// The statements of its block, if it has one.
    pub(crate) body: Option<Vec<Statement>>,
    /// Whether something stands behind its `end`, such as `unless …`.
    pub(crate) is_conditional: bool,
}

impl Statement {
    /// Returns the offset of its first word.
    pub(crate) fn at(&self) -> usize {
        self.head.first().map_or(0, |token| token.at)
    }

    /// Returns its first name.
    pub(crate) fn name(&self) -> &str {
        self.head.first().and_then(Token::name).unwrap_or_default()
    }

    /// Returns the words of each argument: behind the first name, with or without parentheses.
    pub(crate) fn arguments(&self) -> Vec<&[Token]> {
        let rest = self.head.get(1..).unwrap_or_default();
        match rest {
            [open, inner @ .., close] if open.is("(") && close.is(")") => split(inner),
            rest => split(rest),
        }
    }
}

/// Splits words at commas outside brackets.
pub(crate) fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        match &token.word {
            Kind::Sign("(" | "[" | "{") => depth += 1,
            Kind::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
            Kind::Sign(",") if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < tokens.len() {
        parts.push(&tokens[start..]);
    }
    parts
}

/// Returns the place of the bracket that closes the one at a place.
pub(crate) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match &token.word {
            Kind::Sign("(" | "[" | "{") => depth += 1,
            Kind::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Reads a value, if all of the words are one.
pub(crate) fn value(tokens: &[Token]) -> Option<Literal> {
    let tokens = without_breaks(tokens);
    let mut at = 0;
    let value = value_at(&tokens, &mut at, 0)?;
    (at == tokens.len()).then_some(value)
}

/// Reads `key: value` and `:key => value`.
pub(crate) fn pair(tokens: &[Token]) -> Option<(String, Literal)> {
    let tokens = without_breaks(tokens);
    let mut at = 0;
    let pair = pair_at(&tokens, &mut at, 0)?;
    (at == tokens.len()).then_some(pair)
}

fn without_breaks(tokens: &[Token]) -> Vec<Token> {
    tokens.iter().filter(|token| token.word != Kind::Break).cloned().collect()
}

fn value_at(tokens: &[Token], at: &mut usize, depth: usize) -> Option<Literal> {
    if depth > DEPTH_MAX {
        return None;
    }
    let token = tokens.get(*at)?;
    *at += 1;
    match &token.word {
        Kind::Value(value) => Some(value.clone()),
        Kind::Sign("[") => {
            let mut items = Vec::new();
            while !tokens.get(*at)?.is("]") {
                items.push(value_at(tokens, at, depth + 1)?);
                skip_comma(tokens, at);
            }
            *at += 1;
            Some(Literal::List(items))
        }
        // A value that is computed later is the same value.
        Kind::Sign("->") if tokens.get(*at)?.is("{") => {
            *at += 1;
            let value = value_at(tokens, at, depth + 1)?;
            let is_whole = tokens.get(*at)?.is("}");
            *at += 1;
            is_whole.then_some(value)
        }
        Kind::Sign("{") => {
            let mut pairs = Vec::new();
            while !tokens.get(*at)?.is("}") {
                pairs.push(pair_at(tokens, at, depth + 1)?);
                skip_comma(tokens, at);
            }
            *at += 1;
            Some(Literal::Map(pairs))
        }
        _ => None,
    }
}

fn pair_at(tokens: &[Token], at: &mut usize, depth: usize) -> Option<(String, Literal)> {
    let key = match &tokens.get(*at)?.word {
        Kind::Name(name) => name.clone(),
        Kind::Value(value) => value.as_plain()?,
        _ => return None,
    };
    *at += 1;
    if !tokens.get(*at).is_some_and(|token| token.is(":") || token.is("=>")) {
        return None;
    }
    *at += 1;
    Some((key, value_at(tokens, at, depth)?))
}

fn skip_comma(tokens: &[Token], at: &mut usize) {
    if tokens.get(*at).is_some_and(|token| token.is(",")) {
        *at += 1;
    }
}

/// Reads the statements of a script.
pub(crate) fn statements(text: &str) -> Vec<Statement> {
    let tokens = words(text);
    let mut at = 0;
    let mut found = Vec::new();
    // A stray `end` ends nothing.
    while at < tokens.len() {
        found.extend(block(&tokens, &mut at, 0));
        at += 1;
    }
    found
}

/// Reads statements up to `end`.
fn block(tokens: &[Token], at: &mut usize, depth: usize) -> Vec<Statement> {
    let mut found = Vec::new();
    while let Some(token) = tokens.get(*at) {
        if token.name() == Some("end") {
            break;
        }
        if token.word == Kind::Break || token.is(";") {
            *at += 1;
        } else {
            found.push(statement(tokens, at, depth));
        }
    }
    found
}

fn statement(tokens: &[Token], at: &mut usize, depth: usize) -> Statement {
    let mut head: Vec<Token> = Vec::new();
    let mut is_opened = tokens[*at].name().is_some_and(|name| OPENERS.contains(&name));
    let mut brackets = 0_usize;
    while let Some(token) = tokens.get(*at) {
        let is_outside = brackets == 0;
        is_opened |= is_outside && opens_inside(&head, token, tokens.get(*at + 1));
        match &token.word {
            Kind::Name(name) if is_outside && name == "do" => {
                *at += 1;
                let body = Some(body(tokens, at, depth));
                return Statement { head, body, is_conditional: skip_tail(tokens, at, depth) };
            }
            // An `end` that begins its line ends a block, also where a bracket is left open.
            Kind::Name(name) if name == "end" && (is_outside || tokens[*at - 1].word == Kind::Break) => break,
            Kind::Sign("(" | "[" | "{") => brackets += 1,
            Kind::Sign(")" | "]" | "}") => brackets = brackets.saturating_sub(1),
            Kind::Sign(";") if is_outside => break,
            Kind::Break if is_outside => {
                if !goes_on(&head, &tokens[*at + 1..]) {
                    break;
                }
                while tokens.get(*at).is_some_and(|token| token.word == Kind::Break) {
                    *at += 1;
                }
                continue;
            }
            _ => {}
        }
        if token.word != Kind::Break {
            head.push(token.clone());
        }
        *at += 1;
    }
    let body = is_opened.then(|| body(tokens, at, depth));
    let is_conditional = is_opened && skip_tail(tokens, at, depth);
    Statement { head, body, is_conditional }
}

/// Goes behind what follows `end` in its line, and returns whether there is something.
fn skip_tail(tokens: &[Token], at: &mut usize, depth: usize) -> bool {
    let start = *at;
    while let Some(token) = tokens.get(*at) {
        match token.name() {
            Some("end") => break,
            Some("do") => {
                *at += 1;
                body(tokens, at, depth);
            }
            _ if token.word == Kind::Break || token.is(";") => break,
            _ => *at += 1,
        }
    }
    *at > start
}

/// Returns whether a block begins in the middle of a statement: `x = if …`.
fn opens_inside(head: &[Token], token: &Token, next: Option<&Token>) -> bool {
    // `if: true` is a key.
    if next.is_some_and(|next| next.is(":")) {
        return false;
    }
    let is_behind_sign = head.last().is_some_and(|last| ["=", ",", "(", "=>", "["].iter().any(|sign| last.is(sign)));
    is_behind_sign && token.name().is_some_and(|name| OPENERS.contains(&name))
}

/// Reads a block and its `end`. One that is nested too deep is passed over.
fn body(tokens: &[Token], at: &mut usize, depth: usize) -> Vec<Statement> {
    if depth > DEPTH_MAX {
        *at = tokens.len();
        return Vec::new();
    }
    // The parameters of a block: `do |host, name|`.
    if tokens.get(*at).is_some_and(|token| token.is("|")) {
        let rest = &tokens[*at + 1..];
        *at += 2 + rest.iter().position(|token| token.is("|") || token.word == Kind::Break).unwrap_or(rest.len());
    }
    let found = block(tokens, at, depth + 1);
    *at += 1;
    found
}

/// Returns whether a statement goes on behind the end of a line.
fn goes_on(head: &[Token], rest: &[Token]) -> bool {
    let is_open = head.last().is_some_and(|last| [",", "=>", "+", ".", "\\", "="].iter().any(|sign| last.is(sign)));
    is_open || rest.iter().find(|token| token.word != Kind::Break).is_some_and(|next| next.is("."))
}

#[cfg(test)]
mod tests {
    use super::super::literal::Part;
    use super::*;

    fn first(text: &str) -> Statement {
        statements(text).into_iter().next().unwrap()
    }

    fn second_argument(text: &str) -> Option<Literal> {
        let statement = first(text);
        value(statement.arguments().get(1)?)
    }

    fn list(items: &[&str]) -> Literal {
        Literal::List(items.iter().map(|item| Literal::plain(*item)).collect())
    }

    #[test]
    fn settings_are_read_in_all_their_forms() {
        let check = |text: &str, expected: Option<Literal>| assert_eq!(second_argument(text), expected, "{text}");
        check("set :a, 'b'", Some(Literal::plain("b")));
        check("set(:a, \"b\\tc\")", Some(Literal::plain("b\tc")));
        check("set :a, :b # comment", Some(Literal::plain("b")));
        check("set :a,\n  5", Some(Literal::Number(5)));
        check("set :a, true", Some(Literal::Boolean(true)));
        check("set :a, nil", Some(Literal::Nothing));
        check("set :a, %w[b c\n d]", Some(list(&["b", "c", "d"])));
        check("set :a, %w{b c}", Some(list(&["b", "c"])));
        check("set :a, %i(b c)", Some(list(&["b", "c"])));
        check("set :a, ['b', # first\n  \"c\",\n]", Some(list(&["b", "c"])));
        check("set :a, -> { 1 }", Some(Literal::Number(1)));
        check("set :a, -> { b }", None);
        check("set :a, -> { 1; 2 }", None);
        check("set :a, 'b' if c", None);
        check("set :a, `git log`", None);
        check("set :a, <<~X\n text\nX\n", None);
        check("set :a, ENV['B']", None);
        let code = vec![Part::Plain("/srv/".into()), Part::Code("fetch(:b)".into())];
        check("set :a, \"/srv/#{fetch(:b)}\"", Some(Literal::Text(code.clone())));
        check("set :a, %W[x /srv/#{fetch(:b)}]", Some(Literal::List(vec![Literal::plain("x"), Literal::Text(code)])));
        let map = Literal::Map(vec![("b".into(), Literal::plain("c")), ("d".into(), Literal::Number(1))]);
        check("set :a, { b: 'c', :d => 1 }", Some(map));
    }

    #[test]
    fn a_block_has_its_statements_and_the_next_one_stands_apart() {
        let found = statements("task :a do |t|\n  on roles(:app) do\n    execute 'x'\n  end\nend\nset :b, 1\n");
        assert_eq!(found.iter().map(Statement::name).collect::<Vec<_>>(), ["task", "set"]);
        let inner = &found[0].body.as_ref().unwrap()[0];
        assert_eq!((inner.name(), inner.body.as_ref().unwrap()[0].name()), ("on", "execute"));
        let found = statements("if a\n  set :b, 1\nelse\n  set :b, 2\nend\nset :c, 1");
        assert_eq!(found.iter().map(Statement::name).collect::<Vec<_>>(), ["if", "set"]);
        for text in ["x = if a\n  set :b, 1\nend\nset :c, 1", "set :d, case a\n  when 1 then set :b, 1\nend\nset :c, 1"]
        {
            assert_eq!(statements(text).len(), 2, "{text}");
        }
    }

    #[test]
    fn a_block_with_a_condition_behind_it_is_one_statement() {
        for tail in ["unless fetch(:stage) == :production", "if a", "while b", ".join(',')"] {
            let found = statements(&format!("after :x, :y do\n  execute 'x'\nend {tail}\nset :b, 1\n"));
            assert_eq!(found.iter().map(Statement::name).collect::<Vec<_>>(), ["after", "set"], "{tail}");
            assert_eq!(found.iter().map(|found| found.is_conditional).collect::<Vec<_>>(), [true, false], "{tail}");
        }
        let found = statements("begin\n  a\nend if b\nc");
        assert_eq!(found.iter().map(|found| found.is_conditional).collect::<Vec<_>>(), [true, false]);
        let found = statements("task :a do on :b do c end end");
        assert!(!found[0].is_conditional && !found[0].body.as_ref().unwrap()[0].is_conditional);
    }

    #[test]
    fn odd_scripts_end() {
        for text in
            ["set :a, [", "\"", "%w[", "<<~X", "end end", "=begin", "do do do", "`", "%", ":", "task :a do", ")]}"]
        {
            statements(text);
        }
        statements(&"[".repeat(100_000));
        statements(&"x do\n".repeat(100_000));
        assert_eq!(value(&words(&"[".repeat(100_000))), None);
    }
}
