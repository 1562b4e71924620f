//! The record of an adoption: `.cutover/adoption`, as JSON. It is written before anything at the site changes, and says all
//! that a later run needs to finish the adoption, or to undo it.
//!
//! The manifest of the source at that time is beside it, in `.cutover/adoption-source`: what that source lacked came from the
//! server, and `carry_over` may carry it on.
//!
//! How far a run came is not in it: the disk shows that. A site that is still a directory is not exchanged yet, and a shared
//! path whose name in `shared/` is still a link has not moved yet.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::agent::json::{read_json, to_json};
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::disk::Dir;
use crate::error::{DamageError, Error};
use crate::manifest::Manifest;
use crate::manifest::decode::decode;
use crate::path::RelativePath;
use crate::release::ReleaseId;

use super::standing::{above, is_directory};

/// The name of the record in `.cutover/`.
const ADOPTION: &[u8] = b"adoption";

/// The name of the source's manifest in `.cutover/`.
const SOURCE: &[u8] = b"adoption-source";

/// The place of an adopted directory in `.cutover/`.
pub(super) const ORIGINAL: &[u8] = b"original";

/// An adoption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adoption {
    /// The person who adopted, as `user@host`.
    pub(crate) by: String,
    /// The time at which it began, in Unix seconds.
    pub(crate) at: u64,
    /// What was adopted.
    pub(crate) subject: Subject,
}

/// What was adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// A directory that was overwritten in place.
    Directory(AdoptedDirectory),
    /// The deploy path of another tool.
    Tool(AdoptedTool),
}

/// A directory whose name became the link to the live release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdoptedDirectory {
    /// Its path, absolute.
    pub(crate) site: PathBuf,
    /// The name beside it that it has between the exchange and its move into `.cutover/`. Before the exchange, the new
    /// link has that name.
    pub(crate) beside: String,
    /// The paths that became shared, sorted.
    pub(crate) shared: Vec<RelativePath>,
    /// The first release.
    pub(crate) release: Option<ReleaseId>,
    /// Whether its files were linked and not copied.
    pub(crate) is_linked: bool,
    /// Whether the directory was removed on request, so that nothing leads back.
    pub(crate) is_original_removed: bool,
}

/// The deploy path of another tool, taken over in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdoptedTool {
    /// The name of the tool.
    pub(crate) tool: String,
    /// The bytes of the target of `current`, as the tool wrote it.
    pub(crate) current: Vec<u8>,
    /// The release that was live.
    pub(crate) live: ReleaseId,
    /// The releases that are taken over, in order.
    pub(crate) releases: Vec<ReleaseId>,
    /// Whether all are taken over.
    pub(crate) is_complete: bool,
}

impl AdoptedDirectory {
    /// Returns whether the directory was exchanged and did not move yet.
    pub(super) fn is_unfinished(&self) -> Result<bool, Error> {
        is_directory(&Dir::open(&above(&self.site))?, self.beside.as_bytes())
    }

    /// Returns the path of the old directory, if it is not the site: it moved into `.cutover/`, or stands beside the site.
    pub(super) fn kept_at(&self, private: &Dir) -> Result<Option<PathBuf>, Error> {
        if is_directory(private, ORIGINAL)? {
            return Ok(Some(private.path_of(ORIGINAL)));
        }
        Ok(self.is_unfinished()?.then(|| above(&self.site).join(&self.beside)))
    }
}

impl Adoption {
    /// Returns whether nothing leads back: the directory was removed.
    pub(super) fn is_over(&self) -> bool {
        matches!(&self.subject, Subject::Directory(adopted) if adopted.is_original_removed)
    }

    /// Returns the record of a take-over that is complete.
    pub(super) fn complete(self) -> Adoption {
        match self.subject {
            Subject::Tool(tool) => {
                Adoption { subject: Subject::Tool(AdoptedTool { is_complete: true, ..tool }), ..self }
            }
            Subject::Directory(_) => self,
        }
    }

    /// Reads the record, if there is one.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Adoption>, Error> {
        Adoption::read_in(&layout.private)
    }

    /// Reads the record in a `.cutover/`, if there is one.
    pub(crate) fn read_in(private: &Dir) -> Result<Option<Adoption>, Error> {
        read_json(private, ADOPTION)
    }

    /// Returns the source of a release that was made of an adopted directory: what it lacks came from the server. None if the
    /// release was deployed.
    pub(crate) fn source_of(layout: &Layout, release: &ReleaseId) -> Result<Option<Manifest>, Error> {
        match Adoption::read(layout)?.map(|adoption| adoption.subject) {
            Some(Subject::Directory(adopted)) if adopted.release.as_ref() == Some(release) => {}
            _ => return Ok(None),
        }
        let Some(bytes) = layout.private.read(SOURCE)? else { return Ok(None) };
        let (source, _) = decode(&bytes, None).map_err(|reason| {
            let path = layout.private.path_of(SOURCE).display().to_string();
            Error::Damage(DamageError::File { path, reason: reason.to_string() })
        })?;
        Ok(Some(source.manifest))
    }

    /// Keeps the manifest of the source, encoded, durably.
    pub(crate) fn keep_source(_lock: &Lock, layout: &Layout, source: &[u8]) -> Result<(), Error> {
        layout.private.replace(SOURCE, source)
    }

    /// Returns the paths that became shared one by one, wherever they lie.
    pub(crate) fn shared_paths(layout: &Layout) -> Result<Vec<RelativePath>, Error> {
        match Adoption::read(layout)?.map(|adoption| adoption.subject) {
            Some(Subject::Directory(adopted)) => Ok(adopted.shared),
            _ => Ok(Vec::new()),
        }
    }

    /// Writes the record, durably.
    pub(crate) fn write(&self, _lock: &Lock, layout: &Layout) -> Result<(), Error> {
        layout.private.replace(ADOPTION, to_json(self).as_bytes())
    }

    /// Removes the record.
    pub(crate) fn remove(_lock: &Lock, layout: &Layout) -> Result<(), Error> {
        layout.private.remove_file(SOURCE)?;
        layout.private.remove_file(ADOPTION)?;
        layout.private.sync()
    }
}
