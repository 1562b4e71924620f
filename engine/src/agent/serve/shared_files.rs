//! `shared`: lists, sends and receives files in `shared/`.

use std::path::Path;

use super::Service;
use crate::agent::conversation::Incoming;
use crate::agent::shared::files::{self, NewSharedFile};
use crate::agent::site::records::Releases;
use crate::error::{Error, SiteError};
use crate::hash::Hash;
use crate::path::RelativePath;
use crate::wire::bounds::SHARED_FILE_BYTES_MAX;
use crate::wire::frame::Parts;
use crate::wire::message::{FromAgent, Reply};

impl Service<'_> {
    /// Lists `shared/`.
    pub(super) fn list_shared(&self, path: &Path) -> Result<Reply, Error> {
        let layout = self.open_or(path, SiteError::NoShared)?;
        let releases = Releases::read(&layout)?;
        let live = layout.current.live()?;
        let links = live.and_then(|live| releases.find(&live)).map(|record| record.shared.clone());
        files::list(&layout, &links.unwrap_or_default()).map(Reply::SharedList)
    }

    /// Sends a file, if it exists.
    pub(super) fn send_shared(&self, path: &Path, file: &RelativePath) -> Result<Reply, Error> {
        let content = files::read(&self.open_or(path, SiteError::NoShared)?.shared, file)?;
        if let Some(content) = &content {
            self.conversation.send(&FromAgent::SharedContent { length: content.len() as u64 })?;
            self.conversation.send_parts(content)?;
        }
        Ok(Reply::SharedRead)
    }

    /// Receives a file.
    pub(super) fn receive_shared(
        &self,
        path: &Path,
        file: &RelativePath,
        known: Option<Hash>,
        length: u64,
    ) -> Result<Reply, Error> {
        let mut layout = self.open_or(path, SiteError::NoShared)?;
        let lock = self.lock(&mut layout)?;
        let mut parts = Parts::begin(length, SHARED_FILE_BYTES_MAX)?;
        self.conversation.send(&FromAgent::WantSharedContent)?;
        while !parts.is_complete() {
            match self.conversation.next()? {
                Incoming::Part(part) => parts.add(&part)?,
                _ => return Err(Error::Protocol("a shared file that breaks off".into())),
            }
        }
        let content = parts.finish();
        files::write(&lock, &layout.shared, &NewSharedFile { path: file, content: &content, known })
            .map(Reply::SharedWrite)
    }
}
