//! A dry run: reports what a deploy would send, and changes nothing. It holds no lock, so its answer may be out of
//! date when it arrives.

use std::path::Path;

use crate::disk::may_write;
use crate::error::{Error, Refusal};
use crate::live::LiveNow;
use crate::release::ReleaseId;
use crate::report::SpaceReport;
use crate::target::Policy;
use crate::threads;
use crate::wire::message::{DeployDone, Holding};

use crate::agent::conversation::Conversation;
use crate::agent::prune::{self, CleanupOptions};
use crate::agent::receive::WantedObjects;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::space::{self, with_remedy};
use crate::agent::store::Store;

use super::base::Base;
use super::decision::Decision;
use super::done::{expected_done, note_edits};
use super::lacks::send_lacks;
use super::look::Look;
use super::order::Order;
use super::planned_hooks::planned_hooks;
use super::preview::{OpenSite, preview, whole_need, would_expire};
use super::ready::{Ready, holding};
use super::task::Task;
use super::tree::{self, Tree};
use super::unchanged::{Unchanged, unchanged};

/// Answers a dry run.
pub(super) fn dry_run(conversation: &Conversation, order: &Order<'_>, look: Option<Look>) -> Result<DeployDone, Error> {
    match Layout::open(order.path, order.policy())? {
        Some(mut layout) => answer_with_site(conversation, order, &mut layout, look),
        None => answer_without_site(conversation, order),
    }
}

fn answer_with_site(
    conversation: &Conversation,
    order: &Order<'_>,
    layout: &mut Layout,
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
    let mut preview = preview(task, Some(site), &wanted, &classification.further_copies)?;
    if let Err(error) = space::check(&preview.space) {
        let whole = whole_need(task, site, &wanted, &classification.further_copies)?;
        let removable = removable(&releases, decision.live.as_ref());
        preview.refusal = shortage(conversation, order, layout, (whole, error), removable, &mut preview.space)?;
    }
    done.preview = Some(preview);
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
    let mut preview = preview(task, None, &wanted, &[])?;
    let shortage = || space::check(&preview.space).err().filter(|_| !order.begin.no_space_check);
    preview.refusal = check_rights(order.path).err().or_else(shortage).map(|error| error.to_refusal());
    done.preview = Some(preview);
    Ok(done)
}

/// Fails if this user may not make the deploy path, or names in it.
fn check_rights(path: &Path) -> Result<(), Error> {
    let Some(nearest) = path.ancestors().find(|path| path.is_dir()) else { return Ok(()) };
    may_write(nearest).map_err(|errno| Error::io("write to", nearest, errno))
}

/// Returns the error with which a deploy would be refused. It first removes the spare and what is due. Then no part of the
/// need is there already. If that is enough, the forecast is of that.
fn shortage(
    conversation: &Conversation,
    order: &Order<'_>,
    layout: &mut Layout,
    (whole, error): (SpaceReport, Error),
    (bytes, inodes): (u64, u64),
    space: &mut SpaceReport,
) -> Result<Option<Refusal>, Error> {
    if order.begin.no_space_check {
        return Ok(None);
    }
    let policy = Policy { spare: false, ..order.policy().clone() };
    let options = CleanupOptions::default();
    let freed = prune::cleanup(layout, &mut Releases::read(layout)?, &policy, &options, conversation)?;
    let free_inodes = whole.free_inodes.map(|free| free.saturating_add(freed.freed_inodes));
    let roomy = SpaceReport { free_bytes: whole.free_bytes.saturating_add(freed.freed_bytes), free_inodes, ..whole };
    if space::check(&roomy).is_ok() {
        *space = SpaceReport { fits: true, ..roomy };
        return Ok(None);
    }
    // What else a deploy removes first is not known to the byte: a refusal is certain only if the most is not enough.
    let free_inodes = roomy.free_inodes.map(|free| free.saturating_add(inodes));
    let most = SpaceReport { free_bytes: roomy.free_bytes.saturating_add(bytes), free_inodes, ..roomy };
    if space::check(&most).is_ok() {
        return Ok(None);
    }
    Ok(Some(with_remedy(error, layout, order.policy(), conversation).to_refusal()))
}

/// Returns the most bytes and inodes that the removal of all releases but the live one could free.
fn removable(releases: &Releases, live: Option<&ReleaseId>) -> (u64, u64) {
    // Each file may end in a block of its own, and have a directory of its own.
    const BLOCK_BYTES: u64 = 4096;
    let others = releases.records.iter().filter(|record| Some(&record.id) != live);
    others.fold((0_u64, 0_u64), |(bytes, inodes), record| {
        let names = record.files.saturating_mul(2);
        let most = record.bytes.saturating_add(names.saturating_mul(BLOCK_BYTES));
        (bytes.saturating_add(most), inodes.saturating_add(names))
    })
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
