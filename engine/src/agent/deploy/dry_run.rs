//! A dry run: reports what a deploy would send, and changes nothing. It holds no lock, so its answer may be out of
//! date when it arrives.

use crate::error::Error;
use crate::live::LiveNow;
use crate::threads;
use crate::wire::message::{DeployDone, Holding};

use crate::agent::conversation::Conversation;
use crate::agent::receive::WantedObjects;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::store::Store;

use super::base::Base;
use super::decision::Decision;
use super::done::{expected_done, note_edits};
use super::lacks::send_lacks;
use super::look::Look;
use super::order::Order;
use super::planned_hooks::planned_hooks;
use super::preview::{OpenSite, preview, would_expire};
use super::ready::{Ready, holding};
use super::task::Task;
use super::tree::{self, Tree};
use super::unchanged::{Unchanged, unchanged};

/// Answers a dry run.
pub(super) fn dry_run(conversation: &Conversation, order: &Order<'_>, look: Option<Look>) -> Result<DeployDone, Error> {
    match Layout::open(order.path, order.policy())? {
        Some(layout) => answer_with_site(conversation, order, &layout, look),
        None => answer_without_site(conversation, order),
    }
}

fn answer_with_site(
    conversation: &Conversation,
    order: &Order<'_>,
    layout: &Layout,
    look: Option<Look>,
) -> Result<DeployDone, Error> {
    let releases = Releases::read(layout)?;
    let live = layout.current.live()?;
    let edited = match unchanged(order, layout, &releases, live.as_ref(), look)? {
        Unchanged::Yes(done) => return Ok(*done),
        Unchanged::No(edited) => edited,
    };
    let base = Base::choose(conversation, order, layout, &releases, live.as_ref())?;
    let tree = receive(conversation, order, Some(layout), holding(layout, &releases), base.as_ref())?;
    let decision = Decision::make(order, layout, &releases, live, base.as_ref(), &tree.manifest)?;
    let store = Store::new(layout.objects.duplicate()?);
    let task = Task { order, tree: &tree, base: base.as_ref(), decision: &decision };
    let classification = task.classify(layout, &releases, &store)?;
    let wanted = WantedObjects::gather(&tree.manifest, classification.lacking.iter().copied());
    send_lacks(conversation, &wanted, Vec::new(), tree.commits)?;
    let mut done = expected_done(order, &decision, &tree.manifest);
    done.hooks = planned_hooks(task, Some((layout, &releases)))?;
    done.removed = would_expire(task, layout, &releases)?;
    let site = OpenSite { layout, releases: &releases, store: &store };
    done.preview = Some(preview(task, Some(site), &wanted, &classification.further_copies)?);
    note_edits(&mut done, edited);
    Ok(done)
}

fn answer_without_site(conversation: &Conversation, order: &Order<'_>) -> Result<DeployDone, Error> {
    let tree = receive(conversation, order, None, Holding::default(), None)?;
    let decision = Decision::without_site(order, &tree.manifest)?;
    let files = tree.manifest.all_files().filter(|(_, file)| file.size > 0).map(|(entry, _)| entry);
    let wanted = WantedObjects::gather(&tree.manifest, files);
    send_lacks(conversation, &wanted, Vec::new(), tree.commits)?;
    let mut done = expected_done(order, &decision, &tree.manifest);
    let task = Task { order, tree: &tree, base: None, decision: &decision };
    done.hooks = planned_hooks(task, None)?;
    done.preview = Some(preview(task, None, &wanted, &[])?);
    Ok(done)
}

fn receive(
    conversation: &Conversation,
    order: &Order<'_>,
    layout: Option<&Layout>,
    holding: Holding,
    base: Option<&Base>,
) -> Result<Tree, Error> {
    // Without the lock, another release may be live by the time the answer arrives.
    Ready { holding, base, live: LiveNow::Unchanged, stores_nothing: false }.send(conversation, order)?;
    threads::start_pool()?;
    tree::receive(conversation, order, layout, base)
}
