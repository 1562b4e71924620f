//! A deploy that changes nothing: it says what would be sent. It holds no lock, so what it says may be old when it is heard.

use crate::error::{Error, SiteError};
use crate::live::LiveNow;
use crate::threads;
use crate::wire::message::{DeployDone, Holding};

use crate::agent::receive::WantedObjects;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::store::Store;
use crate::agent::talk::Talk;

use super::base::Base;
use super::decided::Decided;
use super::done::would_be_done;
use super::lacks::send_lacks;
use super::order::Order;
use super::ready::{Ready, holding};
use super::task::Task;
use super::tree::{self, Tree};
use super::unchanged::unchanged;

/// Answers a dry run.
pub(super) fn dry_run(talk: &Talk, order: &Order<'_>) -> Result<DeployDone, Error> {
    match Layout::open(order.path, order.policy())? {
        Some(layout) => of_site(talk, order, &layout),
        None => of_nothing(talk, order),
    }
}

fn of_site(talk: &Talk, order: &Order<'_>, layout: &Layout) -> Result<DeployDone, Error> {
    let releases = Releases::read(layout)?;
    let live = layout.current.live()?;
    if let Some(done) = unchanged(order, layout, &releases, live.as_ref())? {
        return Ok(done);
    }
    let base = Base::choose(talk, order, layout, &releases, live.as_ref())?;
    let tree = receive(talk, order, Some(layout), holding(layout, &releases), base.as_ref())?;
    let decided = Decided::decide(order, layout, &releases, live, base.as_ref(), &tree.manifest)?;
    let store = Store::new(layout.objects.duplicate()?);
    let task = Task { order, tree: &tree, base: base.as_ref(), decided: &decided };
    let classified = task.classify(layout, &releases, &store)?;
    let wanted = WantedObjects::gather(&tree.manifest, classified.lacking);
    send_lacks(talk, &wanted, Vec::new(), tree.commits)?;
    Ok(would_be_done(order, &decided))
}

fn of_nothing(talk: &Talk, order: &Order<'_>) -> Result<DeployDone, Error> {
    let tree = receive(talk, order, None, Holding::default(), None)?;
    if let Some(path) = order.policy().shared_files.first() {
        return Err(Error::Site(SiteError::SharedMissing(
            order.path.join("shared").join(path.as_path()).display().to_string(),
        )));
    }
    let files = tree.manifest.all_files().filter(|(_, file)| file.size > 0).map(|(entry, _)| entry);
    send_lacks(talk, &WantedObjects::gather(&tree.manifest, files), Vec::new(), tree.commits)?;
    Ok(would_be_done(order, &Decided::nothing_stood(&tree.manifest)))
}

fn receive(
    talk: &Talk,
    order: &Order<'_>,
    layout: Option<&Layout>,
    holding: Holding,
    base: Option<&Base>,
) -> Result<Tree, Error> {
    // Without the lock, what is live now need not be live when it is told.
    Ready { holding, base, live: LiveNow::Unchanged, stores_nothing: false }.send(talk, order)?;
    threads::start_pool()?;
    tree::receive(talk, order, layout, base)
}
