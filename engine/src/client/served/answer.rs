//! Reads what an answer tells.

use std::io::Read;

use crate::hash::Hash;
use crate::http::{BodyEnd, HttpAnswer};
use crate::release::ReleaseId;
use crate::report::{ReleaseReport, WebAnswer};

use super::candidates::{Candidate, FILE_BYTES_MAX};

/// The least number of digits that name a commit.
const COMMIT_DIGITS_MIN: usize = 7;

/// A file or a page that was asked for, and what would tell a release.
pub(crate) enum Asked<'a> {
    /// A file, and the releases that its numbers name.
    File(&'a Candidate, &'a [ReleaseId]),
    /// A page that names its release or its commit.
    Version(&'a [ReleaseReport]),
}

impl Asked<'_> {
    /// Adds to the report of an answer which release it is of, or the reason that it is of none.
    pub(crate) fn judge(&self, answer: &HttpAnswer, live: &ReleaseId, report: &mut WebAnswer) {
        match self.releases(answer, live) {
            Ok((release, also_in)) if also_in.is_empty() => report.release = Some(release),
            Ok((_, also_in)) => {
                let names: Vec<&str> = also_in.iter().map(ReleaseId::as_str).collect();
                report.reason = Some(format!("its content is that of {live} (live), and of {}", names.join(", ")));
                report.also_in = also_in;
            }
            Err(reason) => report.reason = Some(reason),
        }
    }

    /// Returns the release of an answer, or the reason that it is of none. If it is the live one, returns the others with
    /// the same content too.
    fn releases(&self, answer: &HttpAnswer, live: &ReleaseId) -> Result<(ReleaseId, Vec<ReleaseId>), String> {
        if answer.status != 200 {
            return Err(format!("status {}", answer.status_text));
        }
        let content = content(answer)?;
        match self {
            Asked::Version(releases) => named_release(&content, releases).map(|release| (release, Vec::new())),
            Asked::File(candidate, others) => {
                let hash = Hash::of(&content);
                let mut with = candidate.releases_with(hash).filter_map(|number| others.get(number).cloned());
                if candidate.live == Some(hash) {
                    return Ok((live.clone(), with.collect()));
                }
                // Of several, the one that was live most recently is the likeliest.
                let release = with.next().ok_or_else(|| "its content is that of no release here".to_owned())?;
                Ok((release, Vec::new()))
            }
        }
    }
}

impl WebAnswer {
    /// Makes the report of an answer, without its release.
    pub(crate) fn of(url: String, answer: &HttpAnswer) -> WebAnswer {
        let header = |name: &str| {
            let found = answer.headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        WebAnswer {
            url,
            status: Some(answer.status),
            age: header("age"),
            cache_control: header("cache-control"),
            ..WebAnswer::default()
        }
    }
}

/// Returns the content of an answer, unpacked, or the reason that it is not known.
pub(super) fn content(answer: &HttpAnswer) -> Result<Vec<u8>, String> {
    match &answer.end {
        BodyEnd::Complete => {}
        BodyEnd::Enough => return Err("its body is longer than the file".to_owned()),
        BodyEnd::Cut(fault) => return Err(format!("its body is not complete: {fault}")),
    }
    let encoding = answer.headers.iter().find(|(name, _)| name == "content-encoding").map(|(_, value)| value.as_str());
    match encoding {
        None | Some("identity" | "") => Ok(answer.body.clone()),
        Some("gzip" | "x-gzip") => {
            let mut content = Vec::new();
            let mut unpacker = flate2::read::GzDecoder::new(&answer.body[..]).take(FILE_BYTES_MAX + 1);
            unpacker.read_to_end(&mut content).map_err(|error| format!("its body cannot be unpacked: {error}"))?;
            Ok(content)
        }
        Some(other) => Err(format!("its body is packed with {}", other.escape_debug())),
    }
}

/// Returns the one release whose name or commit a page has.
pub(super) fn named_release(page: &[u8], releases: &[ReleaseReport]) -> Result<ReleaseId, String> {
    let text = String::from_utf8_lossy(page);
    let is_of_word = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let words: Vec<&str> = text.split(|character| !is_of_word(character)).filter(|word| !word.is_empty()).collect();
    let is_commit = |word: &str, commit: &str| word.len() >= COMMIT_DIGITS_MIN && commit.starts_with(word);
    let by_name: Vec<&ReleaseReport> = releases.iter().filter(|release| words.contains(&release.id.as_str())).collect();
    let has_commit = |release: &&ReleaseReport| {
        release.commit.as_ref().is_some_and(|commit| words.iter().any(|word| is_commit(word, commit)))
    };
    let found = if by_name.is_empty() { releases.iter().filter(has_commit).collect() } else { by_name };
    match found[..] {
        [release] => Ok(release.id.clone()),
        [] => Err("it names no release and no commit of one".to_owned()),
        _ => Err("it names several releases, or a commit of several".to_owned()),
    }
}
