//! A file of another tool, read whole, with its lines.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The largest file that is read. Configurations of this size were made by a program.
const BYTES_MAX: u64 = 16 << 20;

/// The most bytes of a line that are looked at.
const LINE_BYTES_MAX: usize = 2_000;

/// The longest text that a message shows of a line.
const SHOWN_CHARACTERS: usize = 100;

/// A file of text.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// The name, from the directory of the config.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
    /// The offset of each line.
    lines: Vec<usize>,
    /// The last line that was shown: a line may have very many statements.
    shown: RefCell<(usize, String)>,
}

impl SourceFile {
    /// Reads a file.
    pub(crate) fn read(directory: &Path, path: &Path) -> Result<SourceFile, Failure> {
        let name = path.display().to_string();
        let unreadable =
            |reason: &dyn ToString| Failure::usage(format!("Could not read `{name}`")).because(&reason.to_string());
        let mut bytes = Vec::new();
        let whole = directory.join(path);
        // To open a pipe would wait for its writer.
        let stat = fs::metadata(&whole).map_err(|error| unreadable(&error))?;
        if !stat.is_file() {
            return Err(unreadable(&"It is no regular file"));
        }
        let file = File::open(whole).map_err(|error| unreadable(&error))?;
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(unreadable(&"It has more than 16 MiB"));
        }
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| unreadable(&"It is not UTF-8 text"))?;
        Ok(SourceFile::new(name, text))
    }

    /// Makes a file of a text.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> SourceFile {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = [0].into_iter().chain(breaks).collect();
        SourceFile { name: name.into(), text, lines, shown: RefCell::default() }
    }

    /// Returns the line of an offset, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset)
    }

    /// Returns the text of a line, shortened, and without values of secrets: it is written into a config that people commit.
    pub(crate) fn line(&self, number: usize) -> String {
        if self.shown.borrow().0 != number {
            *self.shown.borrow_mut() = (number, self.read_line(number));
        }
        self.shown.borrow().1.clone()
    }

    fn read_line(&self, number: usize) -> String {
        let start = self.lines.get(number.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.lines.get(number).copied().unwrap_or(self.text.len()).max(start);
        let line = &self.text[start..end];
        let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
        shortened(&without_secrets(line.trim()))
    }
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// The words in names of secrets.
const SECRET_WORDS: [&str; 13] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "_key",
    "apikey",
    "api-key",
    "default_env",
    "dsn",
    "webhook",
    "private",
    "auth",
];

/// Returns whether the value of a name is probably a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Cuts a line behind the name of a secret that has a value, and before the login of a URL.
fn without_secrets(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let names = SECRET_WORDS.iter().flat_map(|word| lower.match_indices(word).map(|(at, _)| at));
    // The name ends at the sign before its value.
    let value = names.filter_map(|at| Some(at + lower[at..].find([':', '=', ',', '('])? + 1)).min();
    let login = lower.match_indices("://").map(|(at, sign)| at + sign.len()).find(|&at| {
        let place = lower[at..].split(|c: char| c.is_whitespace() || "/'\"".contains(c)).next().unwrap_or_default();
        let is_ssh = lower[..at].ends_with("ssh://");
        place.split_once('@').is_some_and(|(login, _)| !is_ssh || login.contains(':'))
    });
    match value.into_iter().chain(login).min() {
        Some(at) if !line[at..].trim().is_empty() => format!("{}…", &line[..at]),
        _ => line.to_owned(),
    }
}

/// Returns the first of these files that exists in a directory.
pub(crate) fn first_of(directory: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(PathBuf::from).find(|name| directory.join(name).is_file())
}

/// Returns the files of a directory with this ending, sorted by name.
pub(crate) fn files_in(directory: &Path, folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join(folder)).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| Path::new(folder).join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|found| found == ending) && directory.join(path).is_file())
        .collect();
    found.sort();
    found
}

/// Returns the failure if there is none of the files of a tool.
pub(crate) fn none_found(tool: &str, names: &str) -> Failure {
    Failure::usage(format!("There is no configuration of {tool} here: {names}"))
        .hint("Name its file with `--file PATH`, or go to the directory of the application")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_a_line_and_a_line_has_a_text() {
        let file = SourceFile::new("a", "one\n  two\n\nlast");
        assert_eq!([0, 3, 4, 9, 10, 11, 14].map(|at| file.line_of(at)), [1, 1, 2, 2, 3, 4, 4]);
        assert_eq!([1, 2, 3, 4, 5].map(|line| file.line(line)), ["one", "two", "", "last", ""]);
        assert_eq!(SourceFile::new("a", "é".repeat(200)).line(1), format!("{}…", "é".repeat(100)));
    }

    #[test]
    fn a_shown_line_has_no_secret() {
        let check = |line: &str, expected: &str| assert_eq!(SourceFile::new("a", line).line(1), expected);
        check(
            "set :ssh_options, { user: 'deploy', password: 'hunter2' }",
            "set :ssh_options, { user: 'deploy', password:…",
        );
        check("set :default_env, { 'A' => 'b' }", "set :default_env,…");
        check("set('db_password', \"x'y\");", "set('db_password',…");
        check(r#"{"name":"a","api_key":"k","host":"h"}"#, r#"{"name":"a","api_key":…"#);
        check("db_pass: hunter2", "db_pass:…");
        check("set :password, 'ab\\'cd'", "set :password,…");
        check("set :slack_webhook, %q(hunter2)", "set :slack_webhook,…");
        check("repository: https://me:ghp_x@github.com/a.git", "repository: https://…");
        check("set :repo_url, 'https://ghp_x@github.com/a.git'", "set :repo_url, 'https://…");
        check("set :repo_url, 'ssh://git@example.com/it.git'", "set :repo_url, 'ssh://git@example.com/it.git'");
        check("set :repo_url, 'git@example.com:me/it.git'", "set :repo_url, 'git@example.com:me/it.git'");
        check("append :linked_files, 'config/master.key'", "append :linked_files, 'config/master.key'");
        check("'é' Password: é", "'é' Password:…");
    }
}
