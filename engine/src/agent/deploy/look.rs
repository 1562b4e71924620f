//! The comparison of the live release with its manifest, while the client scans.
//!
//! A deploy names the edits of the live release, since the next release does not have them. If the source is the same,
//! it must know whether there are any. The client asks for the comparison as soon as the connection stands, so it takes no
//! time of its own if client and server are two machines. It begins before the lock is held: the result counts only if the
//! same release is live under the lock. Edits that come later belong to the next deploy.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::agent::compare::{Compared, Depth, Stop, compare_releases};
use crate::agent::deploy_path::absolute_path;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::error::Error;
use crate::release::{Record, ReleaseId};
use crate::target::Policy;
use crate::threads;

/// A comparison that runs.
pub(crate) struct Look {
    thread: Option<JoinHandle<Option<(ReleaseId, Compared)>>>,
    stop: Arc<Stop>,
}

impl Look {
    /// Begins to compare the live release of a deploy path. Returns nothing if no thread is to be had.
    pub(crate) fn begin(path: &[u8]) -> Option<Look> {
        let path = absolute_path(path).ok()?;
        let stop = Arc::new(Stop::default());
        let until = stop.clone();
        // The hello reports all errors.
        let look = move || look(&path, &until).ok().flatten().filter(|_| !until.is_stopped());
        Some(Look { thread: Some(threads::spawn(look).ok()?), stop })
    }

    /// Waits for the result. Returns nothing if it is about another release.
    fn result(mut self, live: &ReleaseId) -> Option<Compared> {
        let (id, compared) = self.thread.take()?.join().ok()??;
        (id == *live).then_some(compared)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

fn look(path: &Path, stop: &Stop) -> Result<Option<(ReleaseId, Compared)>, Error> {
    // The rules come with the hello. Without them the link is where the store says.
    let Some(layout) = Layout::open(path, &Policy::default())? else { return Ok(None) };
    let Some(live) = layout.current.live()? else { return Ok(None) };
    let releases = Releases::read(&layout)?;
    let Some(record) = releases.find(&live) else { return Ok(None) };
    Ok(Some((live, compare_releases(&layout, &[record], Depth::Stat, stop)?)))
}

/// Compares the live release with its manifest, or takes the result of a look.
pub(super) fn compare_live(layout: &Layout, record: &Record, look: Option<Look>) -> Result<Compared, Error> {
    match look.and_then(|look| look.result(&record.id)) {
        Some(compared) => Ok(compared),
        None => compare_releases(layout, &[record], Depth::Stat, &Stop::default()),
    }
}
