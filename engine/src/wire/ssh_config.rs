//! Reads the settings of one host from `ssh_config` files, on systems without `ssh`. If there is an `ssh`, it reads
//! them itself ([`Evaluation`](super::evaluation)).
//!
//! The first value of a keyword counts, across the user's file and then the system's; keywords such as `IdentityFile`
//! add up. `Host` blocks match by pattern. Of `Match`, only `all` is evaluated: the other criteria run commands or
//! depend on values resolved so far. A block with one of them, or an `Include` whose pattern this module cannot
//! parse, leaves the host to the system's `ssh`.
//!
//! This module knows the syntax. [`resolver`](super::resolver) knows the meaning of the keywords.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use wildmatch::WildMatch;

use crate::error::{Error, LoginError};

/// The depth to which OpenSSH follows `Include`.
const INCLUDE_DEPTH: usize = 16;

/// Keywords of which each line counts.
const ADDITIVE: [&str; 7] =
    ["identityfile", "certificatefile", "sendenv", "setenv", "localforward", "remoteforward", "dynamicforward"];

/// A value of a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// The keyword as the user wrote it.
    pub(super) keyword: String,
    /// The words after the keyword.
    pub(super) arguments: Vec<String>,
    /// The file and the line, from 1. `ssh -G` does not print them.
    pub(super) place: Option<(PathBuf, usize)>,
}

impl Value {
    /// Returns the first argument.
    pub(super) fn first(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// Makes the error for a wrong value.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> Error {
        let reason = reason.into();
        match &self.place {
            Some((file, line)) => Error::from(LoginError::SshConfig { file: file.clone(), line: *line, reason }),
            None => Error::Usage(format!("`{}` of `ssh_config`: {reason}", self.keyword)),
        }
    }
}

/// All values for one host, in order.
#[derive(Debug, Default)]
pub(super) struct Values {
    values: Vec<(String, Value)>,
    /// A value that could not be evaluated.
    pub(super) unevaluated: Option<Value>,
}

impl Values {
    /// Returns the value of a keyword, which must be in lowercase.
    pub(super) fn get(&self, keyword: &str) -> Option<&Value> {
        self.iter().find(|(name, _)| *name == keyword).map(|(_, value)| value)
    }

    /// Iterates over the values of a keyword that adds up.
    pub(super) fn all<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a Value> {
        self.iter().filter(move |(name, _)| *name == keyword).map(|(_, value)| value)
    }

    /// Iterates over the keywords with a value, in lowercase.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(keyword, value)| (keyword.as_str(), value))
    }

    /// Adds a value, unless an earlier value rules it out.
    pub(super) fn add(&mut self, keyword: &str, value: Value) {
        let rival = match keyword {
            "proxyjump" => "proxycommand",
            "proxycommand" => "proxyjump",
            keyword => keyword,
        };
        let is_ruled_out = self.get(keyword).is_some() || self.get(rival).is_some();
        if !is_ruled_out || ADDITIVE.contains(&keyword) {
            self.values.push((keyword.to_owned(), value));
        }
    }
}

/// A file to read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The file.
    pub(super) path: PathBuf,
    /// The directory from which its relative `Include`s start.
    pub(super) include_directory: PathBuf,
    /// Whether a missing file is an error.
    pub(super) required: bool,
}

/// Reads the values for `host`, the name that the user wrote.
pub(super) fn read(sources: &[Source], host: &str, home: &Path) -> Result<Values, Error> {
    let mut walk = Walk { host, home, values: Values::default() };
    for source in sources {
        match fs::read(&source.path) {
            Ok(content) => walk.file(&source.path, &content, &source.include_directory, INCLUDE_DEPTH)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !source.required => {}
            Err(error) => return Err(Error::io("read", &source.path, error)),
        }
    }
    Ok(walk.values)
}

struct Walk<'a> {
    host: &'a str,
    home: &'a Path,
    values: Values,
}

