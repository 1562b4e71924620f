//! The log: `.cutover/log`, one line of JSON for each switch, and for warnings that the client did not get.
//!
//! Each line is appended with one write, and no part of Cutover reads it. Lines are not synced: a power cut may lose
//! the last ones. If a client goes away while the last answer is on its way, the agent does not notice, and those
//! warnings are lost.

use serde::Serialize;

use crate::disk::Dir;
use crate::error::Error;
use crate::release::ReleaseId;

use crate::agent::json::to_json;

const LOG: &[u8] = b"log";

/// A switch.
#[derive(Serialize)]
pub(crate) struct SwitchLine<'a> {
    /// The time of the switch, Unix time in seconds.
    pub(crate) at: u64,
    /// The verb.
    pub(crate) verb: &'a str,
    /// The user.
    pub(crate) who: &'a str,
    /// The user's host.
    pub(crate) from: &'a str,
    /// The release that is live now.
    pub(crate) release: &'a ReleaseId,
    /// The release that was live before.
    pub(crate) previous: Option<&'a ReleaseId>,
    /// The commit of the source.
    pub(crate) commit: Option<&'a str>,
}

/// The warnings of a run whose client had gone.
#[derive(Serialize)]
pub(crate) struct MissedWarningsLine<'a> {
    /// The time of the answer, Unix time in seconds.
    pub(crate) at: u64,
    /// The verb.
    pub(crate) verb: &'a str,
    /// The user.
    pub(crate) who: &'a str,
    /// The user's host.
    pub(crate) from: &'a str,
    /// The warnings.
    pub(crate) unheard: &'a [String],
}

/// Appends a line.
pub(crate) fn append(private: &Dir, line: &impl Serialize) -> Result<(), Error> {
    let log = private.open_text(LOG)?;
    log.add(&to_json(line)).map_err(|e| Error::io("write", private.path_of(LOG), e))
}
