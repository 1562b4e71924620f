//! Questions to git, if the source is a checkout: old content from its objects, its commit, its tracked files.
//!
//! Git is started in the source, as `command` describes: a checkout may come from a stranger.
//!
//! `git cat-file --batch` reads the content of a commit. There are no blobs if there is no git, if git does not trust
//! the checkout, or if the commit is missing (in a shallow clone). A blob counts only if its hash is that of the base's
//! file: a filter may have made other content of it at the checkout.

mod command;
mod filter_config;
mod gitmodules;
mod running;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::chunk::LARGE_FILE_BYTES;
use crate::hash::Hash;
use crate::threads;

pub(crate) use command::{change, question, question_around};
use command::{complaint, not_run};
pub(crate) use filter_config::{ConfigValue, FilterConfig, is_lfs, read_config, without_skip};
pub(crate) use gitmodules::{Submodule, submodules};
pub(crate) use running::{Answer, NoAnswer, Running, run};

/// The most bytes of a line of git: a hash of 64 digits, a kind, a length.
const LINE_BYTES_MAX: u64 = 8 << 10;

/// Tells whether a text is the name of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the commit that `HEAD` names. None if `HEAD` names a branch without a commit. The error says why git has no
/// answer.
pub(crate) fn head(source: &Path) -> Result<Option<String>, String> {
    let words = ["rev-parse", "--show-prefix", "--verify", "--quiet", "HEAD^{commit}"];
    let output = question(source).args(words).output().map_err(|error| not_run(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // The path of the source in the checkout is empty: the source does not lie in the checkout of a directory above.
    match (output.status.code(), text.strip_prefix('\n').map(str::trim_end)) {
        (Some(0), Some(commit)) if is_commit(commit) => Ok(Some(commit.to_owned())),
        (Some(1), Some("")) if output.stderr.is_empty() => Ok(None),
        _ => Err(complaint(&output.stderr)),
    }
}

/// The files that git tracks in a checkout, by paths in it.
#[derive(Debug, Default)]
pub(crate) struct TrackedFiles {
    /// Files and symlinks.
    pub(crate) files: Vec<Vec<u8>>,
    /// The directories of submodules.
    pub(crate) submodules: Vec<Vec<u8>>,
}

/// Returns the files that git tracks in the checkout that begins at `directory`. The error says why git has no answer.
pub(crate) fn tracked(directory: &Path) -> Result<TrackedFiles, String> {
    let output = question(directory).args(["ls-files", "-z", "--stage"]).output().map_err(|error| not_run(&error))?;
    if !output.status.success() {
        return Err(complaint(&output.stderr));
    }
    let mut tracked = TrackedFiles::default();
    // Each has mode, hash, stage, a tab and the path.
    for line in output.stdout.split(|&byte| byte == 0) {
        let Some(tab) = line.iter().position(|&byte| byte == b'\t') else { continue };
        let paths = if line.starts_with(b"160000 ") { &mut tracked.submodules } else { &mut tracked.files };
        paths.push(line[tab + 1..].to_vec());
    }
    Ok(tracked)
}

/// The blobs of a commit, according to the checkout.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    source: PathBuf,
    ids: Vec<String>,
}

/// A blob of [`Blobs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blob(usize);

impl Blobs {
    /// Finds files at these paths in a commit. Returns, in order, a blob of the size of each, or none.
    pub(crate) fn find(source: &Path, commit: &str, files: &[(Vec<u8>, u64)]) -> (Blobs, Vec<Option<Blob>>) {
        let mut blobs = Blobs { source: source.to_owned(), ids: Vec::new() };
        let found = find_blobs(source, commit, files).unwrap_or_default();
        let mut add = |id: Option<String>| {
            let id = id?;
            blobs.ids.push(id);
            Some(Blob(blobs.ids.len() - 1))
        };
        let mut found: Vec<Option<Blob>> = found.into_iter().map(&mut add).collect();
        found.resize(files.len(), None);
        (blobs, found)
    }
}

/// Returns the name of each file's blob. None if git cannot be asked, or does not have the commit.
fn find_blobs(source: &Path, commit: &str, files: &[(Vec<u8>, u64)]) -> Option<Vec<Option<String>>> {
    // The commit comes from the server, and must not be another argument to git.
    if !is_commit(commit) {
        return None;
    }
    let Git { mut process, mut questions, mut answers } = Git::start(source, "--batch-check")?;
    let found = std::thread::scope(|scope| {
        writeln!(questions, "{commit}^{{commit}}").ok()?;
        object_of(&line(&mut answers)?)?;
        // A thread of its own asks: both pipes are shorter than all questions and answers.
        let ask = move || {
            for (path, _) in files.iter().filter(|(path, _)| can_ask(path)) {
                let question = [commit.as_bytes(), b":", path, b"\n"].concat();
                if questions.write_all(&question).is_err() {
                    return;
                }
            }
        };
        threads::spawn_scoped(scope, ask).ok()?;
        let answer = |(path, size): &(Vec<u8>, u64)| {
            if !can_ask(path) {
                return Some(None);
            }
            let object = object_of(&line(&mut answers)?);
            Some(object.filter(|object| object.kind == "blob" && object.size == *size).map(|object| object.id))
        };
        let found = files.iter().map(answer).collect();
        // The thread that may still ask is not waited for.
        drop(process.kill());
        found
    });
    drop((process.kill(), process.wait()));
    found
}

/// Tells whether git can be asked for a path. A path with a newline would be two questions.
fn can_ask(path: &[u8]) -> bool {
    !path.contains(&b'\n')
}

/// Git's answer about an object.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    id: String,
    kind: String,
    size: u64,
}