impl Walk<'_> {
    /// Reads a file that applies as a whole. Its own blocks narrow that down, and end with the file.
    fn file(&mut self, path: &Path, content: &[u8], include_directory: &Path, depth: usize) -> Result<(), Error> {
        let mut applies = true;
        for (keyword, value) in parse(path, &String::from_utf8_lossy(content))? {
            match keyword.as_str() {
                "host" => applies = matches_list(self.host, &value.arguments),
                "match" => applies = self.matches(&value),
                _ if !applies => {}
                "include" => self.include(&value, include_directory, depth)?,
                _ => self.values.add(&keyword, value),
            }
        }
        Ok(())
    }

    fn matches(&mut self, value: &Value) -> bool {
        if value.arguments.len() == 1 && value.first().eq_ignore_ascii_case("all") {
            return true;
        }
        self.values.unevaluated.get_or_insert_with(|| value.clone());
        false
    }

    fn include(&mut self, value: &Value, include_directory: &Path, depth: usize) -> Result<(), Error> {
        if depth == 0 {
            return Err(value.wrong("`Include` is nested too deeply"));
        }
        for pattern in &value.arguments {
            let path = match pattern.strip_prefix("~/") {
                Some(rest) => self.home.join(rest),
                None => include_directory.join(pattern),
            };
            // The home of another user, a token, a variable.
            let is_foreign = pattern.starts_with('~') && !pattern.starts_with("~/") || pattern.contains(['%', '$']);
            let Some(paths) = (!is_foreign).then(|| glob(&path)).flatten() else {
                self.values.unevaluated.get_or_insert_with(|| value.clone());
                continue;
            };
            for path in paths {
                // Like OpenSSH, skip what cannot be read: a directory, or a file that was just removed.
                match fs::read(&path) {
                    Ok(content) => self.file(&path, &content, include_directory, depth - 1)?,
                    Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {}
                    Err(error) => return Err(Error::io("read", &path, error)),
                }
            }
        }
        Ok(())
    }
}

/// Splits a file into keywords, in lowercase, and values.
fn parse(file: &Path, text: &str) -> Result<Vec<(String, Value)>, Error> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        let mut value =
            Value { keyword: keyword.to_owned(), arguments: Vec::new(), place: Some((file.to_owned(), index + 1)) };
        value.arguments = split(rest).map_err(|reason| value.wrong(reason))?;
        if value.arguments.is_empty() {
            return Err(value.wrong(format!("`{keyword}` has no value")));
        }
        lines.push((keyword.to_ascii_lowercase(), value));
    }
    Ok(lines)
}

/// Splits at white space, but not within quotes. A `#` at the start of a word starts a comment.
fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        if matches!(characters.peek(), None | Some('#')) {
            return Ok(words);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(character) = characters.next_if(|c| quote.is_some() || !c.is_whitespace()) {
            match character {
                '\\' => {
                    match characters.next_if(|c| matches!(c, '\\' | '"' | '\'') || (*c == ' ' && quote.is_none())) {
                        Some(escaped) => word.push(escaped),
                        None => word.push('\\'),
                    }
                }
                '"' | '\'' if quote.is_none() => quote = Some(character),
                _ if quote == Some(character) => quote = None,
                _ => word.push(character),
            }
        }
        if quote.is_some() {
            return Err("a quote is not closed");
        }
        words.push(word);
    }
}

/// Returns whether one of `patterns` matches and no pattern with `!` before it does.
pub(super) fn matches_list<P: AsRef<str>>(text: &str, patterns: &[P]) -> bool {
    let mut matched = false;
    for pattern in patterns {
        match pattern.as_ref().strip_prefix('!') {
            Some(pattern) if matches_pattern(text, pattern) => return false,
            Some(_) => {}
            None => matched |= matches_pattern(text, pattern.as_ref()),
        }
    }
    matched
}

/// Matches `*` and `?`, the only wildcards of OpenSSH. Both also match a slash and a dot.
pub(super) fn matches_pattern(text: &str, pattern: &str) -> bool {
    WildMatch::new(pattern).matches(text)
}

/// Returns the matching paths, sorted, or nothing if the pattern cannot be parsed. A directory that cannot be listed
/// has no matches.
fn glob(pattern: &Path) -> Option<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let is_pattern = |name: &&OsStr| name.as_encoded_bytes().iter().any(|byte| b"*?[\\".contains(byte));
        found = match component {
            Component::Normal(name) if is_pattern(&name) => {
                let glob = Glob::parse(name.as_encoded_bytes())?;
                found.iter().flat_map(|path| list(path, name, &glob)).collect()
            }
            component => found.iter().map(|path| path.join(component)).filter(|path| path.exists()).collect(),
        };
    }
    Some(found)
}

fn list(directory: &Path, pattern: &OsStr, glob: &Glob) -> Vec<PathBuf> {
    let hidden =
        |entry: &OsStr| entry.as_encoded_bytes().starts_with(b".") && !pattern.as_encoded_bytes().starts_with(b".");
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|entry| !hidden(entry) && glob.matches(entry.as_encoded_bytes()))
        .map(|entry| directory.join(entry))
        .collect();
    found.sort();
    found
}

/// A pattern of `glob(7)` for one name.
struct Glob(Vec<Element>);

