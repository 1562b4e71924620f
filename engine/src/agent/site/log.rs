//! The log: `.cutover/log`, a line of JSON for each change of what is live, and for warnings that nobody was there to hear.
//!
//! Lines are only ever appended, each with one write; no part of Cutover reads them. A line is not synced: a power cut may
//! take the last ones. A client that goes away while the last answer is on its way to it is not noticed, and those warnings
//! are lost.

use serde::Serialize;

use crate::disk::Dir;
use crate::error::Error;
use crate::release::ReleaseId;

use crate::agent::json::to_json;

const LOG: &[u8] = b"log";

/// A change of what is live.
#[derive(Serialize)]
pub(crate) struct SwitchLine<'a> {
    /// When, Unix time in seconds.
    pub(crate) at: u64,
    /// By which verb.
    pub(crate) verb: &'a str,
    /// By whom.
    pub(crate) who: &'a str,
    /// From which host.
    pub(crate) from: &'a str,
    /// What is live.
    pub(crate) release: &'a ReleaseId,
    /// What was live before.
    pub(crate) previous: Option<&'a ReleaseId>,
    /// The commit of the source.
    pub(crate) commit: Option<&'a str>,
}

/// Warnings of a run whose client had gone.
#[derive(Serialize)]
pub(crate) struct UnheardLine<'a> {
    /// When, Unix time in seconds.
    pub(crate) at: u64,
    /// Of which verb.
    pub(crate) verb: &'a str,
    /// Whose run it was.
    pub(crate) who: &'a str,
    /// From which host.
    pub(crate) from: &'a str,
    /// The warnings.
    pub(crate) unheard: &'a [String],
}

/// Appends a line.
pub(crate) fn append(private: &Dir, line: &impl Serialize) -> Result<(), Error> {
    let log = private.open_text(LOG)?;
    log.add(&to_json(line)).map_err(|e| Error::io("write", private.path_of(LOG), e))
}
