//! The answer of a script: between marks on stdout, among the output of the login.
//!
//! ```text
//! cutover-bootstrap:WORD:REST:end
//! ```

use crate::error::{Error, SiteError, StartError, Writers};
use crate::path::{Shown, shown_lines};
use crate::wire::login::Exit;

const MARK: &[u8] = b"cutover-bootstrap:";
const END_MARK: &[u8] = b":end";

/// An answer: a word and its details.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// The word.
    pub(super) word: &'a [u8],
    /// The details.
    pub(super) rest: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Finds the last answer in the output.
    pub(super) fn find(printed: &'a [u8]) -> Option<Answer<'a>> {
        let start = printed.windows(MARK.len()).rposition(|window| window == MARK)? + MARK.len();
        let answer = &printed[start..];
        let end = answer.windows(END_MARK.len()).rposition(|window| window == END_MARK)?;
        let answer = &answer[..end];
        let colon = answer.iter().position(|&byte| byte == b':')?;
        Some(Answer { word: &answer[..colon], rest: &answer[colon + 1..] })
    }
}

/// Returns the output before the last answer.
pub(super) fn before_answer(mut printed: Vec<u8>) -> Vec<u8> {
    if let Some(start) = printed.windows(MARK.len()).rposition(|window| window == MARK) {
        printed.truncate(start);
    }
    printed
}

/// Makes the error for a directory that others could change, of the script's report: whether owner or mode is wrong,
/// then mode, owner, group and path.
pub(super) fn unsafe_place(answer: &[u8], exit: &Exit) -> Error {
    let mut parts = answer.splitn(5, |&byte| byte == b':').map(|part| Shown(part).to_string());
    let mut next = || parts.next().unwrap_or_default();
    let (why, mode, owner, group, path) = (next(), next(), next(), next(), next());
    let may_write = |at: usize| mode.as_bytes().get(at) == Some(&b'w');
    match (why.as_str(), may_write(5), may_write(8)) {
        _ if mode.is_empty() => Error::Start(StartError::ProgramsMissing { output: printed_text(b"", exit) }),
        ("m", _, true) => Error::Site(SiteError::OthersWrite { path, by: Writers::All }),
        ("m", true, false) => Error::Site(SiteError::OthersWrite { path, by: Writers::Group(group) }),
        _ => Error::Site(SiteError::OtherOwner { path, owner }),
    }
}

/// Returns whether the shell reports that a file is no program, as opposed to a file that may not be executed.
pub(super) fn is_format_error(words: &[u8]) -> bool {
    String::from_utf8_lossy(words).to_ascii_lowercase().contains("format")
}

/// Returns whether the shell reports a missing command: `sh: 1: wc: not found`, `applet not found`.
pub(super) fn is_command_missing(words: &[u8]) -> bool {
    words.trim_ascii_end().ends_with(b"not found")
}

/// Returns the output of a command for a message.
pub(super) fn printed_text(printed: &[u8], exit: &Exit) -> String {
    let words = [printed, &exit.stderr].map(shown_lines);
    let words: Vec<String> = words.into_iter().filter(|words| !words.is_empty()).collect();
    match (words.is_empty(), exit.status) {
        (false, _) => words.join("\n"),
        (true, Some(status)) => format!("it ended with status {status}"),
        (true, None) => "it was killed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found_among_noise() {
        let check = |printed: &[u8], expected: Option<(&[u8], &[u8])>| {
            let expected = expected.map(|(word, rest)| Answer { word, rest });
            assert_eq!(Answer::find(printed), expected);
        };
        check(b"", None);
        check(b"Welcome!\n", None);
        check(b"hi\ncutover-bootstrap:start::end\n", Some((b"start", b"")));
        check(b"hi cutover-bootstrap:foreign:a:end:b:end\nbye\n", Some((b"foreign", b"a:end:b")));
        check(b"cutover-bootstrap:missing:Linux", None);
    }
}
