//! The words of Ruby: texts, symbols, lists of words, and the ends of lines.

use super::literal::{Literal, Part};
use super::script::{Reader, Token, Word as Kind};

/// Reads the words of a script.
pub(crate) fn words(text: &str) -> Vec<Token> {
    let mut reader = Reader { text, at: 0 };
    let mut found = Vec::new();
    while let Some(next) = reader.rest().chars().next() {
        let at = reader.at;
        let is_at_start = at == 0 || text.as_bytes()[at - 1] == b'\n';
        if is_at_start && reader.skip("=begin") {
            reader.skip_past("\n=end");
            reader.skip_line();
        } else if is_at_start && reader.rest().starts_with("__END__") {
            break;
        } else if next == '\n' {
            reader.next();
            found.push(Token { word: Kind::Break, at });
        } else if next.is_whitespace() {
            reader.next();
        } else if next == '#' {
            reader.skip_line();
        } else {
            found.push(Token { word: word(&mut reader), at });
        }
    }
    found
}

fn word(reader: &mut Reader<'_>) -> Kind {
    let no_code = |_: &mut Reader<'_>| None;
    let rest = reader.rest();
    if reader.skip("'") {
        return Kind::Value(reader.text('\'', false, no_code));
    }
    if reader.skip("\"") {
        return Kind::Value(reader.text('"', true, interpolation));
    }
    if reader.skip("`") {
        reader.text('`', true, no_code);
        return Kind::Other;
    }
    if let Some(kind) = rest.strip_prefix('%').and_then(|rest| rest.chars().next())
        && let Some(open) = rest[1 + kind.len_utf8()..].chars().next()
        && "wWiIqQ".contains(kind)
        && "([{<|!/".contains(open)
    {
        reader.at += 2 + open.len_utf8();
        return percent(reader, kind, open);
    }
    if rest.starts_with("<<~") || rest.starts_with("<<-") {
        return heredoc(reader);
    }
    if rest.starts_with(':') && !rest.starts_with("::") {
        return symbol(reader);
    }
    reader.word("@$?!")
}

/// `#{code}`
fn interpolation(reader: &mut Reader<'_>) -> Option<String> {
    reader.skip("#{").then(|| reader.code())
}

/// `:name` and `:"name"`; a colon alone is a sign.
fn symbol(reader: &mut Reader<'_>) -> Kind {
    let before = reader.at;
    reader.next();
    if reader.skip("\"") {
        return Kind::Value(reader.text('"', true, interpolation));
    }
    let name = reader.take_while(|c| c.is_alphanumeric() || c == '_' || c == '?' || c == '!');
    if name.is_empty() {
        reader.at = before;
        return reader.word("");
    }
    Kind::Value(Literal::plain(name))
}

/// `%w[a b]`, `%i[a b]` and `%q[a b]`, from behind the opening bracket.
fn percent(reader: &mut Reader<'_>, kind: char, open: char) -> Kind {
    let close = match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        same => same,
    };
    let has_code = kind.is_uppercase();
    let text = if has_code { reader.text(close, true, interpolation) } else { reader.text(close, false, |_| None) };
    if "qQ".contains(kind) {
        return Kind::Value(text);
    }
    match text.as_plain() {
        Some(text) => Kind::Value(Literal::List(text.split_whitespace().map(Literal::plain).collect())),
        None => match text {
            Literal::Text(parts) => Kind::Value(Literal::List(words_of(parts))),
            _ => Kind::Other,
        },
    }
}

/// Splits a text with code into words.
fn words_of(parts: Vec<Part>) -> Vec<Literal> {
    let (mut words, mut word): (Vec<Literal>, Vec<Part>) = (Vec::new(), Vec::new());
    let mut end = |word: &mut Vec<Part>| {
        if !word.is_empty() {
            words.push(Literal::Text(std::mem::take(word)));
        }
    };
    for part in parts {
        match part {
            Part::Plain(text) => {
                for (number, piece) in text.split(char::is_whitespace).enumerate() {
                    if number > 0 {
                        end(&mut word);
                    }
                    if !piece.is_empty() {
                        word.push(Part::Plain(piece.to_owned()));
                    }
                }
            }
            code @ Part::Code(_) => word.push(code),
        }
    }
    end(&mut word);
    words
}

/// `<<~NAME`, up to the line that is the name.
fn heredoc(reader: &mut Reader<'_>) -> Kind {
    reader.at += 3;
    let name = reader.take_while(|c| c.is_alphanumeric() || "_'\"".contains(c)).trim_matches(['\'', '"']);
    if name.is_empty() {
        return Kind::Other;
    }
    reader.skip_line();
    while reader.skip("\n") {
        let start = reader.at;
        reader.skip_line();
        if reader.text[start..reader.at].trim() == name {
            break;
        }
    }
    Kind::Other
}