enum Element {
    Star,
    Any,
    Byte(u8),
    /// Inclusive ranges, and whether the byte must be outside of them.
    OneOf(Vec<(u8, u8)>, bool),
}

impl Glob {
    /// Parses a pattern. Returns nothing for `[[:alpha:]]` and its like, and for an unclosed bracket.
    fn parse(mut text: &[u8]) -> Option<Glob> {
        let mut elements = Vec::new();
        while let Some((&byte, rest)) = text.split_first() {
            text = rest;
            elements.push(match byte {
                b'*' => Element::Star,
                b'?' => Element::Any,
                b'[' => Glob::parse_bracket(&mut text)?,
                b'\\' => {
                    let (&byte, rest) = text.split_first()?;
                    text = rest;
                    Element::Byte(byte)
                }
                byte => Element::Byte(byte),
            });
        }
        Some(Glob(elements))
    }

    fn parse_bracket(text: &mut &[u8]) -> Option<Element> {
        let is_negated = matches!(text.first(), Some(b'!' | b'^'));
        let inside = &text[usize::from(is_negated)..];
        // A bracket in the first place is one of the bytes.
        let end = 1 + inside.iter().skip(1).position(|&byte| byte == b']')?;
        let mut bytes = &inside[..end];
        if bytes.iter().any(|byte| b"[\\".contains(byte)) {
            return None;
        }
        let mut ranges = Vec::new();
        while let Some((&first, rest)) = bytes.split_first() {
            let (last, rest) = match rest {
                [b'-', last, rest @ ..] => (*last, rest),
                rest => (first, rest),
            };
            ranges.push((first, last));
            bytes = rest;
        }
        *text = &inside[end + 1..];
        Some(Element::OneOf(ranges, is_negated))
    }

    /// Returns whether a name matches, in time bounded by the product of the lengths.
    fn matches(&self, name: &[u8]) -> bool {
        // The lengths of the beginnings of the name that the elements so far match.
        let mut reached = vec![false; name.len() + 1];
        reached[0] = true;
        for element in &self.0 {
            let mut next = vec![false; name.len() + 1];
            for at in 0..=name.len() {
                next[at] = match element {
                    Element::Star => reached[at] || (at > 0 && next[at - 1]),
                    element => at > 0 && reached[at - 1] && element.takes(name[at - 1]),
                };
            }
            reached = next;
        }
        reached[name.len()]
    }
}

