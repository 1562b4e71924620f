//! Makes a release: the agent's part of a deploy, from the lock to the answer.
//!
//! First the agent and the client agree on what is to be made: a base, a tree against it, a name. Then four steps, each of
//! which needs what the one before came to:
//!
//! 1. fill: links and receives, until the release is complete in staging;
//! 2. publish: makes it durable, and gives objects, then record, then tree their names, durably;
//! 3. switch: points `current` at it;
//! 4. tidy: removes what retention gives up, and keeps what was seen.
//!
//! That order is what makes it safe. A crash leaves staging that the next run uses, or objects and records that nothing
//! names yet; `current` is touched last. Behind the switch nothing fails any more, and nothing waits for a client.

mod base;
mod decided;
mod done;
mod dry_run;
mod fill;
mod finish;
mod lacks;
mod made;
mod order;
mod phases;
mod plan;
mod promised;
mod publish;
mod ready;
mod reception;
mod second;
mod spare;
mod task;
mod tree;
mod unchanged;
mod unfit;

use std::time::Duration;

use crate::error::{Error, SiteError};
use crate::event::Phase;
use crate::wire::message::DeployDone;

use self::publish::{Publication, Published, publish};
use super::clock::now;
use super::site::Site;
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::reserve;
use super::site::switch::{self, Switched};
use super::staging::Staging;
use super::store::Store;
use super::talk::Talk;
use super::tell::Tell;

use self::base::Base;
use self::decided::Decided;
use self::done::done;
use self::dry_run::dry_run;
use self::fill::{Filled, fill};
use self::finish::tidy;
use self::made::Made;
use self::phases::Phases;
use self::plan::Plan;
use self::ready::{Ready, holding};
use self::spare::Choice;
use self::task::Task;
use self::unchanged::unchanged;

pub(crate) use self::order::Order;

/// Runs a deploy. `lock` takes the lock of an open deploy path, and reads again what may have changed before.
pub(crate) fn deploy(
    talk: &Talk,
    order: &Order<'_>,
    lock: impl Fn(&mut Layout) -> Result<Lock, Error>,
) -> Result<DeployDone, Error> {
    if order.begin.dry_run {
        return dry_run(talk, order);
    }
    let (mut layout, _) = Layout::set_up(order.path, order.policy(), talk)?;
    let lock = lock(&mut layout)?;
    reserve::take(&lock, &layout.private)?;
    let mut site = Site::hold(lock, layout)?;
    let live = site.layout.current.live()?;
    if let Some(done) = unchanged(order, &site.layout, &site.releases, live.as_ref())? {
        return Ok(done);
    }
    let base = Base::choose(talk, order, &site.layout, &site.releases, live.as_ref())?;
    let held = holding(&site.layout, &site.releases);
    let (base, stores_nothing) = (base.as_ref(), site.layout.stores_nothing()?);
    Ready { holding: held.clone(), base, live: live.as_ref().into(), stores_nothing }.send(talk, order)?;
    let tree = tree::receive(talk, order, Some(&site.layout), base)?;
    let decided = Decided::decide(order, &site.layout, &site.releases, live, base, &tree.manifest)?;
    let task = Task { order, tree: &tree, base, decided: &decided };
    let mut done = make(talk, &mut site, task)?;
    let holds = holding(&site.layout, &site.releases);
    done.holding = (holds != held.after(done.release.as_ref(), &done.removed)).then_some(holds);
    Ok(done)
}

/// Makes the release of what is there, and tidies up. Where space is short, what waits to be reused goes first.
fn make(talk: &Talk, site: &mut Site, task: Task<'_>) -> Result<DeployDone, Error> {
    let mut choice = Choice::make(talk, site, task)?;
    let made = match build(talk, site, task, &choice) {
        // Before anything is asked for.
        Err(Error::Site(SiteError::NoSpace { .. }) | Error::Site(SiteError::NoInodes { .. })) if choice.waits => {
            choice = choice.make_room(talk, site, task.order.policy())?;
            build(talk, site, task, &choice)
        }
        made => made,
    }?;
    let tidied = tidy(talk, site, task, &made);
    Ok(done(task, choice, made, tidied))
}

/// Makes the release in a staging of its own. Where that fails, what was received stays for the next run.
fn build(talk: &Talk, site: &mut Site, task: Task<'_>, choice: &Choice) -> Result<Made, Error> {
    let store = Store::new(site.layout.objects.duplicate()?);
    let classified = task.classify(&site.layout, &site.releases, &store)?;
    let staging = Staging::create(&site.lock, &site.layout)?;
    let plan = Plan { task, classified: &classified, choice, store: &store, staging: &staging };
    let made = run_steps(talk, site, &plan);
    // What it holds open is closed before other things are opened.
    drop(store);
    if made.is_err() {
        // The next run clears what cannot be removed now; the error is what matters.
        drop(staging.abandon(&site.lock, &site.layout));
    }
    made
}

/// Takes the steps up to the switch. The first that fails ends it.
fn run_steps(talk: &Talk, site: &mut Site, plan: &Plan<'_>) -> Result<Made, Error> {
    let mut phases = Phases::new(talk);
    let filled = phases.time(Phase::Assemble, || fill(talk, site, plan))?;
    let published = publish_release(&mut phases, site, plan, &filled)?;
    let switched = switch_to(&mut phases, talk, site, plan.task)?;
    Ok(Made { filled, published, switched, put_right: plan.store.count_put_right(), seconds: phases.finish() })
}

fn publish_release(
    phases: &mut Phases<'_>,
    site: &mut Site,
    plan: &Plan<'_>,
    filled: &Filled,
) -> Result<Published, Error> {
    let Plan { task, store, staging, .. } = *plan;
    let decided = task.decided;
    let manifest = filled.manifest(task);
    let record = decided.record(task.order, manifest, filled.arrived_bytes());
    if decided.is_whole {
        wait_for_the_end_of(decided.second);
    }
    let (layout, assembled, arrived) = (&site.layout, &filled.assembled, &filled.arrived);
    let publication = Publication { layout, store, staging, manifest, assembled, arrived, record: &record };
    let published = phases.time(Phase::Sync, || publish(&site.lock, &publication))?;
    site.releases.records.push(record);
    Ok(published)
}

/// Makes the release live, unless it is to be ready only.
fn switch_to(
    phases: &mut Phases<'_>,
    tell: &dyn Tell,
    site: &mut Site,
    task: Task<'_>,
) -> Result<Option<Switched>, Error> {
    if task.order.begin.no_switch {
        return Ok(None);
    }
    let id = &task.decided.id;
    let switched = phases.time(Phase::Switch, || {
        tell.begin_switch(id)?;
        switch::switch(&site.layout, &site.lock, &mut site.releases, id, "deploy", &task.order.hello.provenance)
    })?;
    tell.live(id);
    Ok(Some(switched))
}

/// Waits until a second is over, which takes so long only where releases come one a second: not where the clock was ahead
/// when an earlier one was made.
fn wait_for_the_end_of(second: u32) {
    const WAIT_MAX: u64 = 3;
    const A_WHILE: Duration = Duration::from_millis(20);
    let second = u64::from(second);
    while now() <= second && second - now() <= WAIT_MAX {
        std::thread::sleep(A_WHILE);
    }
}
