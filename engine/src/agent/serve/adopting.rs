//! `adopt`: looks at a site, adopts it, undoes that.

use std::path::Path;

use super::Service;
use crate::agent::adopt;
use crate::agent::conversation::Incoming;
use crate::agent::deploy_path::absolute_path;
use crate::agent::site::layout::Layout;
use crate::error::{AdoptError, Error};
use crate::manifest::decode::decode;
use crate::threads;
use crate::wire::bounds::TREE_BYTES_MAX;
use crate::wire::frame::Parts;
use crate::wire::message::{AdoptBegin, Reply};

impl Service<'_> {
    /// Looks at a site. Nothing changes.
    pub(super) fn survey(&self, path: &Path, begin: &AdoptBegin, length: u64) -> Result<Reply, Error> {
        threads::start_pool()?;
        let bytes = self.receive_source(length)?;
        let (source, _) =
            decode(&bytes, None).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
        let site = absolute_path(&begin.site)?;
        let report = adopt::survey(&site, path, &self.hello.policy, begin, &source.manifest)?;
        Ok(Reply::Survey(Box::new(report)))
    }

    fn receive_source(&self, length: u64) -> Result<Vec<u8>, Error> {
        let mut parts = Parts::begin(length, TREE_BYTES_MAX)?;
        while !parts.is_complete() {
            match self.conversation.next()? {
                Incoming::Part(part) => parts.add(&part)?,
                _ => return Err(Error::Protocol("a manifest that breaks off".into())),
            }
        }
        Ok(parts.finish())
    }

    /// Adopts a site.
    pub(super) fn adopt(&self, path: &Path, begin: &AdoptBegin, length: u64) -> Result<Reply, Error> {
        threads::start_pool()?;
        let source = &self.receive_source(length)?;
        let site = absolute_path(&begin.site)?;
        let order =
            adopt::Order { conversation: self.conversation, hello: self.hello, begin, source, site: &site, path };
        adopt::adopt(&order, |layout| self.lock(layout)).map(|report| Reply::Adopt(Box::new(report)))
    }

    /// Undoes an adoption. The caller may name the deploy path as the site.
    pub(super) fn undo_adoption(&self, path: &Path, site: &[u8], dry_run: bool) -> Result<Reply, Error> {
        let site = absolute_path(site)?;
        let path = if adopt::is_adopted(&site)? { &site } else { path };
        let missing = || AdoptError::NotAdopted(site.display().to_string());
        let mut layout = Layout::open(path, &self.hello.policy)?.ok_or_else(missing)?;
        if *path != site && !adopt::has_site(&layout, &site)? {
            return Err(missing().into());
        }
        if dry_run {
            return adopt::look_at_undo(&layout).map(Reply::UndoAdoption);
        }
        let lock = self.lock(&mut layout)?;
        adopt::undo(self.conversation, &lock, &mut layout).map(Reply::UndoAdoption)
    }
}