impl Element {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Element::Star | Element::Any => true,
            Element::Byte(own) => *own == byte,
            Element::OneOf(ranges, is_negated) => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&byte)) != *is_negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_those_of_openssh() {
        let check = |text: &str, patterns: &str, expected: bool| {
            let patterns: Vec<&str> = patterns.split(' ').collect();
            assert_eq!(matches_list(text, &patterns), expected, "{text} against {patterns:?}");
        };
        check("shop", "shop", true);
        check("shop", "*", true);
        check("shop", "sho", false);
        check("shop", "s?op", true);
        check("shop", "s?p", false);
        check("web1.example.com", "*.example.com", true);
        check("web1.example.com", "web*.example.*m", true);
        check("web1.example.com", "*.example.com !web1.*", false);
        check("web1.example.com", "!web1.* *.example.com", false);
        check("web2.example.com", "!web1.*", false);
        check("aaaaaaaaaaaaaaaaaaaaaaaa", "a*a*a*a*a*a*a*b", false);
    }

    #[test]
    fn lines_are_split_like_those_of_openssh() {
        let check = |line: &str, keyword: &str, arguments: &[&str]| {
            let lines = parse(Path::new("config"), line).unwrap();
            assert_eq!(lines.len(), 1, "{line}");
            assert_eq!((lines[0].0.as_str(), &lines[0].1.arguments[..]), (keyword, &arguments.map_owned()[..]));
        };
        check("Port 22", "port", &["22"]);
        check("\tPort=22", "port", &["22"]);
        check("Port = 22", "port", &["22"]);
        check("Host a b  c", "host", &["a", "b", "c"]);
        check("IdentityFile \"~/my key\" # mine", "identityfile", &["~/my key"]);
        check("IdentityFile '~/my key'", "identityfile", &["~/my key"]);
        check("IdentityFile ~/my\\ key", "identityfile", &["~/my key"]);
        check("SetEnv A=\"b c\" D=#e", "setenv", &["A=b c", "D=#e"]);
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|&text| text.to_owned()).collect()
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_named_by_its_line() {
        let check = |text: &str, expected: &str| {
            let error = parse(Path::new("config"), text).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("# fine\n\nPort", "`config` line 3: `Port` has no value");
        check("User \"me", "`config` line 1: a quote is not closed");
    }

    fn read_files(files: &[(&str, &str)], host: &str) -> Result<Values, Error> {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let source = |name: &str| Source {
            path: directory.path().join(name),
            include_directory: directory.path().to_owned(),
            required: false,
        };
        read(&[source("user"), source("system")], host, directory.path())
    }

    #[test]
    fn the_first_value_counts() {
        let files = [
            ("user", "Host shop\n Port 1\n User me\nHost *\n Port 2\n"),
            ("system", "Port 3\nUser you\nCompression yes\n"),
        ];
        let values = read_files(&files, "shop").unwrap();
        let port = |values: &Values| values.get("port").map(|value| value.first().to_owned());
        assert_eq!(port(&values).as_deref(), Some("1"));
        assert_eq!(values.get("user").unwrap().first(), "me");
        assert_eq!(values.get("compression").unwrap().place.as_ref().unwrap().1, 3);
        assert_eq!(port(&read_files(&files, "other").unwrap()).as_deref(), Some("2"));
    }

    #[test]
    fn a_proxy_that_was_ruled_out_stays_ruled_out() {
        let values = read_files(&[("user", "ProxyJump none\nProxyCommand nc %h %p\n")], "shop").unwrap();
        assert_eq!(values.get("proxyjump").unwrap().first(), "none");
        assert!(values.get("proxycommand").is_none());
    }

    #[test]
    fn includes_apply_where_they_stand_and_their_blocks_end_with_them() {
        let files = [
            ("user", "Host shop\n Include parts/*.conf ~/more\n User outer\nHost other\n Include nothing bad\n"),
            ("parts/1.conf", "Host web\n Port 1\n"),
            ("parts/2.conf", "Port 2\nHost web\n"),
            ("parts/.hidden.conf", "Port 3\n"),
            ("more", "IdentityFile a\nIdentityFile b\n"),
            ("bad", "Port\n"),
        ];
        let values = read_files(&files, "shop").unwrap();
        assert_eq!(values.get("port").unwrap().first(), "2");
        assert_eq!(values.get("user").unwrap().first(), "outer");
        assert_eq!(values.all("identityfile").count(), 2);
    }

    #[test]
    fn an_include_of_itself_is_refused() {
        let error = read_files(&[("user", "Include user\n")], "shop").unwrap_err();
        assert!(error.to_string().ends_with("`Include` is nested too deeply"), "{error}");
    }

    #[test]
    fn only_match_all_is_evaluated() {
        let values = read_files(&[("user", "Host no\nMatch all\n Port 5\n")], "shop").unwrap();
        assert_eq!(values.get("port").unwrap().first(), "5");
        assert_eq!(values.unevaluated, None);
        let values = read_files(&[("user", "Match user me\n Port 5\n")], "shop").unwrap();
        assert!(values.get("port").is_none());
        assert_eq!(values.unevaluated.unwrap().keyword, "Match");
    }
    #[test]
    fn names_match_like_those_of_glob() {
        let check = |pattern: &str, name: &str, expected: Option<bool>| {
            let found = Glob::parse(pattern.as_bytes()).map(|glob| glob.matches(name.as_bytes()));
            assert_eq!(found, expected, "{pattern} {name}");
        };
        check("*.conf", "a.conf", Some(true));
        check("*a*b", "xaxb", Some(true));
        check("*a*b", "xaxbx", Some(false));
        check("[a-c].conf", "b.conf", Some(true));
        check("[a-c].conf", "d.conf", Some(false));
        check("[!x].conf", "b.conf", Some(true));
        check("[^x].conf", "x.conf", Some(false));
        check("*.[c]onf", "a.conf", Some(true));
        check("?[0-9].conf", "b7.conf", Some(true));
        check("[]x]", "]", Some(true));
        check("[a-]", "-", Some(true));
        check("\\*", "*", Some(true));
        check("\\*", "a", Some(false));
        check("[[:alpha:]]", "a", None);
        check("[a", "a", None);
    }

    #[test]
    fn an_include_that_is_not_understood_leaves_the_host_to_ssh() {
        let check = |include: &str, expected: bool| {
            let files = [("user", &*format!("Include {include}\n")), ("b.conf", "Port 5\n")];
            let values = read_files(&files, "shop").unwrap();
            assert_eq!(values.unevaluated.is_some(), expected, "{include}");
            assert_eq!(values.get("port").is_some(), !expected, "{include}");
        };
        check("[a-c].conf", false);
        check("[[:alpha:]].conf", true);
        check("~other/*.conf", true);
        check("%d/*.conf", true);
        check("${HOME}/*.conf", true);
    }
}