fn object_of(line: &[u8]) -> Option<Object> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (id, kind, size) = (words.next()?, words.next()?, words.next()?);
    let is_all = is_commit(id) && words.next().is_none();
    Some(Object { id: id.to_owned(), kind: kind.to_owned(), size: size.parse().ok()? }).filter(|_| is_all)
}

fn line(answers: &mut BufReader<ChildStdout>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    answers.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
    (line.pop() == Some(b'\n')).then_some(line)
}

/// A running git that answers questions.
struct Git {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Git {
    fn start(source: &Path, mode: &str) -> Option<Git> {
        let mut command = question(source);
        command.args(["cat-file", mode]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().ok()?;
        let (questions, answers) = (process.stdin.take()?, BufReader::new(process.stdout.take()?));
        Some(Git { process, questions, answers })
    }
}

/// Reads blobs, one at a time. The first one starts git.
pub(crate) struct BlobReader<'a> {
    blobs: &'a Blobs,
    /// `Some(None)` once git has failed.
    git: Option<Option<Git>>,
    content: Vec<u8>,
}

impl<'a> BlobReader<'a> {
    /// Makes a reader.
    pub(crate) fn new(blobs: &'a Blobs) -> BlobReader<'a> {
        BlobReader { blobs, git: None, content: Vec::new() }
    }

    /// Reads a blob. None if its content has another hash.
    pub(crate) fn read(&mut self, blob: Blob, hash: &Hash) -> Option<&[u8]> {
        let id = self.blobs.ids.get(blob.0)?;
        let git = self.git.get_or_insert_with(|| Git::start(&self.blobs.source, "--batch"));
        if read(git.as_mut()?, id, &mut self.content).is_none() {
            // Its position in the stream is unknown now.
            self.end();
            return None;
        }
        Hash::of(&self.content).fits(hash).then_some(&self.content)
    }

    fn end(&mut self) {
        if let Some(Some(mut git)) = self.git.replace(None) {
            drop((git.process.kill(), git.process.wait()));
        }
    }
}

impl Drop for BlobReader<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(git: &mut Git, id: &str, content: &mut Vec<u8>) -> Option<()> {
    writeln!(git.questions, "{id}").ok()?;
    let object = object_of(&line(&mut git.answers)?)?;
    if object.size >= LARGE_FILE_BYTES {
        return None;
    }
    content.resize(object.size as usize + 1, 0);
    git.answers.read_exact(content).ok()?;
    (content.pop() == Some(b'\n')).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_of_an_object_is_read_and_nothing_else() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let object = |kind: &str, size| Some(Object { id: id.to_owned(), kind: kind.to_owned(), size });
        for (line, expected) in [
            (format!("{id} blob 12"), object("blob", 12)),
            (format!("{id} tree 0"), object("tree", 0)),
            (format!("{id}:a blob 12 missing"), None),
            (format!("{id} missing"), None),
            (format!("{id} blob 12 missing"), None),
            (format!("{id} blob -1"), None),
            ("blob 12".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(object_of(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_commit_that_is_none_is_not_asked_for() {
        let files = [(b"a".to_vec(), 1)];
        for commit in ["", "HEAD", "--help", &"x".repeat(40), "0123456789abcdef0123456789abcdef0123456\n"] {
            assert_eq!(find_blobs(Path::new("/"), commit, &files), None);
        }
        let (_, found) = Blobs::find(Path::new("/nowhere"), &"0".repeat(40), &files);
        assert_eq!(found, [None]);
    }
}
