//! `diff` and `doctor --url`: sends the manifests of releases.

use std::path::Path;

use crate::error::{Error, SiteError};
use crate::hash::Hash;
use crate::manifest::encode::encode;
use crate::release::{Record, ReleaseId};
use crate::wire::bounds::MANIFESTS_MAX;
use crate::wire::message::{BaseName, FromAgent, Reply};

use super::Service;
use crate::agent::site::records::{Releases, check_manifest, read_manifest};

impl Service<'_> {
    /// Sends the manifests of releases. None in `wanted` is the live one.
    pub(super) fn manifests(&self, path: &Path, wanted: &[Option<ReleaseId>], known: &[Hash]) -> Result<Reply, Error> {
        if wanted.len() > MANIFESTS_MAX {
            return Err(Error::Protocol(format!("a request for more than {MANIFESTS_MAX} manifests")));
        }
        let layout = self.open(path)?;
        let releases = Releases::read(&layout)?;
        let read = |record: &Record| read_manifest(&layout, &record.id, &record.root);
        let mut before: Option<&Record> = None;
        for id in wanted {
            let id = match id {
                Some(id) => id.clone(),
                None => layout
                    .current
                    .live()?
                    .ok_or_else(|| Error::from(SiteError::NotSetUp(path.display().to_string())))?,
            };
            let record = releases.known(&id)?;
            let bytes = if known.contains(&record.root) {
                check_manifest(&layout, &id, &record.root)?;
                Vec::new()
            } else {
                let base = before.map(read).transpose()?;
                encode(&read(record)?.manifest, base.as_ref().map(|base| &base.manifest)).to_bytes()
            };
            before = Some(record);
            let name = BaseName { release: id, root: record.root };
            self.conversation.send(&FromAgent::Manifest { name, length: bytes.len() as u64 })?;
            self.conversation.send_parts(&bytes)?;
        }
        Ok(Reply::Manifests)
    }
}
